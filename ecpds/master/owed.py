"""Digests that are owed: those that a destination wants of a file after its commit, until they are there.

A row is written with the file's name, in one transaction, and goes with the digests. A file may be gone before its
turn comes: then nothing is owed any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, Table, delete, func, select, union_all

from ecpds.master import files
from ecpds.master.schema import directory, entry, owed, standby
from ecpds.master.sql import Session, Statement, insert_into, limited, value
from ecpds.model import DataFile

Place = tuple[int, str]
"""A destination, and a path in it."""

_OWE = Statement(insert_into(owed))
_OWED = Statement(select(owed.c.digests).where(owed.c.data_file == value("file")))
_PAGE = Statement(limited(select(owed.c.data_file).where(owed.c.data_file > value("after")).order_by(owed.c.data_file)))
_PAID = Statement(delete(owed).where(owed.c.data_file == value("file")))
_COUNT = Statement(select(func.count()).select_from(owed))


def _names_in(names: Table) -> Select[Any]:
    return (
        select(directory.c.destination, directory.c.path, names.c.name)
        .select_from(names.join(directory, directory.c.id == names.c.directory))
        .where(names.c.data_file == value("file"))
    )


_PLACES = Statement(union_all(_names_in(entry), _names_in(standby)))


def owe(session: Session, owing: Sequence[tuple[int, Sequence[str]]]) -> None:
    """Note that digests of files are to be computed."""
    session.run_many(_OWE, [{"data_file": file, "digests": ",".join(names)} for file, names in owing])


def is_owed(session: Session, file: int) -> bool:
    return session.row(_OWED, file=file) is not None


def debt(session: Session, file: int) -> tuple[DataFile | None, tuple[str, ...]]:
    """The file, if it is there, and which of its digests are still to be computed."""
    row = session.row(_OWED, file=file)
    found = files.by_id(session, file) if row is not None else None
    if row is None or found is None:
        return None, ()
    return found, tuple(name for name in row[0].split(",") if name not in found.digests)


def pay(session: Session, file: int, digests: Mapping[str, str]) -> Sequence[Place]:
    """Note the digests of a file, if it is there, and that nothing is owed for it any more. Returns where it is."""
    found = files.by_id(session, file)
    if found is not None and digests:
        files.set_digests(session, file, {**digests, **found.digests})
    session.run(_PAID, file=file)
    return places(session, file)


def page(session: Session, after: int, limit: int) -> list[int]:
    """Up to `limit` files with a higher id than `after` for which something is owed."""
    return [row[0] for row in session.rows(_PAGE, after=after, limit=limit)]


def count(session: Session) -> int:
    """For how many files something is owed."""
    return int(session.rows(_COUNT)[0][0])


def places(session: Session, file: int) -> list[Place]:
    """Where a file is: its names."""
    rows = session.rows(_PLACES, file=file)
    return [(destination, f"{path}/{name}" if path else name) for destination, path, name in rows]
