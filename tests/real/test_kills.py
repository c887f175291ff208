"""A daemon killed at any moment: names are wholly old or wholly new, what was acknowledged is there, no byte is left over."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from tests.real.case import RealTestCase
from tests.real.changes import Changers, fetch_all, stored
from tests.real.clients import authorization, ftp, https, path_of
from tests.real.harness import Node, Options, node, until
from tests.real.kills import Writers, identify

SEED = int(os.environ.get("ECPDS_TEST_SEED", "20261121"))

Contents = Counter[tuple[str, int]]


def fetch_by_https(node: Node, name: str) -> bytes | None:
    """The content of a name; None when there is none."""
    connection = https(node)
    connection.request("GET", path_of(name), headers=authorization())
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    if answer.status not in (200, 404):
        raise ValueError(f"GET {name}: {answer.status}")
    return content if answer.status == 200 else None


def fetch_by_ftp(node: Node, name: str) -> bytes | None:
    """The same, over FTP."""
    with ftp(node) as client:
        if name not in client.nlst():
            return None
        pieces: list[bytes] = []
        client.retrbinary(f"RETR {name}", pieces.append)
        return b"".join(pieces)


class Kills(RealTestCase):
    """What each of the classes below does to a node of its own."""

    options: ClassVar[Options] = {"limits": {"ticket_life": 1.0}}

    def survive(self, kills: int) -> None:
        moments, self.changers = (
            random.Random(SEED),
            Changers(SEED, (("ftp-c", "ftp"), ("https-c", "https"), ("http-c", "http"))),
        )
        writers = Writers(self.node, SEED, [partial(each.work, self.node) for each in self.changers.all])
        for number in range(kills):
            delay = moments.choice([0.0, moments.uniform(0, 0.05), moments.uniform(0, 0.6)])
            try:
                writers.round(delay)
                self.node.start()
                self.check(writers, fetch_by_ftp if number % 2 else fetch_by_https)
            except Exception as failure:
                failure.add_note(f"seed {SEED}, kill {number}, {delay:.3f} s after the first acknowledgement")
                raise

    def check(self, writers: Writers, fetch: Callable[[Node, str], bytes | None]) -> None:
        """Every overwritten name by one door, those that were changed otherwise, and the volume against what was found."""
        expected: Contents = Counter()
        for name in writers.all_names():
            content = fetch(self.node, name.name)
            version = None
            if content is not None:
                found, version = identify(content)
                self.assertEqual(found, name.name)
                expected[(found, version)] += 1
            self.assertIn(version, name.allowed(), f"{name}")
            name.settle(version)
        for each in self.changers.all:
            state = fetch_all(self.node, each)
            self.assertIn(state, each.allowed())
            each.settle(state)
            expected.update(state.values())
        until(lambda: stored(self.node) == expected, f"the volume to hold {expected}", 30)


class TenKills(Kills):
    def test_ten_kills(self) -> None:
        self.survive(10)


class HundredKills(Kills):
    """Beside the ten, on a node of its own: what those left is no name of these."""

    @pytest.mark.long
    def test_a_hundred_kills(self) -> None:
        self.survive(100)


class KillsInMemory(Kills):
    """Where nothing is synced and commits are made on the reactor's thread: what dies is the process, not the kernel."""

    options: ClassVar[Options] = {**Kills.options, "mover": {"sync": False}}

    @classmethod
    def setUpClass(cls) -> None:
        cls._stack = ExitStack()
        cls.node = cls._stack.enter_context(node(cls.options, Path("/dev/shm")))

    @pytest.mark.long
    def test_ten_kills_in_memory(self) -> None:
        self.survive(10)
