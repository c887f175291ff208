"""What came of an upload that broke off is kept for its user, also where the Master is started anew in just that moment.

who had the bytes                  Master
  |  keep(id) ----------------------->|  it is to be a part; a Master after the one that allocated it has nothing to note
  |  the mover's receipt ------------>|  committed as a part; bytes of an upload that is not known are left, for a minute
  |  finish(id) --------------------->|
  |<----------------- Unavailable ----|  where it is not known: then the Master is told what it was,
  |  readmit(request, …, keep) ------>|  has the mover read the bytes again, and commits them as a part
"""

from __future__ import annotations

from collections.abc import Mapping

from ecpds.errors import Unavailable
from ecpds.interfaces import IWriteHandle
from ecpds.master_interfaces import IMaster
from ecpds.model import EMPTY, Allocation
from ecpds.terms import AllocationRequest


async def keep_part(
    master: IMaster,
    handle: IWriteHandle,
    request: AllocationRequest,
    allocation: Allocation,
    length: int | None = None,
    expected: Mapping[str, str] = EMPTY,
) -> None:
    """Store what `handle` has, as a part of what is kept for the request's user. Raises as `IWriteHandle.finish` does.

    `Unavailable` where the upload was given up before; then nothing is stored.
    """
    await master.keep(allocation.id)
    receipt = await handle.finish(length, expected)
    try:
        await master.finish(allocation.id)
    except Unavailable:
        await master.readmit(request, allocation, (receipt,), True)
