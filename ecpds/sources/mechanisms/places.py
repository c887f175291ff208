"""URLs taken apart, and the secrets in them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import SplitResult, unquote, urlsplit

from attrs import field, frozen

from ecpds.errors import InvalidRequest


@frozen
class Secret:
    """A name and its password (or, with an empty name, a bearer token)."""

    login: str
    password: str = field(repr=False)


@frozen
class Place:
    """A URL, taken apart: the name and password are decoded, the path is as it stands."""

    scheme: str
    host: str
    port: int | None
    login: str
    password: str | None = field(repr=False)
    path: str = "/"
    query: str = ""

    @property
    def decoded(self) -> str:
        """The path as the server has it. Raises `InvalidRequest` when it holds control characters."""
        path = unquote(self.path, errors="surrogateescape")
        if any(ord(each) < 32 or ord(each) == 127 for each in path):
            raise InvalidRequest("the path has control characters")
        return path

    @property
    def secret(self) -> Secret | None:
        return Secret(self.login, self.password) if self.password is not None else None


def parse_url(url: str, schemes: Sequence[str]) -> Place:
    """Take a URL apart. Raises `InvalidRequest` for one of another scheme, or without a host."""
    try:
        url.encode("utf-8", "surrogateescape")
        parts: SplitResult = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidRequest(f"this is no URL: {error}") from error
    if parts.scheme not in schemes or not host:
        raise InvalidRequest(f"this is no URL of {', '.join(schemes)} with a host")
    password = None if parts.password is None else unquote(parts.password)
    return Place(parts.scheme, host, port, unquote(parts.username or ""), password, parts.path or "/", parts.query)
