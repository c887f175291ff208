"""What a file's bytes go through on their way into the answer to a READ."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from twisted.internet.defer import Deferred
from zope.interface import implementer

from ecpds.interfaces import IByteSink
from ecpds.protocols import sftp_packets as packets
from ecpds.ssh.streams import Stream

BULK = 16384
"""Bytes from which on data are worth a buffer to be sent from."""

Scatter = Callable[[int, int, Sequence[memoryview]], Awaitable[None]]
"""Fills buffers from an open file (descriptor, offset, buffers) without holding the reactor."""


class OneAtATime:
    """A lock in the order of who asks, which costs next to nothing where nobody else does."""

    def __init__(self) -> None:
        self._taken = False
        self._waiting: deque[Deferred[None]] = deque()

    @property
    def free(self) -> bool:
        return not self._taken

    async def __aenter__(self) -> None:
        if self._taken:
            turn: Deferred[None] = Deferred()
            self._waiting.append(turn)
            await turn
        self._taken = True

    async def __aexit__(self, *failure: object) -> None:
        """Whose turn it is goes on before this returns; nobody comes between."""
        if self._waiting:
            self._waiting.popleft().callback(None)
        else:
            self._taken = False


@implementer(IByteSink)
class Answering:
    """What is read of a file, as the answer to one READ of `length` bytes: its head stands before the first of them."""

    def __init__(self, stream: Stream, scatter: Scatter, request: bytes, length: int) -> None:
        self._stream = stream
        self._scatter = scatter
        self._head = packets.data_head(request, length)

    @property
    def begun(self) -> bool:
        return not self._head

    async def write(self, data: bytes | memoryview) -> None:
        head, self._head = self._head, b""
        if len(data) < BULK:
            await self._stream.write(b"".join((head, data)))
            return
        view = memoryview(data)

        async def fill(offset: int, views: Sequence[memoryview]) -> None:
            for each in views:
                each[:] = view[offset : offset + len(each)]
                offset += len(each)

        await self._stream.send(head, len(data), fill)

    async def send_file(self, fd: int, offset: int, length: int) -> None:
        head, self._head = self._head, b""
        await self._stream.send(head, length, lambda at, views: self._scatter(fd, offset + at, views))
