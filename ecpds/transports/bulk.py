"""A TCP transport for protocols that move bulk: large reads into one buffer, and writes without a detour.

What differs from Twisted's own: all connections read into one buffer, whose bytes the protocol must use or copy before it
returns; `write` asks the kernel at once, and keeps a view of what it did not take, no copy; and a registered producer is
paused as soon as anything is kept, so that it knows when its buffers are its own again.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet import main
from twisted.python.failure import Failure

from ecpds.transports.buffers import KIB, make_buffer
from ecpds.transports.factories import NamedPeer

READ = 256 * KIB
"""Bytes that are read at a time: more would leave the processor's cache before they are used."""

_space = make_buffer(READ)
"""Only the reactor's thread reads sockets, one at a time."""


class BulkPeer(NamedPeer):
    """One connection. Its protocol is registered as its push producer, if it writes more than a little."""

    protocol: Any
    producer: Any

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.setTcpNoDelay(True)
        self._kept: deque[memoryview] = deque()

    def doRead(self) -> Any:
        try:
            count = self.socket.recv_into(_space)
        except BlockingIOError:
            return None
        except OSError:
            return main.CONNECTION_LOST
        if not count:
            return main.CONNECTION_DONE
        self.protocol.dataReceived(_space[:count])
        return None

    def write(self, data: bytes | memoryview) -> None:
        """Send `data`, which must not change before the producer is resumed, where this pauses it."""
        if not self.connected or self.disconnected or not data:
            return
        view = memoryview(data)
        if self._kept:
            self._kept.append(view)
            return
        rest = view[self._send(view) :]
        if rest:
            self._kept.append(rest)
            self.startWriting()  # type: ignore[no-untyped-call]
            if self.producer is not None and not self.producerPaused:
                self.producerPaused = True
                self.producer.pauseProducing()

    def writeSequence(self, iovec: Any) -> None:
        self.write(b"".join(iovec))

    def _send(self, view: memoryview) -> int:
        """How many bytes the kernel takes; a connection that is lost is found out by the reactor."""
        try:
            return self.socket.send(view)
        except OSError:
            return 0

    def doWrite(self) -> Any:
        while self._kept:
            try:
                count = self.socket.send(self._kept[0])
            except BlockingIOError:
                return None
            except OSError:
                return main.CONNECTION_LOST
            if count < len(self._kept[0]):
                self._kept[0] = self._kept[0][count:]
                return None
            self._kept.popleft()
        self.stopWriting()  # type: ignore[no-untyped-call]
        if self.producer is not None and self.producerPaused:
            self.producerPaused = False
            self.producer.resumeProducing()
        elif self.disconnecting:
            return self._postLoseConnection()  # type: ignore[no-untyped-call]
        return None

    def connectionLost(self, reason: Failure) -> None:
        self._kept.clear()
        super().connectionLost(reason)
