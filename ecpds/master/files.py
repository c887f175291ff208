"""Data files, their segments and copies: rows in, frozen records out, and what happens to bytes that nothing names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import FromClause, Select, Table, and_, delete, insert, null, select, union_all, update

from ecpds.errors import Unavailable
from ecpds.events import nearest_time
from ecpds.master import tree
from ecpds.master.schema import copy, data_file, dead, directory, entry, reclaim, segment
from ecpds.master.sql import Session, Statement, insert_into, limited, value
from ecpds.model import EMPTY, Copy, DataFile, Entry, Page, Segment

COLUMNS = (
    data_file.c.id,
    data_file.c.size,
    data_file.c.mtime,
    data_file.c.created,
    data_file.c.digests,
    data_file.c.metadata,
)


def _whole(found: FromClause) -> Select[Any]:
    """Files that are found, with their segments and the copies that are not known to be damaged."""
    sound = and_(copy.c.segment == segment.c.id, copy.c.damage.is_(None))
    return (
        select(*COLUMNS, segment.c.id, segment.c.length, copy.c.mover, copy.c.volume)
        .select_from(found.join(segment, segment.c.data_file == data_file.c.id).outerjoin(copy, sound))
        .order_by(segment.c.number, copy.c.mover, copy.c.volume)
    )


def named_in(names: Table) -> Select[Any]:
    """A file with its segments and copies, of which a table of names has the name."""
    found = directory.join(names, names.c.directory == directory.c.id).join(data_file, data_file.c.id == names.c.data_file)
    at = (directory.c.destination == value("destination"), directory.c.path == value("parent"), names.c.name == value("name"))
    return _whole(found).where(*at)


_FILE_AT = Statement(named_in(entry))
_BY_ID = Statement(_whole(data_file).where(data_file.c.id == value("file")))
_directories_of_page = select(
    directory.c.name.label("name"),
    directory.c.created.label("made"),
    null().label("id"),
    null().label("size"),
    null().label("mtime"),
    null().label("created"),
    null().label("digests"),
    null().label("metadata"),
).where(directory.c.parent == value("directory"), directory.c.name > value("after"))
_files_of_page = (
    select(entry.c.name, null(), *COLUMNS)
    .select_from(entry.join(data_file, data_file.c.id == entry.c.data_file))
    .where(entry.c.directory == value("directory"), entry.c.name > value("after"))
)
# Two walks of an index, merged: SQLite reads a row of one of them for each that it returns. PostgreSQL would sort all
# there is, unless each walk has an end of its own.
_PAGE = Statement(
    limited(union_all(_directories_of_page, _files_of_page).order_by("name")),
    postgresql=limited(
        union_all(
            limited(_directories_of_page.order_by(directory.c.name)), limited(_files_of_page.order_by(entry.c.name))
        ).order_by("name")
    ),
)
_encoded = json.JSONEncoder(separators=(",", ":")).encode
_quickly_encoded = msgspec.json.Encoder().encode
_decoded = msgspec.json.Decoder(dict[str, str]).decode

_ADD_FILE = Statement(insert_into(data_file))
_SET_MTIME = Statement(update(data_file).where(data_file.c.id == value("file")).values(mtime=value("modified")))
_SET_DIGESTS = Statement(update(data_file).where(data_file.c.id == value("file")).values(digests=value("known")))
_ADD_SEGMENT = Statement(insert_into(segment, "id", "data_file", "number", "length"))
ADD_COPY = Statement(insert_into(copy, "segment", "mover", "volume"))
_ADD_ENTRY = Statement(insert_into(entry))
_POINT_ENTRY = Statement(
    update(entry)
    .where(entry.c.directory == value("in_directory"), entry.c.name == value("named"))
    .values(data_file=value("new_file"))
)
_REMOVE_ENTRY = Statement(delete(entry).where(entry.c.directory == value("directory"), entry.c.name == value("name")))
_DEAD_AMONG = Statement(
    select(dead.c.segment).where(dead.c.segment >= value("first"), dead.c.segment <= value("last")).order_by(dead.c.segment)
)

_segments_of_file = select(segment.c.id).where(segment.c.data_file == value("file")).scalar_subquery()
_RECLAIM = Statement(
    insert(reclaim).from_select(
        ["segment", "mover", "volume", "due"],
        select(copy.c.segment, copy.c.mover, copy.c.volume, value("due"))
        .select_from(copy.join(segment, segment.c.id == copy.c.segment))
        .where(segment.c.data_file == value("file")),
    )
)
_DROP_COPIES = Statement(delete(copy).where(copy.c.segment.in_(_segments_of_file)))
_DROP_SEGMENTS = Statement(delete(segment).where(segment.c.data_file == value("file")))
_DROP_FILE = Statement(delete(data_file).where(data_file.c.id == value("file")))


def file_at(session: Session, destination: int, path: str) -> DataFile | None:
    """The file at `path` with its segments and copies."""
    parent, name = tree.split(path)
    return from_rows(session.rows(_FILE_AT, destination=destination, parent=parent, name=name))


def by_id(session: Session, id_: int) -> DataFile | None:
    """A data file with its segments and copies, whatever its name."""
    return from_rows(session.rows(_BY_ID, file=id_))


def entry_at(session: Session, destination: int, path: str) -> Entry | None:
    """What is at `path`, a file or a directory."""
    if path and (file := file_at(session, destination, path)) is not None:
        return Entry(path, file.mtime, file)
    found = tree.directory_at(session, destination, path)
    return Entry(path, found.created) if found else None


def page(session: Session, path: str, directory_id: int, after: str | None, limit: int) -> Page:
    """Up to `limit` names of a directory behind `after`, files without their segments."""
    # PostgreSQL takes no NUL; and names have none, so those behind one are those behind what is before it.
    behind = (after or "").partition("\0")[0]
    rows = session.rows(_PAGE, directory=directory_id, after=behind, limit=limit + 1)
    base = f"{path}/" if path else ""
    entries = tuple([_listed(base, *row) for row in rows[:limit]])
    return Page(entries, rows[limit - 1][0] if len(rows) > limit else None)


def add(session: Session, files: Sequence[DataFile]) -> None:
    """Record data files with their segments and copies."""
    session.run_many(_ADD_FILE, [row_of(file) for file in files])
    segments = [(file.id, number, each) for file in files for number, each in enumerate(file.segments)]
    session.run_many(
        _ADD_SEGMENT,
        [{"id": each.id, "data_file": file, "number": number, "length": each.length} for file, number, each in segments],
    )
    session.run_many(
        ADD_COPY,
        [
            {"segment": each.id, "mover": where.mover, "volume": where.volume}
            for _, _, each in segments
            for where in each.copies
        ],
    )


def dead_among(session: Session, segments: Sequence[int]) -> set[int]:
    """Those of the segments that a sweep has taken away."""
    if not segments:
        return set()
    return {row[0] for row in session.rows(_DEAD_AMONG, first=min(segments), last=max(segments))}.intersection(segments)


def given_up() -> Unavailable:
    """What is said to who is late with a segment that a sweep has taken away."""
    return Unavailable("the upload took so long that its bytes were given up")


def name(session: Session, names: Sequence[tuple[int, str, int]]) -> None:
    """Make new names in directories point at files."""
    session.run_many(_ADD_ENTRY, [{"directory": place, "name": name, "data_file": file} for place, name, file in names])


def point(session: Session, names: Sequence[tuple[int, str, int]]) -> None:
    """Make names that there are in directories point at other files."""
    session.run_many(_POINT_ENTRY, [{"in_directory": place, "named": name, "new_file": file} for place, name, file in names])


def set_mtime(session: Session, file: int, mtime: float) -> None:
    session.run(_SET_MTIME, file=file, modified=mtime)


def set_digests(session: Session, file: int, digests: Mapping[str, str]) -> None:
    session.run(_SET_DIGESTS, file=file, known=packed(digests))


def unname(session: Session, directory_id: int, name: str) -> None:
    session.run(_REMOVE_ENTRY, directory=directory_id, name=name)


def drop(session: Session, files: Sequence[tuple[int, float]]) -> None:
    """Forget data files that no name points at any more; the copies of each are to be deleted from its time on."""
    session.run_many(_RECLAIM, [{"file": file, "due": due} for file, due in files])
    for statement in (_DROP_COPIES, _DROP_SEGMENTS, _DROP_FILE):
        session.run_many(statement, [{"file": file} for file, _ in files])


def row_of(file: DataFile) -> dict[str, Any]:
    """A data file as a row of its table."""
    return {
        "id": file.id,
        "size": file.size,
        "mtime": file.mtime,
        "created": file.created,
        "digests": packed(file.digests),
        "metadata": packed(file.metadata),
    }


def packed(values: Mapping[str, str]) -> str:
    """As JSON in ASCII."""
    if not values:
        return "{}"
    plain = dict(values)
    try:
        text = _quickly_encoded(plain)
    except UnicodeEncodeError:  # half a surrogate pair
        return _encoded(plain)
    return text.decode() if text.isascii() else _encoded(plain)


def unpacked(text: str) -> Mapping[str, str]:
    return EMPTY if text == "{}" else _decoded(text)


def from_row(row: Sequence[Any], segments: tuple[Segment, ...] = ()) -> DataFile:
    """A data file from its `COLUMNS`."""
    id_, size, mtime, created, digests, metadata = row
    return DataFile(id_, size, nearest_time(mtime), created, unpacked(digests), unpacked(metadata), segments)


def from_rows(rows: Sequence[Sequence[Any]]) -> DataFile | None:
    """A data file with its segments, from the rows of `named_in`."""
    return from_row(rows[0][:6], _segments(row[6:10] for row in rows)) if rows else None


def _segments(rows: Iterable[Sequence[Any]]) -> tuple[Segment, ...]:
    """The segments of one file, from rows of (segment, length, mover, volume) in the order of the content."""
    lengths: dict[int, int] = {}
    copies: dict[int, list[Copy]] = {}
    for id_, length, mover, volume in rows:
        lengths[id_] = length
        found = copies.setdefault(id_, [])
        if mover is not None:
            found.append(Copy(mover, volume))
    return tuple(Segment(id_, length, tuple(copies[id_])) for id_, length in lengths.items())


def _listed(
    base: str, name: str, made: float, id_: int | None, size: int, mtime: float, created: float, digests: str, metadata: str
) -> Entry:
    """A row of `_PAGE`."""
    if id_ is None:
        return Entry(base + name, made)
    file = from_row((id_, size, mtime, created, digests, metadata))
    return Entry(base + name, file.mtime, file)
