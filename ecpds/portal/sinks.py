"""Where a node's own records go, as its configuration says: files, and the system's log."""

from __future__ import annotations

import os

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from ecpds.config import Config
from ecpds.events import Event
from ecpds.interfaces import IEventSink, IThreads
from ecpds.portal.records import RecordFiles, ancestor_line, json_line
from ecpds.portal.syslog import Syslog, datagrams_to


@implementer(IEventSink)
class NodeRecords:
    """All of them as one. `stop` writes what still waits."""

    def __init__(self, config: Config, threads: IThreads, clock: IReactorTime) -> None:
        folder, wanted = config.path("events"), config.events
        forms = [("jsonl", json_line)] * wanted.json + [("log", ancestor_line)] * wanted.lines
        self._files = [RecordFiles(folder, suffix, form, threads, clock) for suffix, form in forms]
        self._syslog = [Syslog(datagrams_to(wanted.syslog), config.node.name, os.getpid())] if wanted.syslog else []

    @property
    def dropped(self) -> int:
        """Records for which there was no room."""
        return sum(files.dropped for files in self._files) + sum(log.dropped for log in self._syslog)

    def record(self, event: Event) -> None:
        for sink in (*self._files, *self._syslog):
            sink.record(event)

    async def stop(self) -> None:
        for files in self._files:
            await files.stop()
