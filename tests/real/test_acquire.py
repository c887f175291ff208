"""Acquisition by a real node from a real HTTP server, and what a node may not acquire from."""

from __future__ import annotations

import hashlib
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

    def test_a_fetch_straight_into_the_portal(self) -> None:
        """By the command, which asks the node; what the node may not reach is refused, and never seen."""
        content = bytes(range(256)) * 12_000
        (self.remote / "a.grib").write_bytes(content)
        (self.remote / "empty").write_bytes(b"")
        url = f"http://127.0.0.1:{self.port}"
        manifest = self.folder / "manifest"
        digest = hashlib.sha256(content).hexdigest()
        wrong = "0" * 64
        manifest.write_text(f"url,name,sha256\n{url}/a.grib,in/a.grib,{digest}\n{url}/a.grib,in/wrong.grib,{wrong}\n")
        words = ("fetch", "--json", "--to", f"portal:/{DESTINATION}/new", "--user", LOGIN)
        node = self.start(True)
        done = node.try_ecpds(*words, "-f", str(manifest), f"{url}/empty", f"{url}/missing")
        self.assertEqual(done.returncode, 1, done.stderr)
        said = {each["path"]: each for each in map(json.loads, done.stdout.splitlines())}
        folder = f"/{DESTINATION}/new"
        self.assertEqual(
            {path: each["status"] for path, each in said.items()},
            {
                f"{folder}/in/a.grib": "done",
                f"{folder}/in/wrong.grib": "failed",
                f"{folder}/empty": "done",
                f"{folder}/missing": "failed",
            },
        )
        shown = node.json("file", "show", f"{folder}/in/a.grib", "--json")
        self.assertEqual((shown["size"], shown["digests"]["sha256"]), (len(content), digest))
        self.assertEqual(node.json("file", "show", f"{folder}/empty", "--json")["size"], 0)
        listed = [each["path"] for each in node.json_lines("file", "ls", f"{folder}/in/", "--json")]
        self.assertEqual(listed, [f"{folder}/in/a.grib"])
        self.assertEqual(node.try_ecpds(*words[:-2], f"{url}/empty").returncode, 2, "nobody puts it there")

    def test_a_fetch_into_the_portal_leads_to_the_world_only(self) -> None:
        (self.remote / "a").write_bytes(b"secret")
        node = self.start(False)
        words = ("fetch", "--json", "--to", f"portal:/{DESTINATION}", "--user", LOGIN)
        refused = node.try_ecpds(*words, f"http://127.0.0.1:{self.port}/a")
        self.assertEqual((refused.returncode, json.loads(refused.stdout)["status"]), (1, "failed"))
        self.assertIn("private network", json.loads(refused.stdout)["reason"])
        self.assertEqual(node.json_lines("file", "ls", f"/{DESTINATION}/", "--json"), [])
