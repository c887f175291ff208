"""Files whose lifetime is over, as the catalogue sees them: which may be, and the change that lets them go.

A file counts from when it was published (`data_file.created`), not from its mtime, which is the client's to say. What
a page of the question names may have been replaced, moved or given a longer life by the time of the change; so the change
asks of each, by its DataFileID and in its own transaction, whether it is there and over, and takes nothing else away.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from sqlalchemy import and_, or_, select

from ecpds.master import changes
from ecpds.master.schema import data_file, destination, destination_option, directory, entry
from ecpds.master.sql import Session, Statement, limited, value
from ecpds.model import Condition, Entry
from ecpds.options import LIFETIME, kept_for

Moment = tuple[float, int]
"""When a file was published, and its DataFileID, for many may be of one moment."""

BEGINNING: Moment = (0.0, 0)

# The files lead, so that a page is a stretch of their index; a join that could be turned round might begin with all names.
_PAGE = Statement(
    limited(
        select(data_file.c.created, data_file.c.id, directory.c.destination)
        .select_from(
            data_file.outerjoin(entry, entry.c.data_file == data_file.c.id).outerjoin(
                directory, directory.c.id == entry.c.directory
            )
        )
        .where(
            data_file.c.created >= value("after"),
            data_file.c.created <= value("until"),
            or_(data_file.c.created > value("after"), data_file.c.id > value("after_id")),
        )
        .order_by(data_file.c.created, data_file.c.id)
    )
)
_STANDING = Statement(
    select(
        directory.c.destination,
        destination.c.name,
        directory.c.path,
        entry.c.name,
        data_file.c.created,
        destination.c.lifetime,
        destination_option.c.value,
    )
    .select_from(
        entry.join(data_file, data_file.c.id == entry.c.data_file)
        .join(directory, directory.c.id == entry.c.directory)
        .join(destination, destination.c.id == directory.c.destination)
        .outerjoin(
            destination_option,
            and_(destination_option.c.destination == destination.c.id, destination_option.c.key == value("option")),
        )
    )
    .where(entry.c.data_file == value("file"))
)


@frozen
class Candidate:
    """A file that may be over."""

    published: Moment
    destination: int | None


@frozen
class Gone:
    """A file that has left: the destination and its name, what was there, and when its time was over."""

    destination: int
    name: str
    entry: Entry
    over: float


def page(session: Session, after: Moment, until: float, limit: int) -> list[Candidate]:
    """Up to `limit` files that were published behind `after` and at `until` at the latest, the oldest first."""
    rows = session.rows(_PAGE, after=after[0], after_id=after[1], until=until, limit=limit)
    return [Candidate((created, id_), place) for created, id_, place in rows]


def let_go(session: Session, files: Sequence[int], now: float, due: float) -> list[Gone]:
    """Delete those of the data files that are over at `now`, as a user would; their bytes may go from `due` on."""
    return [gone for file in files if (gone := _let_go(session, file, now, due)) is not None]


def _let_go(session: Session, file: int, now: float, due: float) -> Gone | None:
    row = session.row(_STANDING, file=file, option=LIFETIME)
    if row is None:
        return None
    place, destination_name, folder, name, created, lifetime, option = row
    life = kept_for(lifetime, option)
    if life is None or created + life > now:
        return None
    path = f"{folder}/{name}" if folder else name
    was = changes.delete(session, place, path, Condition(match=frozenset((file,))), due)
    return Gone(place, destination_name, was, created + life)
