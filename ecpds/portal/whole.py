"""Files that are in memory as a whole when they are put: in one step where that can be, and else as any upload.

Who tells whom: the façade checks the name and the user's rights, and asks the Master of the same process to do all of it at
once (`IAtHand.put_now`), lending it the store of this node; then there is one record, as of any push. Nothing is refused
here: what can't be done so, for it must be waited for or will be refused, is begun as always and told as always.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from ecpds.errors import Refusal
from ecpds.interfaces import IByteSource, IPromptStore, IWriteHandle
from ecpds.loans import ILender, Loan
from ecpds.master_interfaces import IAtHand
from ecpds.model import Allocation, Entry, Identity, Origin, Receipt
from ecpds.portal.backing import Backing
from ecpds.portal.journal import Journal, Soon, TransferRecord, at_once
from ecpds.portal.namespace import Namespace
from ecpds.portal.pace import UPLOAD, Pace
from ecpds.portal.paths import CanonicalPath
from ecpds.portal_interfaces import IUpload
from ecpds.terms import NO_TERMS, AllocationRequest, Terms
from ecpds.waiting import detached


@implementer(IByteSource)
class BytesSource:
    """Yields bytes that are in memory."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._rest = memoryview(data)

    async def read_into(self, view: memoryview) -> int:
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class _Put:
    """One file on its way in one step: what the Master is asked for, and what follows when it has its name, or has not."""

    def __init__(
        self,
        view: Whole,
        at_hand: IAtHand,
        store: IPromptStore,
        name: CanonicalPath,
        request: AllocationRequest,
        data: bytes | memoryview,
    ) -> None:
        self.at_hand = at_hand
        self.request = request
        self._view = view
        self._store = store
        self._name = name
        self._data = data
        self._started = view._backing.now()
        self._allocation: Allocation | None = None

    def keep(self, allocation: Allocation) -> Receipt | None:
        """Store it where it was allocated, if that is here. What lent the bytes may have them back then."""
        place = allocation.placements[0]
        self._allocation = allocation
        if place.mover != self._view.origin.node:
            return None
        receipt: Receipt | None = self._store.write_now(
            allocation.id, place.volume, allocation.digests, memoryview(self._data), self.request.terms.expected
        )
        if receipt is not None:
            self._data = bytes(self._data)
        return receipt

    async def lent(self, lender: ILender, loan: Loan) -> Entry | None:
        """Store it by leave that was lent, which names it. None: nothing came of it, and who refuses is asked as always."""
        self._allocation = loan.allocation
        try:
            await self._stored(loan.allocation)
        except Refusal as failure:
            if loan.undecided is None:
                return None
            self.write_down(loan.undecided)
            raise loan.undecided from failure
        except Exception as fault:
            self.write_down(fault)
            raise
        finally:
            lender.ended(loan)
        assert loan.entry is not None
        return self.named(loan.entry)

    async def _stored(self, allocation: Allocation) -> None:
        """Store it on this node, and tell the Master."""
        id_, volume, digests = allocation.id, allocation.placements[0].volume, allocation.digests
        data, expected = memoryview(self._data), self.request.terms.expected
        if await self._store.write_and_tell(id_, volume, digests, data, expected) is not None:
            return
        handle: IWriteHandle = await self._store.write(id_, volume, digests, len(data))
        try:
            await handle.receive(BytesSource(data))
            await handle.finish(len(data), expected)
        except BaseException:
            await handle.abort()
            raise

    def named(self, entry: Entry) -> Entry:
        """It is there; the entry as the user sees it."""
        self.write_down(soon=self._view._backing.soon)
        self._view._keep(entry, self._data)
        shown = self._view._names.shown(self._name.destination, self._name.inside)
        return Entry(shown, entry.mtime, entry.file, entry.replaced, entry.waits)

    def not_named(self, failure: Failure) -> Failure:
        self.write_down(failure.value)
        return failure

    def write_down(self, failure: BaseException | None = None, soon: Soon = at_once) -> None:
        """Its record."""
        allocation = self._allocation
        assert allocation is not None
        size, place = len(self._data), allocation.placements[0]
        record = TransferRecord(self._view.journal, "upload", self._name, allocation.id, size, place)
        record.started = self._started
        record.sent = size
        record.end(failure, soon)


