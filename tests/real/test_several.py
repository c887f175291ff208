"""`bin/run --nodes 3`: a small fleet in the foreground, whose nodes share the ports of their doors."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.real.harness import PATIENCE, ROOT, environment, not_without_us, until


class Several(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir()
        self.said = self.home / "said"

    def ports(self, name: str) -> dict[str, int]:
        ports: dict[str, int] = json.loads((self.home / name / "home" / "ports.json").read_text("utf-8"))
        return ports

    def test_three_nodes_on_one_port_each(self) -> None:
        command = [str(ROOT / "bin" / "run"), "--nodes", "3", "--any-port", "--home", str(self.home)]
        with self.said.open("wb") as said:
            process = subprocess.Popen(not_without_us(command), stdout=said, stderr=said, env=environment(), cwd="/")
        try:
            until(lambda: "nodes serve" in self.said.read_text() or process.poll() is not None, "the fleet")
            names = [f"node-{number}" for number in (1, 2, 3)]
            doors = [{self.ports(name)[door] for name in names} for door in ("ftp", "ssh", "https", "s3")]
            self.assertEqual([len(each) for each in doors], [1, 1, 1, 1])
            port = self.ports("node-1")["ftp"]
            greeted = until(lambda: self.greeters(port) == set(names), "each node to greet somebody")
            self.assertTrue(greeted)
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(PATIENCE)
            text = self.said.read_text()
            print(text)
        self.assertEqual(status, 0)
        for name in names:
            self.assertRegex(text, rf"(?m)^{name} \| .*ready")
            self.assertFalse((self.home / name / "home" / "ports.json").exists())
        self.assertEqual(len(re.findall(r"(?m)^    (curl|sftp|aws) ", text)), 4)

    def greeters(self, port: int) -> set[str]:
        """Which nodes answer a number of connections to the FTP door."""
        found = set()
        for _ in range(24):
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
                found.add(connection.recv(100).decode().split()[1].rstrip(":"))
        return found
