"""A segment on its way in: received through a pipeline, then synced, then the Master is told.

What fits into the first buffer is written, digested, synced and closed in one hop to a thread; in none where the volume
never waits. The Master's answer is the end: from the question on the bytes are its, for it may have heard even where the
answer is lost.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ecpds.errors import ConnectionLost, Incomplete, Refusal, Stalled, TooLarge, Unavailable
from ecpds.interfaces import IByteSource, IFloodSource, IThreads, IWriteHandle
from ecpds.limits import Limits
from ecpds.model import EMPTY, IF_SMALL, Receipt
from ecpds.mover.digests import check, follower
from ecpds.mover.pipeline import Pipeline
from ecpds.mover.staging import Hash, StagedFile
from ecpds.mover.strands import FolderSyncs, Strand
from ecpds.mover.volumes import Volume
from ecpds.transports.buffers import BufferPool

CRC = "crc64nvme"
"""The digest that is always computed: the file's own, as it is written."""

UNDECIDED = (ConnectionLost, Stalled, Unavailable)
"""What telling the Master may fail with although it has heard: the bytes stay, and a sweep asks again."""


@frozen
class Means:
    """What a store's uploads share."""

    mover: str
    stored: Callable[[Receipt], Awaitable[None]]
    threads: IThreads
    digest_threads: IThreads
    pool: BufferPool
    limits: Limits
    sync: bool
    folders: FolderSyncs
    is_one_alone: Callable[[], bool]
    """Whether no more than one upload is under way: then nobody shares the sync of a folder."""


def written_now(
    mover: str, volume: Volume, segment: int, digests: Sequence[str], data: memoryview, expected: Mapping[str, str]
) -> Receipt:
    """A whole small segment on a volume that never waits. What raises has left nothing; what it raises is a refusal."""
    names = dict.fromkeys(name.removesuffix(IF_SMALL) for name in digests)
    hashes = {name: follower(name) for name in names if name != CRC}
    if volume.stale:
        volume.use()
    volume.reserve(len(data))
    file = StagedFile(volume, segment, sync=False)
    try:
        file.write_all(data, list(hashes.values()))
        receipt = Receipt(segment, mover, volume.index, len(data), digests_of(file, hashes))
        check(receipt.digests, expected)
    except BaseException:
        file.discard()
        raise
    finally:
        volume.give_back(len(data))
    return receipt


def digests_of(file: StagedFile, hashes: Mapping[str, Hash]) -> Mapping[str, str]:
    """What a receipt says of a file that was followed by these."""
    digests = {name: each.hexdigest() for name, each in hashes.items()}
    digests[CRC] = file.crc64nvme
    return digests


