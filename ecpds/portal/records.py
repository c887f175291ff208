"""Records as files: one record a line, one file a day and form, in `HOME/events/` of the node of the client.

What has been queued is made into lines on a thread and goes out in one write, and then the files have a rest, so that a
busy node writes few times and a single record waits for nothing. The queue is bounded; what does not fit is counted and
said in the log. The files are for people and log collectors; the history in the catalogue is what the portal itself asks.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice, takewhile
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ecpds.events import Event, timestamp
from ecpds.interfaces import IEventSink, IThreads

QUEUE = 50_000
"""How many records may wait for the disk."""

BATCH = 10_000
"""How many go out in one write."""

REST = 0.1
"""Seconds between two writes."""

RETRY = 5.0
"""How long to wait after a write that failed, in seconds."""

DAY = 86400.0
"""Seconds."""

Form = Callable[[Event], bytes]
"""Makes a record into a line, its end included."""


@implementer(IEventSink)
class RecordFiles:
    """Appends records to `folder`, which it makes, in files such as `2026-11-21.jsonl`.

    `stop` writes what still waits; `dropped` counts what had no room.
    """

    log = Logger()

    def __init__(self, folder: Path, suffix: str, form: Form, threads: IThreads, clock: IReactorTime) -> None:
        self._folder = folder
        self._suffix = suffix
        self._form = form
        self._threads = threads
        self._clock = clock
        self._queue: deque[Event] = deque()
        self.dropped = 0
        self._told = 0
        self._writing = self._stopping = False
        self._held: IDelayedCall | None = None
        self._idle: list[Deferred[None]] = []

    def record(self, event: Event) -> None:
        if len(self._queue) >= QUEUE:
            self.dropped += 1
            return
        self._queue.append(event)
        if not self._writing and self._held is None:
            self._begin()

    async def stop(self) -> None:
        """Returns when everything is written, or can't be."""
        self._stopping = True
        self._unhold()
        self._begin()
        if self._writing:
            idle: Deferred[None] = Deferred()
            self._idle.append(idle)
            await idle
        self._unhold()

    def _begin(self) -> None:
        if not self._writing and not self._held and self._queue:
            self._writing = True
            Deferred.fromCoroutine(self._write_all())

    async def _write_all(self) -> None:
        try:
            while self._queue and not self._held:
                await self._write_some()
        finally:
            self._writing = False
            idle, self._idle = self._idle, []
            for waiting in idle:
                waiting.callback(None)

    async def _write_some(self) -> None:
        day = self._queue[0].time // DAY
        batch = list(takewhile(lambda event: event.time // DAY == day, islice(self._queue, BATCH)))
        file = self._folder / f"{timestamp(batch[0].time)[:10]}.{self._suffix}"
        try:
            await self._threads.run(append_all, file, self._form, batch)
        except Exception:
            self.log.failure("{count} records can't be written to {folder}", count=len(batch), folder=self._folder)
            self._hold(RETRY)
            return
        for _ in batch:
            self._queue.popleft()
        if untold := self.dropped - self._told:
            self.log.error("{count} records were dropped while {folder} was slow", count=untold, folder=self._folder)
            self._told = self.dropped
        if not self._stopping:
            self._hold(REST)

    def _hold(self, seconds: float) -> None:
        self._held = self._clock.callLater(seconds, self._release)

    def _release(self) -> None:
        self._held = None
        self._begin()

    def _unhold(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.cancel()


def json_line(event: Event) -> bytes:
    """One line of JSON, in ASCII, for what clients say may hold what a terminal obeys."""
    return event.as_json_line().encode("ascii") + b"\n"


def ancestor_line(event: Event) -> bytes:
    """The ancestor's line (see `events`), in UTF-8."""
    return event.as_line().encode("utf-8") + b"\n"


def append_all(file: Path, form: Form, events: Iterable[Event]) -> None:
    """As `append`, with records made into lines."""
    append(file, b"".join(map(form, events)))


def append(file: Path, data: bytes) -> None:
    """Append whole lines to `file`: all of them or, where the disk refuses, none. Raises `OSError`."""
    file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        size = os.fstat(descriptor).st_size
        # A process that died in the middle of a line must not spoil the next one.
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        left = memoryview(b"\n" + data if torn else data)
        try:
            while left:
                left = left[os.write(descriptor, left) :]
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


@implementer(IEventSink)
class Tee:
    """Gives every record to each of several sinks; one that breaks its promise not to raise harms no other."""

    log = Logger()

    def __init__(self, sinks: Iterable[IEventSink]) -> None:
        self._sinks = tuple(sinks)

    def record(self, event: Event) -> None:
        for sink in self._sinks:
            try:
                sink.record(event)
            except Exception:
                self.log.failure("a record was lost: {event}", event=event.as_json())
