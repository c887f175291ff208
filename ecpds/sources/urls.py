"""URLs as the repository's rules look at them: cut where RFC 3986 section 3 cuts, never normalised, never fetched here."""

from __future__ import annotations

import re

from attrs import frozen

from ecpds.errors import InvalidRequest

LONGEST = 4096
"""Characters of a URL at most."""

_URL = re.compile(r"(?=[!-~]++\Z)([A-Za-z][A-Za-z0-9+.-]{0,31}):(?://([^/?#]*))?(.*)")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]*\]|[^:]*)(?::([0-9]{0,5}))?.*")

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}", re.ASCII)
HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII)
"""A host as curators give it, with a port where only that one is meant."""


@frozen
class Url:
    """A URL and its parts. `scheme` and `host` are in lower case, `port` is the text behind the colon, empty without one."""

    text: str
    scheme: str
    host: str
    port: str
    authority: str | None
    rest: str


def cut(text: str) -> Url:
    """The parts of a URL. Raises `InvalidRequest` for what is none, is too long, or has characters that none has."""
    if len(text) > LONGEST:
        raise InvalidRequest(f"a URL of {len(text)} characters; allowed: {LONGEST} at most")
    found = _URL.fullmatch(text)
    if found is None:
        raise InvalidRequest(f"{text[:200]!a} is not a URL; allowed: a scheme, a colon, and printable ASCII without spaces")
    scheme, authority, rest = found.groups()
    host, port = host_and_port(authority or "")
    return Url(text, scheme.lower(), host, port, authority, rest)


def host_and_port(authority: str) -> tuple[str, str]:
    """The host, in lower case, and the text of the port of `user@host:port`."""
    place = authority.rpartition("@")[2].lower()
    if ":" not in place:
        return place, ""
    found = _HOST.fullmatch(place)
    return (found[1], found[2] or "") if found else ("", "")
