"""Bytes that nothing names: which copies are to be deleted, and the loop that has them deleted.

Who tells whom: the writer puts copies on the list, in the transaction that takes their last name away; the loop asks
the mover of each that is due to delete it, and takes it off the list when the mover has. A crash in between deletes
again, which is no error. What a volume can't delete, for it has failed, is asked for again a while later, behind the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import partial

from sqlalchemy import delete, func, select, update
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ecpds.errors import Refusal
from ecpds.interfaces import IMoverControl
from ecpds.master import ids
from ecpds.master.movers import Movers
from ecpds.master.reader import Reader
from ecpds.master.schema import dead, reclaim, segment
from ecpds.master.shared import Rounds
from ecpds.master.sql import Session, Statement, insert_into, limited, value
from ecpds.master.writer import Writer
from ecpds.model import Copy, StoredSegment

LOOK = 1.0
"""Seconds between two looks at the list."""

AGAIN = 60.0
"""Seconds until a volume that could not delete is asked again."""

COMING_BACK = 1_000_000
"""DataFileIDs: an upload may go on under a Master that was started anew until so many more were reserved."""

AT_A_TIME = 500
"""Copies that one mover is asked to delete at a time."""

_KNOWN = Statement(select(segment.c.id).where(segment.c.id == value("segment")))
_STILL_READ = Statement(select(reclaim.c.due).where(reclaim.c.segment == value("segment"), reclaim.c.due > value("now")))
_LISTED_COPY = Statement(
    select(reclaim.c.due).where(
        reclaim.c.segment == value("segment"), reclaim.c.mover == value("mover"), reclaim.c.volume == value("volume")
    )
)
_LIST = Statement(insert_into(reclaim))
_ALL_DUE = Statement(update(reclaim).values(due=value("now")))
_DUE = Statement(
    limited(
        select(reclaim.c.segment, reclaim.c.volume)
        .where(reclaim.c.mover == value("mover"), reclaim.c.due <= value("now"))
        .order_by(reclaim.c.due)
    )
)
_here = (reclaim.c.segment == value("of_segment"), reclaim.c.mover == value("on_mover"), reclaim.c.volume == value("on_volume"))
_DONE = Statement(delete(reclaim).where(*_here))
_POSTPONE = Statement(update(reclaim).where(*_here).values(due=value("later")))
_BACKLOG = Statement(select(func.count()).select_from(reclaim))
_IS_DEAD = Statement(select(dead.c.segment).where(dead.c.segment == value("segment")))
_MARK = Statement(insert_into(dead))
_BURY = Statement(delete(dead).where(dead.c.segment < value("below")))
_BURY_UNUSED = Statement(delete(dead).where(dead.c.segment >= value("first")))
_LISTED = Statement(select(reclaim.c.segment).where(reclaim.c.segment == value("segment")))


def begin(session: Session) -> range:
    """At the start everything on the list is due. Returns the ids whose uploads may still be under way somewhere.

    Of those, what is dead stays so: an upload that an earlier Master allocated must not be committed without its bytes.
    """
    next_ = ids.next_id(session)
    earlier = range(max(1, next_ - COMING_BACK), next_)
    session.run(_ALL_DUE, now=0.0)
    session.run(_BURY, below=earlier.start)
    session.run(_BURY_UNUSED, first=next_)
    return earlier


def is_known(session: Session, segment: int) -> bool:
    """Whether a data file or an upload in parts has it."""
    return session.row(_KNOWN, segment=segment) is not None


def is_listed(session: Session, segment: int) -> bool:
    """Whether a copy of it is to be deleted, now or later."""
    return session.row(_LISTED, segment=segment) is not None


def mark_dead(session: Session, found: Collection[int], now: float) -> list[int]:
    """Those of the segments that no data file or upload has; they are dead from now on.

    One that is on the list and not due yet is left to the loop, for somebody may hold a ticket to read it.
    """
    nobodys = [
        each for each in found if not session.row(_KNOWN, segment=each) and not session.row(_STILL_READ, segment=each, now=now)
    ]
    for each in nobodys:
        if not session.row(_IS_DEAD, segment=each):
            session.run(_MARK, segment=each)
    return nobodys


def discard(session: Session, segment: int, copies: Collection[Copy]) -> None:
    """Put the copies of a segment on the list, due at once, unless a data file has it after all."""
    if session.row(_KNOWN, segment=segment):
        return
    for each in copies:
        if not session.row(_LISTED_COPY, segment=segment, mover=each.mover, volume=each.volume):
            session.run(_LIST, segment=segment, mover=each.mover, volume=each.volume, due=0.0)


def backlog(session: Session) -> int:
    """How many copies are on the list, due or not."""
    return int(session.rows(_BACKLOG)[0][0])


def take_off(session: Session, mover: str, deleted: Sequence[StoredSegment]) -> None:
    session.run_many(_DONE, [_place(mover, each) for each in deleted])


def postpone(session: Session, mover: str, left: Sequence[StoredSegment], later: float) -> None:
    """What could not be deleted is due again at that time."""
    session.run_many(_POSTPONE, [{**_place(mover, each), "later": later} for each in left])


def _place(mover: str, stored: StoredSegment) -> dict[str, int | str]:
    return {"of_segment": stored.segment, "on_mover": mover, "on_volume": stored.volume}


class Reclaim:
    """Has the copies that are due deleted, and takes on what uploads leave behind."""

    log = Logger()

    def __init__(self, reader: Reader, writer: Writer, movers: Movers, clock: IReactorTime) -> None:
        self._reader = reader
        self._writer = writer
        self._movers = movers
        self._clock = clock
        self._discarded: list[tuple[int, tuple[Copy, ...]]] = []
        self._stopping = False
        self._work = Rounds("deleting what nothing names", self._round, clock)

    def start(self) -> None:
        self._work.start(LOOK, now=False)

    async def stop(self) -> None:
        """What came to nothing by now is on the list; returns when nobody is being asked any more."""
        self._stopping = True
        self._work.end()
        if self._work.running:
            await self._work.begin()
        if self._discarded:
            await self._work.begin()

    def discard(self, segment: int, copies: Iterable[Copy]) -> None:
        """An upload came to nothing: have its copies deleted now, or later where that can't be."""
        self._discarded.append((segment, tuple(copies)))
        if not self._work.running:
            self._work.begin()

    async def _round(self) -> None:
        while self._discarded:
            await self._take_on(self._discarded[:AT_A_TIME])
        # All at once: one that is slow to answer holds up no other's.
        await gatherResults([ensureDeferred(self._delete(name, control)) for name, control in self._movers.controls.items()])

    async def _take_on(self, discarded: Sequence[tuple[int, tuple[Copy, ...]]]) -> None:
        def operation(session: Session) -> None:
            for id_, copies in discarded:
                discard(session, id_, copies)

        await self._writer.run(operation)
        del self._discarded[: len(discarded)]

    async def _delete(self, name: str, control: IMoverControl) -> None:
        """All that is due on one mover; no more than some of it where nothing could be deleted."""
        question = partial(self._reader.rows, _DUE, mover=name, limit=AT_A_TIME)
        going_on = self._movers.is_present(name)
        try:
            while going_on and not self._stopping and (due := await question(now=self._clock.seconds())):
                found = [StoredSegment(segment, volume) for segment, volume in due]
                going_on = await self._deleted(name, control, found) or await self._delete_by_volume(name, control, found)
        except Refusal as refusal:
            self.log.warn("what mover {name} has deleted was not noted: {refusal}", name=name, refusal=refusal)
        except Exception:
            self.log.failure("mover {name} failed to delete", name=name)

    async def _delete_by_volume(self, name: str, control: IMoverControl, found: Sequence[StoredSegment]) -> bool:
        """Whether any of them can delete now; one that can't is asked again later."""
        any_deleted = False
        for volume in sorted({each.volume for each in found}):
            some = [each for each in found if each.volume == volume]
            if await self._deleted(name, control, some):
                any_deleted = True
            else:
                later = self._clock.seconds() + AGAIN
                await self._writer.run(partial(postpone, mover=name, left=some, later=later))
        return any_deleted

    async def _deleted(self, name: str, control: IMoverControl, found: Sequence[StoredSegment]) -> bool:
        """Whether a mover has deleted these."""
        try:
            await control.delete(found)
        except Refusal as refusal:
            self.log.warn("mover {name} can't delete now: {refusal}", name=name, refusal=refusal)
            return False
        await self._writer.run(partial(take_off, mover=name, deleted=found))
        return True
