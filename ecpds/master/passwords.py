"""Passwords: Argon2id (RFC 9106) in PHC strings, and a short memory of those that were right.

A hash takes about 50 ms and 19 MiB, so it is computed on a thread with a bounded queue, and once for many logins with
the same credential at a time.
"""

from __future__ import annotations

import base64
import hashlib
from collections import OrderedDict
from functools import partial
from random import Random

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from twisted.internet.interfaces import IReactorTime

from ecpds.interfaces import IThreads
from ecpds.master.shared import Shared

MEMORY = 19456
"""KiB of one hash; with `TIME` the first choice of OWASP's password storage cheat sheet."""
TIME = 2
LENGTH = 32
SALT = 16

REMEMBERED = 10_000
"""Credentials that are remembered at most."""


def phc(password: str, salt: bytes) -> str:
    """The PHC string of a password: `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`."""
    hasher = Argon2id(salt=salt, length=LENGTH, iterations=TIME, lanes=1, memory_cost=MEMORY)
    return str(hasher.derive_phc_encoded(_bytes(password)))


def matches(password: str, encoded: str) -> bool:
    """Whether a PHC string is that of `password`."""
    try:
        Argon2id.verify_phc_encoded(_bytes(password), encoded)
    except InvalidKey:
        return False
    return True


def nobodys(random: Random) -> str:
    """A PHC string that no password is known for: what an unknown user's is compared with, to take as long."""
    salt, hashed = (base64.b64encode(random.randbytes(size)).decode().rstrip("=") for size in (SALT, LENGTH))
    return f"$argon2id$v=19$m={MEMORY},t={TIME},p=1${salt}${hashed}"


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")


class Passwords:
    """Hashes and checks passwords. `random` must be unpredictable (`random.SystemRandom`)."""

    def __init__(self, threads: IThreads, clock: IReactorTime, random: Random, life: float) -> None:
        self._threads = threads
        self._clock = clock
        self._random = random
        self._life = life
        self._key = random.randbytes(32)
        self._nobodys = nobodys(random)
        self._right: OrderedDict[bytes, float] = OrderedDict()
        self._checking: dict[bytes, Shared[bool]] = {}

    async def hashed(self, password: str) -> str:
        """The PHC string to store. Raises `Unavailable` when too many wait."""
        encoded: str = await self._threads.run(phc, password, self._random.randbytes(SALT))
        return encoded

    async def check(self, login: str, password: str, encoded: str | None) -> bool:
        """Whether `password` is the one of the PHC string; without a string it takes as long and says no.

        Raises `Unavailable` when too many wait. What was right is remembered under a MAC (keyed BLAKE2, RFC 7693) of the
        login, the string and the password, so that it is forgotten when the user gets another.
        """
        stored = encoded or self._nobodys
        mark = hashlib.blake2b(b"\0".join(map(_bytes, (login, stored, password))), key=self._key, digest_size=32).digest()
        if self._right.get(mark, 0.0) > self._clock.seconds():
            return True
        if mark not in self._checking:
            self._checking[mark] = Shared("checking a password", partial(self._check, mark, password, stored))
        return await self._checking[mark].run()

    async def _check(self, mark: bytes, password: str, stored: str) -> bool:
        try:
            right: bool = await self._threads.run(matches, password, stored)
        finally:
            del self._checking[mark]
        if right:
            self._remember(mark)
        return right

    def _remember(self, mark: bytes) -> None:
        self._right[mark] = self._clock.seconds() + self._life
        self._right.move_to_end(mark)
        while len(self._right) > REMEMBERED:
            self._right.popitem(last=False)
