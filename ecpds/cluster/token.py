"""What an operator carries from the Master to a joining node: one line with the Masters' addresses and the fleet's secret.

    ecpds1.<base64url of a JSON list: the secret, then addresses as `[cluster] masters` has them>.<8 digits>

The digits are the first of the SHA-256 of what is before them, so that a line that was cut or mistyped is told from a
wrong secret. Whoever has the line can join: it is a secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence

from attrs import frozen

from ecpds.cluster.authority import SECRET
from ecpds.errors import InvalidRequest

KIND = "ecpds1"

LONGEST = 4096
"""Characters of a token."""


@frozen
class Token:
    """What the line says."""

    secret: bytes
    masters: Sequence[str]

    def __repr__(self) -> str:
        return f"Token({', '.join(self.masters)})"


def write_token(token: Token) -> str:
    """The line."""
    said = json.dumps([token.secret.decode("ascii"), *token.masters], separators=(",", ":"))
    line = f"{KIND}.{base64.urlsafe_b64encode(said.encode()).decode('ascii').rstrip('=')}"
    return f"{line}.{_digits(line)}"


def read_token(text: str) -> Token:
    """Raises `InvalidRequest`, without anything of the secret in it."""
    line = text.strip()
    body, _, digits = line.rpartition(".")
    kind, _, said = body.partition(".")
    if len(line) > LONGEST or kind != KIND or _digits(body) != digits:
        raise InvalidRequest("that is no token, or not all of one")
    try:
        found = json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))
    except (ValueError, binascii.Error):
        raise InvalidRequest("that is no token") from None
    if not isinstance(found, list) or len(found) < 2 or not all(isinstance(each, str) for each in found):
        raise InvalidRequest("that is no token")
    secret, *masters = found
    if not SECRET.fullmatch(secret):
        raise InvalidRequest("the secret in that token is none")
    return Token(secret.encode("ascii"), tuple(masters))


def _digits(line: str) -> str:
    return hashlib.sha256(line.encode("utf-8", "surrogatepass")).hexdigest()[:8]
