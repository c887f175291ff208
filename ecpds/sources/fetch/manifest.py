"""Manifests: which files to fetch, and what they must be. A list of URLs, CSV with a header, or Metalink 4 (RFC 5854).

A list has a URL a line; more URLs of the same file may stand behind it, after tabs; `#` begins a comment. CSV needs a column
`url`; others that mean something are `name` (or `path`), `size`, and the digests by name. Metalink has mirrors in the order
of their priority, sizes, digests, and digests of pieces. Names may have folders, but never lead out of the output folder.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from ecpds.errors import InvalidRequest
from ecpds.sources.fetch.names import checked_path
from ecpds.sources.fetch.wishes import DIGITS, Wish, checked_digest, checked_size

LARGEST = 64 << 20
"""Bytes of a manifest."""


def parse_manifest(text: str) -> list[Wish]:
    """The files of a manifest. Raises `InvalidRequest`, and `InvalidName` for a name that leads elsewhere."""
    if len(text) > LARGEST:
        raise InvalidRequest(f"a manifest has at most {LARGEST} bytes")
    begin = text.lstrip("\ufeff \t\r\n")
    if begin.startswith("<"):
        # What reads XML is imported for XML.
        from ecpds.sources.fetch.metalink import parse_metalink

        return list(parse_metalink(begin))
    first = begin.partition("\n")[0]
    if "url" in [word.strip().strip('"').lower() for word in first.split(",")] and "," in first:
        return list(_table(begin))
    return list(_lines(begin))


def _lines(text: str) -> Iterator[Wish]:
    for line in text.splitlines():
        urls = tuple(word for word in line.strip().split("\t") if word)
        if urls and not urls[0].startswith("#"):
            yield Wish(urls)


def _table(text: str) -> Iterator[Wish]:
    try:
        for number, row in enumerate(csv.DictReader(io.StringIO(text), strict=True), 2):
            cells = {
                (name or "").strip().lower(): (value or "").strip() for name, value in row.items() if isinstance(value, str)
            }
            if not cells.get("url"):
                raise InvalidRequest(f"line {number} of the manifest has no URL")
            path = cells.get("path") or cells.get("name") or ""
            digests = {name: checked_digest(name, cells[name]) for name in DIGITS if cells.get(name)}
            yield Wish((cells["url"],), checked_path(path) if path else "", checked_size(cells.get("size")), digests)
    except csv.Error as error:
        raise InvalidRequest(f"the manifest is no CSV: {error}") from error
