"""Uploads that an earlier Master allocated: what it knew of them was in its memory, and went with it.

Who tells whom, after the Master was started anew: a target mover that has all the bytes tells it (`stored`), and the Master,
which knows nothing of that upload, leaves them there for a while. The User Data Mover asks to `finish`, is told that the
upload is not known, and says what it was: the request, the allocation, the receipts. So does whoever wants to keep what
came of an upload that broke off (`ecpds/keeping.py`). The Master believes none of it before the movers have read the bytes
again, and publishes them once: where the earlier Master had done so, that is the answer.

What makes it safe: an id is never used twice; what a sweep was allowed to take is marked dead, and stays so for as long as
its upload might come back (`reclaim.begin`); what is on the list of bytes to be deleted is refused, and what is on its way
there is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from attrs import evolve, frozen
from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ecpds.errors import Corrupt, InvalidRequest, Refusal, Unavailable
from ecpds.master import reclaim
from ecpds.master.accounts import Accounts
from ecpds.master.holdings import Cap
from ecpds.master.movers import Movers
from ecpds.master.multiparts import Multiparts
from ecpds.master.quotas import UPLOAD, Quota
from ecpds.master.reader import Reader
from ecpds.master.uploads import Upload, Uploads
from ecpds.model import Allocation, Copy, Destination, Entry, Receipt, StoredSegment
from ecpds.terms import AllocationRequest

CLAIM = 60.0
"""Seconds within which somebody must ask for an upload that is stored and not known, before its bytes are deleted."""

UNCLAIMED = 10_000
"""Such uploads at most."""

CRC = "crc64nvme"
"""The digest that every receipt has, and by which a mover's bytes are recognised."""


class IsMaster(Protocol):
    """What this needs of the Master."""

    accounts: Accounts
    clock: IReactorTime
    movers: Movers
    multiparts: Multiparts
    reader: Reader
    uploads: Uploads

    def destination(self, name: str) -> Destination: ...

    async def metered(self, direction: str, user: int, destination: str) -> tuple[Quota, ...]:
        """Which quotas a transfer counts for."""

    async def caps(self, user: int, destination: str) -> tuple[Cap, ...]:
        """And which of what is held."""

    async def commit(self, upload: Upload) -> None:
        """Publish an upload whose receipts are all there; those who wait for it are told."""

    def give_up(self, upload: Upload, error: Exception) -> None:
        """Nobody will see this upload: its bytes go, and those who wait for it are told."""

    def discard(self, segment: int, copies: Collection[Copy]) -> None:
        """Have copies deleted, unless the catalogue has them."""


@frozen
class _Left:
    """Where bytes wait to be asked for, and what gives them up when nobody does."""

    copies: set[Copy]
    late: IDelayedCall


