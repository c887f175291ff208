"""One copy at another mover that is open to be read (see `frames` for who says what).

Who reads on where the last reading ended is sent more than it asks for, more each time, so that the next bytes are here when
they are wanted, and not a question and its answer later. They wait in the connection, in the kernels' buffers and in no memory
of ours: the mover stops sending when those are full. Who then reads elsewhere has them thrown away first, and begins anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from ecpds.cluster.codec import Refused, refusal_of
from ecpds.cluster.frames import LOST, SPAN, Close, Frames, Sent, Span
from ecpds.errors import Corrupt, InvalidRequest, Refusal, Unavailable
from ecpds.interfaces import IByteSink, IReadHandle, IRelaySink
from ecpds.transports.buffers import BufferPool

T = TypeVar("T")


@implementer(IReadHandle)
class RemoteReadHandle:
    """One open copy of `length` bytes: the mover `name` holds it open as long as the connection is.

    `ahead` is how many bytes may be on their way that nobody has asked for yet; `keep` takes the connection back at the end.
    """

    def __init__(self, name: str, frames: Frames, pool: BufferPool, length: int, ahead: int, keep: Callable[[], None]) -> None:
        self._name = name
        self._frames = frames
        self._pool = pool
        self._length = length
        self._most_ahead = ahead
        self._keep = keep
        self._ahead = 0
        self._next = 0
        self._at = 0
        self._left = 0
        """Bytes of the frame that is being read."""
        self._ends: deque[int] = deque()
        """Where the spans end that the mover was asked for, and whose end was not heard."""
        self._open = True
        self._sending = False

    async def send(self, sink: IByteSink, offset: int, length: int) -> None:
        if not self._open:
            raise Unavailable("it was closed")
        if offset < 0 or length < 0 or offset + length > self._length:
            raise InvalidRequest(f"bytes {offset} to {offset + length} of {self._length}")
        if not length:
            return
        self._sending = True
        try:
            await self._ask(offset, offset + length)
            await self._relay(sink, offset + length)
        except BaseException as failure:
            if not isinstance(failure, Corrupt):
                self._end()
            raise
        finally:
            self._sending = False

    def held(self, offset: int, length: int) -> memoryview | None:
        return None

    def close(self) -> None:
        if not self._open:
            return
        if self._sending:
            self._end()
            return
        self._open = False
        Deferred.fromCoroutine(self._give_back()).addErrback(_gone)

    async def _give_back(self) -> None:
        try:
            await self._drop()
            await self._frames.say(Close())
        except BaseException:
            self._frames.channel.abort()
            raise
        self._keep()

    async def _ask(self, offset: int, end: int) -> None:
        """Have the bytes from `offset` to `end` sent, and perhaps more behind them."""
        goes_on = 0 < offset == self._next
        self._ahead = min(max(2 * self._ahead, end - offset), self._most_ahead) if goes_on else 0
        if offset != self._at:
            await self._drop()
            self._at = offset
        asked, self._next = self._ends[-1] if self._ends else offset, end
        wanted = min(end + self._ahead, self._length)
        # Little by little would be a question for each reading.
        if asked < end or (asked < wanted and asked - end < self._ahead // 2):
            await self._lost(self._frames.say(Span(asked, wanted - asked)))
            self._ends.append(wanted)

    async def _relay(self, sink: IByteSink, end: int) -> None:
        while self._at < end:
            if not self._left:
                await self._hear()
                continue
            size = min(self._left, end - self._at)
            await self._pass_on(sink, size)
            self._took(size)
        while self._ends and self._ends[0] == end:
            await self._hear()

    async def _drop(self) -> None:
        """Throw away what is on its way."""
        while self._ends:
            if not self._left:
                try:
                    await self._hear()
                except Corrupt:
                    pass  # Nobody wants to know it of these bytes now; who reads them is told.
                continue
            buffer = await self._pool.acquire(self._pool.advise(min(self._left, SPAN)))
            try:
                size = min(self._left, len(buffer))
                await self._lost(self._frames.fill(buffer[:size]))
            finally:
                self._pool.release(buffer)
            self._took(size)

    def _took(self, size: int) -> None:
        self._at += size
        self._left -= size

    async def _hear(self) -> None:
        """The head of the next frame: of data, or the end of a span, after which all its bytes must have come."""
        heard = await self._lost(self._frames.hear())
        missing = self._ends[0] - self._at
        if isinstance(heard, int) and heard <= missing:
            self._left = heard
        elif isinstance(heard, Sent | Refused):
            self._at = self._ends.popleft()
            if isinstance(heard, Refused):
                raise refusal_of(heard)
            if missing:
                raise Corrupt(f"{missing} bytes did not come")
        else:
            raise Unavailable(f"mover {self._name} does not keep to the protocol")

    async def _pass_on(self, sink: IByteSink, size: int) -> None:
        """So much of a frame: straight, as far as both ends keep up, and the rest a buffer at a time."""
        relay = IRelaySink(sink, None)
        if relay is not None:
            size -= await relay.carry(self._frames.channel, size)
        while size:
            buffer = await self._pool.acquire(self._pool.advise(min(size, SPAN)))
            try:
                view = buffer[: min(size, len(buffer))]
                await self._lost(self._frames.fill(view))
                await sink.write(view)
                size -= len(view)
            finally:
                self._pool.release(buffer)

    async def _lost(self, work: Awaitable[T]) -> T:
        """What is lost here is the mover, not the client."""
        try:
            return await work
        except LOST as lost:
            raise Unavailable(f"mover {self._name} was lost: {lost.detail or lost.sentence}") from lost

    def _end(self) -> None:
        self._open = False
        self._frames.channel.abort()


def _gone(failure: Failure) -> None:
    """The mover went away at the end, when nothing was wanted of it any more."""
    failure.trap(Refusal)  # type: ignore[no-untyped-call]
