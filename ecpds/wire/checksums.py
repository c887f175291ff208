"""S3's checksums: `x-amz-checksum-*` fields, and what becomes of the parts' when an object is put together of parts.

In the catalogue a digest is lower-case hexadecimal under the portal's name; here it is base64 of the same bytes. A checksum
of a multipart object is `FULL_OBJECT`, that of all its bytes (CRCs can be combined), or `COMPOSITE`, that of the parts'
checksums, with `-` and their number behind it (S3, "Checking object integrity").
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence

from attrs import frozen
from awscrt import checksums as crt

from ecpds.wire.fields import Fields

FULL, COMPOSITE = "FULL_OBJECT", "COMPOSITE"

SIZES = {"crc32": 4, "crc32c": 4, "crc64nvme": 8, "sha1": 20, "sha256": 32}
"""S3's algorithms, by the name that is both the field's and the catalogue's, and the bytes of each."""

PREFIX = "x-amz-checksum-"

_COMBINE: dict[str, Callable[[int, int, int], int]] = {
    "crc32": crt.combine_crc32,
    "crc32c": crt.combine_crc32c,
    "crc64nvme": crt.combine_crc64nvme,
}
_CRC: dict[str, Callable[[bytes], int]] = {"crc32": crt.crc32, "crc32c": crt.crc32c}


@frozen
class Asked:
    """What a request says of its body's checksum: the algorithm, and the digest (hexadecimal) unless a trailer brings it."""

    algorithm: str
    digest: str | None = None


class NoDigest(ValueError):
    """A value that is no digest of its algorithm: so it is not the body's."""


def encoded(digest: str) -> str:
    """A digest in base64."""
    return base64.b64encode(bytes.fromhex(digest)).decode("ascii")


def decoded(algorithm: str, text: str) -> str:
    """A digest in hexadecimal, from base64. Raises `NoDigest`."""
    try:
        digest = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise NoDigest(f"Value for {PREFIX}{algorithm} header is invalid.") from error
    if len(digest) != SIZES[algorithm]:
        raise NoDigest(f"Value for {PREFIX}{algorithm} header is invalid.")
    return digest.hex()


def algorithm_named(name: str) -> str:
    """The algorithm of a name such as `CRC32C`. Raises `ValueError`."""
    if name.lower() not in SIZES:
        raise ValueError(f"Checksum algorithm {name[:32]!r} is not supported.")
    return name.lower()


def asked(fields: Fields, trailers: Sequence[str]) -> Asked | None:
    """The checksum of the body that a request announces. Raises `ValueError` when it is malformed or there are two."""
    found = [Asked(name, decoded(name, text)) for name in SIZES if (text := fields.get(PREFIX + name)) is not None]
    for trailer in trailers:
        found.append(Asked(algorithm_named(trailer.removeprefix(PREFIX))))
    if len(found) > 1:
        raise ValueError("Expecting a single x-amz-checksum- header.")
    named = fields.get("x-amz-sdk-checksum-algorithm")
    if named is not None and found and algorithm_named(named) != found[0].algorithm:
        raise ValueError("The x-amz-sdk-checksum-algorithm is not that of the checksum.")
    if found:
        return found[0]
    return Asked(algorithm_named(named)) if named is not None else None


def combined(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """The CRC of a whole from those of its parts (digest in hexadecimal, length)."""
    digest, rest = parts[0][0], parts[1:]
    value = int(digest, 16)
    for part, length in rest:
        value = _COMBINE[algorithm](value, int(part, 16), length)
    return f"{value:0{SIZES[algorithm] * 2}x}"


def composite(algorithm: str, digests: Sequence[str]) -> str:
    """The checksum of the parts' checksums (hexadecimal), as S3 shows it: base64, `-`, the number of parts."""
    joined = b"".join(bytes.fromhex(digest) for digest in digests)
    if algorithm in _CRC:
        digest = f"{_CRC[algorithm](joined):08x}"
    else:
        digest = hashlib.new(algorithm, joined, usedforsecurity=False).hexdigest()
    return f"{encoded(digest)}-{len(digests)}"


def multipart_etag(digests: Sequence[str]) -> str:
    """The MD5 of the parts' MD5s and their number, without quotes."""
    joined = b"".join(bytes.fromhex(digest) for digest in digests)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(digests)}"


def digest_of(algorithm: str, data: bytes) -> str:
    """The digest of a small body, in hexadecimal; `algorithm` is one of ours or any of hashlib's."""
    if algorithm == "crc64nvme":
        return f"{crt.crc64nvme(data):016x}"
    return (
        f"{_CRC[algorithm](data):08x}" if algorithm in _CRC else hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
    )
