"""How much destinations and users with a quota of it hold: files and bytes, in the catalogue.

Triggers of the catalogue count (migration 0013), in the transaction of each change, whatever the change. A name that comes,
points elsewhere or goes, seen or waiting, counts for its destination; a file that a user with a quota has put counts for that
user from the commit that gives it a name until it is deleted. There is a row only for who has a quota; the first commit that
needs one counts what there is. What a commit leaves is looked at in its own transaction, so two that end together can't both
have the last room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import frozen
from sqlalchemy import func, select

from ecpds.errors import StorageQuotaExceeded
from ecpds.master import files, standby, usage
from ecpds.master.schema import data_file, holding, owned
from ecpds.master.sql import Session, Statement, insert_into, value
from ecpds.model import Destination, Entry, QuotaUse
from ecpds.quotas import storage_quota

USER, DESTINATION = "user", "destination"
"""Whose a quota is."""

_HOLDING = Statement(
    select(holding.c.files, holding.c.size).where(holding.c.whose == value("whose"), holding.c.owner == value("owner"))
)
_ADD = Statement(insert_into(holding))
_OWN = Statement(insert_into(owned))
_IS_OWNED = Statement(select(owned.c.user).where(owned.c.data_file == value("file")))
_OF_USER = Statement(
    select(func.count(), func.coalesce(func.sum(data_file.c.size), 0))
    .select_from(owned.join(data_file, data_file.c.id == owned.c.data_file))
    .where(owned.c.user == value("user"))
)


@frozen
class Cap:
    """A user or a destination may hold so many files and bytes; None: any number."""

    whose: str
    owner: int
    files: int | None
    size: int | None

    def check(self, old: Holding, new: Holding) -> None:
        """Raises `StorageQuotaExceeded` where that is too much by now, and more than it was."""
        place = " of this destination" if self.whose == DESTINATION else ""
        if self.size is not None and new.size > max(self.size, old.size):
            raise StorageQuotaExceeded(f"{max(0, self.size - old.size)} of {self.size} bytes{place} are left")
        if self.files is not None and new.files > max(self.files, old.files):
            raise StorageQuotaExceeded(f"{max(0, self.files - old.files)} of {self.files} files{place} are left")


@frozen
class Holding:
    """So many files, and their bytes."""

    files: int
    size: int


def caps_of(user: int, of_user: Mapping[str, str], destination: Destination | None) -> tuple[Cap, ...]:
    """Those that a file counts for that the user puts there, by the options of both."""
    found = []
    own = storage_quota(of_user, "portal")
    if own is not None:
        found.append(Cap(USER, user, own.files, own.size))
    if destination is not None and (quota := storage_quota(destination.options, "incoming")) is not None:
        found.append(Cap(DESTINATION, destination.id, quota.files, quota.size))
    return tuple(found)


def known(session: Session, cap: Cap) -> Holding | None:
    """What is held, where it is counted already."""
    row = session.row(_HOLDING, whose=cap.whose, owner=cap.owner)
    return Holding(*row) if row else None


def held(session: Session, cap: Cap) -> Holding:
    """What is held; counted now where it was not before."""
    found = known(session, cap)
    if found is not None:
        return found
    if cap.whose == DESTINATION:
        return Holding(*usage.held(session, cap.owner))
    count, size = session.rows(_OF_USER, user=cap.owner)[0]
    return Holding(count, int(size))


def uses(session: Session, caps: Sequence[Cap]) -> list[QuotaUse]:
    """How far each is used."""
    found = []
    for cap in caps:
        now = held(session, cap)
        for of, used, most in (("heldBytes", now.size, cap.size), ("heldFiles", now.files, cap.files)):
            if most is not None:
                found.append(QuotaUse(of, used, most, 0))
    return found


def check_early(session: Session, caps: Sequence[Cap], destination: int, path: str, size: int | None) -> None:
    """Whether a file may still fit, before its bytes come; None: its size is not known. What it may replace is allowed for.

    Raises `StorageQuotaExceeded`.
    """
    waiting = standby.file_at(session, destination, path)
    there = [each for each in (files.file_at(session, destination, path), waiting and waiting[0]) if each]
    freed = sum(each.size for each in there)
    for cap in caps:
        now = known(session, cap)
        if now is not None:
            more = max(0, (1 if size is None and not freed else size or 0) - freed)
            cap.check(now, Holding(now.files + (not there), now.size + more))


@frozen
class Capped:
    """A change that gives a file of a user's its name, where that counts for quotas. Raises `StorageQuotaExceeded`."""

    change: Callable[[Session], Entry]
    caps: tuple[Cap, ...]
    user: int

    def __call__(self, session: Session) -> Entry:
        before = [self._counted(session, cap) for cap in self.caps]
        entry = self.change(session)
        assert entry.file is not None
        if any(cap.whose == USER for cap in self.caps) and not session.row(_IS_OWNED, file=entry.file.id):
            session.run(_OWN, data_file=entry.file.id, user=self.user)
        for cap, old in zip(self.caps, before, strict=True):
            cap.check(old, held(session, cap))
        return entry

    def _counted(self, session: Session, cap: Cap) -> Holding:
        """From here on the triggers count."""
        found = known(session, cap)
        if found is None:
            found = held(session, cap)
            session.run(_ADD, whose=cap.whose, owner=cap.owner, files=found.files, size=found.size)
        return found
