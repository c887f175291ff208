"""The rows of access keys: the secrets of S3, sealed by the vault and only opened to derive a signing key."""

from __future__ import annotations

import base64
import re
import string
from random import Random
from typing import Any

from attrs import frozen
from sqlalchemy import delete, select

from ecpds.errors import NotFound
from ecpds.master.schema import user, user_secret
from ecpds.master.sql import Session, Statement, insert_into, value
from ecpds.people import AccessKey

KIND = "s3"

ID = re.compile(r"[A-Z0-9]{16,32}", re.ASCII)
"""What an access key id can be."""

_COLUMNS = (
    user_secret.c.id,
    user.c.login,
    user_secret.c.created,
    user_secret.c.expires,
    user_secret.c.permissions,
    user_secret.c.destinations,
    user_secret.c.user,
    user_secret.c.sealed,
)
_KEYS = (
    select(*_COLUMNS)
    .select_from(user_secret.join(user, user.c.id == user_secret.c.user))
    .where(user_secret.c.kind == value("kind"))
)
_BY_ID = Statement(_KEYS.where(user_secret.c.id == value("id")))
_OF_USER = Statement(_KEYS.where(user_secret.c.user == value("user")).order_by(user_secret.c.created, user_secret.c.id))
_ADD = Statement(insert_into(user_secret))
_REMOVE = Statement(delete(user_secret).where(user_secret.c.id == value("access_key")))

ID_LENGTH = 20
SECRET_BYTES = 30


def new_id(random: Random) -> str:
    return "AK" + "".join(random.choices(string.ascii_uppercase + string.digits, k=ID_LENGTH - 2))


def new_secret(random: Random) -> str:
    """40 characters that need no quoting anywhere."""
    return base64.urlsafe_b64encode(random.randbytes(SECRET_BYTES)).decode("ascii")


@frozen
class StoredKey:
    """An access key as the Master has it: whose, and the sealed secret."""

    key: AccessKey
    user: int
    sealed: str


def purpose(user_id: int, access_key_id: str) -> str:
    """What a secret is sealed for."""
    return f"{KIND}:{user_id}:{access_key_id}"


def by_id(session: Session, access_key_id: str) -> StoredKey | None:
    row = session.row(_BY_ID, id=access_key_id, kind=KIND)
    return None if row is None else StoredKey(_key(row), row[6], row[7])


def of_user(session: Session, user_id: int) -> list[AccessKey]:
    """The oldest first."""
    return [_key(row) for row in session.rows(_OF_USER, user=user_id, kind=KIND)]


def add(session: Session, key: AccessKey, user_id: int, sealed: str) -> AccessKey:
    session.run(
        _ADD,
        id=key.id,
        user=user_id,
        kind=KIND,
        sealed=sealed,
        created=key.created,
        expires=key.expires,
        permissions=_joined(key.permissions),
        destinations=_joined(key.destinations),
    )
    return key


def remove(session: Session, user_id: int, access_key_id: str) -> AccessKey:
    """Returns what it was. Raises `NotFound`."""
    stored = by_id(session, access_key_id)
    if stored is None or stored.user != user_id:
        raise NotFound(f"access key {access_key_id[:100]!a}")
    session.run(_REMOVE, access_key=access_key_id)
    return stored.key


def _key(row: Any) -> AccessKey:
    id_, login, created, expires, permissions, destinations = row[:6]
    return AccessKey(id_, login, created, expires, _split(permissions), _split(destinations))


def _joined(words: tuple[str, ...] | None) -> str | None:
    return None if words is None else ",".join(words)


def _split(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(filter(None, text.split(",")))
