"""Metalink documents (RFC 5854): where a file can be had, best first, for clients such as aria2 and curl."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from posixpath import basename
from urllib.parse import unquote
from xml.sax.saxutils import escape, quoteattr

from attrs import frozen

TYPE = "application/metalink4+xml"

NAMESPACE = "urn:ietf:params:xml:ns:metalink"

WORST = 999_999
"""The greatest priority there is (section 4.2.16.1)."""

_HASHES = {"md5": "md5", "sha1": "sha-1", "sha256": "sha-256", "sha512": "sha-512"}
"""Our names of digests, and those of the IANA registry (section 4.2.4)."""

_PLAIN = re.compile(r"[^\x00-\x1f\x7f/\\]{1,255}")


@frozen
class File:
    """One file: its name, and its URLs in the order to try them."""

    name: str
    urls: Sequence[str]
    size: int | None = None
    digests: Mapping[str, str] = {}


def name_of(url: str) -> str:
    """What a URL's file is called: the last segment of its path, or `file` where that is no name (section 4.1.2.1)."""
    name = unquote(basename(url.partition("?")[0].partition("#")[0]))
    return name if _PLAIN.fullmatch(name) and name not in (".", "..") else "file"


def document(files: Iterable[File]) -> bytes:
    """The document. Files that nobody has are left out."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<metalink xmlns="{NAMESPACE}">', "<generator>ecpds</generator>"]
    for file in files:
        if file.urls:
            lines += _lines(file)
    return "\n".join([*lines, "</metalink>", ""]).encode("utf-8")


def _lines(file: File) -> list[str]:
    lines = [f"<file name={quoteattr(file.name)}>"]
    if file.size is not None:
        lines.append(f"<size>{file.size}</size>")
    lines += [
        f'<hash type="{_HASHES[name]}">{escape(digest)}</hash>' for name, digest in file.digests.items() if name in _HASHES
    ]
    lines += [
        f'<url priority="{min(priority, WORST)}">{escape(url)}</url>'
        for priority, url in enumerate(dict.fromkeys(file.urls), 1)
    ]
    return [*lines, "</file>"]
