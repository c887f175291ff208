"""Digests that follow the bytes of an upload, by the catalogue's names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from awscrt import checksums

from ecpds.errors import DigestMismatch
from ecpds.mover.staging import Hash


class Crc:
    """A CRC with the face of a hashlib object, and `width` hexadecimal digits."""

    def __init__(self, compute: Callable[[memoryview, int], int], width: int) -> None:
        self._compute = compute
        self._width = width
        self._value = 0

    def update(self, data: memoryview, /) -> None:
        self._value = self._compute(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:0{self._width}x}"


_CRCS: Mapping[str, tuple[Callable[[memoryview, int], int], int]] = {
    "crc32": (checksums.crc32, 8),
    "crc32c": (checksums.crc32c, 8),
    "crc64nvme": (checksums.crc64nvme, 16),
}


_HASHES: Mapping[str, Callable[..., Hash]] = {
    "sha256": hashlib.sha256,
    "md5": hashlib.md5,
    "sha1": hashlib.sha1,
    "sha512": hashlib.sha512,
}


def follower(name: str) -> Hash:
    """A digest of a name of `model.DIGESTS`, of nothing yet."""
    return Crc(*_CRCS[name]) if name in _CRCS else _HASHES[name](usedforsecurity=False)


def check(found: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Raises `DigestMismatch`, also for a digest that nobody has computed."""
    for name, digest in expected.items():
        if found.get(name) != digest.lower():
            raise DigestMismatch(name)
