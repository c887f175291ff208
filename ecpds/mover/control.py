"""What the Master asks of this node's mover."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from zope.interface import implementer

from ecpds.errors import AlreadyExists, Unavailable
from ecpds.filling import Into
from ecpds.hashing import Follower, follow_file
from ecpds.interfaces import IByteSource, IMoverControl, IReadHandle, IStore, IThreads
from ecpds.model import Copy, Receipt, StoredSegment, VolumeUse
from ecpds.mover.checking import Checker
from ecpds.mover.digests import follower
from ecpds.mover.reading import open_segment
from ecpds.mover.scrub import Scrub
from ecpds.mover.store import LocalStore
from ecpds.scrubbing import HeldCopy, ScrubState, Verdict

PIECE = 64 << 20
"""Bytes that are digested in one hop to a thread: others want it too, and the end of the process waits for it."""


@implementer(IMoverControl)
class LocalControl:
    """The mover of this process, asked directly. A fleet gives it `sources`, the stores of other movers.

    On the Master's own node it is asked without a ticket, so there `leave` adds one to where a copy comes from. A node gives
    it its `scrub_of_node`, and that one's `checker`.
    """

    def __init__(self, store: LocalStore) -> None:
        self.name = store.name
        self.sources: Mapping[str, IStore] = {store.name: store}
        self.leave: Callable[[StoredSegment, Copy], Copy] = lambda segment, source: source
        self.scrub_of_node: Scrub | None = None
        self.checker = Checker(store, store.threads)
        self._store = store
        self._copying: set[int] = set()

    async def delete(self, segments: Sequence[StoredSegment]) -> None:
        """Raises `Unavailable` when one could not be unlinked, or is being copied to here; the others are."""
        await self._store.threads.run(self._unlink, [each for each in segments if each.segment not in self._copying])
        if any(each.segment in self._copying for each in segments):
            raise Unavailable("what is being copied to here is deleted when it has come")

    async def volumes(self) -> Sequence[VolumeUse]:
        uses: list[VolumeUse] = await self._store.threads.run(self._use)
        return uses

    async def digests(self, segments: Sequence[StoredSegment], names: Sequence[str]) -> Mapping[str, str]:
        followers = {name: follower(name) for name in names}
        for each in segments:
            path = self._store.volume(each.volume).path(each.segment)
            for offset in range(0, each.size, PIECE):
                length = min(PIECE, each.size - offset)
                await self._store.digest_threads.run(digest_piece, path, offset, length, list(followers.values()))
        return {name: found.hexdigest() for name, found in followers.items()}

    async def copy(self, segment: StoredSegment, source: Copy) -> Receipt:
        if source.mover not in self.sources:
            raise Unavailable(f"mover {self.name} knows no mover {source.mover}")
        if segment.segment in self._copying:
            raise AlreadyExists("this copy is on its way already")
        self._copying.add(segment.segment)
        try:
            return await self._copy(segment, source)
        finally:
            self._copying.discard(segment.segment)

    async def check(self, copy: HeldCopy) -> Verdict:
        return await self.checker.check(copy)

    async def scrub(self, order: str) -> ScrubState:
        if self.scrub_of_node is None:
            raise Unavailable("this node has no scrub")
        return await self.scrub_of_node.order(order)

    async def _copy(self, segment: StoredSegment, source: Copy) -> Receipt:
        handle = await self.sources[source.mover].read(segment.segment, self.leave(segment, source), segment.size)
        try:
            upload = await self._store.write_copy(segment.segment, segment.volume, segment.size)
            try:
                await upload.receive(FromHandle(handle, segment.size, self._store.threads))
                return await upload.finish(segment.size)
            except BaseException:
                await upload.abort()
                raise
        finally:
            handle.close()

    def _unlink(self, segments: Sequence[StoredSegment]) -> None:
        failed: OSError | None = None
        for found in segments:
            try:
                self._store.volume(found.volume).remove(found.segment)
            except OSError as error:
                failed = error
        if failed is not None:
            raise Unavailable(f"not everything could be unlinked: {failed.strerror}") from failed

    def _use(self) -> list[VolumeUse]:
        return [volume.use() for volume in self._store.volumes]


@implementer(IByteSource)
class FromHandle:
    """An open copy of `size` bytes as a source, from its beginning to its end."""

    def __init__(self, handle: IReadHandle, size: int, threads: IThreads) -> None:
        self._handle = handle
        self._size = size
        self._offset = 0
        self._threads = threads

    async def read_into(self, view: memoryview) -> int:
        count = min(len(view), self._size - self._offset)
        if count:
            await self._handle.send(Into(view[:count], self._threads), self._offset, count)
            self._offset += count
        return count


def digest_piece(path: str, offset: int, length: int, followers: Sequence[Follower]) -> None:
    """Give a part of a stored file to digests. Blocks. Raises `Unavailable`, `Corrupt`."""
    fd = open_segment(path, offset + length)
    try:
        follow_file(fd, offset, length, followers)
    except OSError as error:
        raise Unavailable(f"this copy can't be read: {error.strerror}") from error
    finally:
        os.close(fd)
