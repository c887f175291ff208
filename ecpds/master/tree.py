"""The directories of a destination: find, make, move, and let go of them when they are empty.

Every function runs inside the session's transaction. Directories carry their whole path, so that a
file is found with one look-up however deep it is; a move rewrites the paths of directories and touches no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import ColumnElement, Table, and_, delete, exists, func, or_, select, union_all, update

from ecpds.errors import InvalidName, NotADirectory, NotFound
from ecpds.master.schema import directory, entry, standby
from ecpds.master.sql import ByteLength, Session, Statement, insert_into, limited, value

AFTER_ALL = "\U0010ffff" * 256
"""Behind every name and key: none has so many characters."""

JUST_AFTER = "\x01"
"""A name with this behind it comes right after the name: no name holds a control character."""

PATH_BYTES = 1024
"""A path's length, at most; a directory that moves must leave all paths below it usable."""


def _bytes_in(text: ColumnElement[Any]) -> ColumnElement[int]:
    return ByteLength(text)


_above = directory.alias("above")
_below = directory.alias("below")

ROOM = select(
    _above.c.id,
    select(entry.c.data_file).where(entry.c.directory == _above.c.id, entry.c.name == value("name")).scalar_subquery(),
    exists().where(directory.c.destination == value("destination"), directory.c.path == value("path")),
).where(_above.c.destination == value("destination"), _above.c.path == value("parent"))
"""What `Room` has of a `path`, which is called `name` in `parent`; no row where that is missing."""

ABOVE = _above.c.id
"""Of `ROOM`, the parent's."""

_ROOM = Statement(ROOM)
_DIRECTORY = Statement(
    select(directory.c.id, directory.c.parent, directory.c.implicit, directory.c.created).where(
        directory.c.destination == value("destination"), directory.c.path == value("path")
    )
)
_FOLDERS_IN = Statement(limited(select(directory.c.name).where(directory.c.parent == value("directory"))))
_FILE_NAMED = Statement(
    union_all(
        select(entry.c.data_file).where(entry.c.directory == value("directory"), entry.c.name == value("name")),
        select(standby.c.data_file).where(standby.c.directory == value("directory"), standby.c.name == value("name")),
    )
)
_MAKE = Statement(
    insert_into(directory, "destination", "parent", "name", "path", "implicit", "created").returning(directory.c.id)
)
_STATE = Statement(
    select(
        directory.c.parent,
        directory.c.implicit,
        or_(exists().where(entry.c.directory == directory.c.id), exists().where(standby.c.directory == directory.c.id)),
        exists().where(_below.c.parent == directory.c.id),
    ).where(directory.c.id == value("id"))
)
_REMOVE = Statement(delete(directory).where(directory.c.id == value("id")))

_is_below = and_(
    directory.c.destination == value("destination"), directory.c.path > value("first"), directory.c.path < value("last")
)
_MOVE = Statement(
    update(directory)
    .where(directory.c.id == value("moved"))
    .values(parent=value("new_parent"), name=value("new_name"), path=value("new_path"))
)
_MOVE_BELOW = Statement(
    update(directory).where(_is_below).values(path=value("new_path").concat(func.substr(directory.c.path, value("start"))))
)
_LONGEST_DIRECTORY = Statement(select(func.max(_bytes_in(directory.c.path))).where(_is_below))


def _longest_in(names: Table) -> Statement:
    return Statement(
        select(func.max(_bytes_in(directory.c.path) + _bytes_in(names.c.name)))
        .select_from(directory.join(names, names.c.directory == directory.c.id))
        .where(directory.c.destination == value("destination"))
        .where((directory.c.path == value("path")) | ((directory.c.path > value("first")) & (directory.c.path < value("last"))))
    )


_LONGEST_FILE = _longest_in(entry)
_LONGEST_WAITING = _longest_in(standby)


@frozen
class Room:
    """What there is at a path: the directory that it would be in (None: not there yet), and a file or a directory."""

    parent: int | None
    file: int | None = None
    is_directory: bool = False


@frozen
class Directory:
    """A row of the tree."""

    id: int
    parent: int | None
    implicit: bool
    created: float


def split(path: str) -> tuple[str, str]:
    """The parent's path, and the name in it."""
    parent, _, name = path.rpartition("/")
    return parent, name


