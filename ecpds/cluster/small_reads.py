"""Small files cross the control link as they are asked for, in one exchange, and need no ticket and no stream.

Who tells whom: a node asks its Master what a path is (`LookCalls`). Where all its bytes are on the Master's own node, few, and
can be had without waiting, they come with the answer; the node keeps them, as it keeps what it reads, and so asks no mover. The
Master's node knows where bytes are, and asks another mover for few of them over that mover's link (`SmallCalls`). Everything
else (more bytes, a copy at a third node, a disk that has to be waited for, a link that is lost) goes over the data stream;
what is small is read from there as a whole, too, so that it is kept like the rest (`in_memory`).
"""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from zope.interface import implementer

from ecpds.cluster.calls import Asker, Remote, call
from ecpds.cluster.fleet import Leave
from ecpds.errors import InvalidRequest, NotSupported, Unavailable
from ecpds.held import SMALL_FILE, HeldSegment
from ecpds.interfaces import IByteSink, IPromptReads, IPromptStore, IReadHandle, IStore, IWriteHandle
from ecpds.master_interfaces import IAtHand, IMaster
from ecpds.model import Copy, Entry, Segment, StoredSegment


class LookCalls(Remote):
    """What a node asks the Master that would keep what is small."""

    prefix = "look."

    @call(repeatable=True)
    async def look(
        self, destination: str, path: str, most: int, waiting: bool = False
    ) -> tuple[Entry, Copy | None, bytes, bool]:
        """As `IMaster.resolve`; where the file has at most `most` bytes, and they are at hand, all of them too, and the copy
        that they were read from. The last says whether the Master will tell when there is another answer (`board`)."""


class Looking:
    """Answers the `LookCalls` of one node, from the Master and the store of its own node."""

    def __init__(self, master: IMaster, store: IStore, node: str, leave: Leave) -> None:
        self._master = master
        self._store = IPromptStore(store, None)
        self._node = node
        self._leave = leave

    async def look(
        self, destination: str, path: str, most: int, waiting: bool = False
    ) -> tuple[Entry, Copy | None, bytes, bool]:
        entry: Entry = await self._master.resolve(destination, path, waiting)
        found = self._at_hand(entry, min(most, SMALL_FILE))
        remembers = IAtHand(self._master, None)
        lasting = remembers is not None and remembers.known(destination, path, waiting) is entry
        return (entry, *found, lasting) if found is not None else (self._leave.to_read(entry), None, b"", lasting)

    def _at_hand(self, entry: Entry, most: int) -> tuple[Copy, bytes] | None:
        """The bytes, where the node that asks has none of the copies itself."""
        store, segment = self._store, small_segment(entry, most)
        if store is None or segment is None or any(copy.mover == self._node for copy in segment.copies):
            return None
        for copy in segment.copies:
            data = store.read_now(segment.id, copy, segment.length)
            if data is not None:
                return copy, bytes(data)
        return None


def small_segment(entry: Entry, most: int) -> Segment | None:
    """The one segment of a file that has bytes, at most so many."""
    segments = entry.file.segments if entry.file is not None else ()
    return segments[0] if len(segments) == 1 and 0 < segments[0].length <= most else None


class Keeper(Protocol):
    """What keeps bytes of segments of at most `largest` bytes."""

    largest: int

    def keep(self, segment: Segment, place: Copy, data: memoryview) -> None:
        """These are all the bytes of a segment, read from one of its copies."""


class SmallCalls(Remote):
    """What the Master's node asks a mover that is another."""

    prefix = "small."

    @call(repeatable=True)
    async def read(self, segment: StoredSegment) -> bytes:
        """All of a small segment. Raises `Unavailable`, `Corrupt`, `InvalidRequest` of one that is not small."""


class SmallDesk:
    """Answers the `SmallCalls` from a mover's store. Only the Master is at the other end of the link."""

    def __init__(self, mover: str, store: IStore) -> None:
        self._mover = mover
        self._store = store

    async def read(self, segment: StoredSegment) -> bytes:
        if not 0 < segment.size <= SMALL_FILE:
            raise InvalidRequest(f"{segment.size} bytes are not few")
        copy = Copy(self._mover, segment.volume)
        handle: IReadHandle = await self._store.read(segment.segment, copy, segment.size)
        try:
            data = handle.held(0, segment.size)
            if data is None:
                raise Unavailable("it is not in memory")
            return bytes(data)
        finally:
            handle.close()


@implementer(IByteSink)
class Gathered:
    """Few bytes, in memory."""

    def __init__(self) -> None:
        self.data = bytearray()

    async def write(self, data: bytes | memoryview) -> None:
        self.data += data

    async def send_file(self, fd: int, offset: int, length: int) -> None:
        raise NotSupported("bytes of another mover are in no file here")


async def in_memory(handle: IReadHandle, length: int) -> IReadHandle:
    """All of a small copy, which is closed then: whoever asked for it can keep it, and asks for it once.

    Raises as `IReadHandle.send`.
    """
    gathered = Gathered()
    try:
        await handle.send(gathered, 0, length)
    finally:
        handle.close()
    return HeldSegment(memoryview(gathered.data))


ReadNow = Callable[[int, Copy, int], memoryview | None]
"""As `IPromptReads.read_now`."""


@implementer(IPromptReads)
class LinkedStore:
    """A mover's store, of which small copies are read where they lie, or over its link, while it has one; all else goes by
    `store`. `beside` reads what a mover on the same host has."""

    def __init__(
        self, store: IStore, link: Callable[[], Asker | None], beside: ReadNow = lambda segment, copy, length: None
    ) -> None:
        self._store = store
        self._link = link
        self.read_now = beside

    async def write(
        self, segment: int, volume: int, digests: Sequence[str], size: int | None = None, ticket: bytes = b""
    ) -> IWriteHandle:
        handle: IWriteHandle = await self._store.write(segment, volume, digests, size, ticket)
        return handle

    async def read(self, segment: int, copy: Copy, length: int) -> IReadHandle:
        if 0 < length <= SMALL_FILE and (near := self.read_now(segment, copy, length)) is not None:
            return HeldSegment(near)
        link = self._link() if 0 < length <= SMALL_FILE else None
        if link is not None:
            try:
                data = await SmallCalls(link).read(StoredSegment(segment, copy.volume, length))
            except Unavailable:
                pass  # The link was lost, or what is there can't be read so: the stream will tell.
            else:
                if len(data) == length:
                    return HeldSegment(memoryview(data))
        handle: IReadHandle = await self._store.read(segment, copy, length)
        return handle
