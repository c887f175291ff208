"""Files that come in parts: rows of their own until they are complete, so that any node may take any part.

A part is a segment that no data file has yet. To complete an upload is to make a data file of segments that are there, in
the transaction that gives it its name; no byte moves. The data file's id is the upload's, so a completion that is repeated
is recognised by what the name points at. Parts that are left out, replaced or given up go to the reclaim list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, insert, or_, select, update

from ecpds.errors import InvalidRequest, NotFound, PreconditionFailed, Unavailable
from ecpds.master import files, standby
from ecpds.master.publishing import check_room
from ecpds.master.schema import copy, data_file, reclaim, segment, upload, upload_part
from ecpds.master.sql import Session, Statement, insert_into, limited, value
from ecpds.model import (
    INITIATOR,
    Completion,
    Condition,
    Copy,
    DataFile,
    Entry,
    MultipartUpload,
    Partial,
    Segment,
    UploadPart,
)
from ecpds.terms import AllocationRequest

Change = Callable[[Session], Entry]
"""A change of the catalogue that gives a file its name."""

KIND = "multipart"

PARTIAL = "partial"
"""The kind of what is kept of an upload that broke off: it has one user, whom alone it is there for."""

MOST_PARTS = 10_000
"""Parts that one upload may have."""

GIVEN_UP_AT_A_TIME = 100
"""Uploads that are given up in one transaction at most."""

PARTS_AT_A_TIME = 1000
"""Parts after which no further upload is given up in a transaction: others wait for it."""

_PART_COLUMNS = (
    upload_part.c.number,
    upload_part.c.segment,
    upload_part.c.size,
    upload_part.c.digests,
    upload_part.c.created,
)

_ADD = Statement(insert_into(upload))
_REMOVE = Statement(delete(upload).where(upload.c.id == value("upload")))
_UPLOAD = Statement(
    select(upload.c.id, upload.c.path, upload.c.created, upload.c.metadata).where(
        upload.c.id == value("upload"),
        upload.c.destination == value("destination"),
        upload.c.path == value("path"),
        or_(upload.c.kind == KIND, upload.c.user == value("user")),
    )
)
_PARTIAL = Statement(
    select(upload.c.id, upload.c.created).where(
        upload.c.destination == value("destination"),
        upload.c.path == value("path"),
        upload.c.user == value("user"),
        upload.c.kind == PARTIAL,
    )
)
_IS_PARTIAL = Statement(select(upload.c.id).where(upload.c.id == value("upload"), upload.c.kind == PARTIAL))
_EXTEND = Statement(update(upload).where(upload.c.id == value("upload")).values(expires=value("later")))
_KEPT = Statement(limited(select(upload.c.id).where(upload.c.destination == value("destination"), upload.c.kind == PARTIAL)))
_OF_DESTINATION = Statement(limited(select(upload.c.id).where(upload.c.destination == value("destination"))))
_EXPIRED = Statement(limited(select(upload.c.id).where(upload.c.expires <= value("now")).order_by(upload.c.expires)))


def _behind(path: ColumnElement[Any], id_: ColumnElement[Any]) -> ColumnElement[bool]:
    return or_(path > value("after"), and_(path == value("after"), id_ > value("after_id")))


_UPLOADS = Statement(
    limited(
        select(upload.c.id, upload.c.path, upload.c.created, upload.c.metadata)
        .where(
            upload.c.destination == value("destination"),
            upload.c.kind == KIND,
            upload.c.path >= value("first"),
            _behind(upload.c.path, upload.c.id),
        )
        .order_by(upload.c.path, upload.c.id)
    )
)
_PARTS = Statement(
    limited(
        select(*_PART_COLUMNS)
        .where(upload_part.c.upload == value("upload"), upload_part.c.number > value("after"))
        .order_by(upload_part.c.number)
    )
)
_PART = Statement(
    select(*_PART_COLUMNS).where(upload_part.c.upload == value("upload"), upload_part.c.number == value("number"))
)
_ALL_PARTS = Statement(select(upload_part.c.segment).where(upload_part.c.upload == value("upload")))
_ADD_PART = Statement(insert_into(upload_part))
_REMOVE_PART = Statement(
    delete(upload_part).where(upload_part.c.upload == value("upload"), upload_part.c.number == value("number"))
)
_REMOVE_PARTS = Statement(delete(upload_part).where(upload_part.c.upload == value("upload")))
_ADD_FILE = Statement(insert_into(data_file))
_ADD_SEGMENT = Statement(insert_into(segment, "id", "number", "length", "digests"))
_TAKE_SEGMENT = Statement(
    update(segment).where(segment.c.id == value("taken")).values(data_file=value("file"), number=value("place"))
)
_RECLAIM = Statement(
    insert(reclaim).from_select(
        ["segment", "mover", "volume", "due"],
        select(copy.c.segment, copy.c.mover, copy.c.volume, value("due")).where(copy.c.segment == value("segment")),
    )
)
_DROP_COPIES = Statement(delete(copy).where(copy.c.segment == value("segment")))
_DROP_SEGMENT = Statement(delete(segment).where(segment.c.id == value("segment")))
_COPIES = Statement(select(copy.c.mover, copy.c.volume).where(copy.c.segment == value("segment"), copy.c.damage.is_(None)))


def create(
    session: Session,
    id_: int,
    destination: int,
    request: AllocationRequest,
    now: float,
    expires: float,
    kind: str = KIND,
) -> None:
    """Begin an upload of the file that is asked for."""
    session.run(
        _ADD,
        id=id_,
        user=request.user_id,
        destination=destination,
        path=request.path,
        kind=kind,
        created=now,
        expires=expires,
        metadata=files.packed(request.terms.metadata),
    )


def begin_partial(session: Session, id_: int, destination: int, request: AllocationRequest, now: float, expires: float) -> None:
    """Keep an upload that broke off; what was kept before for the same user and path is given up."""
    for old in session.rows(_PARTIAL, destination=destination, path=request.path, user=request.user_id):
        give_up(session, old[0])
    create(session, id_, destination, request, now, expires, PARTIAL)


def extend(session: Session, id_: int, expires: float) -> None:
    """Keep an upload until then."""
    session.run(_EXTEND, upload=id_, later=expires)


def partial(session: Session, destination: int, path: str, user: int, upload: int | None = None) -> Partial:
    """What is kept for a user. Raises `NotFound`.

    Where no `upload` is named, what is older than the file that is there by now does not count; its commit may be refused.
    """
    row = session.row(_PARTIAL, destination=destination, path=path, user=user)
    file = standby.newest_at(session, destination, path)
    is_old = row is not None and file is not None and file.created >= row[1]
    if row is None or upload not in (None, row[0]) or (is_old and upload is None):
        raise NotFound("nothing is kept")
    found = parts(session, row[0], 0, MOST_PARTS)
    segments = tuple(Segment(part.segment, part.size, _copies(session, part.segment)) for part in found)
    if not all(each.copies for each in segments):
        raise NotFound("what is kept is damaged")
    return Partial(row[0], row[1], found, segments)


def find(session: Session, destination: int, path: str, id_: int, user: int = 0) -> MultipartUpload:
    """An upload, or `user`'s own that broke off. Raises `NotFound`."""
    row = session.row(_UPLOAD, upload=id_, destination=destination, path=path, user=user)
    if row is None:
        raise NotFound("no such upload")
    return _upload(row)


