"""What the catalogue knows of copies that are damaged, and what becomes of them.

Who tells whom: a mover asks which copies it should have, a page at a time in the order of segments, and reads them (its
`mover.scrub`). Of those that are damaged it tells us, and of those whole again that were marked. The writer marks a copy in one
transaction in which it asks whether that copy is still there: what was deleted or moved while it was read is nobody's damage.
From then on no question for a file answers with that copy, so readers are given another, or refused where there is none
(`Corrupt`); a copy that is only marked stays what it is, and its bytes are deleted with its file.

A page is a stretch of the segments' index and of the copies', of all movers: those of others are passed over. So a round of
one mover reads each row once, a round of all movers as often as there are movers; an index by mover would spare that, and make
every upload dearer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

from attrs import evolve, frozen
from sqlalchemy import func, select, tuple_, update
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ecpds.errors import IsADirectory, NotFound, Unavailable
from ecpds.events import damage_event
from ecpds.interfaces import IEventSink, IMoverControl
from ecpds.limits import Limits
from ecpds.master import owed
from ecpds.master.cache import ResolveCache
from ecpds.master.files import unpacked
from ecpds.master.history import History
from ecpds.master.movers import Movers
from ecpds.master.reader import Reader
from ecpds.master.roster import Place
from ecpds.master.schema import copy, data_file, segment
from ecpds.master.sql import Session, Statement, limited, value
from ecpds.model import Destination, Entry
from ecpds.scrubbing import Checked, CopyPage, DamagedCopy, HeldCopy, Verdict

T = TypeVar("T")

_HELD = (segment.c.id, copy.c.volume, segment.c.length, segment.c.digests, data_file.c.size, data_file.c.digests, copy.c.damage)
_with_file = copy.join(segment, segment.c.id == copy.c.segment).outerjoin(data_file, data_file.c.id == segment.c.data_file)

_STRETCH = Statement(limited(select(segment.c.id).where(segment.c.id > value("after")).order_by(segment.c.id)))
_HELD_IN = Statement(
    select(*_HELD)
    .select_from(_with_file)
    .where(copy.c.segment > value("after"), copy.c.segment <= value("last"), copy.c.mover == value("mover"))
    .order_by(copy.c.segment, copy.c.volume)
)
_HELD_OF = Statement(
    select(copy.c.mover, *_HELD)
    .select_from(_with_file)
    .where(segment.c.data_file == value("file"))
    .order_by(segment.c.number, copy.c.mover, copy.c.volume)
)
_here = (copy.c.segment == value("of_segment"), copy.c.mover == value("on_mover"), copy.c.volume == value("on_volume"))
_KNOWN = Statement(
    select(copy.c.damage, segment.c.data_file, segment.c.length)
    .select_from(copy.join(segment, segment.c.id == copy.c.segment))
    .where(*_here)
)
_MARK = Statement(update(copy).where(*_here).values(found=value("since"), damage=value("what")))
_DAMAGED = Statement(
    limited(
        select(copy.c.segment, copy.c.mover, copy.c.volume, copy.c.found, copy.c.damage, segment.c.data_file)
        .select_from(copy.join(segment, segment.c.id == copy.c.segment))
        .where(copy.c.damage.is_not(None))
        .where(tuple_(copy.c.segment, copy.c.mover, copy.c.volume) > tuple_(value("first"), value("mover"), value("volume")))
        .order_by(copy.c.segment, copy.c.mover, copy.c.volume)
    )
)
_COUNTS = Statement(select(copy.c.mover, func.count()).where(copy.c.damage.is_not(None)).group_by(copy.c.mover))


@frozen
class Judged:
    """What became of a verdict on a copy that is there: whether that is new, and of which file it is, and under which names."""

    verdict: Verdict
    is_new: bool
    file: int | None
    length: int
    places: Sequence[owed.Place]


def page(session: Session, mover: str, after: int, limit: int) -> CopyPage:
    """The copies that a mover should have of the next `limit` segments."""
    stretch = session.rows(_STRETCH, after=after, limit=limit)
    if not stretch:
        return CopyPage((), None)
    last = stretch[-1][0]
    found = session.rows(_HELD_IN, after=after, last=last, mover=mover)
    return CopyPage(tuple(_held(*row) for row in found), last if len(stretch) == limit else None)


def of_file(session: Session, file: int) -> list[tuple[str, HeldCopy]]:
    """All copies of a file's segments, damaged ones too, and on which mover each is."""
    return [(mover, _held(*row)) for mover, *row in session.rows(_HELD_OF, file=file)]


def _held(id_: int, volume: int, length: int, own: str | None, size: int | None, of_file: str, damage: str | None) -> HeldCopy:
    """The digests of a segment are its own, or the file's whose whole content it is."""
    digests = dict(unpacked(own)) if own is not None else {}
    if size == length:
        digests |= unpacked(of_file)
    return HeldCopy(id_, volume, length, digests, damage)


def judge(session: Session, mover: str, verdicts: Sequence[Verdict], now: float) -> list[Judged]:
    """Mark the copies that are damaged, and no longer those that are whole. What is gone by now is left out."""
    return [judged for each in verdicts if (judged := _judge(session, mover, each, now)) is not None]


def _judge(session: Session, mover: str, verdict: Verdict, now: float) -> Judged | None:
    here = {"of_segment": verdict.segment, "on_mover": mover, "on_volume": verdict.volume}
    row = session.row(_KNOWN, **here)
    if row is None:
        return None
    known, file, length = row
    if (known is None) == (verdict.damage is None):
        return Judged(verdict, False, file, length, ())
    session.run(_MARK, **here, since=now if verdict.damage is not None else None, what=verdict.damage)
    return Judged(verdict, True, file, length, owed.places(session, file) if file is not None else ())


