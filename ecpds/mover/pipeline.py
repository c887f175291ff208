"""From the reactor's buffers to the threads that write and digest them, with a bounded number under way.

A full buffer goes to every step's strand and back to the pool when all of them have had it. The window counts the buffers
that are out, so the source is held back as the slowest step is slow. Buffers grow while the source fills them at once
and shrink when it dribbles, so that slow clients hold little.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ecpds.errors import Refusal, Unavailable
from ecpds.interfaces import IFloodSource
from ecpds.mover.basin import Basin, Step
from ecpds.transports.buffers import LARGEST, SIZES, BufferPool, larger, smaller

FEW_READS = 2
"""A buffer filled in so few reads was filled as fast as it could be: the next one may be larger."""

MANY_READS = 8
"""A buffer that took so many was waited for: the next one is smaller."""


class Pipeline:
    """The first failure of a step is the pipeline's; it is raised at the next call."""

    log = Logger()

    def __init__(self, pool: BufferPool, window: int, steps: Sequence[Step]) -> None:
        self.begun = False
        self._pool = pool
        self._window = max(window, 1)
        self._steps = steps
        self._size = SIZES[0]
        self._buffer: memoryview | None = None
        self._fill = 0
        self._reads = 0
        self._out = 0
        self._landing: Deferred[None] | None = None
        self._failure: Refusal | None = None

    async def room(self) -> memoryview:
        """Where the next bytes go, at least one byte of room; waits for the window and for the pool."""
        while self._out >= self._window:
            await self._land()
        self._check()
        if self._buffer is None:
            self._buffer = await self._pool.acquire(self._pool.advise(self._size))
        return self._buffer[self._fill :]

    def filled(self, count: int) -> None:
        """`count` bytes were put there."""
        assert self._buffer is not None
        self._fill += count
        self._reads += 1
        if self._fill == len(self._buffer):
            self._learn(len(self._buffer))
            self.flush()

    async def pour(self, source: IFloodSource, length: int) -> int:
        """Let a source that has filled the largest buffers at once fill them by itself; how many bytes that were.

        The window's buffers are lent for it, and it begins when all others are back.
        """
        count: int = await source.flood(Basin(self._lend_window, self._steps, self._had, self._drained), length)
        if count < LARGEST:
            self._size = smaller(LARGEST)
        return count

    @property
    def may_flood(self) -> bool:
        """Whether a flood may be tried now."""
        return self._size == LARGEST and self._buffer is None and self._window > 1

    async def _lend_window(self) -> Sequence[memoryview]:
        await self.drain()
        self.begun = True
        buffers: list[memoryview] = []
        try:
            while len(buffers) < self._window and self._pool.advise(LARGEST) == LARGEST:
                buffers.append(await self._pool.acquire(LARGEST))
        except BaseException:
            for buffer in buffers:
                self._pool.release(buffer)
            raise
        self._out += len(buffers)
        return buffers

    def _had(self, result: object) -> None:
        if isinstance(result, Failure):
            self._note(result)

    def _drained(self, buffers: Sequence[memoryview]) -> None:
        for buffer in buffers:
            self._came_back(buffer)

    def rest(self) -> memoryview:
        """What was filled and not handed on. It stays here."""
        return self._buffer[: self._fill] if self._buffer is not None else memoryview(b"")

    def flush(self) -> None:
        """Hand on what there is."""
        self.begun = True
        buffer, fill = self._buffer, self._fill
        self._buffer, self._fill, self._reads = None, 0, 0
        if buffer is None:
            return
        self._out += 1
        left = len(self._steps)

        def had(result: object) -> None:
            nonlocal left
            left -= 1
            if isinstance(result, Failure):
                self._note(result)
            if left == 0:
                self._came_back(buffer)

        for strand, work in self._steps:
            strand.put(work, buffer[:fill]).addBoth(had)

    async def drain(self) -> None:
        """Return when every step has had everything. Raises the first failure."""
        while self._out:
            await self._land()
        self._check()

    def drop(self) -> None:
        """Give back the buffer that is being filled; what was handed on comes back by itself."""
        buffer, self._buffer, self._fill = self._buffer, None, 0
        if buffer is not None:
            self._pool.release(buffer)

    def _learn(self, size: int) -> None:
        """A source that fills a buffer while the one before is still out is faster than the steps, however it reads."""
        if self._reads <= FEW_READS or self._out:
            self._size = larger(size)
        elif self._reads >= MANY_READS:
            self._size = smaller(size)

    def _came_back(self, buffer: memoryview) -> None:
        self._out -= 1
        self._pool.release(buffer)
        if self._landing is not None:
            landing, self._landing = self._landing, None
            landing.callback(None)

    async def _land(self) -> None:
        """Until one more buffer has come back."""
        self._landing = Deferred()
        try:
            await self._landing
        finally:
            self._landing = None

    def _note(self, failure: Failure) -> None:
        if not isinstance(failure.value, Refusal):
            self.log.failure("an upload could not be written or digested", failure)
        if self._failure is None:
            self._failure = (
                failure.value if isinstance(failure.value, Refusal) else Unavailable("the upload could not be digested")
            )

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
