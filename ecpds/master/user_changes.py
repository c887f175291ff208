"""What changes users: each function is run by the writer, in its transaction. What is asked is checked before."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from sqlalchemy import delete, exists, select, update

from ecpds.errors import AlreadyExists, InvalidName, InvalidRequest, NotFound, Unavailable
from ecpds.master import destinations, policies
from ecpds.master.schema import upload, user, user_destination, user_key, user_option, user_policy
from ecpds.master.sql import Session, Statement, insert_into, value
from ecpds.master.users import Account, Key, by_login, named, record
from ecpds.model import MODES
from ecpds.options import check_user_options
from ecpds.people import LOGIN, NewUser, UserChange, UserRecord

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

PASSWORD = "password"
"""What `unset` calls it."""

_ADD = Statement(
    insert_into(user, "login", "password", "mode", "enabled", "permissions", "comment", "created").returning(user.c.id)
)
_SET = Statement(
    update(user)
    .where(user.c.id == value("who"))
    .values({name: value(f"new_{name}") for name in ("mode", "enabled", "permissions", "comment", "password")})
)
_SET_PASSWORD = Statement(update(user).where(user.c.id == value("who")).values(password=value("new_password")))
_REMOVE = Statement(delete(user).where(user.c.id == value("who")))
_ADD_DESTINATION = Statement(insert_into(user_destination))
_REMOVE_DESTINATIONS = Statement(delete(user_destination).where(user_destination.c.user == value("who")))
_ADD_POLICY = Statement(insert_into(user_policy))
_REMOVE_POLICIES = Statement(delete(user_policy).where(user_policy.c.user == value("who")))
_ADD_OPTION = Statement(insert_into(user_option))
_REMOVE_OPTION = Statement(delete(user_option).where(user_option.c.user == value("who"), user_option.c.key == value("name")))
_ADD_KEY = Statement(insert_into(user_key))
_REMOVE_KEY = Statement(delete(user_key).where(user_key.c.user == value("who"), user_key.c.blob == value("which")))
_HAS_UPLOADS = Statement(select(exists().where(upload.c.user == value("who"))))


def check(new: NewUser) -> None:
    """Raises `InvalidName` or `InvalidRequest` for a user that can't be."""
    if not LOGIN.fullmatch(new.login):
        raise InvalidName(f"{new.login[:100]!a} can't be a login; allowed: letters, digits, '_', '.', '@', '-', at most 63")
    if new.password == "":
        raise InvalidRequest("the password is empty")
    check_change(UserChange(mode=new.mode, permissions=new.permissions, options=new.options, comment=new.comment))


def check_change(change: UserChange) -> None:
    """Raises `InvalidRequest` for a change of a user that can't be."""
    if change.mode is not None and change.mode not in MODES:
        raise InvalidRequest(f"mode {change.mode[:100]!a}; allowed: {', '.join(MODES)}")
    policies.check_permissions(change.permissions or ())
    policies.check_comment(change.comment or "")
    check_user_options(change.options)


def add(session: Session, new: NewUser, password: str | None, now: float) -> UserRecord:
    """Add a user; `password` is its PHC string. Raises `AlreadyExists`, and `NotFound` for what it names and is not there."""
    if by_login(session, new.login):
        raise AlreadyExists(f"user {new.login}")
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
    _add_destinations(session, row[0], new.destinations)
    _add_policies(session, row[0], new.policies)
    for key, text in new.options.items():
        session.run(_ADD_OPTION, user=row[0], key=key, value=text)
    return record(session, new.login)


def change(session: Session, login: str, change: UserChange) -> UserRecord:
    """Raises `NotFound` for the user, what it is to have and is not there, and options to unset that it has not."""
    old = named(session, login)
    permissions = old.permissions if change.permissions is None else tuple(dict.fromkeys(change.permissions))
    session.run(
        _SET,
        who=old.id,
        new_mode=change.mode or old.mode,
        new_enabled=old.enabled if change.enabled is None else change.enabled,
        new_permissions=",".join(permissions),
        new_comment=old.comment if change.comment is None else change.comment,
        new_password=None if PASSWORD in change.unset else old.password,
    )
    if change.destinations is not None:
        session.run(_REMOVE_DESTINATIONS, who=old.id)
        _add_destinations(session, old.id, change.destinations)
    if change.policies is not None:
        session.run(_REMOVE_POLICIES, who=old.id)
        _add_policies(session, old.id, change.policies)
    _change_options(session, old, change)
    return record(session, login)


def set_password(session: Session, login: str, password: str) -> UserRecord:
    """`password` is its PHC string. Raises `NotFound`."""
    session.run(_SET_PASSWORD, who=named(session, login).id, new_password=password)
    return record(session, login)


def remove(session: Session, login: str) -> UserRecord:
    """Returns what it was. Raises `NotFound`, and `Unavailable` while interrupted uploads of the user are kept."""
    old = named(session, login)
    row = session.row(_HAS_UPLOADS, who=old.id)
    if row and row[0]:
        raise Unavailable("interrupted uploads of that user are still kept; it can be disabled until they have gone")
    session.run(_REMOVE, who=old.id)
    return old.record()


def add_key(session: Session, login: str, key: Key, now: float) -> UserRecord:
    """Raises `NotFound`, and `AlreadyExists` when the user has the key already."""
    account = named(session, login)
    if account.has_key(key.blob):
        raise AlreadyExists("the user has that key")
    session.run(_ADD_KEY, user=account.id, type=key.type, blob=key.blob, comment=key.comment, added=now)
    return record(session, login)


def remove_key(session: Session, login: str, key: Key) -> UserRecord:
    """Raises `NotFound`, also when the user has not that key."""
    if not session.run(_REMOVE_KEY, who=named(session, login).id, which=key.blob):
        raise NotFound("the user has not that key")
    return record(session, login)


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
    return Key(kind, base64.b64encode(raw).decode("ascii"), words[2] if len(words) > 2 else "")


def _add_destinations(session: Session, user_id: int, names: Iterable[str]) -> None:
    for name in dict.fromkeys(names):
        session.run(_ADD_DESTINATION, user=user_id, destination=destinations.id_of(session, name))


def _add_policies(session: Session, user_id: int, names: Iterable[str]) -> None:
    for position, name in enumerate(dict.fromkeys(names)):
        session.run(_ADD_POLICY, user=user_id, policy=policies.named(session, name).id, position=position)


def _change_options(session: Session, old: Account, change: UserChange) -> None:
    for key in change.unset:
        if key != PASSWORD and not session.run(_REMOVE_OPTION, who=old.id, name=key):
            raise NotFound(f"option {key[:100]!a} is not set")
    for key, text in change.options.items():
        session.run(_REMOVE_OPTION, who=old.id, name=key)
        session.run(_ADD_OPTION, user=old.id, key=key, value=text)
