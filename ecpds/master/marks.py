"""Changes of the catalogue that only object stores' clients make: what is noted of a file, and the marks of folders."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve
from sqlalchemy import update

from ecpds.errors import IsADirectory, NotADirectory, NotFound, NotPermitted, PreconditionFailed
from ecpds.master import files, standby, tree
from ecpds.master.schema import data_file, directory
from ecpds.master.sql import Session, Statement, value
from ecpds.model import Condition, Entry

_NOTE = Statement(update(data_file).where(data_file.c.id == value("file")).values(metadata=value("noted")))
_UNMARK = Statement(update(directory).where(directory.c.id == value("which")).values(implicit=True))


def annotate(
    session: Session,
    destination: int,
    path: str,
    notes: Mapping[str, str | None],
    condition: Condition,
    waiting: bool = False,
) -> Entry:
    """Change the metadata of the file at `path`: what is None goes. Its content and its time stay what they were.

    With `waiting` one that waits is seen.
    """
    held = standby.file_at(session, destination, path) if waiting else None
    file = held[0] if held is not None else files.file_at(session, destination, path)
    if file is None:
        raise IsADirectory if tree.room(session, destination, path).is_directory else NotFound
    if not condition.met_by(file.id):
        raise PreconditionFailed
    kept = {name: text for name, text in {**file.metadata, **notes}.items() if text is not None}
    session.run(_NOTE, file=file.id, noted=files.packed(kept))
    return Entry(path, file.mtime, evolve(file, metadata=kept), waits=held[1] if held is not None else None)


def unmark(session: Session, destination: int, path: str) -> None:
    """Make a folder one that came with what is in it: so it goes with the last of that, at once where there is nothing."""
    if not path:
        raise NotPermitted("a destination can't be removed")
    found = tree.directory_at(session, destination, path)
    if found is None:
        raise NotADirectory if tree.room(session, destination, path).file else NotFound
    session.run(_UNMARK, which=found.id)
    tree.prune(session, found.id)
