"""What changes the tree, one function an operation of `IMaster`. Each is run by the writer, in its transaction.

A refusal undoes what its function has written by then; the writer sees to that.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from ecpds.errors import (
    AlreadyExists,
    DirectoryNotEmpty,
    InvalidName,
    IsADirectory,
    NotADirectory,
    NotFound,
    NotPermitted,
)
from ecpds.master import files, tree
from ecpds.master.publishing import check_room
from ecpds.master.sql import Session
from ecpds.master.tree import Room
from ecpds.model import Condition, Entry


def delete(session: Session, destination: int, path: str, condition: Condition, due: float) -> Entry:
    """Remove the file at `path`, and return what it was."""
    room = tree.room(session, destination, path)
    check_room(room, condition)
    file = files.file_at(session, destination, path)
    if file is None:
        raise NotFound
    assert room.parent is not None
    files.unname(session, room.parent, tree.split(path)[1])
    files.drop(session, [(file.id, due)])
    tree.prune(session, room.parent)
    return Entry(path, file.mtime, file)


def set_mtime(session: Session, destination: int, path: str, mtime: float) -> Entry:
    """Say when the file at `path` was modified."""
    file = files.file_at(session, destination, path)
    if file is None:
        raise IsADirectory if tree.room(session, destination, path).is_directory else NotFound
    files.set_mtime(session, file.id, mtime)
    return Entry(path, mtime, evolve(file, mtime=mtime))


def add_digests(session: Session, destination: int, path: str, id_: int, digests: Mapping[str, str]) -> None:
    """Note digests of the file at `path`, if that is still the one; those that are known stay."""
    file = files.file_at(session, destination, path)
    if file is not None and file.id == id_:
        files.set_digests(session, id_, {**digests, **file.digests})


def make_directory(session: Session, destination: int, path: str, now: float) -> Entry:
    """Make the directory at `path`, whose parent exists."""
    room = tree.room(session, destination, path)
    if room.is_directory or room.file is not None:
        raise AlreadyExists
    if room.parent is None:
        tree.nearest(session, destination, tree.split(path)[0])
        raise NotFound
    tree.make(session, destination, room.parent, path, False, now)
    return Entry(path, now)


def remove_directory(session: Session, destination: int, path: str, due: float) -> None:
    """Remove the empty directory at `path`, with the bytes of its mark; a destination's own is not a user's to remove."""
    if not path:
        raise NotPermitted("a destination can't be removed")
    found = tree.directory_at(session, destination, path)
    if found is None:
        raise NotADirectory if tree.room(session, destination, path).file else NotFound
    mark = files.file_at(session, destination, f"{path}/")
    if mark is not None:
        files.unname(session, found.id, "")
        files.drop(session, [(mark.id, due)])
    if not tree.is_empty(session, found.id):
        raise DirectoryNotEmpty
    tree.remove(session, found.id)
    tree.prune(session, found.parent)


def rename(session: Session, destination: int, source: str, target: str, due: float, replace: bool = True) -> Entry:
    """Give what is at `source` the name `target`, whose parent exists; a file replaces a file, if it is to."""
    if not source or not target:
        raise NotPermitted("a destination can't be renamed")
    before, after = tree.room(session, destination, source), tree.room(session, destination, target)
    if before.file is None and not before.is_directory:
        raise NotFound
    if not replace and (after.file is not None or after.is_directory):
        raise AlreadyExists
    if source != target:
        _check_target(session, destination, before, after, source, target)
        move = _move_directory if before.is_directory else _move_file
        tree.prune(session, move(session, destination, source, target, before, after, due))
    found = files.entry_at(session, destination, target)
    assert found is not None
    return found


def _check_target(session: Session, destination: int, before: Room, after: Room, source: str, target: str) -> None:
    if before.is_directory and target.startswith(f"{source}/"):
        raise InvalidName("a directory can't be moved below itself")
    if after.parent is None:
        above = tree.split(target)[0]
        tree.nearest(session, destination, above)
        raise NotFound
    if after.is_directory or (before.is_directory and after.file is not None):
        raise AlreadyExists


def _move_directory(
    session: Session, destination: int, source: str, target: str, before: Room, after: Room, due: float
) -> int | None:
    """Returns the directory that it leaves."""
    moved = tree.directory_at(session, destination, source)
    assert moved is not None and after.parent is not None
    tree.move(session, destination, moved, source, target, after.parent)
    return moved.parent


def _move_file(
    session: Session, destination: int, source: str, target: str, before: Room, after: Room, due: float
) -> int | None:
    """Returns the directory that it leaves."""
    assert before.parent is not None and before.file is not None and after.parent is not None
    files.unname(session, before.parent, tree.split(source)[1])
    named = [(after.parent, tree.split(target)[1], before.file)]
    if after.file is None:
        files.name(session, named)
    else:
        files.point(session, named)
        files.drop(session, [(after.file, due)])
    return before.parent
