"""Diffie-Hellman with SHA-2 in the groups of RFC 3526 (RFC 8268), for clients that have no elliptic curves.

They take one, three and fourteen milliseconds of the reactor, for a client that has proved nothing (on a thread too: the
library keeps the interpreter's lock). So they stand last, where only clients that want nothing quicker come to them, and
what bounds connections that have not logged in bounds these.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from typing import Any

from attrs import frozen
from cryptography.hazmat.primitives.asymmetric import dh
from cryptography.utils import CryptographyDeprecationWarning
from twisted.conch.ssh.common import MP

# It says that it will be given up one day, at every use; the tests tell when that has come.
warnings.filterwarnings("ignore", "Diffie-Hellman over finite fields", CryptographyDeprecationWarning)


@frozen
class Group:
    """A group and the hash that goes with it. `offset` is the number that RFC 3526 found for its prime."""

    bits: int
    offset: int
    hash: Callable[..., Any]

    @property
    def prime(self) -> int:
        return (1 << self.bits) - (1 << (self.bits - 64)) - 1 + ((_pi(self.bits - 130) + self.offset) << 64)


def _pi(bits: int) -> int:
    """Pi times 2 to the power of `bits`, rounded down (Machin's formula)."""
    one = 1 << (bits + 64)
    return (16 * _arctan_of_inverse(5, one) - 4 * _arctan_of_inverse(239, one)) >> 64


def _arctan_of_inverse(x: int, one: int) -> int:
    term = total = one // x
    divisor, sign = 1, 1
    while term:
        term //= x * x
        divisor, sign = divisor + 2, -sign
        total += sign * (term // divisor)
    return total


GROUPS = {
    b"diffie-hellman-group16-sha512": Group(4096, 240904, hashlib.sha512),
    b"diffie-hellman-group18-sha512": Group(8192, 4743158, hashlib.sha512),
    b"diffie-hellman-group14-sha256": Group(2048, 124476, hashlib.sha256),
}

_NUMBERS = {name: dh.DHParameterNumbers(group.prime, 2) for name, group in GROUPS.items()}


def answer(name: bytes, theirs: int) -> tuple[bytes, bytes]:
    """Our public value for the client's, and the secret that both have, each as an mpint.

    Raises `ValueError` for a value that is none (RFC 8268, section 4).
    """
    numbers = _NUMBERS[name]
    if not 1 < theirs < numbers.p - 1:
        raise ValueError("not a value of the group")
    ours = numbers.parameters().generate_private_key()
    secret = ours.exchange(dh.DHPublicNumbers(theirs, numbers).public_key())
    return MP(ours.public_key().public_numbers().y), MP(int.from_bytes(secret, "big"))
