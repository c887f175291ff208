"""The policies' rows: read by whoever loads a user, changed by the writer. What is asked is checked before."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from attrs import evolve
from sqlalchemy import delete, func, select, update

from ecpds.errors import AlreadyExists, InvalidName, InvalidRequest, NotFound, NotPermitted
from ecpds.master import destinations
from ecpds.master.schema import destination, policy, policy_destination, policy_option, user_policy
from ecpds.master.sql import Session, Statement, insert_into, value
from ecpds.model import PERMISSIONS
from ecpds.options import check_user_options
from ecpds.people import Policy, UserChange

COMMENT = 200
"""Characters of a comment at most."""

ANY = "permissions"
"""What `unset` calls a policy's own permissions."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}", re.ASCII)

_COLUMNS = (policy.c.id, policy.c.name, policy.c.enabled, policy.c.permissions, policy.c.comment, policy.c.created)
_NAMED = Statement(select(*_COLUMNS).where(policy.c.name == value("name")))
_ALL = Statement(select(*_COLUMNS).order_by(policy.c.name))
_OF_USER = Statement(
    select(*_COLUMNS)
    .select_from(user_policy.join(policy, policy.c.id == user_policy.c.policy))
    .where(user_policy.c.user == value("user"))
    .order_by(user_policy.c.position)
)
_DESTINATIONS = Statement(
    select(destination.c.name)
    .select_from(policy_destination.join(destination, destination.c.id == policy_destination.c.destination))
    .where(policy_destination.c.policy == value("policy"))
    .order_by(destination.c.name)
)
_OPTIONS = Statement(select(policy_option.c.key, policy_option.c.value).where(policy_option.c.policy == value("policy")))
_ADD = Statement(insert_into(policy, "name", "enabled", "permissions", "comment", "created").returning(policy.c.id))
_SET = Statement(
    update(policy)
    .where(policy.c.id == value("which"))
    .values({name: value(f"new_{name}") for name in ("enabled", "permissions", "comment")})
)
_REMOVE = Statement(delete(policy).where(policy.c.id == value("which")))
_ADD_DESTINATION = Statement(insert_into(policy_destination))
_REMOVE_DESTINATIONS = Statement(delete(policy_destination).where(policy_destination.c.policy == value("which")))
_ADD_OPTION = Statement(insert_into(policy_option))
_REMOVE_OPTION = Statement(
    delete(policy_option).where(policy_option.c.policy == value("which"), policy_option.c.key == value("name"))
)
_HOLDERS = Statement(select(func.count()).select_from(user_policy).where(user_policy.c.policy == value("which")))


def check(new: Policy) -> None:
    """Raises `InvalidName` or `InvalidRequest` for a policy that can't be."""
    if not _NAME.fullmatch(new.name):
        raise InvalidName(f"{new.name[:100]!a} can't be a policy; allowed: letters, digits, '_', '.', '-', at most 63")
    check_change(UserChange(permissions=new.permissions, options=new.options, comment=new.comment))


def check_change(change: UserChange) -> None:
    """Raises `InvalidRequest` for a change of a policy that can't be."""
    check_permissions(change.permissions or ())
    check_comment(change.comment or "")
    check_user_options(change.options)


def check_permissions(permissions: Iterable[str]) -> None:
    for permission in permissions:
        if permission not in PERMISSIONS:
            raise InvalidRequest(f"permission {permission[:100]!a}; allowed: {', '.join(PERMISSIONS)}")


def check_comment(comment: str) -> None:
    if len(comment) > COMMENT or not comment.isprintable():
        raise InvalidRequest(f"the comment; allowed: at most {COMMENT} characters, all printable")


def named(session: Session, name: str) -> Policy:
    """Raises `NotFound`."""
    row = session.row(_NAMED, name=name)
    if row is None:
        raise NotFound(f"policy {name[:100]!a}")
    return _policy(session, row)


def every(session: Session) -> list[Policy]:
    """All of them, by name."""
    return [_policy(session, row) for row in session.rows(_ALL)]


def of_user(session: Session, user_id: int) -> tuple[Policy, ...]:
    """In the order in which they were given to the user."""
    return tuple(_policy(session, row) for row in session.rows(_OF_USER, user=user_id))


def add(session: Session, new: Policy) -> Policy:
    """Raises `AlreadyExists`, and `NotFound` for an unknown destination."""
    if session.row(_NAMED, name=new.name):
        raise AlreadyExists(f"policy {new.name}")
    row = session.row(
        _ADD,
        name=new.name,
        enabled=new.enabled,
        permissions=_joined(new.permissions),
        comment=new.comment,
        created=new.created,
    )
    assert row is not None
    _add_destinations(session, row[0], new.destinations)
    for key, text in new.options.items():
        session.run(_ADD_OPTION, policy=row[0], key=key, value=text)
    return named(session, new.name)


def change(session: Session, name: str, change: UserChange) -> Policy:
    """Raises `NotFound` for the policy, an unknown destination, and options to unset that are not set."""
    old = named(session, name)
    permissions = old.permissions if change.permissions is None else change.permissions
    new = evolve(
        old,
        enabled=old.enabled if change.enabled is None else change.enabled,
        permissions=None if ANY in change.unset else permissions,
        comment=old.comment if change.comment is None else change.comment,
    )
    session.run(_SET, which=old.id, new_enabled=new.enabled, new_permissions=_joined(new.permissions), new_comment=new.comment)
    if change.destinations is not None:
        session.run(_REMOVE_DESTINATIONS, which=old.id)
        _add_destinations(session, old.id, change.destinations)
    _change_options(session, old, change)
    return named(session, name)


def remove(session: Session, name: str, force: bool) -> Policy:
    """Returns what it was. Raises `NotFound`, and `NotPermitted` when users have it, unless forced."""
    old = named(session, name)
    row = session.row(_HOLDERS, which=old.id)
    if row and row[0] and not force:
        raise NotPermitted(f"{row[0]} users have policy {name}; --force takes it from them")
    session.run(_REMOVE, which=old.id)
    return old


def _add_destinations(session: Session, policy_id: int, names: Iterable[str]) -> None:
    for name in dict.fromkeys(names):
        session.run(_ADD_DESTINATION, policy=policy_id, destination=destinations.id_of(session, name))


def _change_options(session: Session, old: Policy, change: UserChange) -> None:
    for key in change.unset:
        if key != ANY and not session.run(_REMOVE_OPTION, which=old.id, name=key):
            raise NotFound(f"option {key[:100]!a} is not set")
    for key, text in change.options.items():
        session.run(_REMOVE_OPTION, which=old.id, name=key)
        session.run(_ADD_OPTION, policy=old.id, key=key, value=text)


def _joined(permissions: Iterable[str] | None) -> str | None:
    return None if permissions is None else ",".join(dict.fromkeys(permissions))


def _policy(session: Session, row: Any) -> Policy:
    id_, name, enabled, permissions, comment, created = row
    held = None if permissions is None else tuple(filter(None, permissions.split(",")))
    places = tuple(place for (place,) in session.rows(_DESTINATIONS, policy=id_))
    options = dict(session.rows(_OPTIONS, policy=id_))
    return Policy(id_, name, bool(enabled), held, places, options, comment, created)
