"""The FTP door over real sockets, with Python's ftplib as the client: few tests, for what memory can't show."""

from __future__ import annotations

import ftplib
import io
import random
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from ecpds.admission import Admission
from ecpds.config import Ftp
from ecpds.limits import Limits
from ecpds.protocols.ftp import FtpFactory
from ecpds.protocols.ftp_tls import Credentials
from ecpds.protocols.sessions import UserSessions
from ecpds.threads import InlineThreads
from ecpds.timeouts import Timeouts
from ecpds.transports.buffers import BufferPool
from ecpds.transports.channel import Surroundings
from ecpds.transports.listeners import Listeners
from ecpds.transports.pages import Pages
from tests.doubles import MemoryPortal, make_portal

CONTENT = bytes(range(256)) * 8192


def socket_factory(options: Ftp, credentials: Credentials | None = None) -> tuple[FtpFactory, MemoryPortal]:
    """A door whose data connections are real, and the portal in memory that is behind it."""
    limits, timeouts = Limits(), Timeouts(Clock())  # nothing expires
    around = Surroundings(reactor, timeouts, limits, BufferPool(limits.buffers), Pages(InlineThreads()))
    portal, listeners = make_portal(), Listeners(around, random.SystemRandom())
    factory = FtpFactory(
        portal,
        listeners,
        limits,
        options,
        timeouts,
        reactor,
        Admission(0, 0),
        "node-1",
        InlineThreads(),
        UserSessions(reactor.seconds),
        credentials=credentials,
    )
    return factory, portal


class Sockets(TestCase):
    address = "127.0.0.1"

    def setUp(self) -> None:
        self.factory, portal = socket_factory(Ftp())
        self.tree = portal.tree
        self.port = reactor.listenTCP(0, self.factory, interface=self.address)

        self.addCleanup(self.stop)

    async def stop(self) -> None:
        await maybeDeferred(self.port.stopListening)
        await self.factory.drain()

    async def as_client(self, work: Callable[[ftplib.FTP], Any], passive: bool = True) -> Any:
        """Do `work` with a client that is logged in, on a thread."""

        def talk() -> Any:
            with ftplib.FTP(timeout=20) as client:
                client.set_pasv(passive)
                client.connect(self.address, self.port.getHost().port)
                client.login("alice", "secret")
                client.cwd("/demo")
                return work(client)

        return await deferToThread(talk)

    async def test_there_and_back(self) -> None:
        def work(client: ftplib.FTP) -> bytes:
            back = io.BytesIO()
            client.storbinary("STOR é x", io.BytesIO(CONTENT))
            client.retrbinary("RETR é x", back.write)
            return back.getvalue()

        for passive in (True, False):
            self.assertEqual(await self.as_client(work, passive), CONTENT)
            self.assertEqual(self.tree.read("/demo/é x"), CONTENT)

    async def test_resumed_and_listed(self) -> None:
        self.tree.put("/demo/a", CONTENT)

        def work(client: ftplib.FTP) -> tuple[Any, ...]:
            rest = io.BytesIO()
            client.retrbinary("RETR a", rest.write, rest=1000)
            return rest.getvalue(), client.nlst(), [name for name, _ in client.mlsd()], client.size("a")

        self.assertEqual(await self.as_client(work), (CONTENT[1000:], ["a"], ["a"], len(CONTENT)))

    async def test_many_small_files_over_one_connection(self) -> None:
        def work(client: ftplib.FTP) -> int:
            for number in range(200):
                client.storbinary(f"STOR {number}", io.BytesIO(b"%d" % number))
            return len(client.nlst())

        self.assertEqual(await self.as_client(work), 200)

    async def test_abort_as_urgent_data(self) -> None:
        """ftplib sends the end of ABOR's line out of band."""

        def work(client: ftplib.FTP) -> tuple[str, str]:
            data = client.transfercmd("STOR a")
            data.sendall(CONTENT)
            aborted = client.abort()
            data.close()
            return aborted[:3], client.getresp()[:3]

        self.assertEqual(await self.as_client(work), ("426", "226"))
        self.assertEqual((self.tree.files, self.tree.uploads), ({}, []))

    async def test_a_client_that_dies_publishes_nothing(self) -> None:
        """Its kernel closes its files in the order of their numbers, both of them properly."""

        def work(client: ftplib.FTP) -> None:
            data = client.transfercmd("STOR a")
            data.sendall(CONTENT)
            client.close()
            data.close()

        for _ in range(20):
            await self.as_client(work)
        await self.stop()
        self.assertEqual((self.tree.files, self.tree.uploads), ({}, []))

    async def test_a_client_that_resets_publishes_nothing(self) -> None:
        def work(client: ftplib.FTP) -> str:
            data = client.transfercmd("STOR a")
            data.sendall(CONTENT)
            data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            data.close()
            try:
                return client.voidresp()
            except ftplib.error_temp as refused:
                return str(refused)[:3]

        self.assertEqual(await self.as_client(work), "426")
        self.assertEqual((self.tree.files, self.tree.uploads), ({}, []))


class SocketsOverIPv6(Sockets):
    address = "::1"
