"""Between the thread that receives a fast upload and those that write and digest it: full buffers one way, empty ones back.

Each step is one call on its strand, which lasts as long as the flood: so it comes after what the strand was given before, and
whatever is put on the strand afterwards comes after all that the flood brought.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Lock

from zope.interface import implementer

from ecpds.interfaces import IBasin
from ecpds.mover.strands import Strand

PATIENCE = 0.02
"""Seconds that the thread which fills waits for an empty buffer."""

Step = tuple[Strand, Callable[[memoryview], None]]
"""Where it is done, and what with each buffer."""


class _Full:
    """A buffer that `left` more steps have to see."""

    __slots__ = ("buffer", "left", "view")

    def __init__(self, buffer: memoryview, count: int, left: int) -> None:
        self.buffer = buffer
        self.view = buffer[:count]
        self.left = left


@implementer(IBasin)
class Basin:
    """For one flood. `fetch` lends its buffers, or none.

    `ended` is called with what became of each step: None, or a `Failure`; `drained` with the buffers, when all have ended.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Sequence[memoryview]]],
        steps: Sequence[Step],
        ended: Callable[[object], object],
        drained: Callable[[Sequence[memoryview]], None],
    ) -> None:
        self._fetch = fetch
        self._steps = steps
        self._ended = ended
        self._drained = drained
        self._buffers: Sequence[memoryview] = ()
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._queues: list[SimpleQueue[_Full | None]] = [SimpleQueue() for _ in steps]
        self._filling: memoryview | None = None
        self._failed = False
        self._lock = Lock()

    async def begin(self) -> bool:
        self._buffers = await self._fetch()
        if not self._buffers:
            return False
        for buffer in self._buffers:
            self._free.put(buffer)
        left = len(self._steps)

        def over(result: object) -> None:
            nonlocal left
            left -= 1
            self._ended(result)
            if not left:
                self._drained(self._buffers)

        for (strand, work), queue in zip(self._steps, self._queues, strict=True):
            strand.put(self._serve, queue, work).addBoth(over)
        return True

    def room(self) -> memoryview | None:
        if self._failed:
            return None
        try:
            self._filling = self._free.get(timeout=PATIENCE)
        except Empty:
            return None
        return self._filling

    def filled(self, count: int) -> None:
        assert self._filling is not None
        if count:
            full = _Full(self._filling, count, len(self._steps))
            for queue in self._queues:
                queue.put(full)
        self._filling = None

    def end(self) -> None:
        for queue in self._queues:
            queue.put(None)

    def _serve(self, queue: SimpleQueue[_Full | None], work: Callable[[memoryview], None]) -> None:
        """One step, on its thread. After a failure it only gives buffers back."""
        failure: BaseException | None = None
        while (full := queue.get()) is not None:
            if failure is None:
                try:
                    work(full.view)
                except BaseException as error:
                    failure, self._failed = error, True
            with self._lock:
                full.left -= 1
                seen_by_all = not full.left
            if seen_by_all:
                self._free.put(full.buffer)
        if failure is not None:
            raise failure
