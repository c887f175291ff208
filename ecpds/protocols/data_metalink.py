"""Where else a file is: Metalink (RFC 5854) as a document of its own, and as Link fields (RFC 6249).

A program such as aria2c fetches pieces from every place that is named, and checks the digest that stands beside them.
"""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from ecpds.http.message import Request, Response
from ecpds.model import Entry
from ecpds.protocols.data_commands import Elsewhere
from ecpds.protocols.data_headers import SAFE, Header, disposition
from ecpds.protocols.data_place import Place

KIND = "application/metalink4+xml"
HASHES = {"sha256": "sha-256", "sha512": "sha-512", "sha1": "sha-1", "md5": "md5"}
"""Names of the IANA registry of hash functions' textual names, by ours."""


def is_asked(request: Request) -> bool:
    """Whether a request is for a file's metalink rather than the file."""
    return request.query == "meta4"


def places(elsewhere: Elsewhere, place: Place, entry: Entry, secure: bool) -> list[str]:
    """The URLs of a file, the one to be preferred first."""
    own = elsewhere.url(place.href(entry.path), secure)
    return [own, *filter(None, (elsewhere.ftp(entry.path),))]


def links(request: Request, place: Place, entry: Entry, elsewhere: Elsewhere) -> list[Header]:
    """Link fields, for clients that say that they know Metalink; others are spared the bytes."""
    if "metalink" not in (request.headers.get("accept") or ""):
        return []
    found = [f'<{place.href(entry.path)}?meta4>; rel=describedby; type="{KIND}"']
    others = places(elsewhere, place, entry, request.secure)[1:]
    return [("Link", link) for link in [*found, *(f"<{url}>; rel=duplicate; pri={n}" for n, url in enumerate(others, 2))]]


def answer(request: Request, place: Place, entry: Entry, elsewhere: Elsewhere) -> Response:
    """The metalink of a file."""
    assert entry.file is not None
    name = f"{entry.name}.meta4"
    headers = [("Content-Type", KIND), ("Content-Disposition", disposition(name, False)), *SAFE]
    return Response(200, headers, document(entry, places(elsewhere, place, entry, request.secure)).encode())


def document(entry: Entry, urls: list[str]) -> str:
    """A metalink of one file."""
    assert entry.file is not None
    hashes = [
        f'    <hash type="{HASHES[name]}">{digest}</hash>\n' for name, digest in entry.file.digests.items() if name in HASHES
    ]
    found = [f'    <url priority="{number}">{escape(url)}</url>\n' for number, url in enumerate(urls, 1)]
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<metalink xmlns="urn:ietf:params:xml:ns:metalink">\n'
        f"  <file name={quoteattr(entry.name)}>\n    <size>{entry.size}</size>\n{''.join(hashes)}{''.join(found)}"
        "  </file>\n</metalink>\n"
    )
