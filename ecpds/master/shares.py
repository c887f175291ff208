"""The rows of share links. A link's token is not kept, only its SHA-256: it is random, and too long to be guessed."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from random import Random
from typing import Any

from attrs import frozen
from sqlalchemy import ColumnElement, delete, or_, select, update

from ecpds.errors import NotFound
from ecpds.master.schema import destination, share, user
from ecpds.master.sql import Session, Statement, insert_into, value
from ecpds.people import Share

TOKEN_BYTES = 18

_COLUMNS = (
    share.c.id,
    user.c.login,
    destination.c.name,
    share.c.path,
    share.c.permissions,
    share.c.created,
    share.c.expires,
    share.c.most,
    share.c.used,
    share.c.password,
    share.c.user,
)
_SHARES = select(*_COLUMNS).select_from(
    share.join(user, user.c.id == share.c.user).join(destination, destination.c.id == share.c.destination)
)
_BY_TOKEN = Statement(_SHARES.where(share.c.token == value("token")))
_BY_ID = Statement(_SHARES.where(share.c.id == value("share")))
_OF_USER = Statement(_SHARES.where(share.c.user == value("user")).order_by(share.c.id))
_EVERY = Statement(_SHARES.order_by(share.c.id))
_ADDED = ("token", "user", "destination", "path", "permissions", "password", "created", "expires", "most", "used")
_ADD = Statement(insert_into(share, *_ADDED).returning(share.c.id))
_REMOVE = Statement(delete(share).where(share.c.id == value("share")))


def _good(now: ColumnElement[Any]) -> ColumnElement[bool]:
    return or_(share.c.expires.is_(None), share.c.expires > now)


_USE = Statement(
    update(share)
    .where(
        share.c.id == value("share"),
        or_(share.c.most.is_(None), share.c.used < share.c.most),
        _good(value("now")),
    )
    .values(used=share.c.used + 1)
)


@frozen
class StoredShare:
    """A share link as the Master has it: whose, and its password's PHC string."""

    share: Share
    user: int
    password: str | None


def new_token(random: Random) -> str:
    """24 characters that need no quoting in a URL."""
    return urlsafe_b64encode(random.randbytes(TOKEN_BYTES)).decode("ascii")


def hashed(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def by_token(session: Session, token: str) -> StoredShare | None:
    """The link whose token has that hash."""
    return _stored(session.row(_BY_TOKEN, token=token))


def by_id(session: Session, id_: int) -> StoredShare | None:
    return _stored(session.row(_BY_ID, share=id_))


def every(session: Session, user_id: int | None) -> list[Share]:
    """A user's, or everybody's, the oldest first."""
    rows = session.rows(_EVERY) if user_id is None else session.rows(_OF_USER, user=user_id)
    return [_share(row) for row in rows]


def add(session: Session, new: Share, token: str, user_id: int, destination_id: int, password: str | None) -> int:
    """Keep a link, and say its number; `token` and `password` are hashed."""
    row = session.row(
        _ADD,
        token=token,
        user=user_id,
        destination=destination_id,
        path=new.path,
        permissions=",".join(new.permissions),
        password=password,
        created=new.created,
        expires=new.expires,
        most=new.most,
        used=0,
    )
    assert row is not None
    return int(row[0])


def remove(session: Session, user_id: int | None, id_: int) -> Share:
    """Returns what it was. Raises `NotFound`, also where it is not the user's who is named."""
    stored = by_id(session, id_)
    if stored is None or user_id not in (None, stored.user):
        raise NotFound(f"share {id_}")
    session.run(_REMOVE, share=id_)
    return stored.share


def use(session: Session, id_: int, now: float) -> bool:
    """Count a use, if there is one left."""
    return bool(session.run(_USE, share=id_, now=now))


def _stored(row: Any) -> StoredShare | None:
    return None if row is None else StoredShare(_share(row), row[10], row[9])


def _share(row: Any) -> Share:
    id_, login, place, path, permissions, created, expires, most, used, password = row[:10]
    held = tuple(filter(None, permissions.split(",")))
    return Share(id_, login, place, path, held, created, expires, most, used, password is not None)
