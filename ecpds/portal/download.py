"""A pull: the copies of a file's segments, opened when the file is, and handed to the client's socket in order.

Every segment is opened at once, but of a file in very many (`reaching`), so that the file stays as it is whatever happens to
its name. When a copy fails the next one goes on at the same byte, unless the socket itself failed: then nobody knows how much
of the last span crossed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from twisted.logger import Logger
from zope.interface import implementer

from ecpds.errors import Corrupt, Refusal, Unavailable
from ecpds.filling import Into
from ecpds.held import HeldSegment
from ecpds.interfaces import IByteSink, IChannel, IReadHandle, IRelaySink, IStore
from ecpds.model import Copy, Entry, Segment
from ecpds.portal.journal import TransferRecord
from ecpds.portal.kept import KeptSegments
from ecpds.portal.pace import Pace
from ecpds.portal_interfaces import IDownload

SPAN = 1 << 20
"""How much of a file a sink gets in one call: the record of a cut download is exact to so many bytes."""


class Tally(Protocol):
    """What counts bytes, such as a transfer's record."""

    sent: int


@implementer(IRelaySink)
class CountedSink:
    """A sink that adds what it has taken to a transfer's record, and remembers whether it failed."""

    def __init__(self, sink: IByteSink, record: Tally) -> None:
        self._sink = sink
        self._record = record
        self.sent = 0
        self.failed = False

    async def write(self, data: bytes | memoryview) -> None:
        size = len(data)
        try:
            await self._sink.write(data)
        except BaseException:
            self.failed = True
            raise
        self._count(size)

    async def send_file(self, fd: int, offset: int, length: int) -> None:
        end = offset + length
        while offset < end:
            span = min(SPAN, end - offset)
            try:
                await self._sink.send_file(fd, offset, span)
            except BaseException:
                self.failed = True
                raise
            self._count(span)
            offset += span

    async def carry(self, source: IChannel, length: int) -> int:
        relay = IRelaySink(self._sink, None)
        if relay is None:
            return 0
        try:
            count: int = await relay.carry(source, length)
        except BaseException:
            self.failed = True
            raise
        self._count(count)
        return count

    def _count(self, size: int) -> None:
        self.sent += size
        self._record.sent += size


class PacedSink(CountedSink):
    """A counted sink that takes bytes at a pace, a piece at a time."""

    def __init__(self, sink: IByteSink, record: Tally, pace: Pace) -> None:
        super().__init__(sink, record)
        self._pace = pace

    async def write(self, data: bytes | memoryview) -> None:
        view, step = memoryview(data), self._pace.piece
        for start in range(0, len(view), step):
            piece = view[start : start + step]
            await self._pace.spend(len(piece))
            await super().write(piece)

    async def send_file(self, fd: int, offset: int, length: int) -> None:
        end, step = offset + length, self._pace.piece
        for start in range(offset, end, step):
            size = min(step, end - start)
            await self._pace.spend(size)
            await super().send_file(fd, start, size)

    async def carry(self, source: IChannel, length: int) -> int:
        """Nothing goes from link to link on a thread, which would not wait."""
        return 0


class SegmentReader:
    """One segment, read from its nearest copy that can be read, or from memory; `node` is where the client is.

    One without a copy has had some: they are known to be damaged (`ecpds.scrubbing`).
    """

    log = Logger()

    def __init__(self, segment: Segment, stores: Callable[[str], IStore], node: str, kept: KeptSegments) -> None:
        self.length = segment.length
        self._stores = stores
        self._node = node
        self._kept = kept
        self._handle: IReadHandle | None = None
        self.place = Copy("", 0)
        self.choose(segment)

    def choose(self, segment: Segment) -> None:
        """From now on these are its copies."""
        self.segment = segment
        self._left = list(segment.copies)
        if len(self._left) > 1:
            self._left.sort(key=lambda copy: copy.mover != self._node)

    @property
    def is_open(self) -> bool:
        return self._handle is not None

    async def open(self) -> None:
        """Open the next copy that can be. Raises `Unavailable` or `Corrupt` when none is left."""
        self.release()
        kept = self._kept.get(self.segment)
        if kept is not None:
            self._handle, self.place = HeldSegment(kept.data), kept.place
            return
        failure: Refusal | None = None if self.segment.copies else Corrupt()
        while self._left:
            copy = self._left.pop(0)
            try:
                self._handle = await self._stores(copy.mover).read(self.segment.id, copy, self.length)
                self.place = copy
                if (data := self._handle.held(0, self.length)) is not None:
                    self._kept.keep(self.segment, copy, data)
                return
            except (Unavailable, Corrupt) as refusal:
                failure = refusal
                self._note(copy, refusal)
        raise failure or Unavailable("no copy can be read")

    async def send(self, sink: CountedSink, offset: int, length: int) -> None:
        end = sink.sent + length
        while sink.sent < end:
            if self._handle is None:
                raise Unavailable("no copy can be read")
            left = end - sink.sent
            try:
                await self._handle.send(sink, offset + length - left, left)
            except (Unavailable, Corrupt) as refusal:
                if sink.failed or not self._left:
                    raise
                self._note(self.place, refusal)
                await self.open()
            else:
                if sink.sent != end:
                    raise Corrupt

    def held(self, offset: int, length: int) -> memoryview | None:
        return self._handle.held(offset, length) if self._handle is not None else None

    def release(self) -> None:
        """Close the copy that is open."""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()

    def close(self) -> None:
        """Nothing more is read."""
        self.release()

    def _note(self, copy: Copy, refusal: Refusal) -> None:
        self.log.error(
            "segment {segment} can't be read on {mover}, volume {volume}: {refusal}",
            segment=self.segment.id,
            mover=copy.mover,
            volume=copy.volume,
            refusal=refusal,
        )


def spans(segments: Sequence[SegmentReader], offset: int, end: int) -> Iterator[tuple[SegmentReader, int, int]]:
    """Where the bytes from `offset` to `end` of some segments in a row are: a segment, an offset in it, and how many."""
    start = 0
    for segment in segments:
        first, last = max(offset, start), min(end, start + segment.length)
        if first < last:
            yield segment, first - start, last - first
        start += segment.length


@implementer(IDownload)
class Download:
    """One open file; its segments are open. `pace` is what its bytes obey, where they leave this node's memory."""

    def __init__(
        self, entry: Entry, segments: Sequence[SegmentReader], record: TransferRecord, pace: Pace | None = None
    ) -> None:
        self.entry = entry
        self._segments = segments
        self._record = record
        self._pace = pace

    async def send(self, sink: IByteSink, offset: int = 0, length: int | None = None) -> None:
        counted = self._counted(sink)
        end = self.entry.size if length is None else min(offset + length, self.entry.size)
        if len(self._segments) == 1 and end > offset:
            await self._segments[0].send(counted, offset, end - offset)
            self._record.place = self._segments[0].place
            return
        for segment, first, count in spans(self._segments, offset, end):
            await segment.send(counted, first, count)
            self._record.place = segment.place

    def _counted(self, sink: IByteSink) -> CountedSink:
        if self._pace is None or isinstance(sink, Into):
            return CountedSink(sink, self._record)
        return PacedSink(sink, self._record, self._pace)

    def held(self, offset: int, length: int) -> memoryview | None:
        if len(self._segments) != 1:
            return None
        data = self._segments[0].held(offset, length)
        if data is not None and self._pace is not None and not self._pace.spend_now(length):
            return None
        if data is not None:
            self._record.sent += length
        return data

    def close(self, failure: BaseException | None = None) -> None:
        for segment in self._segments:
            segment.close()
        self._record.end(failure)
