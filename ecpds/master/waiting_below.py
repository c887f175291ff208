"""Files that wait in a folder and below it, as the catalogue sees them: which there are, and the release of some of them.

They are found by the index of what waits in their destination, a page at a time, whatever else the folder holds.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, tuple_

from ecpds.errors import IsADirectory, NotFound
from ecpds.master import standby
from ecpds.master.schema import directory
from ecpds.master.schema import standby as waiting
from ecpds.master.sql import Session, Statement, limited, value
from ecpds.master.standby import Released
from ecpds.model import Destination

Spot = tuple[int, str]
"""A directory, and a name in it."""

BEGINNING: Spot = (0, "")

_PAGE = Statement(
    limited(
        select(waiting.c.directory, waiting.c.name, directory.c.path)
        .select_from(waiting.join(directory, directory.c.id == waiting.c.directory))
        .where(waiting.c.destination == value("destination"))
        .where(tuple_(waiting.c.directory, waiting.c.name) > tuple_(value("after"), value("after_name")))
        .order_by(waiting.c.directory, waiting.c.name)
    )
)


def page(session: Session, destination: int, after: Spot, limit: int) -> tuple[list[str], Spot | None]:
    """The paths of up to `limit` files that wait in a destination behind a spot, and the spot to go on behind, if any."""
    rows = session.rows(_PAGE, destination=destination, after=after[0], after_name=after[1], limit=limit)
    paths = [f"{folder}/{name}" if folder else name for _, name, folder in rows]
    return paths, (rows[-1][0], rows[-1][1]) if len(rows) == limit else None


def is_below(path: str, folder: str) -> bool:
    """Whether a path is in a folder or further below; the empty one is the destination's own."""
    return not folder or path.startswith(f"{folder}/")


def release(session: Session, place: Destination, paths: Sequence[str], now: float, due: float) -> list[Released]:
    """Release those that still wait there."""
    released = []
    for path in paths:
        try:
            entry, waited = standby.release(session, place.id, path, now, due)
        except (NotFound, IsADirectory):
            continue  # it went, or was renamed, since it was found
        if waited:
            released.append(Released(place.id, place.name, entry))
    return released
