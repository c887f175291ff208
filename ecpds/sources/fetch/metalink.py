"""Metalink 4 (RFC 5854): files with mirrors in the order of their priority, sizes, digests, and digests of pieces."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from ecpds.errors import InvalidRequest
from ecpds.sources.fetch.names import checked_path
from ecpds.sources.fetch.wanted import Pieces
from ecpds.sources.fetch.wishes import NUMBER, Wish, checked_digest, checked_size

NAMESPACE = "{urn:ietf:params:xml:ns:metalink}"

MOST_PIECES = 1_000_000

HASHES = {"sha-512": "sha512", "sha-256": "sha256", "sha-1": "sha1", "md5": "md5"}
"""Metalink's names (RFC 5854 section 4.2.4: those of the IANA registry), and ours."""


def parse_metalink(text: str) -> Iterator[Wish]:
    """The files of a document. Raises as `parse_manifest` does."""
    try:
        root: Element = fromstring(text, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise InvalidRequest("the manifest is no XML that is accepted here") from error
    if root.tag != f"{NAMESPACE}metalink":
        raise InvalidRequest("the manifest is no Metalink 4")
    for file in root.findall(f"{NAMESPACE}file"):
        yield _file(file)


def _file(file: Element) -> Wish:
    found = [(_priority(each), (each.text or "").strip()) for each in file.findall(f"{NAMESPACE}url")]
    urls = tuple(url for _, url in sorted(found, key=lambda each: each[0]) if url)
    path = checked_path(file.get("name") or "")
    if not urls:
        raise InvalidRequest(f"the manifest has no URL of {path}")
    digests = {
        HASHES[name]: checked_digest(HASHES[name], (each.text or "").strip())
        for each in file.findall(f"{NAMESPACE}hash")
        if (name := (each.get("type") or "").lower()) in HASHES
    }
    size = checked_size((file.findtext(f"{NAMESPACE}size") or "").strip())
    return Wish(urls, path, size, digests, _pieces(file, size))


def _priority(url: Element) -> int:
    """1 is best; without one it is last (RFC 5854 section 4.2.16.1)."""
    text = url.get("priority") or ""
    return int(text) if NUMBER.fullmatch(text) else 999_999


def _pieces(file: Element, size: int | None) -> Pieces | None:
    """The digests of the pieces, where there is a whole set of them in a kind that we know."""
    for each in file.findall(f"{NAMESPACE}pieces"):
        algorithm, length = HASHES.get((each.get("type") or "").lower()), checked_size(each.get("length"))
        if algorithm is None or not length or size is None:
            continue
        hashes = each.findall(f"{NAMESPACE}hash")
        if len(hashes) != -(-size // length) or len(hashes) > MOST_PIECES:
            raise InvalidRequest("the manifest has not one digest for each piece")
        return Pieces(algorithm, length, tuple(checked_digest(algorithm, (one.text or "").strip()) for one in hashes))
    return None
