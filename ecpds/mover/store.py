"""The bytes of segments on this node's volumes."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from attrs import evolve
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from ecpds.errors import AlreadyExists, Refusal, TooLarge, Unavailable
from ecpds.interfaces import IPromptStore, IReadHandle, IThreads, IWriteHandle
from ecpds.limits import Limits
from ecpds.model import EMPTY, Copy, Receipt
from ecpds.mover.reading import open_to_read, read_now
from ecpds.mover.strands import FolderSyncs
from ecpds.mover.volumes import Volume
from ecpds.mover.writing import UNDECIDED, Means, WriteHandle, written_now
from ecpds.transports.buffers import SIZES, BufferPool


@implementer(IPromptStore)
class LocalStore:
    """`stored` is the Master's word for a receipt; `digest_threads` hash, `threads` do the rest of what blocks.

    Made before the reactor runs: it makes missing volumes, and looks at all of them, but for those that should be there and are
    not: `absent`, by index, and why.
    """

    def __init__(
        self,
        name: str,
        volumes: Sequence[Path],
        stored: Callable[[Receipt], Awaitable[None]],
        threads: IThreads,
        digest_threads: IThreads,
        pool: BufferPool,
        limits: Limits,
        sync: bool,
        clock: IReactorTime,
        absent: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        self.name = name
        self.threads = threads
        self.digest_threads = digest_threads
        self.volumes = tuple(Volume(index, root, sync, limits.free_space, clock) for index, root in enumerate(volumes))
        self._writing: set[int] = set()
        self._limits = limits
        self._means = Means(name, stored, threads, digest_threads, pool, limits, sync, FolderSyncs(threads), self._is_one_alone)
        for volume in self.volumes:
            if volume.index in absent:
                volume.fail(OSError(errno.ENOENT, absent[volume.index]))
            else:
                volume.prepare()

    def volume(self, index: int) -> Volume:
        """Raises `Unavailable` where this mover has no such volume."""
        if not 0 <= index < len(self.volumes):
            raise Unavailable(f"mover {self.name} has no volume {index}")
        return self.volumes[index]

    def _is_one_alone(self) -> bool:
        return len(self._writing) <= 1

    def is_writing(self, segment: int) -> bool:
        """Whether an upload of it is under way here, up to and with the Master's answer."""
        return segment in self._writing

    async def write(
        self, segment: int, volume: int, digests: Sequence[str], size: int | None = None, ticket: bytes = b""
    ) -> IWriteHandle:
        return await self._write(self._means, segment, volume, digests, size)

    async def write_copy(self, segment: int, volume: int, size: int) -> IWriteHandle:
        """As `write`, of a segment that the catalogue has already: the Master isn't told, for it hears of it from who asked."""
        return await self._write(evolve(self._means, stored=_told_elsewhere), segment, volume, (), size)

    async def _write(self, means: Means, segment: int, volume: int, digests: Sequence[str], size: int | None) -> IWriteHandle:
        place = self.volume(volume)
        if 0 < self._limits.file_size < (size or 0):
            raise TooLarge(f"more than {self._limits.file_size} bytes")
        if segment in self._writing:
            raise AlreadyExists("this copy is being written")
        self._writing.add(segment)
        try:
            if place.stale:
                await self.threads.run(place.use)
            place.reserve(size or 0)
        except BaseException:
            self._writing.discard(segment)
            raise
        return WriteHandle(means, place, segment, digests, size or 0, lambda: self._writing.discard(segment))

    @property
    def prompt(self) -> bool:
        return not any(volume.waits for volume in self.volumes)

    def write_now(
        self, segment: int, volume: int, digests: Sequence[str], data: memoryview, expected: Mapping[str, str] = EMPTY
    ) -> Receipt | None:
        if not 0 <= volume < len(self.volumes) or segment in self._writing or len(data) >= SIZES[0]:
            return None
        place = self.volumes[volume]
        if place.waits or 0 < self._limits.file_size < len(data):
            return None
        try:
            return written_now(self.name, place, segment, digests, data, expected)
        except Refusal:
            return None

    async def write_and_tell(
        self, segment: int, volume: int, digests: Sequence[str], data: memoryview, expected: Mapping[str, str] = EMPTY
    ) -> Receipt | None:
        receipt = self.write_now(segment, volume, digests, data, expected)
        if receipt is None:
            return None
        self._writing.add(segment)
        try:
            await self._means.stored(receipt)
        except UNDECIDED:
            raise
        except Refusal:
            self.volumes[volume].remove(segment)
            raise
        finally:
            self._writing.discard(segment)
        return receipt

    async def read(self, segment: int, copy: Copy, length: int) -> IReadHandle:
        if copy.mover != self.name:
            raise Unavailable(f"mover {self.name} has no copies of {copy.mover}")
        volume = self.volume(copy.volume)
        return await open_to_read(self.threads, volume.path(segment), length, volume.in_memory)

    def read_now(self, segment: int, copy: Copy, length: int) -> memoryview | None:
        if copy.mover != self.name or not 0 <= copy.volume < len(self.volumes):
            return None
        volume = self.volumes[copy.volume]
        return read_now(volume.path(segment), length, volume.in_memory)


async def _told_elsewhere(receipt: Receipt) -> None:
    """In place of telling the Master."""
