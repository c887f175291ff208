"""The destinations' rows."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import select

from ecpds.errors import AlreadyExists, InvalidName, InvalidRequest
from ecpds.master import tree
from ecpds.master.schema import destination, destination_option
from ecpds.master.sql import Session, Statement, insert_into, value
from ecpds.model import DIGESTS, Destination

CRC = "crc64nvme"
"""The digest that is always kept."""

_COLUMNS = ("name", "copies", "transfer_group", "lifetime", "digests", "digest_when", "created")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,127}", re.ASCII)

_ALL = Statement(select(destination.c.id, *(destination.c[name] for name in _COLUMNS)).order_by(destination.c.name))
_OPTIONS = Statement(select(destination_option.c.destination, destination_option.c.key, destination_option.c.value))
_NAMED = Statement(select(destination.c.id).where(destination.c.name == value("name")))
_ADD = Statement(insert_into(destination, *_COLUMNS).returning(destination.c.id))
_ADD_OPTION = Statement(insert_into(destination_option))


def check(new: Destination) -> None:
    """Raises `InvalidName` or `InvalidRequest` for a destination that can't be."""
    if not _NAME.fullmatch(new.name):
        raise InvalidName(f"{new.name!r} can't be a destination; allowed: letters, digits, '.', '_', '-', at most 63")
    if new.copies < 1:
        raise InvalidRequest(f"{new.copies} copies; allowed: 1 or more")
    if new.lifetime is not None and not new.lifetime > 0:
        raise InvalidRequest(f"a lifetime of {new.lifetime} seconds; allowed: more than 0")
    if new.digest_when not in ("inline", "after"):
        raise InvalidRequest(f"digest_when {new.digest_when!r}; allowed: inline, after")
    unknown = [digest for digest in new.digests if digest not in DIGESTS]
    if unknown:
        raise InvalidRequest(f"digest {unknown[0]!r}; allowed: {', '.join(DIGESTS)}")
    check_options(new.options)


def check_options(options: Any) -> None:
    for key in options:
        if not _OPTION.fullmatch(key):
            raise InvalidRequest(f"option {key!r}; allowed: letters, digits, '.', '_', '-'")


def every(session: Session) -> list[Destination]:
    """All of them, by name."""
    options: dict[int, dict[str, str]] = {}
    for owner, key, text in session.rows(_OPTIONS):
        options.setdefault(owner, {})[key] = text
    return [_record(row, options.get(row[0], {})) for row in session.rows(_ALL)]


def add(session: Session, new: Destination) -> Destination:
    """Add a destination and its root directory. Raises `AlreadyExists`."""
    if session.row(_NAMED, name=new.name):
        raise AlreadyExists(new.name)
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


def _with_id(new: Destination, id_: int) -> Destination:
    return Destination(
        id_, new.name, new.copies, new.group, new.lifetime, new.digests, new.digest_when, dict(new.options), new.created
    )


def _record(row: Any, options: dict[str, str]) -> Destination:
    id_, name, copies, group, lifetime, digests, digest_when, created = row
    return Destination(
        id_, name, copies, group, lifetime, tuple(filter(None, digests.split(","))), digest_when, options, created
    )
