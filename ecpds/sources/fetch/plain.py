"""Places of files on plain HTTP servers, as the quick ways of a fetch take URLs apart: nothing that needs an encoding, a login
or TLS is one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ecpds.http.gets import Server
from ecpds.sources.fetch.outcomes import Task
from ecpds.sources.fetch.pace import Host
from ecpds.sources.fetch.sidecar_forms import ASKED
from ecpds.sources.mechanisms.told import WANTED

MANY = 8
"""Files of which as many as are left may be too many."""

_SITE = re.compile(r"http://([A-Za-z0-9.-]{1,253})(?::([0-9]{1,5}))?")
"""The beginning of a URL, without a name and password."""

_TARGET = re.compile(r"/[!\"$-~]*")
"""Its rest, without a fragment, or anything that must be encoded."""


class Mirror:
    """One place of a file."""

    __slots__ = ("host", "server", "target", "url")

    mechanism = "http"

    def __init__(self, url: str, server: Server, host: Host, target: str) -> None:
        self.url = url
        self.server = server
        self.host = host
        self.target = target


class Places:
    """The servers of a run. `unable` are those that gave no answer: they are asked no more this way."""

    def __init__(self) -> None:
        self.unable: set[Server] = set()
        self._sites: dict[str, tuple[Server, Host] | None] = {}
        self._servers: dict[tuple[str, int], tuple[Server, Host]] = {}

    def mirrors(self, task: Task) -> list[Mirror]:
        """Where a file can be had; empty where one of its places is none of ours, and may be the better one."""
        found = []
        for url in dict.fromkeys((*task.mirrors, task.url)):
            slash = url.find("/", len("http://"))
            begin, target = (url, "/") if slash < 0 else (url[:slash], url[slash:])
            site = self._sites[begin] if begin in self._sites else self._site(begin)
            if site is None or not _TARGET.fullmatch(target):
                return []
            found.append(Mirror(url, *site, target))
        return found

    def _site(self, begin: str) -> tuple[Server, Host] | None:
        """Who stands at the beginning of a URL; None where that is nobody of ours."""
        parts = _SITE.fullmatch(begin)
        port = int(parts[2] or 80) if parts is not None else 0
        found = None
        if parts is not None and 0 < port < 65536:
            place = parts[1].lower(), port
            found = self._servers.setdefault(place, (Server(*place, WANTED), Host()))
        self._sites[begin] = found
        return found


def is_vain(left: int, begun: int) -> bool:
    """Whether a quick way is none, since it has left so many of the files that it has begun with."""
    return left >= MANY and 4 * left >= begun


def with_sidecars(task: Task, mirrors: Sequence[Mirror]) -> Iterator[Mirror]:
    """Whom to ask for the side-car of a file: the original first, for a mirror's may be as wrong as its file."""
    original = next(each for each in mirrors if each.url == task.url)
    others = [each for each in reversed(mirrors) if each is not original]
    yield from (original, *others)[:ASKED]