class Whole:
    """The part of a view that puts what is whole. The attributes are the view's."""

    identity: Identity
    origin: Origin
    journal: Journal
    _backing: Backing
    _names: Namespace
    _renewed: float

    def _file(self, path: str, permission: str) -> CanonicalPath:
        raise NotImplementedError

    async def open_write(self, path: str, size: int | None = None, terms: Terms = NO_TERMS) -> IUpload:
        raise NotImplementedError

    async def write_whole(self, path: str, data: bytes | memoryview, terms: Terms = NO_TERMS) -> Entry:
        """As `IFileSystem.write_whole`."""
        named = self.put_by_turn(path, data, terms)
        if named is not None:
            return await detached(named)
        found = await self._put_by_loan(path, data, terms)
        if found is not None:
            return found
        upload = await self.open_write(path, len(data), terms)
        try:
            await upload.receive(BytesSource(data))
            entry = await upload.commit()
        except BaseException as failure:
            await upload.abort(failure)
            raise
        self._keep(entry, data)
        return entry

    async def _put_by_loan(self, path: str, data: bytes | memoryview, terms: Terms) -> Entry | None:
        """As `write_whole`, at a node that has leave ahead. None: nothing was done."""
        lender = self._backing.lender
        put = None if lender is None else self._put(path, data, terms)
        if lender is None or put is None:
            return None
        loan: Loan | None = lender.lend(put.request)
        return None if loan is None else await detached(put.lent(lender, loan))

    def put_now(self, path: str, data: bytes | memoryview, terms: Terms = NO_TERMS) -> Entry | None:
        """As `IFileSystem.put_now`."""
        put = self._put(path, data, terms)
        if put is None:
            return None
        try:
            entry: Entry | None = put.at_hand.put_now(put.request, put.keep)
        except Exception as failure:
            put.write_down(failure)
            raise
        return None if entry is None else put.named(entry)

    def put_by_turn(self, path: str, data: bytes | memoryview, terms: Terms = NO_TERMS) -> Deferred[Entry] | None:
        """As `write_whole`, where nothing has to be waited for but the commit; None: nothing was done.

        It goes on whoever waits, and is not to be cancelled. `data` is not looked at any more when this returns.
        """
        put = self._put(path, data, terms)
        named: Deferred[Entry] | None = None if put is None else put.at_hand.put_by_turn(put.request, put.keep)
        return named if put is None or named is None else named.addCallbacks(put.named, put.not_named)

    def _put(self, path: str, data: bytes | memoryview, terms: Terms) -> _Put | None:
        found = self._at_hand(path)
        if found is None:
            return None
        at_hand, store, name = found
        request = AllocationRequest(self.identity.user_id, name.destination, name.inside, self.origin, len(data), terms)
        return _Put(self, at_hand, store, name, request, data)

    def takes_now(self, path: str) -> bool:
        """As `IFileSystem.takes_now`."""
        found = self._at_hand(path)
        if found is None:
            return False
        at_hand, store, name = found
        request = AllocationRequest(self.identity.user_id, name.destination, name.inside, self.origin)
        if store.prompt and at_hand.takes_now(request):
            return True
        lender = self._backing.lender
        return lender is not None and lender.lends(request)

    def _at_hand(self, path: str) -> tuple[IAtHand, IPromptStore, CanonicalPath] | None:
        """Who may do it at once, the store of this node, and the real path; None where it must be asked for, or waited."""
        at_hand, store = self._backing.at_hand, self._backing.stores.get(self.origin.node)
        # A link counts its uses, and replaces nothing.
        if at_hand is None or self.identity.share or not self._is_fresh() or not IPromptStore.providedBy(store):
            return None
        try:
            name = self._file(path, "put")
        except Refusal:
            return None
        if self._pace(UPLOAD, name.destination) is not None:
            return None  # it waits for its bytes' turn
        return at_hand, store, name

    def _pace(self, direction: str, destination: str, upload: int | None = None) -> Pace | None:
        """What a transfer that begins now obeys."""
        return self._backing.paces.of(direction, self.identity, self.origin.address, destination, upload)

    def _is_fresh(self) -> bool:
        """Whether what the user may do was asked for lately."""
        return self._backing.now() - self._renewed < self._backing.limits.credential_life

    def _keep(self, entry: Entry, data: bytes | memoryview) -> None:
        """What was put is mostly got soon."""
        segments = entry.file.segments if entry.file is not None else ()
        if len(segments) == 1 and segments[0].copies:
            self._backing.kept.keep(segments[0], segments[0].copies[0], data)
