"""One-time codes (TOTP, RFC 6238): their secrets as the catalogue has them, and which codes those make.

Six digits, every 30 seconds, HMAC-SHA-1: what authenticator apps take without asking. A secret is sealed by the vault. With
it stands the last time step of which a code was taken: none of that step or an earlier one is taken again, whatever
was restarted meanwhile (section 5.2).
"""

from __future__ import annotations

import hmac
from random import Random

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from sqlalchemy import delete, update

from ecpds.errors import AlreadyExists, InvalidRequest, NotFound
from ecpds.keys import Vault
from ecpds.master import users
from ecpds.master.schema import user_totp
from ecpds.master.sql import Session, Statement, insert_into, value
from ecpds.people import UserRecord

DIGITS = 6

STEP = 30
"""Seconds that a code is shown."""

DRIFT = 1
"""Steps by which the user's clock may be off, either way."""

SECRET_BYTES = 20
"""As long as the hash (RFC 4226, section 4)."""

ISSUER = "ecpds"

_ADD = Statement(insert_into(user_totp))
_REMOVE = Statement(delete(user_totp).where(user_totp.c.user == value("who")))
_USE = Statement(
    update(user_totp).where(user_totp.c.user == value("who"), user_totp.c.used < value("step")).values(used=value("step"))
)


def new_secret(random: Random) -> bytes:
    return random.randbytes(SECRET_BYTES)


def uri(secret: bytes, login: str) -> str:
    """What authenticator apps read, as text or as a QR code (github.com/google/google-authenticator/wiki/Key-Uri-Format)."""
    return TOTP(secret, DIGITS, SHA1(), STEP).get_provisioning_uri(login, ISSUER)


def code_of(secret: bytes, step: int) -> str:
    """The code of a time step, counted from the epoch."""
    return HOTP(secret, DIGITS, SHA1()).generate(step).decode("ascii")


def step_of(secret: bytes, code: str, now: float) -> int | None:
    """The step about now that a code is of, the newest; None: of none. It takes as long whichever."""
    here = int(now) // STEP
    steps = [step for step in range(here - DRIFT, here + DRIFT + 1) if hmac.compare_digest(code_of(secret, step), code)]
    return steps[-1] if steps else None


def split(text: str) -> tuple[str, str]:
    """A password and the code behind it; without one the code is empty."""
    code = text[-DIGITS:]
    if len(code) == DIGITS and code.isascii() and code.isdigit():
        return text[:-DIGITS], code
    return text, ""


def purpose(user: int) -> str:
    """What a secret is sealed for."""
    return f"totp:{user}"


def enrol(session: Session, login: str, vault: Vault, secret: bytes, now: float) -> None:
    """Raises `NotFound`, `InvalidRequest` for a user without a password of its own, `AlreadyExists`."""
    account = users.named(session, login)
    if account.mode != "standard":
        raise InvalidRequest(f"one-time codes stand behind passwords, which users of mode {account.mode} do not have")
    if account.totp is not None:
        raise AlreadyExists(f"one-time codes of user {login}; `user totp {login} remove` takes them away")
    session.run(_ADD, user=account.id, sealed=vault.seal(secret, purpose(account.id)), created=now, used=0)


def remove(session: Session, login: str) -> UserRecord:
    """Raises `NotFound`."""
    account = users.named(session, login)
    if account.totp is None:
        raise NotFound(f"one-time codes of user {login}")
    session.run(_REMOVE, who=account.id)
    return users.record(session, login)


def use(session: Session, user: int, step: int) -> bool:
    """Whether a code of that step may be taken; then neither it nor an earlier one may be again."""
    return session.run(_USE, who=user, step=step) == 1
