"""The Master's end of leave that is given ahead (`ecpds.loans`): ids are lent, and files that were stored by them named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from zope.interface import implementer

from ecpds.loans import IOffice
from ecpds.master.holdings import Cap
from ecpds.master.ids import Ids
from ecpds.master.movers import Movers
from ecpds.master.quotas import Quota
from ecpds.master.uploads import Upload, Uploads
from ecpds.model import IF_SMALL, Allocation, Destination, Entry, Placement, Receipt
from ecpds.terms import AllocationRequest


class IsMaster(Protocol):
    """What this needs of the Master."""

    ids: Ids
    movers: Movers
    uploads: Uploads

    def there(self, name: str) -> Destination | None:
        """The destination of that name, where there is one."""

    def wanted_digests(self, request: AllocationRequest, destination: Destination) -> tuple[str, ...]:
        """Those that are to be computed of what is asked for."""

    async def check(self, request: AllocationRequest) -> tuple[tuple[Quota, ...], tuple[Cap, ...]]:
        """Whether it may be put, and which quotas its bytes count for. Raises what `IMaster.allocate` does."""

    def name_by_turn(self, request: AllocationRequest, allocation: Allocation, receipt: Receipt) -> Deferred[Entry] | None:
        """Publish it with all others of the turn, where nothing is in the way and nothing has to be waited for."""

    async def commit(self, upload: Upload) -> None:
        """Publish an upload whose receipts are all there; those who wait for it are told."""


@implementer(IOffice)
class Loans:
    """Remembers nothing of what it has lent: an id that is not used is a gap, as after a crash."""

    def __init__(self, master: IsMaster) -> None:
        self._master = master

    async def lend(self, request: AllocationRequest, count: int) -> Sequence[Allocation]:
        destination = self._master.there(request.destination)
        found: list[Allocation] = []
        while destination is not None and len(found) < count:
            place = self._place(request, destination)
            if place is None:
                break
            found.append(Allocation(await self._master.ids.take(), (place,), self._master.wanted_digests(request, destination)))
        return found

    async def name(self, request: AllocationRequest, allocation: Allocation, receipt: Receipt) -> Entry | None:
        destination = self._master.there(request.destination)
        if destination is None or not self._is_good(request, destination, receipt):
            return None
        named = self._master.name_by_turn(request, allocation, receipt)
        if named is not None:
            return await named
        quotas, caps = await self._master.check(request)
        return await self._commit(Upload(request, destination.id, allocation), receipt, quotas, caps)

    async def _commit(self, upload: Upload, receipt: Receipt, quotas: tuple[Quota, ...], caps: tuple[Cap, ...]) -> Entry:
        """As from the last receipt of any upload on: no sweep takes it, and it ends but once."""
        master, allocation = self._master, upload.allocation
        upload.quotas, upload.caps = quotas, caps
        upload.add(receipt)
        upload.committing = True
        master.movers.began(allocation.placements)
        master.uploads.begin(upload)
        await master.commit(upload)
        return await master.uploads.outcome(allocation.id)

    def _is_good(self, request: AllocationRequest, destination: Destination, receipt: Receipt) -> bool:
        """Whether such a file would go there now, too, and has the digests that are wanted now."""
        wanted = {name.removesuffix(IF_SMALL) for name in self._master.wanted_digests(request, destination)}
        return wanted <= receipt.digests.keys() and self._place(request, destination) is not None

    def _place(self, request: AllocationRequest, destination: Destination) -> Placement | None:
        """Where it would go, if that is the node that it comes from."""
        if destination.copies != 1:
            return None
        return self._master.movers.place_now(request.size or 0, destination.group, request.origin.node)
