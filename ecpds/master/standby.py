"""Files that wait to be released, as the catalogue sees them.

A name may point at two files: what its `entry` has is what everybody sees, what is in `standby` is there for who may put
there. To release a file is to make the entry point at it, as an overwrite does. So whoever asks as everybody sees, the
cache of resolved names too, knows nothing of all this; and every function here sees what waits before what is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen
from sqlalchemy import delete as removal
from sqlalchemy import exists, select, update

from ecpds.errors import AlreadyExists, IsADirectory, NotFound
from ecpds.master import changes, files, owed, tree
from ecpds.master.publishing import Publication, check_room
from ecpds.master.schema import data_file, destination, directory, standby
from ecpds.master.sql import Session, Statement, insert_into, limited, value
from ecpds.master.tree import Room
from ecpds.model import Condition, DataFile, Entry, Page
from ecpds.releases import NEVER, waits_after_rename

_HELD = Statement(
    select(standby.c.data_file, standby.c.release).where(
        standby.c.directory == value("directory"), standby.c.name == value("name")
    )
)
_FILE_AT = Statement(files.named_in(standby).add_columns(standby.c.release))
_here = (standby.c.directory == value("in_directory"), standby.c.name == value("named"))
_ADD = Statement(insert_into(standby))
_SET = Statement(update(standby).where(*_here).values(data_file=value("new_file"), release=value("until")))
_REMOVE = Statement(removal(standby).where(*_here))
_DUE = Statement(
    limited(
        select(standby.c.destination, destination.c.name, directory.c.path, standby.c.name)
        .select_from(
            standby.join(directory, directory.c.id == standby.c.directory).join(
                destination, destination.c.id == standby.c.destination
            )
        )
        .where(standby.c.release <= value("now"))
        .order_by(standby.c.release)
    )
)
_NEXT = Statement(select(standby.c.release).where(standby.c.release < value("never")).order_by(standby.c.release).limit(1))
_DESTINATIONS = Statement(
    select(destination.c.id).where(exists().where(standby.c.destination == destination.c.id)).order_by(destination.c.id)
)
_SOME = Statement(
    limited(
        select(standby.c.directory, standby.c.name, standby.c.data_file).where(standby.c.destination == value("destination"))
    )
)
_PAGE = Statement(
    limited(
        select(standby.c.name, standby.c.release, *files.COLUMNS)
        .select_from(standby.join(data_file, data_file.c.id == standby.c.data_file))
        .where(standby.c.directory == value("directory"), standby.c.name >= value("first"), standby.c.name < value("end"))
        .order_by(standby.c.name)
    )
)
_PUBLISHED = Statement(update(data_file).where(data_file.c.id == value("file")).values(created=value("now")))


@frozen
class Held:
    """A file that waits, and until when."""

    file: int
    waits: float


@frozen
class Spot:
    """What there is at a path: as everybody sees it, and what waits."""

    destination: int
    path: str
    room: Room
    held: Held | None

    @property
    def seen(self) -> Room:
        """As who may put there sees it."""
        return self.room if self.held is None else Room(self.room.parent, self.held.file, self.room.is_directory)

    @property
    def folder(self) -> int:
        """The directory that a file there is in."""
        assert self.room.parent is not None
        return self.room.parent


def spot(session: Session, destination: int, path: str) -> Spot:
    room = tree.room(session, destination, path)
    row = session.row(_HELD, directory=room.parent, name=tree.split(path)[1]) if room.parent is not None else None
    return Spot(destination, path, room, Held(*row) if row else None)


def room(session: Session, destination: int, path: str) -> Room:
    """As `tree.room`, as who may put there sees it."""
    return spot(session, destination, path).seen


def file_at(session: Session, destination: int, path: str) -> tuple[DataFile, float] | None:
    """The file that waits at `path`, with its segments and copies, and until when it waits."""
    parent, name = tree.split(path)
    rows = session.rows(_FILE_AT, destination=destination, parent=parent, name=name)
    file = files.from_rows(rows)
    return (file, rows[0][10]) if file is not None else None


def entry_at(session: Session, destination: int, path: str) -> Entry | None:
    """The file that waits at `path`."""
    found = file_at(session, destination, path)
    return Entry(path, found[0].mtime, found[0], waits=found[1]) if found is not None else None


def newest_entry_at(session: Session, destination: int, path: str) -> Entry | None:
    """What waits at `path`, or else what everybody sees there.

    These are questions of their own, between which another session may commit: what is released goes from where was looked
    first to where is looked next, and what is held goes back, so there is looked again.
    """
    held = entry_at(session, destination, path)
    return held or files.entry_at(session, destination, path) or entry_at(session, destination, path)


def newest_at(session: Session, destination: int, path: str) -> DataFile | None:
    """The file that waits at `path`, or else the one that is seen."""
    found = file_at(session, destination, path)
    return found[0] if found is not None else files.file_at(session, destination, path)


def rows_in(session: Session, directory_id: int, first: str, end: str, limit: int) -> Sequence[tuple[str, float, DataFile]]:
    """Names in a directory from `first` on and before `end`, in their order, with what waits there, without its segments."""
    rows = session.rows(_PAGE, directory=directory_id, first=first, end=end, limit=limit)
    return [(row[0], row[1], files.from_row(row[2:])) for row in rows]


def page(session: Session, path: str, directory_id: int, after: str | None, limit: int) -> Page:
    """As `files.page`, for who may put there. It looks twice for what waits, as `newest_entry_at` does."""
    first = f"{after or ''}{tree.JUST_AFTER}"
    waiting = list(rows_in(session, directory_id, first, tree.AFTER_ALL, limit + 1))
    seen = files.page(session, path, directory_id, after, limit)
    waiting += rows_in(session, directory_id, first, tree.AFTER_ALL, limit + 1)
    entries = {entry.name: entry for entry in seen.entries}
    for name, waits, file in waiting:
        entries[name] = Entry(f"{path}/{name}" if path else name, file.mtime, file, waits=waits)
    names = sorted(entries)
    shown = tuple(entries[name] for name in names[:limit])
    return Page(shown, shown[-1].name if seen.after is not None or len(names) > limit else None)


@frozen
class Placing:
    """Give a file its name where files wait: this one does until `waits`, or, where that is None, it is seen at once.

    Raises what `publication` would.
    """

    publication: Publication
    waits: float | None

    def __call__(self, session: Session) -> Entry:
        new = self.publication
        file, path = new.file, new.path
        at = spot(session, new.destination, path)
        check_room(at.seen, new.condition)
        if files.dead_among(session, [each.id for each in file.segments]):
            raise files.given_up()
        at = with_folder(session, at, file.created)
        files.add(session, [file])
        point(session, at, file.id, self.waits, new.due)
        if new.owed:
            owed.owe(session, [(file.id, new.owed)])
        return Entry(path, file.mtime, file, replaced=at.seen.file is not None, waits=self.waits)


def with_folder(session: Session, at: Spot, now: float) -> Spot:
    """The same when its folder is there. Raises `NotADirectory`."""
    if at.room.parent is not None:
        return at
    return Spot(at.destination, at.path, Room(tree.make_missing(session, at.destination, tree.split(at.path)[0], now)), None)


def point(session: Session, at: Spot, file: int, waits: float | None, due: float) -> None:
    """Make a name point at a new file; what that replaces may be deleted from `due` on.

    One that waits replaces what waits, one that is seen replaces both.
    """
    name = tree.split(at.path)[1]
    if waits is None:
        _drop(session, at, due)
        named = [(at.folder, name, file)]
        if at.room.file is None:
            files.name(session, named)
        else:
            files.point(session, named)
            files.drop(session, [(at.room.file, due)])
    elif at.held is None:
        session.run(_ADD, directory=at.folder, name=name, destination=at.destination, data_file=file, release=waits)
    else:
        session.run(_SET, in_directory=at.folder, named=name, new_file=file, until=waits)
        files.drop(session, [(at.held.file, due)])


def release(session: Session, destination: int, path: str, now: float, due: float) -> tuple[Entry, bool]:
    """Let the file at `path` be seen; it counts as published from `now` on. Returns too whether it had to wait until now.

    Raises `NotFound`, `IsADirectory`.
    """
    at = _file_spot(session, destination, path)
    if at.held is not None:
        _unname(session, at)
        session.run(_PUBLISHED, file=at.held.file, now=now)
        point(session, Spot(destination, path, at.room, None), at.held.file, None, due)
    return _now_at(session, destination, path), at.held is not None


def hold(session: Session, destination: int, path: str) -> Entry:
    """Have the file at `path` wait for somebody: the one that waits, or else the one that is seen. Raises as `release`."""
    at = _file_spot(session, destination, path)
    if at.held is not None:
        session.run(_SET, in_directory=at.folder, named=tree.split(path)[1], new_file=at.held.file, until=NEVER)
    else:
        assert at.room.file is not None
        files.unname(session, at.folder, tree.split(path)[1])
        point(session, Spot(destination, path, Room(at.folder), None), at.room.file, NEVER, 0.0)
    return _now_at(session, destination, path)


@frozen
class Released:
    """A file that is seen from now on: its destination, and that one's name."""

    destination: int
    name: str
    entry: Entry


