"""A whole catalogue from one engine to another, while no Master has either.

One transaction reads and one writes, so the target holds all of it or nothing. Both engines are locked as a Master
would lock them: a node that is running keeps its catalogue to itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Boolean, Select, Table, bindparam, func, insert, select, text

from ecpds.master import days
from ecpds.master.engine import CatalogueError, Engine
from ecpds.master.schema import directory, history_day, holding
from ecpds.master.sql import Session, Statement
from ecpds.master.tables import metadata

PIECE = 5000
"""Rows that are in memory at a time."""

TABLES = [table for table in metadata.sorted_tables if table not in (history_day, holding)]
"""All that are copied whole; what is held is counted again."""


def move(source: Engine, target: Engine) -> int:
    """Copy all of the catalogue of `source` to `target`, which is made; both are closed now and again afterwards.

    Says how many rows there were. Raises `CatalogueError`, also where there is no `source`.
    """
    source.open(making=source.must_be_there)
    try:
        target.open()
        try:
            return _move(source, target)
        finally:
            target.close()
    finally:
        source.close()


def _move(source: Engine, target: Engine) -> int:
    try:
        reading, writing = source.writing_session(), target.writing_session()
        try:
            reading.command(source.begin)
            writing.command(target.begin)
            moved = _move_rows(reading, writing, target)
            writing.command("COMMIT")
        finally:
            writing.close()
            reading.close()
    except (source.errors, target.errors) as error:
        raise CatalogueError(f"{source.name} was not copied to {target.name}: {' '.join(str(error).split())}") from error
    return moved


def _move_rows(reading: Session, writing: Session, target: Engine) -> int:
    for table in metadata.sorted_tables:
        if writing.row(Statement(select(table).limit(1))) is not None:
            raise CatalogueError(f"{target.name}: that catalogue is not empty")
    moved = sum(_move_table(reading, writing, table) for table in TABLES)
    for day in days.days(reading):
        days.add(writing, day, ())
        moved += _move_table(reading, writing, days.table_of(day))
    if not target.is_near:
        _count_on(writing)
    return moved


def _move_table(reading: Session, writing: Session, table: Table) -> int:
    asked: Select[Any] = select(*table.columns)
    if table is directory:
        # What is below a directory comes after it: its path is a longer one that begins the same.
        asked = asked.order_by(table.c.destination, table.c.path)
    add = Statement(insert(table).values({column.name: bindparam(f"new_{column.name}") for column in table.columns}))
    moved = 0
    for piece in _pieces(reading, Statement(asked)):
        writing.run_many(add, [_values(table, row) for row in piece])
        moved += len(piece)
    return moved


def _pieces(session: Session, statement: Statement) -> Iterator[list[Any]]:
    cursor = session.walk(statement)
    while piece := cursor.fetchmany(PIECE):
        yield piece


def _values(table: Table, row: Any) -> Mapping[str, Any]:
    """SQLite keeps true and false as numbers."""
    return {
        f"new_{column.name}": bool(found) if isinstance(column.type, Boolean) else found
        for column, found in zip(table.columns, row, strict=True)
    }


def _count_on(session: Session) -> None:
    """Let the sequences of PostgreSQL's tables go on behind what was copied; SQLite's do that by themselves."""
    for table in (*TABLES, *(days.table_of(day) for day in days.days(session))):
        column = table.autoincrement_column
        if column is not None:
            name = func.pg_get_serial_sequence(text(f"'\"{table.name}\"'"), text(f"'{column.name}'"))
            session.rows(Statement(select(func.setval(name, func.max(column))).having(func.max(column).is_not(None))))