BEHIND_ALL = (1 << 63) - 1
"""An id behind those of all uploads."""


def uploads(
    session: Session, destination: int, prefix: str, after: str, after_id: int, limit: int
) -> tuple[MultipartUpload, ...]:
    """Up to `limit` uploads to paths that begin with `prefix`, in the order of paths and ids."""
    if "\0" in prefix:
        return ()  # PostgreSQL takes no NUL, and no path has one
    after, nul, _ = after.partition("\0")
    if nul:
        after_id = BEHIND_ALL
    first = max(prefix, after)
    rows = session.rows(_UPLOADS, destination=destination, first=first, after=after, after_id=after_id, limit=limit)
    return tuple(_upload(row) for row in rows if row[1].startswith(prefix))


def parts(session: Session, id_: int, after: int, limit: int) -> tuple[UploadPart, ...]:
    """Up to `limit` parts with a higher number than `after`."""
    return tuple(_part(row) for row in session.rows(_PARTS, upload=id_, after=after, limit=limit))


def add_part(session: Session, destination: int, path: str, part: tuple[int, int], file: DataFile, user: int = 0) -> Entry:
    """Record the stored segment of `file` as a part of an upload; one of the same number is replaced.

    But not of an upload that is kept: its user was told how far it has come. Raises `PreconditionFailed`.
    """
    id_, number = part
    find(session, destination, path, id_, user)
    (stored,) = file.segments
    if files.dead_among(session, [stored.id]):
        raise files.given_up()
    old = session.row(_PART, upload=id_, number=number)
    if old is not None and session.row(_IS_PARTIAL, upload=id_):
        raise PreconditionFailed("another piece was stored first")
    digests = files.packed(file.digests)
    session.run(_ADD_SEGMENT, id=stored.id, number=0, length=stored.length, digests=digests)
    for where in stored.copies:
        session.run(files.ADD_COPY, segment=stored.id, mover=where.mover, volume=where.volume)
    if old is not None:
        session.run(_REMOVE_PART, upload=id_, number=number)
        _drop(session, [old[1]])
    session.run(
        _ADD_PART,
        upload=id_,
        number=number,
        segment=stored.id,
        size=file.size,
        digests=digests,
        created=file.created,
    )
    return Entry(path, file.mtime, file)


