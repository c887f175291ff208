"""The history: every record in the catalogue too, so that operators can ask for it."""

from __future__ import annotations

import json
from collections import deque
from functools import partial
from typing import Any

from sqlalchemy import select
from twisted.logger import Logger
from zope.interface import implementer

from ecpds.errors import Refusal
from ecpds.events import Event
from ecpds.interfaces import IEventSink
from ecpds.master.schema import history
from ecpds.master.shared import Shared
from ecpds.master.sql import Session, Statement, insert_into, limited, value
from ecpds.master.writer import Writer

GROUP = 500
"""Records that are written with one commit at most."""

QUEUE = 20_000
"""Records that wait to be written at most; a record for which there is no room is counted and dropped."""

_ADD = Statement(insert_into(history, "time", "type", "user", "destination", "path", "status", "fields"))
_newest = select(history.c.id, history.c.type, history.c.time, history.c.fields).where(history.c.id < value("before"))
_ALL = Statement(limited(_newest.order_by(history.c.id.desc())))
_OF_TYPE = Statement(limited(_newest.where(history.c.type == value("type")).order_by(history.c.id.desc())))
_NO_END = 2**62


def newest(session: Session, type_: str | None, limit: int, before: int | None) -> list[tuple[int, Event]]:
    """Up to `limit` records with numbers below `before`, the newest first."""
    values = {"limit": limit, "before": _NO_END if before is None else before}
    rows = session.rows(_OF_TYPE, type=type_, **values) if type_ else session.rows(_ALL, **values)
    return [(id_, Event(kind, time, json.loads(fields))) for id_, kind, time, fields in rows]


def _text(event: Event, field: str) -> str:
    """A field as a column; what is not text a database takes (NUL, a name that no door could decode) is escaped."""
    return str(event.fields.get(field, "")).replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def _row(event: Event) -> dict[str, Any]:
    return {
        "time": event.time,
        "type": event.type,
        "user": _text(event, "UserId"),
        "destination": _text(event, "DestinationName"),
        "path": _text(event, "FileName"),
        "status": _text(event, "Status"),
        "fields": json.dumps(dict(event.fields), default=str),
    }


def _add(session: Session, events: list[Event]) -> None:
    session.run_many(_ADD, map(_row, events))


@implementer(IEventSink)
class History:
    """Writes records in groups, behind everybody's back; a group that can't be written is tried again with the next."""

    log = Logger()

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._queue: deque[Event] = deque()
        self._write = Shared("writing the history", self._write_all)
        self.dropped = 0

    def record(self, event: Event) -> None:
        if len(self._queue) >= QUEUE:
            if self.dropped == 0:
                self.log.error("the history can't be written; records are left out of it")
            self.dropped += 1
            return
        self._queue.append(event)
        if not self._write.running:
            self._write.begin()

    async def flush(self) -> None:
        """Wait until what is queued is written, or could not be."""
        if self._queue or self._write.running:
            await self._write.begin()

    async def _write_all(self) -> None:
        while self._queue:
            group = [self._queue.popleft() for _ in range(min(GROUP, len(self._queue)))]
            try:
                await self._writer.run(partial(_add, events=group))
            except Refusal:
                self._queue.extendleft(reversed(group))
                raise
