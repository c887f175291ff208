"""Who may connect, and what becomes of a connection: listeners for one peer, and the servers behind the doors.

A listener takes what has come when it is asked to `accept`: mostly the client is there by then, and the reactor need not be
told of the port. While somebody waits, the expected peer's connection is taken as soon as it comes and everybody else's is
closed, so that nobody else can fill its queue. Its channel is handed out before TLS is agreed on: an FTP client begins that
when it has read the 150, which is sent after the connection was accepted (RFC 4217 section 12.5). A server hands out channels
that are ready.
"""

from __future__ import annotations

import errno
import random
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ecpds.admission import Admission
from ecpds.errors import ConnectionLost, Refusal, Stalled, Unavailable
from ecpds.interfaces import IChannel, IListener, IListeners
from ecpds.transports.arrivals import NOBODY, Arrivals, Balancers
from ecpds.transports.channel import Channel, Surroundings
from ecpds.transports.dialing import connected
from ecpds.transports.making import make_channel
from ecpds.transports.sockets import PER_TURN, Acceptor, bind, bind_path, host

BACKLOG = 1024
FEW = 64

TRIES = 16
"""Ports of those that the kernel would choose from that are tried before it is asked."""


@implementer(IListener)
class Listener:
    """Listens for one peer. `port` is where `sock` does; 0: it is asked."""

    log = Logger()

    def __init__(
        self,
        around: Surroundings,
        sock: socket.socket,
        peer: str,
        context: SSL.Context | None,
        balancers: Balancers = NOBODY,
        port: int = 0,
    ) -> None:
        self.port: int = port or sock.getsockname()[1]
        self._around = around
        self._peer = host(peer)
        self._context = context
        self._open = True
        self._ready: deque[Channel] = deque()
        self._waiter: Deferred[Channel] | None = None
        self._arrivals = Arrivals(around, balancers, FEW, self._accepted)
        self._acceptor = Acceptor(around.reactor, sock, self._arrivals.came)

    async def accept(self, timeout: float) -> IChannel:
        if not self._open:
            raise ConnectionLost()
        if self._waiter is not None:
            raise RuntimeError("a listener has one accept at a time")
        channel = self.accept_now()
        return channel if channel is not None else await self._wait(timeout)

    def accept_now(self) -> Channel | None:
        for _ in range(PER_TURN):
            if self._ready or not self._open or not self._acceptor.look():
                break
        return self._ready.popleft() if self._ready else None

    async def _wait(self, timeout: float) -> Channel:
        self._waiter = Deferred()
        watch = self._around.timeouts.watch(timeout, self._expired)
        self._acceptor.start()
        try:
            return await self._waiter
        finally:
            self._waiter = None
            watch.cancel()
            self._acceptor.pause()

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        self._acceptor.stop()
        self._arrivals.close()
        while self._ready:
            self._ready.popleft().abort()
        if self._waiter is not None:
            self._refuse(ConnectionLost())

    def _accepted(self, sock: socket.socket, peer: str, port: int) -> None:
        if peer != self._peer:
            self.log.info(
                "{peer} came to port {port}, which waits for {expected}", peer=peer, port=self.port, expected=self._peer
            )
            sock.close()
            return
        channel = make_channel(self._around, sock, peer, self._context)
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            waiter.callback(channel)
        else:
            self._ready.append(channel)

    def _expired(self) -> None:
        self._refuse(Stalled("nobody connected in time"))

    def _refuse(self, refusal: Refusal) -> None:
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            waiter.errback(refusal)


@implementer(IListeners)
class Listeners:
    """Makes listeners, and connections to who listens. `chance` picks the ports: `random.SystemRandom()` outside tests.

    `free` are those to pick from where none are asked for (`sockets.local_ports`). The kernel's own choice, port 0, is the
    last resort: it goes through them one by one, milliseconds long when most were used in the last minute (TIME_WAIT).
    """

    def __init__(
        self, around: Surroundings, chance: random.Random, balancers: Balancers = NOBODY, free: Sequence[int] = ()
    ) -> None:
        self._around = around
        self._chance = chance
        self._balancers = balancers
        self._free = free

    def listen(self, address: str, ports: range | None, peer: str, context: SSL.Context | None = None) -> IListener:
        for port in self._candidates(ports):
            try:
                return Listener(self._around, bind(host(address), port, FEW), peer, context, self._balancers, port)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise Unavailable(f"can't listen on {address}: {error.strerror}") from error
        raise Unavailable("no port is free")

    def _candidates(self, ports: range | None) -> Iterator[int]:
        """At random as long as that finds one soon; then each of `ports` once, or what the kernel finds."""
        some = self._free if ports is None else ports
        for _ in range(TRIES if some else 0):
            yield self._chance.choice(some)
        if ports is None:
            yield 0
        elif ports:
            start = self._chance.randrange(len(ports))
            yield from chain(ports[start:], ports[:start])

    async def connect(self, address: str, peer: str, port: int, timeout: float, context: SSL.Context | None = None) -> IChannel:
        sock = await connected(self._around, host(address), host(peer), port, timeout)
        return make_channel(self._around, sock, peer, context)


