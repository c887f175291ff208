"""What a fetch stands on, put together: connections, mechanisms and paces, by what is asked for."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from random import Random
from typing import Any

from ecpds.http.client import HttpClient
from ecpds.interfaces import IThreads, ITimeouts
from ecpds.limits import Limits
from ecpds.sources.fetch.pace import Paces
from ecpds.sources.fetch.parts import Buffers, Settings, Tools
from ecpds.sources.mechanisms.base import Credentials, IMechanism
from ecpds.sources.mechanisms.ecpds import Ecpds
from ecpds.sources.mechanisms.external import External, IExternal, installed
from ecpds.sources.mechanisms.form import FormHttp
from ecpds.sources.mechanisms.ftp import Ftp
from ecpds.sources.mechanisms.http import Http
from ecpds.sources.mechanisms.s3 import S3, SharedKeys
from ecpds.sources.mechanisms.sftp import Sftp, ssh_folder
from ecpds.ssh.client import KnownHosts, identities


class Means:
    """Made by the roof, which has the reactor, the threads and what connects. `private`: see `Http`."""

    def __init__(
        self,
        reactor: Any,
        threads: IThreads,
        timeouts: ITimeouts,
        buffers: Buffers,
        outgoing: Any,
        limits: Limits,
        credentials: Credentials,
        random: Random,
        now: Callable[[], float],
        hosts: KnownHosts,
        private: bool = False,
        programs: bool = True,
    ) -> None:
        self.http = HttpClient(outgoing, timeouts, limits)
        self.ftp = Ftp(outgoing, timeouts, limits, credentials)
        self.sftp = Sftp(outgoing, timeouts, limits, credentials, hosts, lambda: identities(ssh_folder()), getpass.getuser())
        self.native: dict[str, IMechanism] = {
            "http": Http(self.http, credentials, private),
            "http_session": FormHttp(self.http, credentials, private),
            "ftp": self.ftp,
            "sftp": self.sftp,
            "s3": S3(self.http, SharedKeys(), now, private),
            "ecpds": Ecpds(self.http, credentials, private),
        }
        names = installed() if programs else ()
        self.external: dict[str, IExternal] = {
            name: External(reactor, timeouts, credentials, name, limits.stall) for name in names
        }
        self._reactor, self._threads, self._buffers, self._random = reactor, threads, buffers, random

    def tools(self, settings: Settings, per_host: int = 8) -> Tools:
        """For one run, which knows nothing yet of how fast servers are."""
        return Tools(
            self.native,
            self.external,
            Paces(self._reactor.seconds, per_host),
            self._threads,
            self._buffers,
            self._reactor,
            self._random,
            settings,
        )

    def close(self) -> None:
        """End the connections that are kept."""
        self.http.close()
        self.ftp.close()
        self.sftp.close()
