"""What a file's bytes go through on their way into the answers to READs."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

from attrs import frozen
from twisted.internet.defer import Deferred
from zope.interface import implementer

from ecpds.interfaces import IByteSink
from ecpds.protocols import sftp_packets as packets
from ecpds.ssh.streams import Fill, Stream

BULK = 16384
"""Bytes from which on data are worth a buffer to be sent from."""

Scatter = Callable[[int, int, Sequence[memoryview]], Awaitable[None]]
"""Fills buffers from an open file (descriptor, offset, buffers) without holding the reactor."""


class OneAtATime:
    """A lock in the order of who asks, which costs next to nothing where nobody else does."""

    def __init__(self) -> None:
        self._taken = self._handing_on = self._given_back = False
        self._waiting: deque[Deferred[None]] = deque()

    @property
    def free(self) -> bool:
        return not self._taken

    async def __aenter__(self) -> None:
        if self._taken:
            turn: Deferred[None] = Deferred()
            self._waiting.append(turn)
            await turn
        self._taken, self._given_back = True, False

    async def __aexit__(self, *failure: object) -> None:
        """Whose turn it is goes on at once, and nobody comes between. Many in a row are a loop: calls in calls have a limit."""
        self._taken, self._given_back = bool(self._waiting), True
        if self._handing_on:
            return
        self._handing_on = True
        while self._given_back and self._waiting:
            self._given_back = False
            self._waiting.popleft().callback(None)
        self._handing_on = False


@frozen
class Asked:
    """A READ: its number, as it came, and how many bytes it is answered with."""

    request: bytes
    length: int


@implementer(IByteSink)
class Answering:
    """What is read of a file, as the answers to READs of one place behind the other: each head stands before its bytes."""

    def __init__(self, stream: Stream, scatter: Scatter, reads: Iterable[Asked]) -> None:
        self._stream = stream
        self._scatter = scatter
        self._reads = deque(reads)
        self._left = 0
        self._sending = False

    @property
    def begun(self) -> bool:
        """Whether some of an answer may be sent, but not all of it."""
        return self._sending or self._left > 0

    @property
    def unanswered(self) -> Sequence[bytes]:
        """The numbers of those that nothing was sent to."""
        return [each.request for each in self._reads]

    async def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            head, size = self._next(len(view))
            await self._write(head, view[:size])
            self._sending, view = False, view[size:]

    async def _write(self, head: bytes, view: memoryview) -> None:
        if len(view) < BULK:
            await self._stream.write(b"".join((head, view)))
            return

        async def fill(offset: int, views: Sequence[memoryview]) -> None:
            for each in views:
                each[:] = view[offset : offset + len(each)]
                offset += len(each)

        await self._stream.send(head, len(view), fill)

    async def send_file(self, fd: int, offset: int, length: int) -> None:
        end = offset + length
        while offset < end:
            head, size = self._next(end - offset)
            await self._stream.send(head, size, self._fill(fd, offset))
            self._sending, offset = False, offset + size

    def _fill(self, fd: int, offset: int) -> Fill:
        return lambda at, views: self._scatter(fd, offset + at, views)

    def _next(self, most: int) -> tuple[bytes, int]:
        """What stands before the bytes that come now, and how many of them, `most` at most, go into the same answer."""
        head, self._sending = b"", True
        if not self._left:
            asked = self._reads.popleft()
            head, self._left = packets.data_head(asked.request, asked.length), asked.length
        size = min(most, self._left)
        self._left -= size
        return head, size