class Server:
    """Listens for a door. `on_channel` gets each channel that was let in and is ready; `connections` are those still open.

    `admission` counts all of them, `strangers` those with which TLS is still to be agreed on.
    """

    log = Logger()

    def __init__(
        self,
        around: Surroundings,
        sock: socket.socket,
        on_channel: Callable[[IChannel], None],
        context: SSL.Context | None,
        admission: Admission | None,
        ragged_eof_ok: bool,
        balancers: Balancers = NOBODY,
        strangers: Admission | None = None,
    ) -> None:
        name = sock.getsockname()
        self.port: int = name[1] if isinstance(name, tuple) else 0
        self.connections: set[Channel] = set()
        self._around = around
        self._on_channel = on_channel
        self._context = context
        self._admission = admission
        self._ragged_eof_ok = ragged_eof_ok
        self._strangers = strangers or Admission(0, 0)
        self._arrivals = Arrivals(around, balancers, around.limits.connections, self._accepted)
        self._acceptor = Acceptor(around.reactor, sock, self._arrivals.came)
        self._acceptor.start()

    def stop_listening(self) -> None:
        """Take no more connections; those there are go on. May be called repeatedly."""
        self._acceptor.stop()
        self._arrivals.close()

    def _accepted(self, sock: socket.socket, peer: str, port: int) -> None:
        if self._admission is not None and not self._admission.enter(peer):
            self.log.info("{peer} was turned away: too many connections", peer=peer)
            sock.close()
            return
        channel = make_channel(self._around, sock, peer, self._context, ragged_eof_ok=self._ragged_eof_ok, closed=self._left)
        self.connections.add(channel)
        if not channel.link.established:
            Deferred.fromCoroutine(self._greet(channel)).addErrback(self._unexpected, channel)
            return
        try:
            self._on_channel(channel)
        except BaseException:
            channel.abort()
            raise

    async def _greet(self, channel: Channel) -> None:
        if not self._strangers.enter(channel.peer):
            self.log.info("{peer} was turned away: too many strangers", peer=channel.peer)
            channel.abort()
            return
        try:
            await channel.handshake()
        except Refusal as refusal:
            self.log.info("no TLS with {peer}: {reason}", peer=channel.peer, reason=refusal.sentence)
            channel.abort()
        else:
            self._on_channel(channel)
        finally:
            self._strangers.leave(channel.peer)

    def _left(self, channel: Channel) -> None:
        self.connections.discard(channel)
        if self._admission is not None:
            self._admission.leave(channel.peer)

    def _unexpected(self, failure: Failure, channel: Channel) -> None:
        self.log.failure("a connection could not be begun", failure)
        channel.abort()


def serve(
    around: Surroundings,
    address: str,
    port: int,
    on_channel: Callable[[IChannel], None],
    *,
    context: SSL.Context | None = None,
    admission: Admission | None = None,
    ragged_eof_ok: bool = False,
    balancers: Balancers = NOBODY,
    shared: bool = False,
    strangers: Admission | None = None,
) -> Server:
    """Listen on a literal address; port 0 is any that is free. Raises `OSError`.

    `ragged_eof_ok`: a TLS peer may close without close_notify, where the protocol above says by itself where things end.
    `balancers` may name their clients (`arrivals`); `shared` is as `sockets.bind` has it.
    """
    sock = bind(address, port, BACKLOG, shared)
    return Server(around, sock, on_channel, context, admission, ragged_eof_ok, balancers, strangers)


def serve_path(around: Surroundings, path: Path, on_channel: Callable[[IChannel], None]) -> Server:
    """Listen in the file system, mode 0600. Raises `Unavailable` when somebody else does, `OSError`."""
    return Server(around, bind_path(path, FEW), on_channel, None, None, False)