@implementer(IWriteHandle)
class WriteHandle:
    """`reserved` bytes of the volume are set aside for it. `ended` is called once, when its file is no longer its own."""

    log = Logger()

    def __init__(
        self, means: Means, volume: Volume, segment: int, digests: Sequence[str], reserved: int, ended: Callable[[], None]
    ) -> None:
        self._means = means
        self._volume = volume
        self._segment = segment
        self._reserved = reserved
        self._when_ended = ended
        others = [name for name in digests if name.removesuffix(IF_SMALL) != CRC]
        self._hashes: dict[str, Hash] = {name: follower(name) for name in others if not name.endswith(IF_SMALL)}
        self._if_small = [name.removesuffix(IF_SMALL) for name in others if name.endswith(IF_SMALL)]
        self._file = StagedFile(volume, segment, means.sync)
        self._strand = Strand(means.threads)
        hashing = [(Strand(means.digest_threads), each.update) for each in self._hashes.values()]
        self._pipeline = Pipeline(means.pool, means.limits.window, [(self._strand, self._file.write), *hashing])
        self._total = 0
        self._receiving = False
        self._finishing = False
        self._settled = False
        self._over = False

    async def receive(self, source: IByteSource, limit: int | None = None) -> int:
        self._refuse_busy()
        self._refuse_settled()
        self._receiving = True
        came = 0
        try:
            while limit is None or came < limit:
                count = await self._next(source, limit if limit is None else limit - came)
                if count == 0:
                    break
                came += count
        finally:
            self._receiving = False
            if self._over:
                self._pipeline.drop()
        return came

    async def settle(self) -> None:
        self._refuse_busy()
        self._finishing = True
        try:
            await self._settle()
        finally:
            self._finishing = False

    async def finish(self, length: int | None = None, expected: Mapping[str, str] = EMPTY) -> Receipt:
        self._refuse_busy()
        self._finishing = True
        try:
            if length is not None and length != self._total:
                raise Incomplete(f"{self._total} of {length} bytes came")
            await self._settle()
            self._refuse_over()
            receipt = self._receipt()
            check(receipt.digests, expected)
        except Exception:
            await self.abort()
            raise
        self._over = True
        try:
            await self._tell(receipt)
        finally:
            self._end()
        return receipt

    async def abort(self) -> None:
        if self._over:
            return
        self._over = True
        gone: Deferred[None] = Deferred()
        self._strand.put(self._file.discard).addBoth(self._discarded, gone)
        await gone

    async def _next(self, source: IByteSource, limit: int | None) -> int:
        """What comes next: a flood where it comes fast, or one read; 0 is the end."""
        if self._pipeline.may_flood and (fast := IFloodSource(source, None)) is not None:
            count = await self._pipeline.pour(fast, self._most(limit))
            self._refuse_over()
            if count:
                self._account(count)
                return count
        return await self._take(source, limit)

    def _most(self, limit: int | None) -> int:
        """How many bytes may come at once: to find that there are too many, one too many is enough."""
        most = self._means.limits.file_size - self._total + 1 if self._means.limits.file_size > 0 else sys.maxsize
        return most if limit is None else min(limit, most)

    async def _take(self, source: IByteSource, limit: int | None) -> int:
        """One read from the source; 0 is its end."""
        room = await self._pipeline.room()
        self._refuse_over()
        count = await source.read_into(room if limit is None else room[:limit])
        self._refuse_over()
        if count:
            self._account(count)
            self._pipeline.filled(count)
        return count

    def _account(self, count: int) -> None:
        """So many more bytes came."""
        self._total += count
        if 0 < self._means.limits.file_size < self._total:
            raise TooLarge(f"more than {self._means.limits.file_size} bytes")
        self._use_reserved(count)

    async def _settle(self) -> None:
        """Until every byte is written, digested and durable, and the name in its folder too."""
        if self._settled:
            return
        name_too = self._means.sync and not self._pipeline.begun and self._means.is_one_alone()
        if not self._pipeline.begun:
            self._hashes = {**{name: follower(name) for name in self._if_small}, **self._hashes}
            await self._write_small(self._pipeline.rest(), list(self._hashes.values()), name_too)
        else:
            self._pipeline.flush()
            await self._pipeline.drain()
            self._refuse_over()
            await self._strand.put(self._file.close)
        self._pipeline.drop()
        self._refuse_miscounted()
        if self._means.sync and not name_too:
            await self._sync_name()
        self._settled = True

    async def _write_small(self, data: memoryview, hashes: list[Hash], name_too: bool) -> None:
        """At most one buffer of the smallest class: less to write and digest than the hop to a thread would cost."""
        if self._volume.waits:
            await self._strand.put(self._file.write_all, data, hashes, name_too)
        else:
            self._file.write_all(data, hashes)

    async def _sync_name(self) -> None:
        try:
            await self._means.folders.sync(Path(self._file.folder))
        except OSError as error:
            raise self._volume.unsynced(error) from error

    async def _tell(self, receipt: Receipt) -> None:
        """Tell the Master. What it refuses for good is unlinked; where it may have heard, the bytes stay."""
        try:
            await self._means.stored(receipt)
        except UNDECIDED:
            raise
        except Refusal:
            await self._strand.put(self._file.discard)
            raise

    def _receipt(self) -> Receipt:
        digests = digests_of(self._file, self._hashes)
        return Receipt(self._segment, self._means.mover, self._volume.index, self._total, digests)

    def _use_reserved(self, count: int) -> None:
        """What was set aside is now in the file."""
        used = min(count, self._reserved)
        self._reserved -= used
        self._volume.give_back(used)

    def _refuse_busy(self) -> None:
        self._refuse_over()
        if self._receiving or self._finishing:
            raise RuntimeError("an upload does one thing at a time")

    def _refuse_settled(self) -> None:
        if self._settled:
            raise RuntimeError("nothing comes after the end of an upload")

    def _refuse_miscounted(self) -> None:
        """After a `receive` that was cancelled, more may have been written than anybody knows of."""
        if self._file.written != self._total:
            raise Incomplete(f"{self._file.written} bytes were written, {self._total} were counted")

    def _refuse_over(self) -> None:
        if self._over:
            raise Incomplete("the upload has ended")

    def _discarded(self, result: object, gone: Deferred[None]) -> None:
        if isinstance(result, Failure):
            self.log.failure("segment {segment} could not be unlinked; a sweep will", result, segment=self._segment)
        if not self._receiving:
            self._pipeline.drop()
        self._end()
        gone.callback(None)

    def _end(self) -> None:
        self._use_reserved(self._reserved)
        self._when_ended()
