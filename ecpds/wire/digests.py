"""Digest fields: Repr-Digest, Content-Digest and Want-Repr-Digest (RFC 9530), and what went before them, which clients
still send: Digest (RFC 3230) and Content-MD5 (RFC 1864).

The portal's digests are lower-case hexadecimal by its own names (`ecpds.model.DIGESTS`); on the wire they are base64.
Algorithms that we don't keep are left out, in both directions.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping

from ecpds.wire.fields import Fields

ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512", "sha": "sha1", "md5": "md5"}
"""The names of RFC 9530 section 7.2, and ours, the one to be preferred first."""

_SIZES = {"sha256": 32, "sha512": 64, "sha1": 20, "md5": 16}

_KEY = r"[a-z*][a-z0-9_.*-]*"
_PARAMETERS = rf'(?:; *{_KEY}(?:=(?:"[ !#-~]*"|[^,;"\s]+))?)*'
_BYTES = re.compile(rf"({_KEY})=:([A-Za-z0-9+/]*={{0,2}}):{_PARAMETERS}")
_WEIGHT = re.compile(rf"({_KEY})=(10|[0-9]){_PARAMETERS}")
_OLD_WEIGHT = re.compile(r"([a-z0-9-]+)(?:[ \t]*;[ \t]*q=([01](?:\.[0-9]{0,3})?))?")
_OLD_NAMES = {"sha-256": "SHA-256", "sha-512": "SHA-512", "sha": "SHA", "md5": "MD5"}
_SEPARATOR = re.compile(r"[ \t]*,[ \t]*")


def digest_field(digests: Mapping[str, str], want: str | None = None) -> str | None:
    """A Repr-Digest of what is known; None when there is nothing to say.

    `want` is a Want-Repr-Digest: the algorithms that it names and we know are sent, the most wanted first. Where there
    are none, and where the field is missing or not well formed, it is SHA-256, unless just that is not wanted.
    """
    if want is None:
        return f"sha-256=:{encode(digests['sha256'])}:" if "sha256" in digests else None
    weights = _weights(want)
    wanted = sorted((name for name in ALGORITHMS if weights.get(name)), key=lambda name: -weights[name])
    chosen = [name for name in wanted if ALGORITHMS[name] in digests]
    if not chosen and weights.get("sha-256") != 0 and "sha256" in digests:
        chosen = ["sha-256"]
    return ", ".join(f"{name}=:{encode(digests[ALGORITHMS[name]])}:" for name in chosen) or None


def old_digest_field(digests: Mapping[str, str], want: str) -> str | None:
    """A Digest (RFC 3230 section 4.3.2) of what a Want-Digest asks for and we know; None when that is nothing.

    Each algorithm has a weight of 0 to 1, which is 1 unless it is given; what can't be read is not wanted.
    """
    weights: dict[str, float] = {}
    for text in want.split(","):
        match = _OLD_WEIGHT.fullmatch(text.strip(" \t").lower())
        if match and match[1] in ALGORITHMS:
            weights[match[1]] = float(match[2] or 1)
    wanted = sorted((name for name in ALGORITHMS if weights.get(name)), key=lambda name: -weights[name])
    known = [name for name in wanted if ALGORITHMS[name] in digests]
    return ",".join(f"{_OLD_NAMES[name]}={encode(digests[ALGORITHMS[name]])}" for name in known) or None


def encode(digest: str) -> str:
    """A digest in base64."""
    return binascii.b2a_base64(bytes.fromhex(digest), newline=False).decode("ascii")


def announced(fields: Fields) -> dict[str, str]:
    """The digests that a request says its body has, taken as the whole representation (no content coding, no range).

    Raises `ValueError` when a field is not well formed, and when two fields can't both be true.
    """
    found: dict[str, str] = {}
    for name, parse in _READERS.items():
        field = fields.get(name)
        for algorithm, digest in parse(field).items() if field is not None else ():
            if found.setdefault(algorithm, digest) != digest:
                raise ValueError(f"{name} contradicts another field")
    return found


def parse_digest_field(field: str) -> dict[str, str]:
    """Read a Repr-Digest or Content-Digest: a Dictionary of Byte Sequences (RFC 9530 section 2, RFC 9651 section 3.2).

    Raises `ValueError` when it is not well formed. Of an algorithm that stands twice the last counts.
    """
    found = {}
    for match in _members(field, _BYTES):
        algorithm = ALGORITHMS.get(match[1])
        if algorithm:
            found[algorithm] = _decode(algorithm, match[2])
    return found


def parse_old_digest(field: str) -> dict[str, str]:
    """Read a Digest field (RFC 3230 section 4.3.2): `SHA-256=base64,md5=base64`. Raises `ValueError`."""
    found = {}
    for text in _SEPARATOR.split(field.strip(" \t")):
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise ValueError(f"{text!r} is not a digest")
        algorithm = ALGORITHMS.get(name.lower())
        if algorithm:
            found[algorithm] = _decode(algorithm, value)
    return found


def parse_content_md5(field: str) -> dict[str, str]:
    """Read a Content-MD5 field (RFC 1864). Raises `ValueError`."""
    return {"md5": _decode("md5", field.strip(" \t"))}


_READERS: dict[str, Callable[[str], dict[str, str]]] = {
    "repr-digest": parse_digest_field,
    "content-digest": parse_digest_field,
    "digest": parse_old_digest,
    "content-md5": parse_content_md5,
}


def _members(field: str, form: re.Pattern[str]) -> list[re.Match[str]]:
    matches = []
    position, end = 0, len(field := field.strip(" \t"))
    while position < end:
        match = form.match(field, position)
        if match is None:
            raise ValueError(f"{field[position:]!r} is not well formed")
        matches.append(match)
        position = match.end()
        comma = _SEPARATOR.match(field, position)
        if position < end and (comma is None or comma.end() == end):
            raise ValueError(f"{field[position:]!r} is not well formed")
        position = comma.end() if comma else end
    return matches


def _weights(want: str) -> dict[str, int]:
    """How much each algorithm is wanted, 0 to 10 (RFC 9530 section 4); a preference that can't be read is none."""
    try:
        return {match[1]: int(match[2]) for match in _members(want, _WEIGHT)}
    except ValueError:
        return {}


def _decode(algorithm: str, text: str) -> str:
    try:
        # Padding may be left out (RFC 9651 section 4.2.7).
        digest = base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{text!r} is not base64") from error
    if len(digest) != _SIZES[algorithm]:
        raise ValueError(f"{text!r} has not the length of a {algorithm} digest")
    return digest.hex()
