"""The destinations' rows."""

from __future__ import annotations

import re
from typing import Any

from attrs import evolve
from sqlalchemy import delete, exists, select, update

from ecpds.errors import AlreadyExists, DirectoryNotEmpty, InvalidName, InvalidRequest, NotFound, Unavailable
from ecpds.master import files, standby, tree
from ecpds.master.schema import destination, destination_option, directory, entry, upload
from ecpds.master.sql import Session, Statement, insert_into, limited, value
from ecpds.model import DIGESTS, Destination, DestinationChange
from ecpds.options import DESTINATION_NAME, check_destination_options

CRC = "crc64nvme"
"""The digest that is always kept."""

COPIES = 100
"""More of one file nobody keeps."""

UNSETTABLE = ("group", "lifetime")
"""What can be unset besides options."""

_COLUMNS = ("name", "copies", "transfer_group", "lifetime", "digests", "digest_when", "created")
_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)

_ALL = Statement(select(destination.c.id, *(destination.c[name] for name in _COLUMNS)).order_by(destination.c.name))
_OPTIONS = Statement(select(destination_option.c.destination, destination_option.c.key, destination_option.c.value))
_NAMED = Statement(select(destination.c.id).where(destination.c.name == value("name")))
_BY_NAME = Statement(
    select(destination.c.id, *(destination.c[name] for name in _COLUMNS)).where(destination.c.name == value("name"))
)
_OPTIONS_OF = Statement(
    select(destination_option.c.key, destination_option.c.value).where(destination_option.c.destination == value("which"))
)
_ADD = Statement(insert_into(destination, *_COLUMNS).returning(destination.c.id))
_ADD_OPTION = Statement(insert_into(destination_option))
_SET = Statement(
    update(destination)
    .where(destination.c.id == value("which"))
    .values({name: value(f"new_{name}") for name in ("copies", "transfer_group", "lifetime", "digests", "digest_when")})
)
_REMOVE_OPTIONS = Statement(delete(destination_option).where(destination_option.c.destination == value("which")))
_REMOVE = Statement(delete(destination).where(destination.c.id == value("which")))
_REMOVE_DIRECTORIES = Statement(delete(directory).where(directory.c.destination == value("which")))
_HAS_DIRECTORIES = Statement(
    select(exists().where(directory.c.destination == value("which"), directory.c.path != value("root")))
)
_HAS_UPLOADS = Statement(select(exists().where(upload.c.destination == value("which"))))
_SOME_FILES = Statement(
    limited(
        select(directory.c.id, entry.c.name, entry.c.data_file, directory.c.path)
        .select_from(directory.join(entry, entry.c.directory == directory.c.id))
        .where(directory.c.destination == value("which"), directory.c.path >= value("first"))
        .order_by(directory.c.path)
    )
)


def check(new: Destination) -> None:
    """Raises `InvalidName` or `InvalidRequest` for a destination that can't be."""
    if not DESTINATION_NAME.fullmatch(new.name):
        raise InvalidName(f"{new.name[:100]!a} can't be a destination; allowed: letters, digits, '.', '_', '-', at most 63")
    if not 1 <= new.copies < COPIES:
        raise InvalidRequest(f"{new.copies} copies; allowed: 1 or more, below {COPIES}")
    if new.group is not None and not _GROUP.fullmatch(new.group):
        raise InvalidRequest(f"group {new.group[:100]!a}; allowed: letters, digits, '.', '_', '-', at most 63")
    if new.lifetime is not None and not new.lifetime > 0:
        raise InvalidRequest(f"a lifetime of {new.lifetime} seconds; allowed: more than 0")
    if new.digest_when not in ("inline", "after"):
        raise InvalidRequest(f"digest_when {new.digest_when[:100]!a}; allowed: inline, after")
    unknown = [digest for digest in new.digests if digest not in DIGESTS]
    if unknown:
        raise InvalidRequest(f"digest {unknown[0][:100]!a}; allowed: {', '.join(DIGESTS)}")
    check_destination_options(new.options)


def changed(old: Destination, change: DestinationChange) -> Destination:
    """What `old` becomes. Raises `InvalidRequest`, and `NotFound` for options to unset that are not set."""
    options = dict(old.options)
    for key in change.unset:
        if key not in UNSETTABLE and options.pop(key, None) is None:
            raise NotFound(f"option {key[:100]!a} is not set")
    new = evolve(
        old,
        copies=old.copies if change.copies is None else change.copies,
        group=None if "group" in change.unset else change.group or old.group,
        lifetime=None if "lifetime" in change.unset else change.lifetime or old.lifetime,
        digests=old.digests if change.digests is None else change.digests,
        digest_when=change.digest_when or old.digest_when,
        options={**options, **change.options},
    )
    check(new)
    return new


