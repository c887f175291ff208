"""A conversation with the FTP door, in memory: the test is the client, its clock, and the other end of each socket."""

from __future__ import annotations

import socket
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from attrs import evolve
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ecpds.admission import Admission
from ecpds.config import Config, Ftp
from ecpds.keys import make_certificate, utc_now
from ecpds.limits import Limits
from ecpds.model import PERMISSIONS
from ecpds.protocols.ftp import FtpFactory, FtpProtocol
from ecpds.protocols.ftp_tls import ControlTls, Credentials
from ecpds.protocols.sessions import UserSessions
from ecpds.threads import InlineThreads
from ecpds.timeouts import Timeouts
from tests.doubles import MemoryChannel, MemoryListeners, MemoryPortal, make_identity

PEER = "192.0.2.7"
LOCAL = "192.0.2.1"


def address(host: str, port: int) -> IPv4Address | IPv6Address:
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)


class TurningClock(Clock):
    """A clock that also turns as a reactor does: what a call schedules waits for the next turn."""

    def turn(self) -> None:
        due = [call for call in self.getDelayedCalls() if call.getTime() <= self.seconds()]
        for call in due:
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)


class House:
    """A door, with everything around it in memory."""

    def __init__(
        self,
        limits: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        permissions: tuple[str, ...] = PERMISSIONS,
        tls: bool = True,
    ) -> None:
        self.clock = TurningClock()
        self.clock.advance(1_700_000_000)
        self.portal = MemoryPortal({"alice": ("secret", make_identity(permissions=permissions))})
        self.tree = self.portal.tree
        self.listeners = MemoryListeners()
        self.limits = evolve(Limits(), **(limits or {}))
        self.admission = Admission(self.limits.connections, self.limits.connections_per_address)
        self.factory = FtpFactory(
            self.portal,
            self.listeners,
            self.limits,
            evolve(Ftp(), **(options or {})),
            Timeouts(self.clock),
            self.clock,
            self.admission,
            "node-1",
            InlineThreads(),
            UserSessions(self.clock.seconds),
            credentials=credentials() if tls else None,
        )
        self.clients: list[Client] = []

    def connect(
        self, peer: str = PEER, local: str = LOCAL, implicit: bool = False, sock: socket.socket | None = None
    ) -> Client:
        self.clients.append(Client(self, peer, local, implicit, sock))
        return self.clients[-1]

    def log_in(self, secure: bool = False, **ends: Any) -> Client:
        client = self.connect(**ends)
        if secure:
            assert client.say("AUTH TLS")[0].startswith("234 "), "no TLS"
        client.say("USER alice")
        assert client.say("PASS secret")[0].startswith("230 "), "no login"
        return client

    def close(self) -> None:
        """Everybody leaves."""
        for client in self.clients:
            if client.protocol in self.factory.sessions:
                client.lose()


@cache
def credentials() -> Credentials:
    """A certificate for localhost, the same for all tests."""
    with TemporaryDirectory() as folder:
        certificate, key = Path(folder, "certificate"), Path(folder, "key")
        for path, content in zip((certificate, key), make_certificate(Config(), utc_now()), strict=True):
            path.write_bytes(content)
        return Credentials(certificate, key, Random(7))


class FtpTestCase(SynchronousTestCase):
    def new_house(self, **settings: Any) -> House:
        house = House(**settings)
        self.addCleanup(house.close)
        return house


class Wire(StringTransport):
    """A transport that takes TLS for granted: `secured` are the bytes that had been written when each began."""

    def __init__(self, host: Any, peer: Any) -> None:
        super().__init__(host, peer)
        self.secured: list[tuple[bytes, ControlTls]] = []

    def startTLS(self, creator: ControlTls) -> None:
        self.secured.append((self.value(), creator))


@implementer(ITCPTransport)
class SocketWire(Wire):
    """One that says it stands on a socket, of which what the client sends is not read."""

    def __init__(self, host: Any, peer: Any, sock: socket.socket) -> None:
        super().__init__(host, peer)
        self._socket = sock

    def getHandle(self) -> socket.socket:
        return self._socket

    def loseWriteConnection(self) -> None:
        self.loseConnection()

    def getTcpNoDelay(self) -> bool:
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:
        return None

    def getTcpKeepAlive(self) -> bool:
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None:
        return None


class Client:
    """One control connection, seen from the client; with `sock`, one that stands on that socket."""

    def __init__(
        self,
        house: House,
        peer: str = PEER,
        local: str = LOCAL,
        implicit: bool = False,
        sock: socket.socket | None = None,
    ) -> None:
        self.house = house
        ends = address(local, 21), address(peer, 50000)
        self.transport = Wire(*ends) if sock is None else SocketWire(*ends, sock)
        self.protocol: FtpProtocol = house.factory.build(implicit)
        self.protocol.makeConnection(self.transport)
        self.greeting = self.heard()

    def heard(self) -> list[str]:
        """The lines that have come since the last time."""
        said = self.transport.value().decode()
        self.transport.clear()
        assert said == "" or said.endswith("\r\n"), said
        return said.split("\r\n")[:-1]

    def write(self, data: bytes) -> None:
        """Bytes as they are, if the door reads them."""
        self.protocol.dataReceived(data)

    def turn(self, turns: int = 8) -> None:
        """Let the reactor go round."""
        for _ in range(turns):
            self.house.clock.turn()

    def say(self, *lines: str) -> list[str]:
        """Send lines in one piece and return what is answered."""
        self.write("".join(f"{line}\r\n" for line in lines).encode())
        self.turn()
        return self.heard()

    def lose(self) -> None:
        """The control connection is gone."""
        self.protocol.connectionLost(Failure(ConnectionDone()))

    @property
    def closed(self) -> bool:
        return self.transport.disconnecting or self.transport.disconnected

    def passive(self) -> MemoryChannel:
        """EPSV, and connect."""
        said = self.say("EPSV")
        assert said[0].startswith("229 "), said
        port = int(said[0].split("|")[3])
        return next(listener for listener in self.house.listeners.open if listener.port == port).connect()

    def download(self, line: str) -> tuple[list[str], bytes, MemoryChannel]:
        """The replies, the bytes and the channel of a RETR or a listing."""
        channel = self.passive()
        said = self.say(line)
        return said, channel.all_written, channel

    def upload(self, line: str, data: bytes) -> list[str]:
        """The replies to a STOR whose data ends properly."""
        channel = self.passive()
        said = self.say(line)
        channel.feed(data)
        channel.feed_end()
        self.turn()
        return said + self.heard()


def codes(lines: list[str]) -> list[str]:
    """The codes of the last lines of replies."""
    return [line[:3] for line in lines if line[3:4] == " " and line[:3].isdigit()]
