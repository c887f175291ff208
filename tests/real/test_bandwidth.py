"""Bandwidth at every door: what is limited is whole, and takes as long as its bytes do at that rate; it is not stalled."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import ClassVar

from tests.real.case import RealTestCase
from tests.real.clients import authorization
from tests.real.harness import DESTINATION, LOGIN, PASSWORD, Options
from tests.real.test_every_door import DOORS, Doors

RATE = 1_000_000
SECONDS = 2
SIZE = RATE * SECONDS

EARLY = 0.05
"""How much sooner than the rate says a transfer may be over: a limit that lets more through is none."""

LATE = 10.0
"""How many times longer it may take, where the machine is busy; how exact the pace is, tests by virtual time say."""

STALL, CROWD = 1.0, 30
"""`limits.stall`, and users who share so little that each waits half as long again between two pieces."""


def seconds(work: Callable[[], object]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


class Bandwidth(Doors):
    def limit(self, kind: str, name: str, of: str, direction: str, rate: int = RATE) -> None:
        """Only this limit."""
        for each in ("Input", "Output"):
            options = f"{of}.maxBytesPerSecFor{each}={rate if each == direction else 0}"
            self.node.ecpds(kind, "set", name, "--option", options)

    def free(self) -> None:
        self.limit("destination", DESTINATION, "incoming", "Input", 0)
        self.limit("user", LOGIN, "portal", "Input", 0)

    def check(self, taken: float) -> None:
        self.assertGreater(taken, SECONDS * (1 - EARLY))
        self.assertLess(taken, SECONDS * LATE)

    def test_downloads(self) -> None:
        self.free()
        data = os.urandom(SIZE)
        self.put("https", "down", data)
        self.limit("destination", DESTINATION, "incoming", "Input")
        for door in DOORS:
            with self.subTest(door=door):
                found: list[bytes] = []
                self.check(seconds(lambda door=door, found=found: found.append(self.get(door, "down"))))
                self.assertEqual(found, [data])

    def test_uploads(self) -> None:
        self.free()
        data = os.urandom(SIZE)
        self.limit("destination", DESTINATION, "incoming", "Output")
        for door in DOORS:
            with self.subTest(door=door):
                self.check(seconds(lambda door=door: self.put(door, f"up-{door}", data)))
                self.assertEqual(self.get("https", f"up-{door}"), data)

    def test_small_ones_on_one_connection(self) -> None:
        """Which are answered as their requests are read, and puts so, where nothing has to wait."""
        self.free()
        fields = authorization(LOGIN, PASSWORD)
        with closing(http.client.HTTPConnection("127.0.0.1", self.node.ports["https_plain"], timeout=120)) as client:

            def ask(method: str, body: bytes | None = None) -> None:
                for number in range(25):
                    client.request(method, f"/data/{DESTINATION}/small-{number % 5}", body, fields)
                    answer = client.getresponse()
                    self.assertIn((answer.status, len(answer.read())), ((201, 0), (204, 0), (200, 8000)))

            ask("PUT", bytes(8000))
            for direction, method, body in (("Output", "PUT", bytes(8000)), ("Input", "GET", None)):
                self.limit("user", LOGIN, "portal", direction, 100_000)
                self.check(seconds(lambda method=method, body=body: ask(method, body)))

    def test_small_ones_one_after_the_other(self) -> None:
        """All of a user's together, those that are answered from memory too."""
        self.free()
        self.put("https", "small", bytes(8000))
        self.limit("user", LOGIN, "portal", "Input", 100_000)

        def fetch() -> None:
            for _ in range(25):
                self.assertEqual(self.get("https", "small"), bytes(8000))

        self.check(seconds(fetch))


class Crowded(RealTestCase):
    options: ClassVar[Options] = {
        "node": {"roles": ["master", "mover", "https"]},
        "limits": {"stall": STALL, "upload_rate": 2000, "download_rate": 2000},
    }

    def test_who_has_to_wait_is_not_stalled(self) -> None:
        """Pieces are a twentieth of a second's bytes, 100."""
        bodies = {f"crowd-{number}": os.urandom(300) for number in range(CROWD)}

        def both_ways(name: str) -> bytes:
            with closing(http.client.HTTPConnection("127.0.0.1", self.node.ports["https_plain"], timeout=120)) as client:
                target, fields = f"/data/{DESTINATION}/{name}", authorization(LOGIN, PASSWORD)
                client.request("PUT", target, bodies[name], fields)
                self.assertEqual(client.getresponse().read(), b"")
                client.request("GET", target, headers=fields)
                return client.getresponse().read()

        start = time.monotonic()
        with ThreadPoolExecutor(CROWD) as threads:
            self.assertEqual(dict(zip(bodies, threads.map(both_ways, bodies), strict=True)), bodies)
        self.assertGreater(time.monotonic() - start, 300 * CROWD / 2000 * (1 - EARLY))
