"""What a fetch stands on, put together: connections, mechanisms and paces, by what is asked for."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from ecpds.http.client import HttpClient
from ecpds.interfaces import IThreads, ITimeouts
from ecpds.limits import Limits
from ecpds.sources.fetch.pace import Paces
from ecpds.sources.fetch.parts import Buffers, Tools
from ecpds.sources.fetch.settings import Settings
from ecpds.sources.mechanisms.base import Credentials, IExternal
from ecpds.sources.mechanisms.external import External, installed
from ecpds.sources.mechanisms.late import Ground, Native


class Means:
    """Made by the roof, which has the reactor, the threads and what connects. `private`, `strangers`: see `Ground`."""

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
        private: bool = False,
        programs: bool = True,
        strangers: bool = False,
    ) -> None:
        self.http = HttpClient(outgoing, timeouts, limits)
        self.native = Native(Ground(self.http, outgoing, threads, timeouts, limits, credentials, now, private, strangers))
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
        self.native.close()
