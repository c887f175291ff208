"""The users' rows as they are read: accounts, what they may do and where, and their keys."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from attrs import frozen
from sqlalchemy import select, update

from ecpds.errors import NotFound
from ecpds.master import policies
from ecpds.master.rights import Grant, Rights, merged
from ecpds.master.schema import destination, user, user_destination, user_key, user_option, user_totp
from ecpds.master.sql import Session, Statement, value
from ecpds.people import Policy, UserRecord

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
_TOTP = Statement(select(user_totp.c.sealed).where(user_totp.c.user == value("user")))
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


def mark(secret: str) -> str:
    """What tells one PHC string or public key from another, and nothing more about it."""
    return hashlib.blake2b(secret.encode(), digest_size=16).hexdigest()


@frozen
class Account:
    """A user as the Master knows it: its own, not merged with its policies.

    `password` is a PHC string, `totp` the sealed secret of its one-time codes.
    """

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
    totp: str | None = None

    @cached_property
    def rights(self) -> Rights:
        """What the user may do, its policies included."""
        return merged(Grant(frozenset(self.permissions), self.destinations), self.options, self.policies)

    @cached_property
    def password_mark(self) -> str:
        """The `mark` of the password; empty where there is none."""
        return mark(self.password) if self.password else ""

    def has_key(self, blob: str) -> bool:
        return any(key.blob == blob for key in self.keys)

    def has_credential(self, marked: str) -> bool:
        """Whether what has this `mark` is still the user's password or one of its keys."""
        return any(mark(secret) == marked for secret in (self.password, *(key.blob for key in self.keys)) if secret)

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
            self.totp is not None,
        )


def by_login(session: Session, login: str) -> Account | None:
    return _account(session, session.row(_BY_LOGIN, login=login))


def by_id(session: Session, id_: int) -> Account | None:
    return _account(session, session.row(_BY_ID, id=id_))


def named(session: Session, login: str) -> Account:
    """Raises `NotFound`."""
    account = by_login(session, login)
    if account is None:
        raise NotFound(f"user {login[:100]!a}")
    return account


def record(session: Session, login: str) -> UserRecord:
    """Raises `NotFound`."""
    return named(session, login).record()


def every(session: Session) -> list[UserRecord]:
    """All of them, by login."""
    return [record(session, login) for (login,) in session.rows(_LOGINS)]


def logged_in(session: Session, id_: int, now: float) -> None:
    session.run(_LOGGED_IN, who=id_, at=now)


def _account(session: Session, row: Any) -> Account | None:
    if row is None:
        return None
    id_, login, password, mode, enabled, permissions, comment, created, last_login = row
    places = tuple(name for (name,) in session.rows(_DESTINATIONS, user=id_))
    options = dict(session.rows(_OPTIONS, user=id_))
    held = tuple(filter(None, permissions.split(",")))
    given, keys = policies.of_user(session, id_), tuple(Key(*row) for row in session.rows(_KEYS, user=id_))
    enrolled = session.row(_TOTP, user=id_)
    return Account(
        id_,
        login,
        password,
        mode,
        bool(enabled),
        held,
        comment,
        created,
        last_login,
        places,
        options,
        given,
        keys,
        enrolled[0] if enrolled is not None else None,
    )
