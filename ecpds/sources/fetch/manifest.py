"""Manifests: which files to fetch, and what they must be. A list of URLs, CSV with a header, or Metalink 4 (RFC 5854).

A list has a URL a line; more URLs of the same file may stand behind it, after tabs; `#` begins a comment. CSV needs a column
`url`; others that mean something are `name` (or `path`), `size`, and the digests by name. Metalink has mirrors in the order
of their priority, sizes, digests, and digests of pieces. Names may have folders, but never lead out of the output folder.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from xml.etree.ElementTree import Element, ParseError

from attrs import Factory, frozen
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from ecpds.errors import InvalidRequest
from ecpds.sources.fetch.names import checked_path, name_of
from ecpds.sources.fetch.wanted import Pieces

NAMESPACE = "{urn:ietf:params:xml:ns:metalink}"

LARGEST = 64 << 20
"""Bytes of a manifest."""

MOST_PIECES = 1_000_000

HASHES = {"sha-512": "sha512", "sha-256": "sha256", "sha-1": "sha1", "md5": "md5"}
"""Metalink's names (RFC 5854 section 4.2.4: those of the IANA registry), and ours."""

DIGITS = {"sha512": 128, "sha256": 64, "sha1": 40, "md5": 32}

_HEX = re.compile(r"[0-9a-fA-F]+")
_NUMBER = re.compile(r"[0-9]{1,18}")


@frozen
class Wish:
    """One file of a manifest: `urls`, best first; `path` below the output folder (empty: the URL's own name)."""

    urls: tuple[str, ...]
    path: str = ""
    size: int | None = None
    digests: Mapping[str, str] = Factory(dict)
    pieces: Pieces | None = None


def parse_manifest(text: str) -> list[Wish]:
    """The files of a manifest. Raises `InvalidRequest`, and `InvalidName` for a name that leads elsewhere."""
    if len(text) > LARGEST:
        raise InvalidRequest(f"a manifest has at most {LARGEST} bytes")
    begin = text.lstrip("\ufeff \t\r\n")
    if begin.startswith("<"):
        return list(_metalink(begin))
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
            digests = {name: _digest(name, cells[name]) for name in DIGITS if cells.get(name)}
            yield Wish((cells["url"],), checked_path(path) if path else "", _size(cells.get("size")), digests)
    except csv.Error as error:
        raise InvalidRequest(f"the manifest is no CSV: {error}") from error


def _size(text: str | None) -> int | None:
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise InvalidRequest(f"{text!r} is no size")
    return int(text)


def _digest(algorithm: str, text: str) -> str:
    if not _HEX.fullmatch(text) or len(text) != DIGITS[algorithm]:
        raise InvalidRequest(f"{text!r} is no {algorithm}")
    return text.lower()


def _metalink(text: str) -> Iterator[Wish]:
    try:
        root: Element = fromstring(text, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise InvalidRequest("the manifest is no XML that is accepted here") from error
    if root.tag != f"{NAMESPACE}metalink":
        raise InvalidRequest("the manifest is no Metalink 4")
    for file in root.findall(f"{NAMESPACE}file"):
        yield _metalink_file(file)


def _metalink_file(file: Element) -> Wish:
    found = [(_priority(each), (each.text or "").strip()) for each in file.findall(f"{NAMESPACE}url")]
    urls = tuple(url for _, url in sorted(found, key=lambda each: each[0]) if url)
    path = checked_path(file.get("name") or "")
    if not urls:
        raise InvalidRequest(f"the manifest has no URL of {path}")
    digests = {
        HASHES[name]: _digest(HASHES[name], (each.text or "").strip())
        for each in file.findall(f"{NAMESPACE}hash")
        if (name := (each.get("type") or "").lower()) in HASHES
    }
    size = _size((file.findtext(f"{NAMESPACE}size") or "").strip())
    return Wish(urls, path, size, digests, _pieces(file, size))


def _priority(url: Element) -> int:
    """1 is best; without one it is last (RFC 5854 section 4.2.16.1)."""
    text = url.get("priority") or ""
    return int(text) if _NUMBER.fullmatch(text) else 999_999


def _pieces(file: Element, size: int | None) -> Pieces | None:
    """The digests of the pieces, where there is a whole set of them in a kind that we know."""
    for each in file.findall(f"{NAMESPACE}pieces"):
        algorithm, length = HASHES.get((each.get("type") or "").lower()), _size(each.get("length"))
        if algorithm is None or not length or size is None:
            continue
        hashes = each.findall(f"{NAMESPACE}hash")
        if len(hashes) != -(-size // length) or len(hashes) > MOST_PIECES:
            raise InvalidRequest("the manifest has not one digest for each piece")
        return Pieces(algorithm, length, tuple(_digest(algorithm, (one.text or "").strip()) for one in hashes))
    return None


def named(wish: Wish) -> str:
    """Where a wish goes below the output folder. Raises `InvalidName`."""
    return wish.path or name_of(wish.urls[0])