class Readmission:
    """Answers for a Master all that concerns the uploads of those before it."""

    log = Logger()

    def __init__(self, master: IsMaster) -> None:
        self._master = master
        self._earlier = range(0)
        self._unclaimed: dict[int, _Left] = {}
        self._given_up: set[int] = set()
        """Those of the earlier ones whose bytes were given up, which may not be in the catalogue yet."""

    def start(self, earlier: range) -> None:
        """`earlier` are the ids whose uploads an earlier Master may have begun."""
        self._earlier = earlier

    def stop(self) -> None:
        for left in self._unclaimed.values():
            left.late.cancel()
        self._unclaimed.clear()

    def __contains__(self, segment: int) -> bool:
        """Whether its bytes wait to be asked for."""
        return segment in self._unclaimed

    def leave(self, receipt: Receipt) -> bool:
        """Whether the bytes of an upload that is not known are left where they are, for a while."""
        segment, copy = receipt.segment, Copy(receipt.mover, receipt.volume)
        if segment in self._unclaimed:
            self._unclaimed[segment].copies.add(copy)
            return True
        if segment not in self._earlier:
            return False
        if segment in self._given_up or len(self._unclaimed) >= UNCLAIMED:
            self._given_up.add(segment)
            return False
        late = self._master.clock.callLater(CLAIM, self._expire, segment)
        self._unclaimed[segment] = _Left({copy}, late)
        return True

    def expect(self, id_: int) -> None:
        """Somebody will ask for this upload. Raises `Unavailable` unless an earlier Master may have begun it."""
        if id_ not in self._earlier or self._master.uploads.has(id_):
            raise Unavailable("the upload is not known here any more")

    async def readmit(
        self, request: AllocationRequest, allocation: Allocation, receipts: Sequence[Receipt], keep: bool
    ) -> Entry:
        """As `IMaster.readmit`."""
        id_, uploads = allocation.id, self._master.uploads
        if not uploads.has(id_):
            if keep:
                request = request.piece(request.part)
            upload = self._made_again(request, allocation, receipts)
            if await self._is_committed(id_):
                file = upload.data_file(self._master.clock.seconds())
                return Entry(request.path, file.mtime, file)
            if id_ in self._given_up:
                raise Unavailable("the bytes of this upload were given up")
            if not uploads.has(id_):
                self._admit(upload, keep)
        return await uploads.outcome(id_)

    def _made_again(self, request: AllocationRequest, allocation: Allocation, receipts: Sequence[Receipt]) -> Upload:
        """Raises `InvalidRequest` unless there is one receipt for each copy."""
        if allocation.id not in self._earlier:
            raise Unavailable("the upload is not known here any more")
        upload = Upload(request, self._master.destination(request.destination).id, allocation)
        for receipt in receipts:
            if receipt.segment != allocation.id:
                raise InvalidRequest("that is no receipt of this upload")
            upload.add(receipt)
        if not allocation.placements or len(upload.receipts) != len(allocation.placements):
            raise InvalidRequest("not every copy has its receipt")
        return upload

    async def _is_committed(self, id_: int) -> bool:
        """Whether an earlier Master published it. Raises `Unavailable` when its bytes are to be deleted."""
        known, listed = await self._master.reader.ask(
            lambda session: (reclaim.is_known(session, id_), reclaim.is_listed(session, id_))
        )
        if listed and not known:
            raise Unavailable("the bytes of this upload were given up")
        return known

    def _admit(self, upload: Upload, keep: bool) -> None:
        """From here on it is as any that has begun to be committed: no sweep takes it, and it ends but once."""
        left = self._unclaimed.pop(upload.allocation.id, None)
        if left is not None:
            left.late.cancel()
        upload.committing = True
        self._master.movers.began(upload.allocation.placements)
        self._master.uploads.begin(upload)
        ensureDeferred(self._go_on(upload, keep))

    async def _go_on(self, upload: Upload, keep: bool) -> None:
        try:
            await self._check(upload)
            if keep:
                upload.request = evolve(upload.request, part=await self._master.multiparts.keep(upload.request))
        except Exception as error:
            if not isinstance(error, Refusal):
                self.log.failure("upload {id} could not be taken up again", id=upload.allocation.id)
            self._master.give_up(upload, error)
        else:
            await self._master.commit(upload)

    async def _check(self, upload: Upload) -> None:
        """Whether the user may still do that, and the movers have the bytes. They read them: nothing less is proof."""
        request = upload.request
        await self._master.accounts.authorise(request.user_id, "put", request.destination, request.path)
        upload.quotas = await self._master.metered(UPLOAD, request.user_id, request.destination)
        upload.caps = await self._master.caps(request.user_id, request.destination)
        for receipt in upload.receipts.values():
            control = self._master.movers.controls.get(receipt.mover)
            if control is None:
                raise Unavailable(f"mover {receipt.mover} is not there")
            found = await control.digests([StoredSegment(receipt.segment, receipt.volume, receipt.size)], (CRC,))
            if found.get(CRC) != receipt.digests.get(CRC):
                raise Corrupt(f"what mover {receipt.mover} has is not what was stored")

    def _expire(self, segment: int) -> None:
        self._given_up.add(segment)
        self._master.discard(segment, self._unclaimed.pop(segment).copies)
