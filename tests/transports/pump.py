"""A reactor turned by hand over real descriptors: socket pairs and loopback, no thread, no sleep, a clock of its own."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ecpds.interfaces import IThreads
from ecpds.limits import Limits
from ecpds.threads import InlineThreads
from ecpds.timeouts import Timeouts
from ecpds.transports.buffers import BufferPool
from ecpds.transports.channel import Channel, Surroundings
from ecpds.transports.making import make_channel
from ecpds.transports.pages import Pages


@implementer(IReactorFDSet, IReactorTime)
class HandReactor(Clock):
    """Level-triggered like epoll: one `turn` polls once and calls each descriptor that is ready once."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []
        self.writers: list[Any] = []
        self.turns = 0

    def addReader(self, reader: Any) -> None:
        if reader not in self.readers:
            self.readers.append(reader)

    def addWriter(self, writer: Any) -> None:
        if writer not in self.writers:
            self.writers.append(writer)

    def removeReader(self, reader: Any) -> None:
        if reader in self.readers:
            self.readers.remove(reader)

    def removeWriter(self, writer: Any) -> None:
        if writer in self.writers:
            self.writers.remove(writer)

    def removeAll(self) -> list[Any]:
        return [*self.readers, *self.writers]

    def getReaders(self) -> list[Any]:
        return list(self.readers)

    def getWriters(self) -> list[Any]:
        return list(self.writers)

    def turn(self) -> None:
        self.turns += 1
        for call in [call for call in self.calls if call.getTime() <= self.seconds()]:
            # One at a time: what a call puts off to the next turn must not come in this one, as `advance` would have it.
            self.calls.remove(call)
            call.called = 1
            call.func(*call.args, **call.kw)
        poll = select.poll()
        for descriptor in {*self.readers, *self.writers}:
            wanted = select.POLLIN * (descriptor in self.readers) | select.POLLOUT * (descriptor in self.writers)
            poll.register(descriptor.fileno(), wanted)
        known = {descriptor.fileno(): descriptor for descriptor in (*self.readers, *self.writers)}
        for fd, event in poll.poll(0):
            self._call(known[fd], event)

    def _call(self, descriptor: Any, event: int) -> None:
        if event & (select.POLLHUP | select.POLLERR) and not event & select.POLLIN:
            self.removeReader(descriptor)
            self.removeWriter(descriptor)
            descriptor.connectionLost(Failure(ConnectionError()))
            return
        if event & select.POLLIN and descriptor in self.readers:
            descriptor.doRead()
        if event & select.POLLOUT and descriptor in self.writers:
            descriptor.doWrite()

    def until(self, happened: Callable[[], Any], turns: int = 2000) -> None:
        """Turn until it has happened. What never happens is a failure."""
        for _ in range(turns):
            if happened():
                return
            self.turn()
        raise AssertionError("it never happened")


def make_certificate() -> tuple[Any, x509.Certificate]:
    """A key and a self-signed certificate that no clock makes invalid."""
    from datetime import UTC, datetime

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2099, 1, 1, tzinfo=UTC))
        .sign(key, SHA256())
    )
    return key, certificate


KEY, CERTIFICATE = make_certificate()


def server_context() -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(CERTIFICATE)
    context.use_privatekey(KEY)
    return context


class ChannelCase(SynchronousTestCase):
    """Channels over socket pairs and a reactor turned by hand."""

    tls = False

    def setUp(self) -> None:
        self.reactor = HandReactor()
        self.around = self.make_surroundings()
        self.gone: list[Channel] = []

    def make_surroundings(self, threads: IThreads | None = None, **limits: Any) -> Surroundings:
        return Surroundings(
            reactor=self.reactor,
            timeouts=Timeouts(self.reactor),
            limits=evolve(Limits(), **limits),
            pool=BufferPool(8 << 20),
            pages=Pages(threads or InlineThreads()),
        )

    def pair(self, **options: Any) -> tuple[Channel, socket.socket]:
        """A channel and the other end, non-blocking."""
        ours, theirs = socket.socketpair()
        for sock in (ours, theirs):
            sock.setblocking(False)
        self.addCleanup(theirs.close)
        channel = make_channel(
            self.around, ours, "198.51.100.7", server_context() if self.tls else None, closed=self.gone.append, **options
        )
        self.addCleanup(channel.abort)
        return channel, theirs

    def channels(self, **options: Any) -> tuple[Channel, Channel]:
        """Two channels that speak to each other; under TLS the second is the client, and keys are agreed on."""
        ours, theirs = socket.socketpair()
        made = []
        for sock, server_side in ((ours, True), (theirs, False)):
            sock.setblocking(False)
            context = None
            if self.tls:
                context = server_context() if server_side else SSL.Context(SSL.TLS_CLIENT_METHOD)
            channel = make_channel(
                self.around, sock, "peer", context, server_side=server_side, closed=self.gone.append, **options
            )
            self.addCleanup(channel.abort)
            made.append(channel)
        both = [self.begin(channel.handshake()) for channel in made]
        for each in both:
            self.finish(each)
        return made[0], made[1]

    def begin(self, work: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(work)

    def finish(self, work: Deferred[Any] | Coroutine[Any, Any, Any]) -> Any:
        """Turn the reactor until it is done; its result."""
        done = work if isinstance(work, Deferred) else self.begin(work)
        self.reactor.until(lambda: done.called and not done.paused)
        return self.successResultOf(done)

    def refuse(self, work: Deferred[Any] | Coroutine[Any, Any, Any], refusal: type[BaseException]) -> Any:
        """Turn the reactor until it is refused so; the refusal."""
        done = work if isinstance(work, Deferred) else self.begin(work)
        self.reactor.until(lambda: done.called and not done.paused)
        return self.failureResultOf(done, refusal).value

    async def read_all(self, channel: Channel, piece: int = 65536) -> bytes:
        found = bytearray()
        with memoryview(bytearray(piece)) as view:
            while count := await channel.read_into(view):
                found += view[:count]
        return bytes(found)
