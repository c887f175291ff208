"""An SSH server in memory, with conch's client at the other end, or with packets made by hand."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from attrs import evolve
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.transport import SSHClientTransport
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ecpds.admission import Admission
from ecpds.interfaces import IThreads
from ecpds.limits import Limits
from ecpds.ssh.algorithms import CIPHERS, MACS
from ecpds.ssh.authorized import AuthorizedKey, parse_line
from ecpds.ssh.channels import Session, Terminal
from ecpds.ssh.login import Gate, KeyGate, Login
from ecpds.ssh.server import SshServer
from ecpds.ssh.transport import SshConnection
from ecpds.ssh.userkeys import UserKey
from ecpds.timeouts import Timeouts

SERVICE_REQUEST, USERAUTH_REQUEST = 5, 50


def key_line(key: Ed25519PrivateKey, comment: str = "ann@laptop") -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " " + comment


def listed(key: Ed25519PrivateKey) -> AuthorizedKey:
    found = parse_line(key_line(key))
    assert found is not None
    return found


class EchoShell:
    """Gives back what is typed, and remembers what else happens."""

    def __init__(self, login: Login, terminal: Terminal) -> None:
        self.login = login
        self.terminal = terminal
        self.happened: list[str] = []

    def data_received(self, data: bytes) -> None:
        self.terminal.write(data)

    def eof_received(self) -> None:
        self.happened.append("eof")
        self.terminal.leave(3)

    def resized(self) -> None:
        self.happened.append(f"{self.terminal.width}x{self.terminal.height}")

    def closed(self) -> None:
        self.happened.append("closed")


class Wire(StringTransport):
    """One end of a connection."""

    def __init__(self) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", "192.0.2.7", 999))
        self.aborted = False

    def write(self, data: bytes | memoryview) -> None:
        super().write(bytes(data))

    def abortConnection(self) -> None:
        self.aborted = True
        self.disconnecting = True


class Client(SSHClientTransport):
    """Conch's client; `got` are the messages of the services, `told` the reason of the server's DISCONNECT."""

    def __init__(self) -> None:
        self.got: list[tuple[int, bytes]] = []
        self.told = b""
        self.secure = False

    def verifyHostKey(self, hostKey: bytes, fingerprint: bytes) -> Deferred[bool]:
        return succeed(True)

    def connectionSecure(self) -> None:
        self.secure = True

    def receiveError(self, reasonCode: int, description: bytes) -> None:
        self.told = description

    def dispatchMessage(self, messageNum: int, payload: bytes) -> None:
        if messageNum >= 50 or messageNum == 6:
            self.got.append((messageNum, payload))
        else:
            super().dispatchMessage(messageNum, payload)


class SshTestCase(SynchronousTestCase):
    LIMITS = Limits()

    def setUp(self) -> None:
        self.logged: list[str] = []
        globalLogPublisher.addObserver(self._observe)
        self.addCleanup(globalLogPublisher.removeObserver, self._observe)
        self.clock = Clock()
        self.key = Ed25519PrivateKey.generate()
        self.keys = [listed(self.key)]
        self.shells: list[EchoShell] = []
        self.server = SshServer(
            [Ed25519PrivateKey.generate()],
            self.gate(),
            self.open_channel,
            self.LIMITS,
            Timeouts(self.clock),
            self.clock,
            Admission(3, 0),
            idle=1000.0,
        )
        self.connection, self.wire = self.connect()

    def _observe(self, event: Any) -> None:
        self.logged.append(formatEvent(event))

    def gate(self) -> Gate:
        return KeyGate(self.find)

    async def find(self, key: UserKey) -> AuthorizedKey | None:
        return next((line for line in self.keys if line.key == key), None)

    def open_channel(self, login: Any, window: int, packet: int) -> Session:
        return Terminal(login, self.open_shell, window, packet)

    def open_shell(self, login: Login, terminal: Terminal) -> EchoShell:
        shell = EchoShell(login, terminal)
        self.shells.append(shell)
        return shell

    def connect(self) -> tuple[SshConnection, Wire]:
        connection = self.server.buildProtocol(IPv4Address("TCP", "192.0.2.7", 999))
        assert connection is not None
        wire = Wire()
        connection.makeConnection(wire)
        return connection, wire

    # Packets by hand, before there are keys

    def send_clear(self, message: int, payload: bytes = b"") -> None:
        body = bytes([message]) + payload
        padding = 16 - (5 + len(body)) % 8
        self.connection.dataReceived(struct.pack(">LB", len(body) + padding + 1, padding) + body + bytes(padding))

    def kexinit(self, *extra: bytes, exchange: bytes = b"ecdh-sha2-nistp521", guess: bool = False) -> bytes:
        names = [b",".join([exchange, *extra]), b"ssh-ed25519", *[CIPHERS[0]] * 2, *[MACS[0]] * 2, b"none", b"none", b"", b""]
        return bytes(16) + b"".join(map(NS, names)) + bytes([guess]) + bytes(4)

    def assertClosed(self, reason: str) -> None:
        self.assertTrue(self.wire.disconnecting)
        self.assertIn(reason, "\n".join(self.logged))
        self.assertEqual(self.flushLoggedErrors(), [])

    # With conch's client

    def join(self) -> None:
        """Connect conch's client, and let both talk until the keys are exchanged."""
        self.client = Client()
        self.client_wire = Wire()
        self.client.makeConnection(self.client_wire)
        self.pump()
        self.assertTrue(self.client.secure)

    def pump(self) -> None:
        """Carry bytes until neither side says anything more."""
        while self.wire.value() or self.client_wire.value():
            for source, sink in ((self.wire, self.client), (self.client_wire, self.connection)):
                data = source.value()
                source.clear()
                if data:
                    sink.dataReceived(data)

    def send(self, message: int, payload: bytes) -> list[tuple[int, bytes]]:
        """Send a message and return what the services answer."""
        self.client.got = []
        self.client.sendPacket(message, payload)
        self.pump()
        return self.client.got

    def attempt(self, key: Ed25519PrivateKey, signature: bytes | None = None, signed: bool = True, **other: bytes) -> bytes:
        """A request to log in with a key; right unless something else is said."""
        blob = key_blob(key)
        algorithm = other.get("algorithm", b"ssh-ed25519")
        head = NS(other.get("user", b"ann")) + NS(other.get("service", b"ssh-connection")) + NS(b"publickey")
        tail = bytes([signed]) + NS(algorithm) + NS(blob)
        if not signed:
            return head + tail
        session = self.client.sessionID or b""
        made = NS(b"ssh-ed25519") + NS(key.sign(NS(session) + bytes([USERAUTH_REQUEST]) + head + tail))
        return head + tail + NS(made if signature is None else signature)

    def log_in(self) -> None:
        self.join()
        self.send(SERVICE_REQUEST, NS(b"ssh-userauth"))
        self.assertEqual([message for message, _ in self.send(USERAUTH_REQUEST, self.attempt(self.key))], [52])

    def lose(self) -> None:
        self.connection.connectionLost(Failure(ConnectionAborted() if self.wire.aborted else ConnectionDone()))


@implementer(IThreads)
class Here:
    """No thread: work is done where it is asked for."""

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)


AT_ONCE = Here()


def key_blob(key: Ed25519PrivateKey) -> bytes:
    return NS(b"ssh-ed25519") + NS(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def limited(**limits: Any) -> Limits:
    return evolve(Limits(), **limits)
