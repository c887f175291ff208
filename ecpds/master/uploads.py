"""The uploads under way: in memory from the allocation to the commit, and a while longer for who asks again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection

from twisted.internet.defer import Deferred

from ecpds.errors import DigestMismatch, Incomplete, InvalidRequest, Refusal, Unavailable
from ecpds.master.holdings import Cap
from ecpds.master.quotas import Quota
from ecpds.model import Allocation, Copy, DataFile, Entry, Placement, Receipt, Segment
from ecpds.terms import AllocationRequest

REMEMBERED = 10_000
"""Outcomes that are remembered for a `finish` that is repeated."""


class Upload:
    """One allocation: what was asked, and which copies are stored by now."""

    def __init__(self, request: AllocationRequest, destination: int, allocation: Allocation) -> None:
        self.request = request
        self.destination = destination
        self.allocation = allocation
        self.receipts: dict[Placement, Receipt] = {}
        self.quotas: tuple[Quota, ...] = ()
        """Those that its bytes count for."""
        self.caps: tuple[Cap, ...] = ()
        """And those of what is held."""
        self.committing = False
        self.waiting: list[Deferred[Entry]] = []

    @property
    def copies(self) -> Collection[Copy]:
        """Where bytes of it are, or may be."""
        return tuple(Copy(where.mover, where.volume) for where in self.allocation.placements)

    def add(self, receipt: Receipt) -> bool:
        """Note that a copy is stored; True when this was the last. Raises `InvalidRequest` for one nobody asked for."""
        where = Placement(receipt.mover, receipt.volume)
        if where not in self.allocation.placements:
            raise InvalidRequest("no such copy was asked for")
        self.receipts[where] = receipt
        return len(self.receipts) == len(self.allocation.placements)

    def data_file(self, now: float) -> DataFile:
        """The file that the receipts speak of. Raises `Incomplete` or `DigestMismatch` when it isn't what was announced."""
        first, *others = self.receipts.values()
        size, digests = first.size, dict(first.digests)
        if any(receipt.size != size for receipt in others) or self.request.size not in (None, size):
            raise Incomplete(f"{size} bytes arrived")
        for receipt in others:
            for name, digest in receipt.digests.items():
                if digests.setdefault(name, digest) != digest:
                    raise DigestMismatch(f"the copies' {name} differ")
        for name, digest in self.request.terms.expected.items():
            if digests.get(name) != digest.lower():
                raise DigestMismatch(name)
        mtime = now if self.request.mtime is None else self.request.mtime
        id_ = self.allocation.id
        segment = Segment(id_, size, tuple([Copy(receipt.mover, receipt.volume) for receipt in self.receipts.values()]))
        return DataFile(id_, size, mtime, now, digests, dict(self.request.terms.metadata), (segment,))


class Uploads:
    """All of them, by DataFileID."""

    def __init__(self, ended: Callable[[Upload], None]) -> None:
        """`ended` is called with each that has ended, before anybody is told."""
        self._told = ended
        self._under_way: dict[int, Upload] = {}
        self._ended: OrderedDict[int, Entry | Exception] = OrderedDict()

    def __len__(self) -> int:
        return len(self._under_way)

    def __contains__(self, id_: int) -> bool:
        return id_ in self._under_way

    def placed_on(self, mover: str) -> int:
        """How many are to be stored on a mover."""
        return sum(any(place.mover == mover for place in each.allocation.placements) for each in self._under_way.values())

    def begin(self, upload: Upload) -> None:
        self._under_way[upload.allocation.id] = upload

    def get(self, id_: int) -> Upload | None:
        return self._under_way.get(id_)

    def has(self, id_: int) -> bool:
        """Whether it is under way, or its end is remembered."""
        return id_ in self._under_way or id_ in self._ended

    def has_committed(self, id_: int) -> bool:
        """Whether that is remembered."""
        return isinstance(self._ended.get(id_), Entry)

    async def outcome(self, id_: int) -> Entry:
        """Wait for the end of an upload, and return or raise what became of it."""
        upload = self._under_way.get(id_)
        if upload is not None:
            waiter: Deferred[Entry] = Deferred()
            upload.waiting.append(waiter)
            return await waiter
        outcome = self._ended.get(id_)
        if outcome is None:
            raise Unavailable("the upload is not known here any more")
        if isinstance(outcome, Exception):
            raise _again(outcome)
        return outcome

    def end(self, upload: Upload, outcome: Entry | Exception) -> None:
        """Tell all who wait, and who will ask."""
        id_ = upload.allocation.id
        del self._under_way[id_]
        self._ended[id_] = outcome
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)
        self._told(upload)
        for waiter in upload.waiting:
            if isinstance(outcome, Exception):
                waiter.errback(_again(outcome))
            else:
                waiter.callback(outcome)


def _again(error: Exception) -> Exception:
    """A refusal of its own for each who hears of it, so that no traceback grows."""
    return type(error)(error.detail, error.reason) if isinstance(error, Refusal) else error
