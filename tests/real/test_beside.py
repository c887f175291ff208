"""Two daemons on one host, over S3: what either changes both show at once, though each remembers what it was asked."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from twisted.trial.unittest import TestCase

from bench.s3_client import Connection, Prepared, prepared
from bench.s3_peers import Server, two_daemons

CHANGES = 60
"""Overwrites and deletes by turns, at either daemon."""


class Beside(TestCase):
    def setUp(self) -> None:
        folder = Path(mkdtemp(prefix="ecpds-beside-"))
        self.addCleanup(rmtree, folder, True)
        daemons = two_daemons(folder, sync=False)
        self.server: Server = daemons.__enter__()
        self.addCleanup(daemons.__exit__, None, None, None)
        self.lines = [Connection(port) for port in self.server.ports]
        for line in self.lines:
            self.addCleanup(line.close)

    def request(self, method: str, name: str, body: bytes = b"") -> Prepared:
        return prepared(self.server, method, f"/{self.server.bucket}/{name}", body)

    def seen(self, line: Connection, name: str) -> bytes | None:
        try:
            line(self.request("GET", name))
        except RuntimeError as refused:
            self.assertIn("404", str(refused))
            line.close()
            return None
        return line.content

    def test_a_change_at_either_is_seen_at_both_with_the_next_request(self) -> None:
        for number in range(CHANGES):
            line, body = self.lines[number % 2], b"content %d" % number
            line(self.request("PUT", "f", body))
            for _ in range(2):
                self.assertEqual([self.seen(each, "f") for each in self.lines], [body, body])
            if number % 3 == 0:
                self.lines[number // 3 % 2](self.request("DELETE", "f"))
                self.assertEqual([self.seen(each, "f") for each in self.lines], [None, None])
