"""The movers that were ever heard of, and what each is to do: what an operator has said outlives the Master."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from attrs import frozen
from sqlalchemy import delete, select, tuple_, update
from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ecpds.errors import NotFound
from ecpds.master import owed
from ecpds.master.movers import Duty, Movers
from ecpds.master.reader import Reader
from ecpds.master.schema import copy, mover, reclaim, segment
from ecpds.master.sql import Session, Statement, insert_into, limited, value
from ecpds.master.writer import Writer

PAGE = 1000
"""Copies that are looked at in one question."""

_ALL = Statement(select(mover.c.name, mover.c.duty))
_ADD = Statement(insert_into(mover))
_SET = Statement(update(mover).values(duty=value("duty")).where(mover.c.name == value("name")))
_NOTHING_TO_DELETE = Statement(delete(reclaim).where(reclaim.c.mover == value("mover")))
_FILE = Statement(select(segment.c.data_file).where(segment.c.id == value("segment")))
_COPIES = Statement(
    limited(
        select(copy.c.segment, copy.c.mover, copy.c.volume)
        .where(tuple_(copy.c.segment, copy.c.mover, copy.c.volume) > tuple_(value("segment"), value("mover"), value("volume")))
        .order_by(copy.c.segment, copy.c.mover, copy.c.volume)
    )
)


Place = tuple[int, str, int]
"""A copy: segment, mover, volume."""


@frozen
class Held:
    """What a mover still has: copies of segments, and those of them that are the only ones."""

    copies: int
    only: int


def every(session: Session) -> dict[str, Duty]:
    """Every mover's duty, by name."""
    return {name: Duty(duty) for name, duty in session.rows(_ALL)}


def note(session: Session, name: str, duty: Duty) -> None:
    """What a mover is to do from now on."""
    if not session.run(_SET, name=name, duty=duty.value):
        session.run(_ADD, name=name, duty=duty.value)


def forget_reclaim(session: Session, name: str) -> None:
    """Nobody will delete anything on a mover that is not there any more."""
    session.run(_NOTHING_TO_DELETE, mover=name)


def page(session: Session, after: Place) -> list[Place]:
    """Copies behind one, in their order."""
    first, where, volume = after
    return [tuple(row) for row in session.rows(_COPIES, segment=first, mover=where, volume=volume, limit=PAGE)]


def names_of(session: Session, segment: int) -> Sequence[owed.Place]:
    """The names of the file that a segment is of, if it is of one."""
    row = session.row(_FILE, segment=segment)
    return owed.places(session, row[0]) if row is not None and row[0] is not None else ()


class Roster:
    """Keeps the duties of the movers, for which `movers` asks at each placement."""

    log = Logger()

    def __init__(self, reader: Reader, writer: Writer, movers: Movers) -> None:
        self._reader = reader
        self._writer = writer
        self._movers = movers
        self._started = False

    async def start(self) -> None:
        """Read what was said to an earlier Master, and note who was heard of before."""
        kept = await self._reader.ask(every)
        heard = [name for name in self._movers.duties if name not in kept]
        for name, duty in kept.items():
            self._movers.set_duty(name, duty)
        self._started = True
        for name in heard:
            await self.set(name, Duty.OPEN)

    def heard(self, name: str) -> None:
        """A mover is there, perhaps for the first time."""
        if name in self._movers.duties:
            return
        self._movers.set_duty(name, Duty.OPEN)
        if self._started:
            ensureDeferred(self.set(name, Duty.OPEN)).addErrback(self._not_noted, name)

    async def set(self, name: str, duty: Duty) -> None:
        """What a mover is to do from now on. Raises `NotFound`, `Unavailable`."""
        if name not in self._movers.duties:
            raise NotFound(f"mover {name}")
        await self._writer.run(partial(note, name=name, duty=duty))
        self._movers.set_duty(name, duty)

    async def held(self, name: str) -> Held:
        """Count what a mover has. Walks over all copies there are: nobody waits for it but an operator.

        An index by mover would make this quick, and every upload dearer.
        """
        copies = only = 0
        others: list[str] = []
        after: Place = (0, "", 0)
        while found := await self._reader.ask_on_thread(partial(page, after=after)):
            for place in found:
                if place[0] != after[0]:
                    copies, only, others = copies + others.count(name), only + (others == [name]), []
                others.append(place[1])
                after = place
        return Held(copies + others.count(name), only + (others == [name]))

    async def lost(self, name: str, limit: int) -> tuple[int, Sequence[owed.Place]]:
        """How many segments are on this mover alone, and up to `limit` names that need them. Walks as `held` does."""
        count, names = 0, list[owed.Place]()
        segment, movers, after = 0, list[str](), (0, "", 0)

        async def ended() -> None:
            nonlocal count
            if movers and set(movers) == {name}:
                count += 1
                if len(names) < limit:
                    names.extend(await self._reader.ask_on_thread(partial(names_of, segment=segment)))

        while found := await self._reader.ask_on_thread(partial(page, after=after)):
            for after in found:
                if after[0] != segment:
                    await ended()
                    segment, movers = after[0], []
                movers.append(after[1])
        await ended()
        return count, names[:limit]

    async def forget(self, name: str) -> None:
        """A mover gets nothing any more, and is asked for nothing. Raises `NotFound`."""
        await self._writer.run(partial(forget_reclaim, name=name))
        await self.set(name, Duty.RETIRED)

    def _not_noted(self, failure: Failure, name: str) -> None:
        self.log.failure("that there is a mover {name} could not be noted", failure, name=name)
