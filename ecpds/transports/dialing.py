"""Connections that we begin: to a literal address, so that nothing here asks a name server, and within a time."""

from __future__ import annotations

import errno
import os
import socket

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from ecpds.errors import ConnectionLost, Refusal, Stalled
from ecpds.transports.channel import IReactor, Surroundings


@implementer(IWriteDescriptor)
class Connector:
    """A socket that is being connected. `done` fires when it is, or fails with what came instead."""

    def __init__(self, reactor: IReactor, sock: socket.socket) -> None:
        self.done: Deferred[None] = Deferred(lambda _: self._stop())
        self._reactor = reactor
        self._socket = sock
        reactor.addWriter(self)

    def doWrite(self) -> None:
        self._end(self._refused())

    def expire(self) -> None:
        self._end(Stalled("the connection was not taken in time"))

    def _end(self, refusal: Refusal | None) -> None:
        self._stop()
        if self.done.called:
            return
        if refusal is None:
            self.done.callback(None)
        else:
            self.done.errback(refusal)

    def _stop(self) -> None:
        self._reactor.removeWriter(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "Connector"

    def connectionLost(self, reason: Failure) -> None:
        self._end(self._refused() or ConnectionLost())

    def _refused(self) -> ConnectionLost | None:
        """What the kernel says became of it; it says so once. epoll calls a refusal a lost connection."""
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return ConnectionLost(os.strerror(error)) if error else None


async def connected(around: Surroundings, address: str, peer: str, port: int, timeout: float) -> socket.socket:
    """A socket from `address` (a literal one) to `peer`, connected. Raises `ConnectionLost`, `Stalled` after `timeout` s."""
    family = socket.AF_INET6 if ":" in peer else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        # The port is chosen as it is connected, when it need only be free towards that peer: one that is free for everybody
        # takes the kernel milliseconds to find after many short connections (TIME_WAIT).
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((address, 0))
        error = sock.connect_ex((peer, port))
        if error not in (0, errno.EINPROGRESS):
            raise ConnectionLost(os.strerror(error))
        if error:
            await _finished(around, sock, timeout)
    except OSError as error:
        sock.close()
        raise ConnectionLost(error.strerror or "") from error
    except BaseException:
        sock.close()
        raise
    return sock


async def _finished(around: Surroundings, sock: socket.socket, timeout: float) -> None:
    connector = Connector(around.reactor, sock)
    watch = around.timeouts.watch(timeout, connector.expire)
    try:
        await connector.done
    finally:
        watch.cancel()