def complete(
    session: Session,
    destination: int,
    path: str,
    id_: int,
    completion: Completion,
    condition: Condition,
    now: float,
    due: float,
    user: int = 0,
    waits: float | None = None,
) -> Entry:
    """Make a file of parts and give it its name; it is seen, or waits to be released.

    Raises `InvalidRequest` when a part isn't what it was any more, or is known to be damaged: it can be put again.
    """
    done = _done_before(session, destination, path, id_)
    if done is not None:
        return done
    found = find(session, destination, path, id_, user)
    at = standby.spot(session, destination, path)
    check_room(at.seen, condition)
    for each in completion.parts:
        row = session.row(_PART, upload=id_, number=each.number)
        if row is None or row[1] != each.segment:
            raise InvalidRequest(f"part {each.number} was replaced meanwhile")
    metadata = {**found.metadata, **completion.metadata}
    metadata.pop(INITIATOR, None)
    size = sum(part.size for part in completion.parts)
    segments = tuple(Segment(part.segment, part.size, _copies(session, part.segment)) for part in completion.parts)
    for part, stored in zip(completion.parts, segments, strict=True):
        if not stored.copies:
            raise InvalidRequest(f"part {part.number} is damaged where it is stored")
    file = DataFile(id_, size, now, now, dict(completion.digests), metadata, segments)
    at = standby.with_folder(session, at, now)
    _publish(session, file)
    standby.point(session, at, id_, waits, due)
    return Entry(path, now, file, replaced=at.seen.file is not None, waits=waits)


def abort(session: Session, destination: int, path: str, id_: int, user: int = 0) -> None:
    """Give an upload up, or `user`'s own that is kept. Raises `NotFound`."""
    find(session, destination, path, id_, user)
    give_up(session, id_)


def expire(session: Session, now: float) -> int:
    """Give up some of the uploads whose time is over, and say how many."""
    return _give_up_some(session, session.rows(_EXPIRED, now=now, limit=GIVEN_UP_AT_A_TIME))


def give_up_in(session: Session, destination: int) -> int:
    """Give up some of the uploads to a destination, whatever kind they are, and say how many."""
    return _give_up_some(session, session.rows(_OF_DESTINATION, destination=destination, limit=GIVEN_UP_AT_A_TIME))


def check_none_kept(session: Session, destination: int) -> None:
    """Raises `Unavailable` where an upload to a destination broke off whose user may come back for it."""
    if session.rows(_KEPT, destination=destination, limit=1):
        raise Unavailable("interrupted uploads to it are still kept")


def _give_up_some(session: Session, rows: Sequence[Any]) -> int:
    parts = 0
    for count, row in enumerate(rows, 1):
        parts += give_up(session, row[0])
        if parts >= PARTS_AT_A_TIME:
            return count
    return len(rows)


def _done_before(session: Session, destination: int, path: str, id_: int) -> Entry | None:
    """The file that a completion that was made before has left at the path."""
    for found in (files.entry_at(session, destination, path), standby.entry_at(session, destination, path)):
        if found is not None and found.file is not None and found.file.id == id_:
            return found
    return None


def _publish(session: Session, file: DataFile) -> None:
    session.run(_ADD_FILE, **files.row_of(file))
    taken = {each.id for each in file.segments}
    left = [row[0] for row in session.rows(_ALL_PARTS, upload=file.id) if row[0] not in taken]
    session.run(_REMOVE_PARTS, upload=file.id)
    session.run(_REMOVE, upload=file.id)
    for place, each in enumerate(file.segments):
        session.run(_TAKE_SEGMENT, taken=each.id, file=file.id, place=place)
    _drop(session, left)


def give_up(session: Session, id_: int) -> int:
    """Remove an upload and its parts, and say how many those were."""
    segments = [row[0] for row in session.rows(_ALL_PARTS, upload=id_)]
    session.run(_REMOVE_PARTS, upload=id_)
    _drop(session, segments)
    session.run(_REMOVE, upload=id_)
    return len(segments)


def _drop(session: Session, segments: Iterable[int]) -> None:
    """Nobody reads a part, so its bytes may go at once."""
    for each in segments:
        session.run(_RECLAIM, segment=each, due=0.0)
        session.run(_DROP_COPIES, segment=each)
        session.run(_DROP_SEGMENT, segment=each)


def _copies(session: Session, id_: int) -> tuple[Copy, ...]:
    return tuple(Copy(mover, volume) for mover, volume in session.rows(_COPIES, segment=id_))


def _upload(row: Any) -> MultipartUpload:
    return MultipartUpload(row[0], row[1], row[2], files.unpacked(row[3]))


def _part(row: Any) -> UploadPart:
    return UploadPart(row[0], row[1], row[2], files.unpacked(row[3]), row[4])