def release_due(session: Session, now: float, due: float, limit: int) -> list[Released]:
    """Release up to `limit` files whose time has come."""
    found = []
    for place, name, folder, file_name in session.rows(_DUE, now=now, limit=limit):
        path = f"{folder}/{file_name}" if folder else file_name
        found.append(Released(place, name, release(session, place, path, now, due)[0]))
    return found


def next_release(session: Session) -> float | None:
    """When the next file is released by itself."""
    row = session.row(_NEXT, never=NEVER)
    return row[0] if row else None


def places(session: Session) -> set[int]:
    """The destinations in which files wait."""
    return {row[0] for row in session.rows(_DESTINATIONS)}


def delete(session: Session, destination: int, path: str, condition: Condition, due: float) -> Entry:
    """As `changes.delete`, by who may put there: what waits goes, and what is seen under its name is seen again."""
    at = spot(session, destination, path)
    found = entry_at(session, destination, path) if at.held is not None else None
    if found is None:
        return changes.delete(session, destination, path, condition, due)
    check_room(at.seen, condition)
    _drop(session, at, due)
    tree.prune(session, at.room.parent)
    return found


def set_mtime(session: Session, destination: int, path: str, mtime: float) -> Entry:
    """As `changes.set_mtime`, by who may put there."""
    found = file_at(session, destination, path)
    if found is None:
        return changes.set_mtime(session, destination, path, mtime)
    files.set_mtime(session, found[0].id, mtime)
    return _now_at(session, destination, path)


