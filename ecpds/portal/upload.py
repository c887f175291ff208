"""A push: client -> store, then store -> Master (the receipt), then façade -> Master (`finish`), which publishes the name.

Whatever goes wrong before that, the store unlinks, the Master forgets the allocation, and one record says so.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen
from twisted.logger import Logger
from zope.interface import implementer

from ecpds.errors import Incomplete, Unavailable
from ecpds.interfaces import IBasin, IByteSource, IFloodSource, IStoredSource, IWriteHandle
from ecpds.keeping import keep_part
from ecpds.master_interfaces import IMaster
from ecpds.model import EMPTY, Allocation, Entry
from ecpds.portal.journal import TransferRecord
from ecpds.portal.pace import Pace
from ecpds.portal_interfaces import IUpload
from ecpds.terms import AllocationRequest


@implementer(IFloodSource)
class CountedSource:
    """A source that adds what it yields to a transfer's record."""

    def __init__(self, source: IByteSource, record: TransferRecord) -> None:
        self._source = source
        self._record = record

    async def read_into(self, view: memoryview) -> int:
        count = await self._source.read_into(view)
        self._record.sent += count
        return count

    async def flood(self, basin: IBasin, length: int) -> int:
        fast = IFloodSource(self._source, None)
        if fast is None:
            return 0
        count: int = await fast.flood(basin, length)
        self._record.sent += count
        return count


class PacedSource(CountedSource):
    """A counted source that yields bytes at a pace, a piece at a time."""

    def __init__(self, source: IByteSource, record: TransferRecord, pace: Pace) -> None:
        super().__init__(source, record)
        self._pace = pace

    async def read_into(self, view: memoryview) -> int:
        count = await super().read_into(view[: self._pace.piece])
        if count:
            await self._pace.spend(count)
        return count

    async def flood(self, basin: IBasin, length: int) -> int:
        """No thread fills buffers, which would not wait."""
        return 0


@frozen
class Claim:
    """Leave to store what was asked for, and the open copy that its bytes go to."""

    master: IMaster
    request: AllocationRequest
    allocation: Allocation
    handle: IWriteHandle

    async def publish(self, length: int, expected: Mapping[str, str]) -> Entry:
        """Have the copy stored, and the file published. A Master that was started meanwhile is told what it can't know."""
        receipt = await self.handle.finish(length, expected)
        try:
            entry: Entry = await self.master.finish(self.allocation.id)
        except Unavailable:
            entry = await self.master.readmit(self.request, self.allocation, (receipt,))
        return entry

    async def keep(self, length: int | None = None, expected: Mapping[str, str] = EMPTY) -> None:
        """Have what came stored as a part of what is kept for the user, under whichever Master."""
        await keep_part(self.master, self.handle, self.request, self.allocation, length, expected)


@implementer(IUpload)
class Upload:
    """One allocation, on its way into the copy of `claim`. It is open, then committing, then ended.

    `path` is what the user calls it. `pace` is what its bytes obey, where they come over a socket.
    """

    log = Logger()

    def __init__(self, claim: Claim, record: TransferRecord, path: str, pace: Pace | None = None) -> None:
        self._pace = pace
        self._claim = claim
        self._master = claim.master
        self._path = path
        self._handle = claim.handle
        self._record = record
        self._announced = record.size
        self._received = 0
        self._committing = False
        self._piece: Mapping[str, str] = EMPTY

    async def receive(self, source: IByteSource, limit: int | None = None) -> int:
        self._check_open()
        count = await self._handle.receive(self._counted(source), limit)
        self._received += count
        return count

    def _counted(self, source: IByteSource) -> CountedSource:
        if self._pace is None or IStoredSource.providedBy(source):
            return CountedSource(source, self._record)
        return PacedSource(source, self._record, self._pace)

    async def settle(self) -> None:
        self._check_open()
        await self._handle.settle()

    async def commit(self, expected: Mapping[str, str] = EMPTY) -> Entry:
        self._check_open()
        self._committing = True
        try:
            entry = await self._claim.publish(self._received if self._announced is None else self._announced, expected)
        except BaseException as failure:
            await self._give_up(failure)
            raise
        self._record.size = entry.size
        self._record.end()
        return Entry(self._path, entry.mtime, entry.file, entry.replaced, entry.waits)

    async def abort(self, reason: BaseException | None = None) -> None:
        if not self._committing and not self._record.ended:
            await self._give_up(reason or Incomplete())

    async def pause(self) -> None:
        self._check_open()
        self._committing = True
        try:
            await self._store_piece()
        except BaseException as failure:
            await self._give_up(failure)
            raise
        self._record.end()

    async def _store_piece(self) -> None:
        await self._claim.keep(self._received, self._piece)

    async def keep(self, reason: BaseException) -> None:
        if self._committing or self._record.ended:
            return
        if not self._record.sent:
            await self._give_up(reason)
            return
        self._committing = True
        self._record.end(reason)
        try:
            await self._claim.keep()
        except Exception as failure:
            self.log.info("upload {id} could not be kept: {failure}", id=self._record.file_id, failure=failure)
            await self._give_up(reason)

    async def _give_up(self, failure: BaseException) -> None:
        """The record first, and each step whether or not the one before it went well; the caller keeps its own failure."""
        self._record.end(failure)
        try:
            await self._handle.abort()
        except Exception:
            self.log.failure("the bytes of upload {id} could not be given back", id=self._record.file_id)
        try:
            await self._master.abandon(self._record.file_id)
        except Exception:
            self.log.failure("upload {id} could not be abandoned", id=self._record.file_id)

    def _check_open(self) -> None:
        if self._committing or self._record.ended:
            raise Incomplete("the upload has ended")
