"""PostgreSQL killed under a node that works: nothing acknowledged is lost, clients are told, and nobody restarts the node."""

from __future__ import annotations

import ftplib
import http.client
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from io import BytesIO

from twisted.trial.unittest import SynchronousTestCase

from tests.real.clients import authorization, ftp, https, path_of
from tests.real.harness import Node, node, until
from tests.real.postgresql import Server

WRITERS = 4


class Putting(threading.Thread):
    """Puts new names by one door, one after the other, and notes what was acknowledged and what it was told else."""

    def __init__(self, held: Node, door: str, number: int) -> None:
        super().__init__(daemon=True)
        self._node = held
        self._door = door
        self._number = number
        self.ended = threading.Event()
        self.acknowledged: list[str] = []
        self.refusals: list[str] = []

    def run(self) -> None:
        put = self._by_ftp() if self._door == "ftp" else self._by_https()
        count = 0
        while not self.ended.is_set():
            count += 1
            name = f"{self._door}-{self._number}-{count}"
            refused = put(name, name.encode())
            if refused:
                self.refusals.append(refused)
                time.sleep(0.05)
            else:
                self.acknowledged.append(name)

    def _by_ftp(self) -> Callable[[str, bytes], str]:
        client = ftp(self._node)

        def put(name: str, data: bytes) -> str:
            try:
                client.storbinary(f"STOR {name}", BytesIO(data))
            except ftplib.error_temp as error:
                return str(error)[:3]
            return ""

        return put

    def _by_https(self) -> Callable[[str, bytes], str]:
        def put(name: str, data: bytes) -> str:
            connection = https(self._node)
            connection.request("PUT", path_of(name), data, authorization())
            answer = connection.getresponse()
            answer.read()
            connection.close()
            return "" if answer.status == 201 else str(answer.status)

        return put


class KilledTests(SynchronousTestCase):
    """One server, killed twice."""

    def setUp(self) -> None:
        self.server = Server()
        self.addCleanup(self.server.remove)
        self.server.start()
        stack = ExitStack()
        self.addCleanup(stack.close)
        options = {"catalogue": {"url": self.server.make("killed")}}
        self.node = stack.enter_context(node(options))

    def test_killed_under_load_and_started_again(self) -> None:
        pid = self.node.pid
        writers = [Putting(self.node, "ftp" if number % 2 else "https", number) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        try:
            for _ in range(2):
                self.some_more(writers)
                self.server.kill()
                told = [len(writer.refusals) for writer in writers]
                until(lambda told=told: self.all_were_told(writers, told), "each client to be refused")
                self.assertEqual(self.status("nothing"), 503)
                self.server.start()
                self.some_more(writers)
        finally:
            for writer in writers:
                writer.ended.set()
            for writer in writers:
                writer.join(60)
        print(self.node.log_end())
        self.assertEqual(self.node.ports_file(), self.node.ports | {"pid": pid})
        self.assertEqual({refusal for writer in writers for refusal in writer.refusals}, {"451", "503"})
        self.check_content([name for writer in writers for name in writer.acknowledged])

    def some_more(self, writers: list[Putting]) -> None:
        """Each has a few more acknowledged."""
        before = [len(writer.acknowledged) for writer in writers]
        until(
            lambda: all(len(writer.acknowledged) >= count + 5 for writer, count in zip(writers, before, strict=True)),
            "each client to have more acknowledged",
        )

    def all_were_told(self, writers: list[Putting], told: list[int]) -> bool:
        return all(len(writer.refusals) > count for writer, count in zip(writers, told, strict=True))

    def status(self, name: str) -> int:
        connection = https(self.node)
        connection.request("GET", path_of(name), headers=authorization())
        status = connection.getresponse().status
        connection.close()
        return status

    def check_content(self, names: list[str]) -> None:
        self.assertGreater(len(names), 4 * 5 * WRITERS - 1)
        connection: http.client.HTTPConnection = https(self.node)
        for name in names:
            connection.request("GET", path_of(name), headers=authorization())
            answer = connection.getresponse()
            self.assertEqual((answer.status, answer.read()), (200, name.encode()))
        connection.close()
