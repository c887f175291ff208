"""Files in very many segments, as uploads in parts make them: a segment is opened when the reading comes to it.

A file in few is opened whole, so that it stays as it is whatever happens to its name. With 10,000 that would cost as many open
files, or as many connections to another mover, for each range that somebody asks for. So of these few segments are open at a
time; when the file has lost its name, the others' bytes are kept for as long as a ticket lives, and who comes too late is
told that they are gone. A ticket has at least half of its life left when it is handed out, and they are asked for anew after a
quarter of it, as long as the name is still this file's: where segments are opened all the time, each has a quarter left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from ecpds.errors import Refusal, Unavailable
from ecpds.interfaces import IStore
from ecpds.model import Segment
from ecpds.portal.download import CountedSink, SegmentReader
from ecpds.portal.kept import KeptSegments

FEW = 100
"""Segments of a file that is opened whole, where some have to be read at another mover: each takes a connection."""

FEW_HERE = 1000
"""As `FEW`, where all of them are on this node: each takes a descriptor."""

OPEN = 4
"""Segments of any other that are open at a time."""

RENEWED = 1 / 4
"""The part of a ticket's life after which new ones are asked for."""

RETRIED = 1 / 20
"""The part of it after which they are asked for once more, where none came."""

Again = Callable[[], Awaitable[Sequence[Segment]]]
"""The segments of the same file, with new tickets; none where its name is another's now. Raises `Refusal`."""


class Reach:
    """What the readers of one file share. `life` are the seconds that its tickets are good for, by the clock `now`."""

    def __init__(self, again: Again, now: Callable[[], float], life: float) -> None:
        self._again = again
        self._now = now
        self._life = life
        self._until = now() + life * RENEWED
        self._fresh: dict[int, Segment] = {}
        self._open: deque[ReachedSegment] = deque()

    async def open(self, reader: ReachedSegment) -> None:
        """Open one more; the one that was opened longest ago is closed. One segment of a file is read at a time."""
        if self._now() >= self._until:
            await self._renew()
        while len(self._open) >= OPEN:
            self._open.popleft().release()
        await reader.open_anew(self._fresh)
        self._open.append(reader)

    async def _renew(self) -> None:
        asked = self._now()
        try:
            self._fresh = {segment.id: segment for segment in await self._again()} or self._fresh
        except Refusal:
            # The name is gone, or the Master away: what was said before is good for a while, or a refusal tells.
            self._until = self._now() + self._life * RETRIED
        else:
            # The answer may come long after its tickets were signed.
            self._until = asked + self._life * RENEWED


class ReachedSegment(SegmentReader):
    """A segment that is open while it is read, and until a few others were."""

    def __init__(self, segment: Segment, stores: Callable[[str], IStore], node: str, kept: KeptSegments, reach: Reach) -> None:
        super().__init__(segment, stores, node, kept)
        self._reach = reach
        self._closed = False

    async def open_anew(self, fresh: dict[int, Segment]) -> None:
        """As `open`, of all copies that there are."""
        self.choose(fresh.get(self.segment.id, self.segment))
        await self.open()
        if self._closed:
            self.release()
            raise Unavailable("it was closed")

    async def send(self, sink: CountedSink, offset: int, length: int) -> None:
        if not (self.is_open or self._closed):
            await self._reach.open(self)
        await super().send(sink, offset, length)

    def close(self) -> None:
        self._closed = True
        super().close()


async def open_segments(
    segments: Sequence[Segment], stores: Callable[[str], IStore], node: str, kept: KeptSegments, reach: Reach | None
) -> Sequence[SegmentReader]:
    """Readers of all of them, or of none, and open; but of very many, where they can be reached later, only the first."""
    are_here = all(copy.mover == node for segment in segments for copy in segment.copies)
    if len(segments) > (FEW_HERE if are_here else FEW) and reach is not None:
        later = [ReachedSegment(segment, stores, node, kept, reach) for segment in segments]
        await reach.open(later[0])
        return later
    readers = [SegmentReader(segment, stores, node, kept) for segment in segments]
    try:
        for reader in readers:
            await reader.open()
    except BaseException:
        for reader in readers:
            reader.close()
        raise
    return readers
