"""Leave to store a small file that a node has before it is needed, so that its put asks the Master once.

Who tells whom: a node that puts small files into a destination asks the Master for a few allocations ahead, at its own volumes
(`IOffice.lend`). A file is then stored at that node by one of them, as any; and what tells the Master of the receipt tells it
of the request, too (`IOffice.name`). The Master checks all that it would have checked before, and commits. What it does not
name so, for something is in the way or is not as it was, has left nothing, and is asked for as always.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define
from zope.interface import Interface

from ecpds.errors import Refusal
from ecpds.model import Allocation, Entry, Receipt
from ecpds.terms import AllocationRequest


@define(eq=False)
class Loan:
    """One small file, and the leave that is used for it. Its one placement is the node's own."""

    request: AllocationRequest
    allocation: Allocation
    entry: Entry | None = None
    """What it is called, once the Master has named it."""
    undecided: Refusal | None = None
    """Why it is not known whether the Master has named it, where it was told of it."""


class ILender(Interface):
    """What has leave ahead, at a node whose Master is elsewhere."""

    def lends(request: AllocationRequest) -> bool:
        """Whether such a small file may be put so, as far as is known."""

    def lend(request: AllocationRequest) -> Loan | None:
        """Leave for a whole file of a known size. The file is stored at this node as any is, which names it; then `ended`."""

    def ended(loan: Loan) -> None:
        """The file is named, or it came to nothing."""


class IOffice(Interface):
    """What gives leave ahead: a Master, in its own process."""

    async def lend(request: AllocationRequest, count: int) -> Sequence[Allocation]:
        """Leave for so many files like this one at the node that it comes from; none where such files go elsewhere.

        Raises `Unavailable` where no ids can be had.
        """

    async def name(request: AllocationRequest, allocation: Allocation, receipt: Receipt) -> Entry | None:
        """Publish a file that is stored by such leave, once: the caller sees to that. None: it is to be asked for as always.

        Raises what `IMaster.allocate` and `IMaster.finish` do.
        """
