"""What every native mechanism is: given a candidate, it opens a span of the file as a stream.

Who asks whom: the fetcher opens a candidate from an offset to an end (or to the file's own); what it gets says what the
server told of the file (`About`), and is then pulled. `close` after the last byte keeps what may serve again, earlier it
ends what is under way. Secrets come from `Credentials` when a server asks for them, and go to that server only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from attrs import frozen
from zope.interface import Attribute, Interface

from ecpds.datasources import Candidate
from ecpds.interfaces import IByteSource
from ecpds.sources.mechanisms.places import Place, Secret, parse_url
from ecpds.sources.mechanisms.showing import shown
from ecpds.sources.mechanisms.told import About

__all__ = (
    "About",
    "Credentials",
    "IExternal",
    "ILister",
    "IMechanism",
    "IOpened",
    "Listed",
    "NoCredentials",
    "Place",
    "Secret",
    "parse_url",
    "shown",
)


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
