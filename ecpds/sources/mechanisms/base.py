"""What every native mechanism is: given a candidate, it opens a span of the file as a stream.

Who asks whom: the fetcher opens a candidate from an offset to an end (or to the file's own); what it gets says what the
server told of the file (`About`), and is then pulled. `close` after the last byte keeps what may serve again, earlier it
ends what is under way. Secrets come from `Credentials` when a server asks for them, and go to that server only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from attrs import field, frozen
from zope.interface import Attribute, Interface

from ecpds.datasources import NO_DIGESTS, Candidate
from ecpds.errors import InvalidRequest
from ecpds.interfaces import IByteSource


@frozen
class About:
    """What a server tells of a file; None where it doesn't.

    `version` is anything that differs when the content does (an entity tag, or the time and size); `mtime` seconds since
    the epoch, `media` the media type, `ranges` whether a span can be asked for.
    """

    size: int | None = None
    digests: Mapping[str, str] = NO_DIGESTS
    mtime: float | None = None
    version: str = ""
    media: str = ""
    ranges: bool = False


class IOpened(IByteSource):
    """A span of a file on its way here."""

    about: About = Attribute("what the server told of the whole file")
    offset: int = Attribute("where in the file the next byte stands; 0 where the server can't begin elsewhere")

    def close() -> None:
        """Give back what may be used again, end what is still under way. May be called repeatedly."""


class IMechanism(Interface):
    """One way to retrieve."""

    many: bool = Attribute("whether several spans of a file are asked for at once as cheaply as one after the other")

    async def stat(candidate: Candidate) -> About:
        """What the server tells of the file. Raises `NotFound`, `NotPermitted`, `LoginFailed` and what connecting raises."""

    async def open(candidate: Candidate, offset: int = 0, end: int | None = None, version: str = "") -> IOpened:
        """The bytes from `offset` to `end` (None: the file's). Raises as `stat` does.

        With a `version` the file must still be the one that had it: `PreconditionFailed` if not, where the server can say.
        The stream may go on past `end`; its reader stops there.
        """


class IExternal(Interface):
    """A mechanism that fetches whole files by itself."""

    program: str = Attribute("the program's name")

    async def fetch(candidate: Candidate, path: Path) -> None:
        """Write the file to `path`, which does not exist. Raises `Unavailable` with the program's last words, `Stalled`."""


@frozen
class Listed:
    """One file of a remote folder: its name, and what the listing tells of it."""

    name: str
    url: str
    size: int | None = None
    mtime: float | None = None
    version: str = ""


class ILister(Interface):
    """A mechanism that can list a folder."""

    async def list(candidate: Candidate, most: int) -> Sequence[Listed]:
        """The files of a folder, at most `most` of them. Raises as `stat` does, `NotSupported` for what is no listing."""


@frozen
class Secret:
    """A name and its password (or, with an empty name, a bearer token)."""

    login: str
    password: str = field(repr=False)


class Credentials(Protocol):
    """Where names and passwords come from."""

    async def find(self, scheme: str, host: str, login: str, refused: int) -> Secret | None:
        """The secret for a server, for `login` where the URL names one. `refused` says how often one was wrong.

        None where there is none. Whoever can ask a person does so here, once for each server.
        """


class NoCredentials:
    """For who never logs in."""

    async def find(self, scheme: str, host: str, login: str, refused: int) -> Secret | None:
        return None


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
        parts: SplitResult = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidRequest(f"this is no URL: {error}") from error
    if parts.scheme not in schemes or not host:
        raise InvalidRequest(f"this is no URL of {', '.join(schemes)} with a host")
    password = None if parts.password is None else unquote(parts.password)
    return Place(parts.scheme, host, port, unquote(parts.username or ""), password, parts.path or "/", parts.query)


def shown(url: str) -> str:
    """A URL as it may be shown and reported: without a password, and without the signature of a presigned one."""
    if "@" not in url and "?" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    netloc = parts.netloc
    if "@" in netloc:
        login, _, host = netloc.rpartition("@")
        netloc = f"{login.partition(':')[0]}@{host}"
    query = "&".join(part for part in parts.query.split("&") if not _is_secret(part))
    return parts._replace(netloc=netloc, query=query).geturl()


def _is_secret(parameter: str) -> bool:
    name = parameter.partition("=")[0].lower()
    return name in ("x-amz-signature", "x-amz-security-token", "signature", "sig", "token", "access_token")
