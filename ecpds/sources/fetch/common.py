"""What the files of a run share that are fetched by threads: what is known of servers, connections at rest, and one lock."""

from __future__ import annotations

import mmap
from collections import defaultdict
from collections.abc import Callable
from threading import RLock

from ecpds.http.gets import Server
from ecpds.http.pulls import Pull
from ecpds.sources.fetch.outcomes import Progress
from ecpds.sources.fetch.pace import Paces
from ecpds.sources.fetch.plain import Places
from ecpds.sources.fetch.settings import Settings
from ecpds.sources.fetch.sharing import BUFFER
from ecpds.sources.fetch.sidecar_forms import Folders

THREADS = 64
"""Connections of a run that have a thread of their own."""


class Common:
    """`lock` guards all of it, `progress` too, and what the threads of one file share."""

    def __init__(
        self,
        seconds: Callable[[], float],
        settings: Settings,
        places: Places,
        folders: Folders,
        progress: Progress,
        at_once: int,
    ) -> None:
        self.lock = RLock()
        self.seconds = seconds
        self.settings = settings
        self.places = places
        self.folders = folders
        self.progress = progress
        self.paces = Paces(seconds, at_once)
        self.threads = 0
        self._pulls: defaultdict[Server, list[Pull]] = defaultdict(list)
        self._buffers: list[memoryview] = []

    def take(self, server: Server) -> Pull:
        """A connection to a server: one that is at rest, else a new one."""
        with self.lock:
            idle = self._pulls[server]
            return idle.pop() if idle else Pull(server)

    def give(self, pull: Pull) -> None:
        """Keep a connection for the next request, or close it."""
        if not pull.reusable:
            pull.close()
            return
        with self.lock:
            self._pulls[pull.server].append(pull)

    def buffer(self) -> memoryview:
        """A buffer for one thread. It begins where a page does: copies from and to it are fastest then."""
        with self.lock:
            if self._buffers:
                return self._buffers.pop()
        return memoryview(mmap.mmap(-1, BUFFER))

    def release(self, buffer: memoryview) -> None:
        with self.lock:
            self._buffers.append(buffer)

    def close(self) -> None:
        """End the connections that are kept."""
        with self.lock:
            for pulls in self._pulls.values():
                for pull in pulls:
                    pull.close()
            self._pulls.clear()