def add_digests(session: Session, destination: int, path: str, id_: int, digests: Mapping[str, str]) -> None:
    """As `changes.add_digests`, of the file that waits too."""
    found = file_at(session, destination, path)
    if found is not None and found[0].id == id_:
        files.set_digests(session, id_, {**digests, **found[0].digests})
    else:
        changes.add_digests(session, destination, path, id_, digests)


def make_directory(session: Session, destination: int, path: str, now: float) -> Entry:
    """As `changes.make_directory`, where a file may be in the way that waits."""
    if spot(session, destination, path).held is not None:
        raise AlreadyExists
    return changes.make_directory(session, destination, path, now)


def remove_directory(session: Session, destination: int, path: str, due: float) -> None:
    """As `changes.remove_directory`, where its mark may wait."""
    if path:
        _drop(session, spot(session, destination, f"{path}/"), due)
    changes.remove_directory(session, destination, path, due)


@frozen
class Renaming:
    """As `changes.rename`, where files wait. With `waiting` it is asked by who may put there, and sees them.

    What waits goes on waiting under its new name, as its destination's `options` say; what is seen is seen, and replaces
    what waited there.
    """

    destination: int
    source: str
    target: str
    replace: bool
    waiting: bool
    options: Mapping[str, str]
    now: float
    due: float

    def __call__(self, session: Session) -> Entry:
        before, after = spot(session, self.destination, self.source), spot(session, self.destination, self.target)
        if after.held is not None and (not self.replace or before.room.is_directory):
            raise AlreadyExists
        if before.held is not None and self.waiting:
            return self._move(session, before, after, before.held)
        if self.source != self.target and before.room.file is not None:
            _drop(session, after, self.due)
        return changes.rename(session, self.destination, self.source, self.target, self.due, self.replace)

    def _move(self, session: Session, before: Spot, after: Spot, held: Held) -> Entry:
        if after.room.is_directory or (not self.replace and after.seen.file is not None):
            raise AlreadyExists
        if after.room.parent is None:
            tree.nearest(session, self.destination, tree.split(self.target)[0])
            raise NotFound
        if self.source == self.target:
            return _now_at(session, self.destination, self.target)
        _unname(session, before)
        waits = waits_after_rename(self.options, self.source, self.target, held.waits, self.now)
        point(session, after, held.file, waits, self.due)
        if waits is None:
            session.run(_PUBLISHED, file=held.file, now=self.now)
        tree.prune(session, before.room.parent)
        return _now_at(session, self.destination, self.target)


def empty_some(session: Session, destination: int, limit: int, due: float) -> int:
    """As `destinations.empty_some`, of what waits."""
    found = session.rows(_SOME, destination=destination, limit=limit)
    for place, name, file in found:
        session.run(_REMOVE, in_directory=place, named=name)
        files.drop(session, [(file, due)])
    return len(found)


def has_any(session: Session, destination: int) -> bool:
    """Whether something waits in a destination."""
    return bool(session.rows(_SOME, destination=destination, limit=1))


def _file_spot(session: Session, destination: int, path: str) -> Spot:
    at = spot(session, destination, path)
    if at.room.is_directory:
        raise IsADirectory
    if at.seen.file is None:
        raise NotFound
    return at


def _unname(session: Session, at: Spot) -> None:
    session.run(_REMOVE, in_directory=at.folder, named=tree.split(at.path)[1])


def _drop(session: Session, at: Spot, due: float) -> None:
    """Take away what waits."""
    if at.held is not None:
        _unname(session, at)
        files.drop(session, [(at.held.file, due)])


def _now_at(session: Session, destination: int, path: str) -> Entry:
    found = entry_at(session, destination, path) or files.entry_at(session, destination, path)
    assert found is not None
    return found
