"""The control link on the wire: Perspective Broker over mutual TLS, with one remote method that takes and returns bytes.

The first message of the connecting node is its `Hello`, and what returns is a `Welcome` or a refusal; every later one,
either way, is a batch of an `Exchange`. Whoever comes without a certificate never gets as far as Perspective Broker: it
can only ask to join.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from OpenSSL import SSL
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.spread.jelly import SecurityOptions
from twisted.spread.pb import Broker, Referenceable
from zope.interface import implementer

from ecpds.admission import Admission
from ecpds.cluster.authority import Peer, connected_peer
from ecpds.errors import ConnectionLost, InvalidRequest, Refusal

ROOT = "ecpds"
"""The name of the one object that each end offers."""

MESSAGE = 1 << 20
"""Bytes of one message of Perspective Broker at most: a batch has half of that. It bounds what a member can make us hold."""

GREETING = 20.0
"""Seconds from connecting to the end of TLS, and again to the first byte behind it."""


class Hello(msgspec.Struct, array_like=True, frozen=True):
    """What a node says first. `incarnation` is new whenever it starts; `stream` is where others reach its bytes; `now` are the
    seconds since the epoch by its clock."""

    version: int
    name: str
    incarnation: str
    roles: list[str]
    group: str
    stream_host: str
    stream_port: int
    cluster: str = ""
    weight: int = 1
    now: float = 0.0


class Welcome(msgspec.Struct, array_like=True, tag="welcome", frozen=True):
    """What the Master answers. `incarnation` is new whenever it starts; `ticket_key` checks its tickets."""

    version: int
    name: str
    incarnation: str
    ticket_key: bytes


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class Creator:
    """Makes every connection from one context."""

    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        return SSL.Connection(self._context, None)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        return SSL.Connection(self._context, None)


class Post(Referenceable):
    """The one object that the other end can call, and the way to its own."""

    log = Logger()

    def __init__(self, peer: Peer, broker: Broker) -> None:
        self.peer = peer
        self.receive: Callable[[bytes], bytes | Deferred[bytes]] = lambda batch: b""
        self._broker = broker

    def remote_exchange(self, data: Any) -> bytes | Deferred[bytes]:
        """What the other end calls."""
        if not isinstance(data, bytes):
            self.drop()
            return b""
        try:
            return self.receive(data)
        except InvalidRequest as refusal:
            self.log.error("{name} sends what can't be read: {reason}", name=self.peer.name, reason=refusal.detail)
            self.drop()
            return b""

    def send(self, batch: bytes) -> Deferred[bytes]:
        """As `exchange.Sender`."""
        if self._broker.disconnected:
            return fail(ConnectionLost())
        remote = self._broker.remoteForName(ROOT)  # type: ignore[no-untyped-call]
        sent: Deferred[bytes] = remote.callRemote("exchange", batch)
        return sent

    def on_lost(self, lost: Callable[[], None]) -> None:
        self._broker.notifyOnDisconnect(lost)  # type: ignore[no-untyped-call]

    def drop(self) -> None:
        """End the connection at once."""
        transport: Any = self._broker.transport
        if transport is not None:
            transport.abortConnection()


class BoundedBroker(Broker):
    """Ends a connection whose message is too long, or is none. Perspective Broker bounds strings, but not lists of lists."""

    log = Logger()
    _pending = 0

    def dataReceived(self, data: bytes) -> None:
        self._pending += len(data)
        if self._pending > MESSAGE:
            self._end("it is too long")
            return
        try:
            super().dataReceived(data)  # type: ignore[no-untyped-call]
        except Exception as error:
            self._end(str(error))

    def expressionReceived(self, obj: Any) -> None:
        self._pending = 0
        super().expressionReceived(obj)  # type: ignore[no-untyped-call]

    def _end(self, reason: str) -> None:
        self.log.error("a message can't be read: {reason}", reason=reason[:200])
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()


class _Ready:
    """What Perspective Broker tells its factory."""

    def __init__(self, ready: Callable[[], None]) -> None:
        self._ready = ready

    def clientConnectionMade(self, broker: Broker) -> None:
        self._ready()


def make_broker(peer: Peer, client: bool, ready: Callable[[Post], None]) -> Broker:
    """A protocol that offers a `Post` to `peer`; nothing but plain values crosses it."""
    security = SecurityOptions()  # type: ignore[no-untyped-call]
    security.allowBasicTypes()  # type: ignore[no-untyped-call]
    broker = BoundedBroker(client, security)  # type: ignore[no-untyped-call]
    post = Post(peer, broker)
    broker.setNameForLocal(ROOT, post)  # type: ignore[no-untyped-call]
    broker.factory = _Ready(lambda: ready(post))  # type: ignore[assignment]
    return broker


@implementer(IHandshakeListener)
class Gate(Protocol):
    """A connection until its TLS is agreed on; then what `enter` makes of who is there, for good.

    `enter` returns the protocol for a peer, or for None: a stranger. What it refuses is cut, and who says nothing for
    `GREETING`; from its first byte on that protocol has the time in hand. `strangers` counts those that have shown no
    certificate of the fleet. `on_lost` is called at the end.
    """

    transport: Any
    log = Logger()

    def __init__(self, clock: IReactorTime, enter: Callable[[Peer | None], Any], strangers: Admission | None = None) -> None:
        self._clock = clock
        self._enter = enter
        self._strangers = strangers
        self._leave: Callable[[], None] = lambda: None
        self.on_lost: Callable[[], None] = lambda: None
        self._inner: Any = None
        self._late: IDelayedCall | None = None

    def connectionMade(self) -> None:
        if self._strangers is not None:
            address = self.transport.getPeer().host
            if not self._strangers.enter(address):
                self.log.info("{address} was turned away: too many strangers", address=address)
                self.transport.abortConnection()
                return
            self._leave = partial(self._strangers.leave, address)
        # What is asked and answered goes out at once: an answer behind another one would wait for its acknowledgement, 40 ms.
        tcp = ITCPTransport(self.transport, None)
        if tcp is not None:
            tcp.setTcpNoDelay(True)
        self._late = self._clock.callLater(GREETING, self.transport.abortConnection)

    def handshakeCompleted(self) -> None:
        if self._late is not None and self._late.active():
            self._late.reset(GREETING)
        try:
            peer = connected_peer(self.transport.getHandle())
            inner = self._enter(peer)
        except Refusal as refusal:
            self.log.warn("{peer} is cut: {reason}", peer=self.transport.getPeer(), reason=refusal.sentence)
            self.transport.abortConnection()
            return
        if peer is not None:
            self._no_stranger()
        self._inner = inner
        inner.makeConnection(self.transport)
        if IHandshakeListener.providedBy(inner):
            inner.handshakeCompleted()

    def dataReceived(self, data: bytes) -> None:
        if self._late is not None:
            self._no_longer_late()
        if self._inner is not None:
            self._inner.dataReceived(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._no_longer_late()
        self._no_stranger()
        if self._inner is not None:
            inner, self._inner = self._inner, None
            inner.connectionLost(reason)
        self.on_lost()

    def _no_stranger(self) -> None:
        leave, self._leave = self._leave, lambda: None
        leave()

    def _no_longer_late(self) -> None:
        late, self._late = self._late, None
        if late is not None and late.active():
            late.cancel()
