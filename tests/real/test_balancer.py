"""The shipped configuration of HAProxy, and every door behind it: whose address a node believes."""

from __future__ import annotations

import ftplib
import os
import socket
import subprocess
from contextlib import ExitStack
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.real.balanced_clients import Ftp, makers
from tests.real.balancer import DOORS, MOVERS, SHIPPED, Balancer, balanced, network, program
from tests.real.clients import missing, unverified
from tests.real.fleet import Fleet
from tests.real.harness import LOGIN, until


class Shipped(SynchronousTestCase):
    skip = missing("haproxy") if not os.path.exists(program()) else None

    def test_haproxy_takes_it(self) -> None:
        """Without so much as a warning."""
        done = subprocess.run([program(), "-c", "-dW", "-f", str(SHIPPED)], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Behind(SynchronousTestCase):
    skip = Shipped.skip
    fleet: ClassVar[Fleet]
    balancer: ClassVar[Balancer]
    _stack: ClassVar[ExitStack]

    @classmethod
    def setUpClass(cls) -> None:
        cls._stack = ExitStack()
        cls.fleet, cls.balancer = cls._stack.enter_context(balanced({}))
        cls.key = cls.fleet.master.json("user", "s3key", LOGIN, "add")

    @classmethod
    def tearDownClass(cls) -> None:
        cls._stack.close()

    def tearDown(self) -> None:
        for node in (self.fleet.master, *self.fleet.members.values()):
            print(f"--- {node.folder.name}\n{node.log_end(3000)}")

    def test_every_door_knows_where_its_client_comes_from(self) -> None:
        for door, make in makers(self.balancer.address, self.key).items():
            client = make()
            content = os.urandom(300_000)
            client.put(f"{door}-x", content)
            self.assertEqual(client.get(f"{door}-x"), content)
            client.close()
            events = until(lambda door=door: self.records(f"{door}-x"), "the records")
            self.assertEqual({each["HostAddress"] for each in events}, {"127.0.0.1"}, door)

    def records(self, name: str) -> list[dict[str, str]]:
        found = [each for each in self.fleet.master.json_lines("events", "--type", "INH") if each["FileName"] == name]
        return found if len(found) > 1 else []

    def test_implicit_tls(self) -> None:
        with socket.create_connection((self.balancer.address, DOORS["ftps"]), 20) as plain:
            with unverified().wrap_socket(plain) as secured:
                self.assertEqual(secured.recv(4), b"220 ")

    def test_a_data_port_is_its_client_s_alone(self) -> None:
        client = Ftp(self.balancer.address, secured=False)
        host, port = ftplib.parse227(client._client.sendcmd("PASV"))
        self.assertEqual(host, self.balancer.address)
        with socket.create_connection((host, port), 20, ("127.0.0.9", 0)) as stranger:
            client._client.putcmd("NLST")
            stranger.settimeout(20)
            self.assertEqual(self.received(stranger), b"")
        client.close()

    def received(self, sock: socket.socket) -> bytes:
        try:
            return sock.recv(100)
        except ConnectionResetError:
            return b""

    def test_a_node_that_is_not_there_is_not_missed(self) -> None:
        gone = self.fleet.members[MOVERS[0]]
        gone.kill()
        try:
            for _ in range(4):
                makers(self.balancer.address, self.key)["ftps"]().close()
        finally:
            gone.start()
        self.fleet.wait_for(*MOVERS)

    def test_who_only_says_so_is_not_believed(self) -> None:
        """A header from an address that is not listed is what a client says: here, no command."""
        node = self.fleet.members[MOVERS[0]]
        address = f"{network()}.11"
        with socket.create_connection((address, node.ports["ftp"]), 20) as client:
            client.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 1 21\r\n")
            answer = client.recv(1000)
            while answer.count(b"\n") < 2:
                answer += client.recv(1000)
            self.assertIn(b"\r\n500 ", answer)

    def test_a_client_that_is_cut_off_leaves_nothing(self) -> None:
        """Under TLS, whose end is said: the balancer may tell a reset as a plain end, which in clear ends a file."""
        client = Ftp(self.balancer.address, secured=True)
        connection = client._client.transfercmd("STOR half")
        connection.sendall(b"x" * 300_000)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        with self.assertRaises(ftplib.Error):
            client._client.voidresp()
        self.assertIsNone(client.get("half"))
        client.close()
