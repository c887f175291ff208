"""Acquisition by a real node from a real HTTP server, and what a node may not acquire from."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.real.harness import DESTINATION, LOGIN, Node, until
from tests.real.mirrors import answers, free_port

ROLES = {"roles": ["master", "mover", "https"]}


class AcquiringForReal(TestCase):
    def setUp(self) -> None:
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)
        self.folder = Path(tempfile.mkdtemp(prefix="ecpds-acquire-"))
        self.stack.callback(shutil.rmtree, self.folder, True)
        self.remote = self.folder / "remote"
        self.remote.mkdir()
        self.port = free_port()
        command = [sys.executable, "-m", "http.server", str(self.port), "--bind", "127.0.0.1", "-d", str(self.remote)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.stack.callback(server.wait)
        self.stack.callback(server.kill)
        until(lambda: answers(self.port), "the server")

    def start(self, private: bool) -> Node:
        node = Node(self.folder / "node", {"node": ROLES, "acquire": {"private": private}})
        node.start()
        self.stack.callback(node.kill)
        node.populate()
        return node

    def add(self, node: Node, *more: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/"
        words = ("acquire", "add", "gfs", url, "--destination", DESTINATION, "--user", LOGIN, *more, "--json")
        return json.loads(node.ecpds(*words))

    def test_new_files_come_and_are_remembered_over_a_restart(self) -> None:
        content = bytes(range(256)) * 12_000
        (self.remote / "a.grib").write_bytes(content)
        (self.remote / "empty.grib").write_bytes(b"")
        (self.remote / "b.txt").write_bytes(b"not wanted")
        node = self.start(True)
        self.add(node, "--match", "*.grib", "--folder", "in", "--every", "10s")
        until(lambda: len(node.json_lines("acquire", "files", "gfs", "--json")) == 2, "the files")
        shown = node.json("file", "show", f"/{DESTINATION}/in/a.grib", "--json")
        self.assertEqual(shown["size"], len(content))
        events = until(lambda: node.json_lines("events", "--type", "RET", "--json"), "the records")
        self.assertEqual({(each["Status"], each["Identity"]) for each in events}, {("done", "gfs")})
        self.assertEqual(node.stop(), 0)
        node.start()
        tally = node.json("acquire", "run", "gfs", "--json")
        self.assertEqual((tally["wanted"], tally["failed"]), (0, 0))
        (self.remote / "c.grib").write_bytes(b"later")
        until(lambda: len(node.json_lines("acquire", "files", "gfs", "--json")) == 3, "the next visit")
        self.assertEqual(list((self.folder / "node" / "home" / "acquiring").iterdir()), [])

    def test_its_own_network_is_not_for_a_node(self) -> None:
        (self.remote / "a").write_bytes(b"secret")
        node = self.start(False)
        self.add(node)
        refused = node.try_ecpds("acquire", "run", "gfs")
        self.assertEqual(refused.returncode, 1)
        self.assertEqual(node.json_lines("file", "ls", f"/{DESTINATION}/", "--json"), [])
