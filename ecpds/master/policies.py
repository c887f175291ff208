"""The policies' rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from ecpds.master.schema import destination, policy, policy_destination, policy_option, user_policy
from ecpds.master.sql import Session, Statement, value
from ecpds.model import Policy

_COLUMNS = (policy.c.id, policy.c.name, policy.c.enabled, policy.c.permissions, policy.c.comment, policy.c.created)
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


def of_user(session: Session, user_id: int) -> tuple[Policy, ...]:
    """In the order in which they were given to the user."""
    return tuple(_policy(session, row) for row in session.rows(_OF_USER, user=user_id))


def _policy(session: Session, row: Any) -> Policy:
    id_, name, enabled, permissions, comment, created = row
    held = None if permissions is None else tuple(filter(None, permissions.split(",")))
    places = tuple(name for (name,) in session.rows(_DESTINATIONS, policy=id_))
    options = dict(session.rows(_OPTIONS, policy=id_))
    return Policy(id_, name, bool(enabled), held, places, options, comment, created)
