"""The users' rows: accounts, what they may do and where, and their keys."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from attrs import frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from sqlalchemy import select, update

from ecpds.errors import AlreadyExists, InvalidName, InvalidRequest, NotFound
from ecpds.master import policies
from ecpds.master.destinations import check_options
from ecpds.master.rights import Grant, Rights, merged
from ecpds.master.schema import destination, user, user_destination, user_key, user_option
from ecpds.master.sql import Session, Statement, insert_into, value
from ecpds.model import MODES, PERMISSIONS, NewUser, Policy, UserRecord

KEY_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
KEY_BYTES = 16384
"""Of one line with a public key."""

LOGIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,62}", re.ASCII)
_COLUMNS = (
    user.c.id,
    user.c.login,
    user.c.password,
    user.c.mode,
    user.c.enabled,
    user.c.permissions,
    user.c.comment,
    user.c.created,
    user.c.last_login,
)
_BY_LOGIN = Statement(select(*_COLUMNS).where(user.c.login == value("login")))
_BY_ID = Statement(select(*_COLUMNS).where(user.c.id == value("id")))
_LOGINS = Statement(select(user.c.login).order_by(user.c.login))
_DESTINATIONS = Statement(
    select(destination.c.name)
    .select_from(user_destination.join(destination, destination.c.id == user_destination.c.destination))
    .where(user_destination.c.user == value("user"))
    .order_by(destination.c.name)
)
_OPTIONS = Statement(select(user_option.c.key, user_option.c.value).where(user_option.c.user == value("user")))
_KEYS = Statement(
    select(user_key.c.type, user_key.c.blob, user_key.c.comment)
    .where(user_key.c.user == value("user"))
    .order_by(user_key.c.added, user_key.c.blob)
)
_DESTINATION_NAMED = Statement(select(destination.c.id).where(destination.c.name == value("name")))
_ADD = Statement(
    insert_into(user, "login", "password", "mode", "enabled", "permissions", "comment", "created").returning(user.c.id)
)
_ADD_DESTINATION = Statement(insert_into(user_destination))
_ADD_OPTION = Statement(insert_into(user_option))
_ADD_KEY = Statement(insert_into(user_key))
_LOGGED_IN = Statement(update(user).where(user.c.id == value("who")).values(last_login=value("at")))


@frozen
class Key:
    """An SSH public key, taken apart."""

    type: str
    blob: str
    comment: str

    @property
    def line(self) -> str:
        """As OpenSSH writes it."""
        return " ".join(filter(None, (self.type, self.blob, self.comment)))


@frozen
class Account:
    """A user as the Master knows it: its own, not merged with its policies. `password` is a PHC string."""

    id: int
    login: str
    password: str | None
    mode: str
    enabled: bool
    permissions: tuple[str, ...]
    comment: str
    created: float
    last_login: float | None
    destinations: tuple[str, ...]
    options: Mapping[str, str]
    policies: tuple[Policy, ...]
    keys: tuple[Key, ...]

    @cached_property
    def rights(self) -> Rights:
        """What the user may do, its policies included."""
        return merged(Grant(frozenset(self.permissions), self.destinations), self.options, self.policies)

    def has_key(self, blob: str) -> bool:
        return any(key.blob == blob for key in self.keys)

    def record(self) -> UserRecord:
        return UserRecord(
            self.id,
            self.login,
            self.mode,
            self.enabled,
            self.password is not None,
            self.permissions,
            self.destinations,
            self.options,
            tuple(key.line for key in self.keys),
            self.created,
            self.last_login,
            tuple(policy.name for policy in self.policies),
            self.comment,
        )


def by_login(session: Session, login: str) -> Account | None:
    return _account(session, session.row(_BY_LOGIN, login=login))


def by_id(session: Session, id_: int) -> Account | None:
    return _account(session, session.row(_BY_ID, id=id_))


def record(session: Session, login: str) -> UserRecord:
    """Raises `NotFound`."""
    account = by_login(session, login)
    if account is None:
        raise NotFound(f"user {login}")
    return account.record()


def every(session: Session) -> list[UserRecord]:
    """All of them, by login."""
    return [record(session, login) for (login,) in session.rows(_LOGINS)]


def check(new: NewUser) -> None:
    """Raises `InvalidName` or `InvalidRequest` for a user that can't be."""
    if not LOGIN.fullmatch(new.login):
        raise InvalidName(f"{new.login!r} can't be a login; allowed: letters, digits, '_', '.', '@', '-', at most 63")
    if new.mode not in MODES:
        raise InvalidRequest(f"mode {new.mode!r}; allowed: {', '.join(MODES)}")
    unknown = [permission for permission in new.permissions if permission not in PERMISSIONS]
    if unknown:
        raise InvalidRequest(f"permission {unknown[0]!r}; allowed: {', '.join(PERMISSIONS)}")
    if new.password == "":
        raise InvalidRequest("the password is empty")
    check_options(new.options)


