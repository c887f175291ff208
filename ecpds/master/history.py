"""The history: every record in the catalogue too, so that operators can ask for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import ClassVar

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ecpds.errors import Refusal
from ecpds.events import Event
from ecpds.interfaces import IEventSink
from ecpds.master import days
from ecpds.master.shared import Shared
from ecpds.master.sql import Session
from ecpds.master.writer import Writer

GROUP = 500
"""Records that are written with one commit at most."""

REST = 0.1
"""Seconds between two commits of records, unless somebody asks."""

QUEUE = 20_000
"""Records that wait to be written at most; a record for which there is no room is counted and dropped."""

_COLUMNS = {"user": "UserId", "destination": "DestinationName", "path": "FileName", "status": "Status"}


def _text(event: Event, field: str) -> str:
    """A field as a column; what is not text a database takes (NUL, a name that no door could decode) is escaped."""
    text = str(event.fields.get(field, ""))
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def _row(event: Event) -> Mapping[str, float | str]:
    return {
        "time": event.time,
        "type": event.type,
        **{column: _text(event, field) for column, field in _COLUMNS.items()},
        "fields": event.fields_text,
    }


@frozen
class Records:
    """Write records into the catalogue, as rows of a day's table. Run by the writer, on whose time rows are made.

    `now` is the day that it is by the clock, `written` the last one that is known to be written to (0: none), and `keep` how
    many days are kept (0: all). Returns the day that they were written to: days never go back, so that numbers don't,
    whatever is done to the clock.
    """

    log: ClassVar = Logger()

    events: tuple[Event, ...]
    now: int
    written: int
    keep: int

    def __call__(self, session: Session) -> int:
        today = max([self.now, *days.days(session)[-1:]])
        if today != self.written:
            self._purge(session)
        days.add(session, today, [_row(event) for event in self.events])
        return today

    def _purge(self, session: Session) -> None:
        dropped = days.purge(session, self.now - self.keep) if self.keep else 0
        if dropped:
            self.log.info("{count} days of the history were dropped", count=dropped)


@implementer(IEventSink)
class History:
    """Writes records in groups, behind everybody's back; a group that can't be written is tried again with the next."""

    log = Logger()

    def __init__(self, writer: Writer, clock: IReactorTime, keep: int, heard: Callable[[Event], None]) -> None:
        """`keep` is how many days of records are kept; 0: all. `heard` is told of each record at once."""
        self._writer = writer
        self._clock = clock
        self._keep = keep
        self._heard = heard
        self._day = 0
        self._queue: deque[Event] = deque()
        self._write = Shared("writing the history", self._write_all)
        self._resting: IDelayedCall | None = None
        self._taken = self._written = 0
        """How many were taken from the queue since the start, and how many of these are written."""
        self._waiting: list[tuple[int, Deferred[None]]] = []
        self.dropped = 0

    def record(self, event: Event) -> None:
        self._heard(event)
        if len(self._queue) >= QUEUE:
            if self.dropped == 0:
                self.log.error("the history can't be written; records are left out of it")
            self.dropped += 1
            return
        self._queue.append(event)
        if not self._write.running and self._resting is None:
            self._write.begin()

    async def flush(self) -> None:
        """Wait until what is queued is written, or could not be."""
        self._wake()
        if self._queue or self._write.running:
            await self._write.begin()

    async def catch_up(self) -> None:
        """Wait until what is queued by now is written, or could not be, however much is recorded meanwhile."""
        mark = self._taken + len(self._queue)
        if mark <= self._written:
            return
        waiter: Deferred[None] = Deferred()
        self._waiting.append((mark, waiter))
        self._wake()
        self._write.begin().addCallback(lambda _: self._tell(mark))
        await waiter

    def _tell(self, mark: int) -> None:
        """Those who wait for no more than that."""
        told = [waiter for each, waiter in self._waiting if each <= mark]
        self._waiting = [each for each in self._waiting if each[0] > mark]
        for waiter in told:
            waiter.callback(None)

    def _wake(self) -> None:
        resting, self._resting = self._resting, None
        if resting is not None and resting.active():
            resting.cancel()

    def _rested(self) -> None:
        self._resting = None
        if self._queue:
            self._write.begin()

    async def _write_all(self) -> None:
        """Then rest, so that a busy Master writes many at a time."""
        while self._queue:
            await self._write_group([self._queue.popleft() for _ in range(min(GROUP, len(self._queue)))])
            self._tell(self._written)
        self._wake()
        self._resting = self._clock.callLater(REST, self._rested)

    async def _write_group(self, group: list[Event]) -> None:
        self._taken += len(group)
        try:
            self._day = await self._writer.run(self._records(group))
        except Refusal:
            self._queue.extendleft(reversed(group))
            self._taken -= len(group)
            raise
        self._written = self._taken

    def _records(self, group: list[Event]) -> Records:
        now = int(self._clock.seconds() // days.DAY)
        return Records(tuple(group), now, self._day, self._keep)