def damaged(session: Session, after: Place, limit: int) -> list[tuple[DamagedCopy, Sequence[owed.Place]]]:
    """Up to `limit` damaged copies behind one, without their paths, and the names that they are of."""
    first, where, place = after
    return [
        (DamagedCopy(id_, mover, volume, "", found, damage), owed.places(session, file) if file is not None else ())
        for id_, mover, volume, found, damage, file in session.rows(
            _DAMAGED, first=first, mover=where, volume=place, limit=limit
        )
    ]


def counts(session: Session) -> dict[str, int]:
    """How many copies are known to be damaged, by mover."""
    return {mover: int(count) for mover, count in session.rows(_COUNTS)}


class IsMaster(Protocol):
    """What this needs of the Master."""

    clock: IReactorTime
    history: History
    limits: Limits
    movers: Movers
    reader: Reader
    resolved: ResolveCache

    def destinations(self) -> Sequence[Destination]: ...

    async def resolve(self, destination: str, path: str, waiting: bool = False) -> Entry: ...

    async def change(self, operation: Callable[[Session], T], then: Callable[[T], None]) -> T:
        """Change the catalogue, and then what is kept in memory."""


class Scrubbing:
    """`sink` hears of each copy that is found damaged."""

    log = Logger()

    def __init__(self, master: IsMaster) -> None:
        self._master = master
        self.sink: IEventSink = master.history

    async def page(self, mover: str, after: int, limit: int) -> CopyPage:
        limit = max(1, min(limit, self._master.limits.listing_page))
        return await self._master.reader.ask_on_thread(partial(page, mover=mover, after=after, limit=limit))

    async def judge(self, mover: str, verdicts: Sequence[Verdict]) -> Collection[int]:
        now = self._master.clock.seconds()
        operation = partial(judge, mover=mover, verdicts=verdicts, now=now)
        there = await self._master.change(operation, partial(self._tell, mover))
        return frozenset(each.verdict.segment for each in there)

    def _tell(self, mover: str, there: Sequence[Judged]) -> None:
        for each in there:
            for place, path in each.places:
                self._master.resolved.drop(place, path)
            if each.is_new and each.verdict.damage is not None:
                self._record(mover, each)
            elif each.is_new:
                self.log.info("segment {segment} on {mover} is whole again", segment=each.verdict.segment, mover=mover)

    def _record(self, mover: str, judged: Judged) -> None:
        place, path = judged.places[0] if judged.places else (0, "")
        name, verdict = self._names().get(place, ""), judged.verdict
        damage = f"copy of segment {verdict.segment} on volume {verdict.volume}: {verdict.damage}"
        self.log.error("/{name}/{path} is damaged on {mover}: {damage}", name=name, path=path, mover=mover, damage=damage)
        now = self._master.clock.seconds()
        self.sink.record(damage_event(now, name, path, judged.file, judged.length, mover, damage))

    def _names(self) -> Mapping[int, str]:
        return {each.id: each.name for each in self._master.destinations()}

    async def damaged(self, after: Place, limit: int) -> Sequence[DamagedCopy]:
        """Up to `limit` damaged copies behind one, in the order of segments."""
        found = await self._master.reader.ask_on_thread(partial(damaged, after=after, limit=limit))
        names = self._names()
        return [_with_path(each, places, names) for each, places in found]

    async def counts(self) -> Mapping[str, int]:
        """How many copies are known to be damaged on each mover that has any."""
        return await self._master.reader.ask_on_thread(counts)

    async def verify(self, destination: str, path: str) -> Sequence[Checked]:
        """Compare every copy of a file now, and mark what is damaged, or whole again.

        Raises `NotFound`, `IsADirectory`.
        """
        entry = await self._master.resolve(destination, path, waiting=True)
        if entry.file is None:
            raise IsADirectory
        found = await self.check(entry.file.id)
        if not found:
            raise NotFound
        return found

    async def check(self, file: int) -> Sequence[Checked]:
        """As `verify`, of a data file; nothing where it is gone."""
        copies = await self._master.reader.ask_on_thread(partial(of_file, file=file))
        return [await self._check(mover, each) for mover, each in copies]

    async def _check(self, mover: str, held: HeldCopy) -> Checked:
        try:
            verdict = await self._control(mover).check(held)
        except Unavailable as refusal:
            return Checked(mover, held.volume, held.segment, "unchecked", refusal.detail or refusal.sentence)
        await self.judge(mover, [verdict])
        state = "whole" if verdict.damage is None else "damaged"
        return Checked(mover, held.volume, held.segment, state, verdict.damage)

    def _control(self, mover: str) -> IMoverControl:
        if mover not in self._master.movers.controls:
            raise Unavailable(f"mover {mover} is not there")
        return self._master.movers.controls[mover]


def _with_path(found: DamagedCopy, places: Sequence[owed.Place], names: Mapping[int, str]) -> DamagedCopy:
    if not places or places[0][0] not in names:
        return found
    destination, path = places[0]
    return evolve(found, path=f"/{names[destination]}/{path}")


class Scrubbed:
    """A part of `IMaster`: what a mover asks that compares what it has. The attribute is the Master's."""

    scrubbing: Scrubbing

    async def copies_of(self, mover: str, after: int, limit: int) -> CopyPage:
        return await self.scrubbing.page(mover, after, limit)

    async def judged(self, mover: str, verdicts: Sequence[Verdict]) -> Collection[int]:
        return await self.scrubbing.judge(mover, verdicts)