def room(session: Session, destination: int, path: str) -> Room:
    """What there is at `path`; the destination's root is a directory."""
    if not path:
        return Room(None, is_directory=True)
    parent, name = split(path)
    row = session.row(_ROOM, destination=destination, path=path, parent=parent, name=name)
    return Room(row[0], row[1], bool(row[2])) if row else Room(None)


def rooms(session: Session, places: Sequence[tuple[int, str]]) -> list[Room]:
    """What there is at each path of a destination; none is the destination's root."""
    asked = []
    for destination, path in places:
        parent, name = split(path)
        asked.append({"destination": destination, "path": path, "parent": parent, "name": name})
    return [Room(row[0], row[1], bool(row[2])) if row else Room(None) for row in session.row_of_each(_ROOM, asked)]


def directory_at(session: Session, destination: int, path: str) -> Directory | None:
    row = session.row(_DIRECTORY, destination=destination, path=path)
    return Directory(row[0], row[1], bool(row[2]), row[3]) if row else None


def folders_in(session: Session, directory_id: int, limit: int) -> list[str]:
    """The names of up to `limit` directories in one, in no order."""
    return [name for (name,) in session.rows(_FOLDERS_IN, directory=directory_id, limit=limit)]


def nearest(session: Session, destination: int, path: str) -> tuple[int, list[str]]:
    """The deepest directory that exists on the way to the one at `path`, and the paths that are missing, outermost first.

    Raises `NotADirectory` when a file is in the way, and `NotFound` when the destination has been removed.
    """
    missing: list[str] = []
    while (found := directory_at(session, destination, path)) is None:
        if not path:
            raise NotFound
        missing.insert(0, path)
        path = split(path)[0]
    if missing and session.row(_FILE_NAMED, directory=found.id, name=split(missing[0])[1]):
        raise NotADirectory
    return found.id, missing


def make(session: Session, destination: int, parent: int | None, path: str, implicit: bool, created: float) -> int:
    """Add a directory that is known not to exist, and return its id."""
    row = session.row(
        _MAKE,
        destination=destination,
        parent=parent,
        name=split(path)[1],
        path=path,
        implicit=implicit,
        created=created,
    )
    assert row is not None
    return int(row[0])


def make_missing(session: Session, destination: int, path: str, created: float) -> int:
    """The directory at `path`, made with those above it, as implicit ones, where missing. Raises `NotADirectory`."""
    directory_id, missing = nearest(session, destination, path)
    for each in missing:
        directory_id = make(session, destination, directory_id, each, True, created)
    return directory_id


def is_empty(session: Session, directory_id: int) -> bool:
    row = session.row(_STATE, id=directory_id)
    return row is None or not (row[2] or row[3])


def remove(session: Session, directory_id: int) -> None:
    session.run(_REMOVE, id=directory_id)


def prune(session: Session, directory_id: int | None) -> None:
    """Let go of a directory that came with a file, when it is empty, and then of those above it likewise."""
    while directory_id is not None:
        row = session.row(_STATE, id=directory_id)
        if row is None or not row[1] or row[2] or row[3]:
            return
        session.run(_REMOVE, id=directory_id)
        directory_id = row[0]


def move(session: Session, destination: int, moved: Directory, source: str, target: str, parent: int) -> None:
    """Give the directory `moved` at `source` the free path `target` in the directory `parent`.

    Raises `InvalidName` where a path below it would become too long.
    """
    _check_lengths(session, destination, source, target)
    session.run(_MOVE, moved=moved.id, new_parent=parent, new_name=split(target)[1], new_path=target)
    first, last = _span(source)
    session.run(_MOVE_BELOW, destination=destination, first=first, last=last, new_path=target, start=len(source) + 1)


def _span(path: str) -> tuple[str, str]:
    """All paths below `path` are between these two: `0` is the byte after `/`."""
    return f"{path}/", f"{path}0"


def _check_lengths(session: Session, destination: int, source: str, target: str) -> None:
    growth = len(target.encode()) - len(source.encode())
    if growth <= 0:
        return
    first, last = _span(source)
    below = session.row(_LONGEST_DIRECTORY, destination=destination, first=first, last=last)
    longest = max(len(source.encode()), (below and below[0]) or 0)
    if longest + growth + 256 > PATH_BYTES:
        for statement in (_LONGEST_FILE, _LONGEST_WAITING):
            files = session.row(statement, destination=destination, path=source, first=first, last=last)
            longest = max(longest, ((files and files[0]) or 0) + 1)
    if longest + growth > PATH_BYTES:
        raise InvalidName("a path in that directory would become too long")
