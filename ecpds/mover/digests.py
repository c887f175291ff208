"""Digests that follow the bytes of an upload, by the catalogue's names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from awscrt import checksums

from ecpds.errors import DigestMismatch
from ecpds.mover.staging import Hash


class Crc32:
    """A CRC of 32 bits with the face of a hashlib object."""

    def __init__(self, compute: Callable[[memoryview, int], int]) -> None:
        self._compute = compute
        self._value = 0

    def update(self, data: memoryview, /) -> None:
        self._value = self._compute(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


_CRCS: Mapping[str, Callable[[memoryview, int], int]] = {"crc32": checksums.crc32, "crc32c": checksums.crc32c}


def follower(name: str) -> Hash:
    """A digest of a name of `model.DIGESTS`, of nothing yet."""
    return Crc32(_CRCS[name]) if name in _CRCS else hashlib.new(name, usedforsecurity=False)


def check(found: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Raises `DigestMismatch`, also for a digest that nobody has computed."""
    for name, digest in expected.items():
        if found.get(name) != digest.lower():
            raise DigestMismatch(name)
