"""Leave given ahead, over the control link (`ecpds.loans` says who tells whom): small files are put in one exchange.

At the Master's end a desk for each node knows what that node was lent, and lets each id be used once. At the node's end a
stock has a few for each kind of file (its destination, protocol and digests), and asks for more before it is out of them. A
link that is lost while the Master is asked to name a file leaves that undecided, and so does a Master that can't: the bytes
stay, and who is told (`in_doubt`) asks whose they are.
"""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from attrs import Factory, define
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ecpds.cluster.calls import Asker, Remote, call
from ecpds.errors import ConnectionLost, NoSpace, NotPermitted, PreconditionFailed, Refusal, Stalled, Unavailable
from ecpds.held import SMALL_FILE
from ecpds.loans import ILender, IOffice, Loan
from ecpds.model import Allocation, Entry, Receipt, StoredSegment
from ecpds.terms import AllocationRequest

STOCK = 64
"""Files of one kind that a node has leave for ahead; more are asked for when half of them are used."""

KINDS = 256
"""Kinds of files that it has leave for."""

LENT = 4 * STOCK * KINDS
"""What the Master remembers of one node at most: it forgets what was lent first."""

NOT_SO = 5.0
"""Seconds for which a node does not ask again where the Master lends nothing."""


class LoanCalls(Remote):
    """What a node asks the Master."""

    prefix = "loans."

    @call(repeatable=True)
    async def lend(self, request: AllocationRequest, count: int) -> tuple[Allocation, ...]:
        """As `IOffice.lend`."""

    @call
    async def name(self, request: AllocationRequest, receipt: Receipt) -> Entry | None:
        """As `IOffice.name`, of what was lent to this node. None, too, where it was not, or was used before."""


class LoanDesk:
    """Answers the `LoanCalls` of one node, from its first question to its restart."""

    def __init__(self, office: IOffice, node: str) -> None:
        self._office = office
        self._node = node
        self._lent: OrderedDict[int, Allocation] = OrderedDict()

    async def lend(self, request: AllocationRequest, count: int) -> tuple[Allocation, ...]:
        self._check(request)
        lent = tuple(await self._office.lend(request, min(count, STOCK)))
        for each in lent:
            self._lent[each.id] = each
        while len(self._lent) > LENT:
            self._lent.popitem(last=False)
        return lent

    async def name(self, request: AllocationRequest, receipt: Receipt) -> Entry | None:
        self._check(request)
        allocation = self._lent.pop(receipt.segment, None)
        if allocation is None:
            return None
        entry: Entry | None = await self._office.name(request, allocation, receipt)
        return entry

    def _check(self, request: AllocationRequest) -> None:
        if request.origin.node != self._node or request.part is not None:
            raise NotPermitted(f"node {self._node} asks for another")


Kind = tuple[str, str, tuple[str, ...], tuple[str, ...]]
"""A destination, a protocol, the digests that are asked for, and those that are announced: by these the Master says which are
computed."""


@define
class Shelf:
    """What there is for files of one kind. Nothing is asked for before `not_before`."""

    allocations: deque[Allocation] = Factory(deque)
    asking: bool = False
    not_before: float = 0.0


@implementer(ILender)
class Stock:
    """A node's end. `now` are seconds; `linked` says whether the Master can be reached.

    `in_doubt` is told of bytes that stay, and of which it is not known whether the Master has named them.
    """

    log = Logger()

    def __init__(self, link: Asker, now: Callable[[], float]) -> None:
        self.linked: Callable[[], bool] = lambda: True
        self.in_doubt: Callable[[StoredSegment], None] = lambda found: None
        self._calls = LoanCalls(link)
        self._now = now
        self._shelves: OrderedDict[Kind, Shelf] = OrderedDict()
        self._given: dict[int, Loan] = {}

    def clear(self) -> None:
        """A Master is there, perhaps another one than before, which would not know what was lent."""
        self._shelves.clear()

    def lends(self, request: AllocationRequest) -> bool:
        if not self.linked():
            return False
        kinds = [shelf for kind, shelf in self._shelves.items() if kind[0] == request.destination]
        return not kinds or any(shelf.allocations or self._now() >= shelf.not_before for shelf in kinds)

    def lend(self, request: AllocationRequest) -> Loan | None:
        if request.size is None or not 0 < request.size < SMALL_FILE or not self.linked():
            return None
        shelf = self._shelf(request)
        if len(shelf.allocations) <= STOCK // 2 and not shelf.asking and self._now() >= shelf.not_before:
            shelf.asking = True
            Deferred.fromCoroutine(self._ask(shelf, request)).addErrback(self._not_lent, shelf)
        if not shelf.allocations:
            return None
        allocation = shelf.allocations.popleft()
        loan = self._given[allocation.id] = Loan(request, allocation)
        return loan

    def ended(self, loan: Loan) -> None:
        self._given.pop(loan.allocation.id, None)
        if loan.undecided is not None:
            place = loan.allocation.placements[0]
            self.in_doubt(StoredSegment(loan.allocation.id, place.volume, loan.request.size or 0))

    async def named(self, receipt: Receipt) -> bool:
        """Whether a file was stored by what was lent: then the Master has named it. Raises what it says instead.

        `PreconditionFailed` where it is to be asked for as always, `Unavailable` where it is not known what the Master did.
        """
        loan = self._given.get(receipt.segment)
        if loan is None:
            return False
        try:
            loan.entry = await self._calls.name(loan.request, receipt)
        except (ConnectionLost, NoSpace, Stalled, Unavailable) as refusal:
            # A Master without space may have taken the commit; who stored the bytes takes that word for a plain no.
            loan.undecided = refusal
            raise Unavailable(refusal.detail) from refusal
        except Refusal:
            raise
        except Exception:
            loan.undecided = Unavailable()  # Such as for an answer that can't be read: it may have been named.
            raise
        if loan.entry is None:
            self._shelves.pop(_kind(loan.request), None)
            raise PreconditionFailed("what was lent is not good any more")
        return True

    def _shelf(self, request: AllocationRequest) -> Shelf:
        kind = _kind(request)
        shelf = self._shelves.get(kind)
        if shelf is None:
            shelf = self._shelves[kind] = Shelf()
            if len(self._shelves) > KINDS:
                self._shelves.popitem(last=False)
        self._shelves.move_to_end(kind)
        return shelf

    async def _ask(self, shelf: Shelf, request: AllocationRequest) -> None:
        lent = await self._calls.lend(request, STOCK - len(shelf.allocations))
        shelf.asking = False
        shelf.allocations.extend(lent)
        if not lent:
            shelf.not_before = self._now() + NOT_SO

    def _not_lent(self, failure: Failure, shelf: Shelf) -> None:
        shelf.asking = False
        shelf.not_before = self._now() + NOT_SO
        if not isinstance(failure.value, Refusal):
            self.log.failure("nothing could be lent", failure)


def _kind(request: AllocationRequest) -> Kind:
    return request.destination, request.origin.protocol, request.terms.digests, tuple(sorted(request.terms.expected))
