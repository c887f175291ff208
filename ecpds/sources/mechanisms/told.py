"""What a server tells of a file, and the header fields in which HTTP servers do (RFC 9110, RFC 9530). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from ecpds.http.headers import Headers
from ecpds.wire.dates import parse_http_date
from ecpds.wire.digests import parse_content_md5, parse_digest_field, parse_old_digest

NOTHING: Mapping[str, str] = MappingProxyType({})

WANTED = (("Accept", "*/*"), ("Accept-Encoding", "identity"), ("Want-Repr-Digest", "sha-256=10"), ("Want-Digest", "sha-256"))
"""What every request for a file says besides its place."""

RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")


class About(NamedTuple):
    """What a server tells of a file; None where it doesn't.

    `version` is anything that differs when the content does (an entity tag, or the time and size); `mtime` seconds since
    the epoch, `media` the media type, `ranges` whether a span can be asked for.
    """

    size: int | None = None
    digests: Mapping[str, str] = NOTHING
    mtime: float | None = None
    version: str = ""
    media: str = ""
    ranges: bool = False


def told_same(told: About | None, trusted: Sequence[About]) -> bool:
    """Whether a server tells of the same file as one that is trusted already: by its entity tag, or a digest."""
    if told is None:
        return False
    tags = {each.version for each in trusted if each.version.startswith('"')}
    digests = {each.digests["sha256"] for each in trusted if "sha256" in each.digests}
    return told.version in tags or told.digests.get("sha256") in digests


def about(status: int, headers: Headers) -> About:
    """What a reply tells of the whole file."""
    found = RANGE.fullmatch(headers.get("content-range") or "")
    size = _whole_size(headers, found)
    tag = headers.get("etag") or ""
    date = headers.get("last-modified") or ""
    version = tag if tag.startswith('"') else f"{date}/{size}" if date else ""
    ranges = status == 206 or (headers.get("accept-ranges") or "").lower() == "bytes"
    media = (headers.get("content-type") or "").partition(";")[0].strip().lower()
    return About(size, _digests(status, headers), parse_http_date(date), version, media, ranges)


def _whole_size(headers: Headers, part: re.Match[str] | None) -> int | None:
    if part is not None:
        return None if part[3] == "*" else int(part[3])
    length = headers.get("content-length")
    return int(length) if length is not None and length.isascii() and length.isdigit() and len(length) < 19 else None


def _digests(status: int, headers: Headers) -> Mapping[str, str]:
    """The digests of the whole file; what can't be read says nothing."""
    found: dict[str, str] = {}
    readers = [("repr-digest", parse_digest_field), ("digest", parse_old_digest)]
    if status == 200:
        readers.append(("content-md5", parse_content_md5))
    for name, read in readers:
        if (text := headers.get(name)) is not None:
            try:
                found.update(read(text))
            except ValueError:
                continue  # The server's slip: the file is checked by what else is known.
    return found