def add(session: Session, new: NewUser, password: str | None, now: float) -> UserRecord:
    """Add a user; `password` is its PHC string. Raises `AlreadyExists`, `NotFound` for an unknown destination."""
    if session.row(_BY_LOGIN, login=new.login):
        raise AlreadyExists(f"user {new.login}")
    places = [_destination_id(session, name) for name in dict.fromkeys(new.destinations)]
    row = session.row(
        _ADD,
        login=new.login,
        password=password,
        mode=new.mode,
        enabled=True,
        permissions=",".join(dict.fromkeys(new.permissions)),
        comment=new.comment,
        created=now,
    )
    assert row is not None
    for place in places:
        session.run(_ADD_DESTINATION, user=row[0], destination=place)
    for key, text in new.options.items():
        session.run(_ADD_OPTION, user=row[0], key=key, value=text)
    return record(session, new.login)


def add_key(session: Session, login: str, key: Key, now: float) -> UserRecord:
    """Raises `NotFound`, and `AlreadyExists` when the user has the key already."""
    account = by_login(session, login)
    if account is None:
        raise NotFound(f"user {login}")
    if account.has_key(key.blob):
        raise AlreadyExists("the user has that key")
    session.run(_ADD_KEY, user=account.id, type=key.type, blob=key.blob, comment=key.comment, added=now)
    return record(session, login)


def logged_in(session: Session, id_: int, now: float) -> None:
    session.run(_LOGGED_IN, who=id_, at=now)


def parse_key(line: str) -> Key:
    """One line of OpenSSH's public key form (sshd(8), AUTHORIZED_KEYS, without options). Raises `InvalidRequest`."""
    words = line.strip().split(None, 2)
    if len(line) > KEY_BYTES or len(words) < 2 or words[0] not in KEY_TYPES or not line.strip().isprintable():
        raise InvalidRequest(f"that is not a public key; allowed: one line that begins with one of {', '.join(KEY_TYPES)}")
    kind, blob = words[0], words[1]
    try:
        raw = base64.b64decode(blob, validate=True)
        if raw[:4] != len(kind).to_bytes(4, "big") or raw[4 : 4 + len(kind)] != kind.encode():
            raise ValueError("its type and its bytes differ")
        load_ssh_public_key(f"{kind} {blob}".encode())
    except (binascii.Error, ValueError, UnsupportedAlgorithm) as error:
        raise InvalidRequest("that is not a public key: its bytes can't be read") from error
    return Key(kind, blob, words[2] if len(words) > 2 else "")


def _destination_id(session: Session, name: str) -> int:
    row = session.row(_DESTINATION_NAMED, name=name)
    if row is None:
        raise NotFound(f"destination {name}")
    return int(row[0])


def _account(session: Session, row: Any) -> Account | None:
    if row is None:
        return None
    id_, login, password, mode, enabled, permissions, comment, created, last_login = row
    places = tuple(name for (name,) in session.rows(_DESTINATIONS, user=id_))
    options = dict(session.rows(_OPTIONS, user=id_))
    held = tuple(filter(None, permissions.split(",")))
    given, keys = policies.of_user(session, id_), tuple(Key(*row) for row in session.rows(_KEYS, user=id_))
    return Account(id_, login, password, mode, bool(enabled), held, comment, created, last_login, places, options, given, keys)
