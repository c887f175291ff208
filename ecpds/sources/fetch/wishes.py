"""What a line of a manifest asks for: one file, from where, and what it must be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from ecpds.errors import InvalidRequest
from ecpds.sources.fetch.names import name_of
from ecpds.sources.fetch.wanted import Pieces

DIGITS = {"sha512": 128, "sha256": 64, "sha1": 40, "md5": 32}

_HEX = re.compile(r"[0-9a-fA-F]+")
NUMBER = re.compile(r"[0-9]{1,18}")


NONE: Mapping[str, str] = MappingProxyType({})


class Wish(NamedTuple):
    """One file of a manifest: `urls`, best first; `path` below the output folder (empty: the URL's own name)."""

    urls: tuple[str, ...]
    path: str = ""
    size: int | None = None
    digests: Mapping[str, str] = NONE
    pieces: Pieces | None = None


def checked_size(text: str | None) -> int | None:
    """A size as a manifest has it; None where it has none. Raises `InvalidRequest`."""
    if not text:
        return None
    if not NUMBER.fullmatch(text):
        raise InvalidRequest(f"{text!r} is no size")
    return int(text)


def checked_digest(algorithm: str, text: str) -> str:
    """A digest in lower case. Raises `InvalidRequest` for what is none of that algorithm."""
    if not _HEX.fullmatch(text) or len(text) != DIGITS[algorithm]:
        raise InvalidRequest(f"{text!r} is no {algorithm}")
    return text.lower()


def named(wish: Wish) -> str:
    """Where a wish goes below the output folder. Raises `InvalidName`."""
    return wish.path or name_of(wish.urls[0])