def every(session: Session) -> list[Destination]:
    """All of them, by name."""
    options: dict[int, dict[str, str]] = {}
    for owner, key, text in session.rows(_OPTIONS):
        options.setdefault(owner, {})[key] = text
    return [_record(row, options.get(row[0], {})) for row in session.rows(_ALL)]


def named(session: Session, name: str) -> Destination:
    """Raises `NotFound`."""
    row = session.row(_BY_NAME, name=name)
    if row is None:
        raise NotFound(f"destination {name[:100]!a}")
    return _record(row, dict(session.rows(_OPTIONS_OF, which=row[0])))


def add(session: Session, new: Destination) -> Destination:
    """Add a destination and its root directory. Raises `AlreadyExists`."""
    if session.row(_NAMED, name=new.name):
        raise AlreadyExists(f"destination {new.name}")
    row = session.row(
        _ADD,
        name=new.name,
        copies=new.copies,
        transfer_group=new.group,
        lifetime=new.lifetime,
        digests=",".join(new.digests),
        digest_when=new.digest_when,
        created=new.created,
    )
    assert row is not None
    for key, text in new.options.items():
        session.run(_ADD_OPTION, destination=row[0], key=key, value=text)
    tree.make(session, row[0], None, "", False, new.created)
    return _with_id(new, row[0])


def id_of(session: Session, name: str) -> int:
    """Raises `NotFound`."""
    row = session.row(_NAMED, name=name)
    if row is None:
        raise NotFound(f"destination {name[:100]!a}")
    return int(row[0])


def change(session: Session, name: str, change: DestinationChange) -> Destination:
    """Returns what it has become. Raises as `named` and `changed` do.

    It is read in the transaction that writes it: of two changes at a time neither takes the other back.
    """
    new = changed(named(session, name), change)
    session.run(
        _SET,
        which=new.id,
        new_copies=new.copies,
        new_transfer_group=new.group,
        new_lifetime=new.lifetime,
        new_digests=",".join(new.digests),
        new_digest_when=new.digest_when,
    )
    session.run(_REMOVE_OPTIONS, which=new.id)
    for key, text in new.options.items():
        session.run(_ADD_OPTION, destination=new.id, key=key, value=text)
    return new


def empty_some(session: Session, id_: int, limit: int, due: float, first: str) -> str | None:
    """Remove up to `limit` files of a destination, whose bytes may be deleted from `due` on: those that wait, and those in its
    folders from `first` on. Returns the folder to go on from, None where there are no more.
    """
    waiting = standby.empty_some(session, id_, limit, due)
    found = session.rows(_SOME_FILES, which=id_, first=first, limit=limit - waiting)
    for place, name, file, _ in found:
        files.unname(session, place, name)
        files.drop(session, [(file, due)])
    if waiting + len(found) < limit:
        return None
    return str(found[-1][3]) if found else first


def check_empty(session: Session, id_: int, force: bool) -> None:
    """Raises `DirectoryNotEmpty` where a destination has files, or directories of its own that are not to go."""
    if session.rows(_SOME_FILES, which=id_, first="", limit=1) or standby.has_any(session, id_):
        raise DirectoryNotEmpty("--force removes what is in it")
    if not force and session.rows(_HAS_DIRECTORIES, which=id_, root="")[0][0]:
        raise DirectoryNotEmpty("--force removes what is in it")


def remove(session: Session, id_: int, force: bool) -> None:
    """Remove a destination that has no files. Raises `DirectoryNotEmpty`, and `Unavailable` while uploads are kept.

    Directories of its own go only when forced.
    """
    check_empty(session, id_, force)
    if session.rows(_HAS_UPLOADS, which=id_)[0][0]:
        raise Unavailable("interrupted uploads to it are still kept")
    session.run(_REMOVE_DIRECTORIES, which=id_)
    session.run(_REMOVE, which=id_)


def _with_id(new: Destination, id_: int) -> Destination:
    return Destination(
        id_, new.name, new.copies, new.group, new.lifetime, new.digests, new.digest_when, dict(new.options), new.created
    )


def _record(row: Any, options: dict[str, str]) -> Destination:
    id_, name, copies, group, lifetime, digests, digest_when, created = row
    return Destination(
        id_, name, copies, group, lifetime, tuple(filter(None, digests.split(","))), digest_when, options, created
    )
