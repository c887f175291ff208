"""The history's tables, one a day: written to, read across, and dropped whole when they are old.

A record's number says its table and its place in it, so that numbers grow with the days. A record goes to the table of
the day on which it is written, normally that of its time; one that had to wait may be a day late, so questions about a
time look at the following day too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import MetaData, Select, Table, select, update
from sqlalchemy import delete as delete_from
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable

from ecpds.events import Event
from ecpds.master.schema import day_table, history_day
from ecpds.master.sql import Session, Statement, insert_into, limited, value
from ecpds.model import RecordFilter

DAY = 86400.0
"""Seconds."""

SPAN = 10**10
"""Numbers of one day; more records than that it can't have."""

_DAYS = Statement(select(history_day.c.day).where(history_day.c.gone.is_(False)).order_by(history_day.c.day))
_GONE = Statement(select(history_day.c.day).where(history_day.c.gone.is_(True)))
_ADD_DAY = Statement(insert_into(history_day))
_LET_GO = Statement(update(history_day).where(history_day.c.day < value("first")).values(gone=True))
_REMOVE_DAY = Statement(delete_from(history_day).where(history_day.c.day == value("old")))


@lru_cache(1000)
def table_of(day: int) -> Table:
    return day_table(day, MetaData())


@lru_cache(1000)
def _add_to(day: int) -> Statement:
    return Statement(insert_into(table_of(day), "time", "type", "user", "destination", "path", "status", "fields"))


@lru_cache(1000)
def question(day: int, fields: tuple[str, ...], backwards: bool) -> Statement:
    """Records of a day behind or before a place, which are equal in `fields`, within a time."""
    table = table_of(day)
    asked: Select[Any] = select(table.c.id, table.c.type, table.c.time, table.c.fields)
    for name in fields:
        asked = asked.where(table.c[name] == value(name))
    asked = asked.where(table.c.time >= value("since"), table.c.time < value("until"))
    if backwards:
        return Statement(limited(asked.where(table.c.id < value("place")).order_by(table.c.id.desc())))
    return Statement(limited(asked.where(table.c.id > value("place")).order_by(table.c.id)))


def days(session: Session) -> list[int]:
    """Those that have a table, the oldest first."""
    return [day for (day,) in session.rows(_DAYS)]


def add(session: Session, day: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write records to the table of `day`, which is made where it is missing."""
    if day not in days(session):
        _make(session, day)
    session.run_many(_add_to(day), rows)


def _make(session: Session, day: int) -> None:
    session.run(_ADD_DAY, day=day, gone=False)
    session.define(CreateTable(table_of(day)))
    for index in sorted(table_of(day).indexes, key=lambda index: str(index.name)):
        session.define(CreateIndex(index))


def purge(session: Session, first: int) -> int:
    """Let go of the days before `first`, and drop those that were let go of the time before; say how many were dropped.

    Between the two nobody asks a table that has just been looked up and is no longer there.
    """
    gone = [day for (day,) in session.rows(_GONE)]
    for day in gone:
        session.define(DropTable(table_of(day)))
        session.run(_REMOVE_DAY, old=day)
    session.run(_LET_GO, first=first)
    return len(gone)


def newest(session: Session, wanted: RecordFilter, limit: int, before: int | None) -> list[tuple[int, Event]]:
    """Up to `limit` records with numbers below `before`, the newest first."""
    last, place = divmod(before, SPAN) if before is not None else (None, SPAN)
    found: list[tuple[int, Event]] = []
    for day in reversed(_asked(session, wanted)):
        if last is None or day <= last:
            found += _of_day(session, day, wanted, limit - len(found), place if day == last else SPAN, True)
        if len(found) == limit:
            break
    return found


def following(session: Session, wanted: RecordFilter, limit: int, after: int) -> list[tuple[int, Event]]:
    """Up to `limit` records with numbers above `after`, the oldest first."""
    first, place = divmod(after, SPAN)
    found: list[tuple[int, Event]] = []
    for day in _asked(session, wanted):
        if day >= first:
            found += _of_day(session, day, wanted, limit - len(found), place if day == first else 0, False)
        if len(found) == limit:
            break
    return found


def _asked(session: Session, wanted: RecordFilter) -> list[int]:
    """The days that can hold what is wanted."""
    return [
        day
        for day in days(session)
        if (wanted.since is None or (day + 1) * DAY > wanted.since) and (wanted.until is None or (day - 1) * DAY < wanted.until)
    ]


def _of_day(
    session: Session, day: int, wanted: RecordFilter, limit: int, place: int, backwards: bool
) -> Iterator[tuple[int, Event]]:
    equal = wanted.equal()
    values: dict[str, Any] = {
        **equal,
        "since": float("-inf") if wanted.since is None else wanted.since,
        "until": float("inf") if wanted.until is None else wanted.until,
    }
    rows = session.rows(question(day, tuple(equal), backwards), place=place, limit=limit, **values)
    return map(partial(_record, day), rows)


def _record(day: int, row: Any) -> tuple[int, Event]:
    id_, kind, time, fields = row
    return day * SPAN + id_, Event(kind, time, json.loads(fields))
