"""One copy from one mover to another, as the catalogue sees it: three transactions, each safe to be the last.

Before a byte crosses, the copy that is to come stands on the list of bytes to be deleted (`reclaim`), due `NEVER`. The
move takes it off the list, makes it a copy, and puts the old one on the list instead. A move that comes to nothing makes
it due; so does the start of the next Master, for all that is listed. So bytes that no row of `copy` names are deleted,
whoever was killed, and the old copy is there until the new one is the catalogue's.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from sqlalchemy import delete, select, update

from ecpds.errors import Unavailable
from ecpds.master import owed
from ecpds.master.destinations import CRC
from ecpds.master.files import ADD_COPY, unpacked
from ecpds.master.schema import copy, data_file, reclaim, segment
from ecpds.master.sql import Session, Statement, insert_into, value
from ecpds.model import Copy

NEVER = 1e12
"""A time at which nothing is due, in seconds since the epoch: the year 33658."""

_SEGMENT = Statement(
    select(segment.c.data_file, segment.c.length, segment.c.digests, copy.c.mover, copy.c.volume)
    .select_from(segment.join(copy, copy.c.segment == segment.c.id))
    .where(segment.c.id == value("segment"))
    .order_by(copy.c.mover, copy.c.volume)
)
_FILE = Statement(select(data_file.c.size, data_file.c.digests).where(data_file.c.id == value("file")))
_LISTED = Statement(select(reclaim.c.mover).where(reclaim.c.segment == value("segment")))
_WAITING = Statement(
    select(reclaim.c.segment).where(reclaim.c.mover == value("mover"), reclaim.c.due < value("never")).limit(1)
)
_LIST = Statement(insert_into(reclaim))
_here = (reclaim.c.segment == value("segment"), reclaim.c.mover == value("mover"), reclaim.c.volume == value("volume"))
_TAKE_OFF = Statement(delete(reclaim).where(*_here))
_MAKE_DUE = Statement(update(reclaim).where(*_here).values(due=value("now")))
_DROP_COPY = Statement(
    delete(copy).where(copy.c.segment == value("segment"), copy.c.mover == value("mover"), copy.c.volume == value("volume"))
)


@frozen
class Standing:
    """A segment that may be moved. `crc` is its CRC-64/NVME where the catalogue knows it: where it is all of a file, or came
    as a part (since catalogue 0014).

    `barred` are the movers on which something of its id stands, or is still to be deleted. `destination` is None for a
    part of an upload that is not complete.
    """

    segment: int
    length: int
    copies: tuple[Copy, ...]
    crc: str | None
    barred: frozenset[str]
    destination: int | None


def standing(session: Session, segment: int) -> Standing | None:
    """How a segment stands, if it has a copy."""
    rows = session.rows(_SEGMENT, segment=segment)
    if not rows:
        return None
    file, length, digests = rows[0][:3]
    copies = tuple(Copy(mover, volume) for *_, mover, volume in rows)
    crc = unpacked(digests).get(CRC) if digests is not None else None
    row = session.row(_FILE, file=file) if crc is None and file is not None else None
    if row is not None and row[0] == length:
        crc = unpacked(row[1]).get(CRC)
    names = [] if file is None else owed.places(session, file)
    listed = {mover for (mover,) in session.rows(_LISTED, segment=segment)}
    barred = frozenset(listed.union(each.mover for each in copies))
    return Standing(segment, length, copies, crc, barred, names[0][0] if names else None)


def begin(session: Session, segment: int, target: Copy) -> None:
    """Bytes of a segment may come to stand at `target`. Raises `Unavailable` where some already do."""
    found = standing(session, segment)
    if found is None or target.mover in found.barred:
        raise Unavailable(f"segment {segment} was moved or deleted meanwhile")
    session.run(_LIST, segment=segment, mover=target.mover, volume=target.volume, due=NEVER)


def give_up(session: Session, segment: int, target: Copy, now: float) -> None:
    """What came to stand at `target`, or may have, is to be deleted, unless it is a copy by now."""
    session.run(_MAKE_DUE, segment=segment, mover=target.mover, volume=target.volume, now=now)


def settle(session: Session, segment: int, source: Copy, target: Copy, due: float) -> Sequence[owed.Place]:
    """The segment is at `target` in place of `source`, where it is to be deleted at `due`. Returns the names that see it.

    Raises `Unavailable` where the copy at `source` is gone, or what is at `target` was given up.
    """
    row = session.row(_SEGMENT, segment=segment)
    place = {"segment": segment, "mover": target.mover, "volume": target.volume}
    old = {"segment": segment, "mover": source.mover, "volume": source.volume}
    if row is None or not session.run(_DROP_COPY, **old) or not session.run(_TAKE_OFF, **place):
        raise Unavailable(f"segment {segment} was moved or deleted meanwhile")
    session.run(ADD_COPY, **place)
    session.run(_LIST, **old, due=due)
    return owed.places(session, row[0]) if row[0] is not None else ()


def has_to_delete(session: Session, mover: str) -> bool:
    """Whether a mover has bytes that are to be deleted, now or later."""
    return session.row(_WAITING, mover=mover, never=NEVER) is not None
