"""The native mechanisms, each imported and made when the first file needs it.

Most fetches need one of them, and SSH and S3 cost more to import than a small file to fetch.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from attrs import Factory, frozen

from ecpds.http.client import HttpClient
from ecpds.interfaces import IThreads, ITimeouts
from ecpds.limits import Limits
from ecpds.sources.mechanisms.base import Credentials, IMechanism


@frozen(eq=False)
class Ground:
    """What mechanisms are made from. `private`: see `Http`; `strangers`: whether any SSH host key is taken; `now`: seconds
    since the epoch. What is to be closed in the end is put into `ends`."""

    http: HttpClient
    outgoing: Any
    threads: IThreads
    timeouts: ITimeouts
    limits: Limits
    credentials: Credentials
    now: Callable[[], float]
    private: bool
    strangers: bool
    ends: list[Callable[[], None]] = Factory(list)


def _http(ground: Ground) -> IMechanism:
    from ecpds.sources.mechanisms.http import Http

    return Http(ground.http, ground.credentials, ground.threads, ground.private)


def _http_session(ground: Ground) -> IMechanism:
    from ecpds.sources.mechanisms.form import FormHttp

    return FormHttp(ground.http, ground.credentials, ground.threads, ground.private)


def _ftp(ground: Ground) -> IMechanism:
    from ecpds.sources.mechanisms.ftp import Ftp

    made = Ftp(ground.outgoing, ground.timeouts, ground.limits, ground.credentials)
    ground.ends.append(made.close)
    return made


def _sftp(ground: Ground) -> IMechanism:
    from ecpds.sources.mechanisms.sftp import Sftp, ssh_folder
    from ecpds.ssh.client import KnownHosts, identities

    hosts = KnownHosts(ssh_folder() / "known_hosts", anybody=ground.strangers)
    who = getpass.getuser()
    made = Sftp(
        ground.outgoing, ground.timeouts, ground.limits, ground.credentials, hosts, lambda: identities(ssh_folder()), who
    )
    ground.ends.append(made.close)
    return made


def _s3(ground: Ground) -> IMechanism:
    from ecpds.sources.mechanisms.s3 import S3, SharedKeys

    return S3(ground.http, SharedKeys(), ground.now, ground.threads, ground.private)


def _ecpds(ground: Ground) -> IMechanism:
    from ecpds.sources.mechanisms.ecpds import Ecpds

    return Ecpds(ground.http, ground.credentials, ground.threads, ground.private)


MAKERS: Mapping[str, Callable[[Ground], IMechanism]] = MappingProxyType(
    {"http": _http, "http_session": _http_session, "ftp": _ftp, "sftp": _sftp, "s3": _s3, "ecpds": _ecpds}
)
"""Who makes each mechanism: the only imports of this room that stand in functions."""


class Native(Mapping[str, IMechanism]):
    """The mechanisms by name."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._made: dict[str, IMechanism] = {}

    def __getitem__(self, name: str) -> IMechanism:
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = MAKERS[name](self._ground)
        return made

    def __contains__(self, name: object) -> bool:
        return name in MAKERS

    def __iter__(self) -> Iterator[str]:
        return iter(MAKERS)

    def __len__(self) -> int:
        return len(MAKERS)

    def close(self) -> None:
        """End the connections that are kept."""
        for end in self._ground.ends:
            end()
        self._ground.http.close()
