"""The scrub: a mover reads all that it stores, again and again, and compares it with the catalogue.

Who tells whom: we ask the Master which copies we should have, a page at a time in the order of segments, which is the order
in which they stand on the disks; read each (`checking`); and tell the Master of those that are damaged, and of those whole
again that were marked. So a copy that is missing is found as one with a wrong byte is. Where we are is kept in a file of the
node's home, so that a round goes on after a restart.

It is slow on purpose: `[scrub] rate` bytes a second at most, a quarter of that while clients' transfers run here, and in the
hours that are set. A small file counts as `LEAST` bytes, for the disk has to find it. It begins a while after the node, and
a round as long after the last one's start as `[scrub] days` says, or when an operator wants it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol

from attrs import asdict, define, fields
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ecpds.config import Scrub as Settings
from ecpds.errors import InvalidRequest, Refusal, Unavailable
from ecpds.folders import write_file
from ecpds.interfaces import IThreads
from ecpds.mover.checking import Checker
from ecpds.scrubbing import ORDERS, CopyPage, HeldCopy, ScrubState, Verdict, minutes_until

PAGE = 1000
"""Segments of one question to the Master."""

LEAST = 64 << 10
"""Bytes that a copy counts as at least."""

BUSY = 4
"""How many times slower it is while transfers run here."""

SLICE = 0.05
"""Seconds that are owed before it rests: a timer for each small file would cost more than to read it."""

SAVE = 60.0
"""Seconds between two notes of where it is, within a page."""

SOON = 600.0
"""Seconds from the node's start to the first look."""

AGAIN = 60.0
"""Seconds after which it goes on when the Master could not be asked."""

IDLE = 3600.0
"""Seconds that it rests at most where it has nothing to do."""


class Judge(Protocol):
    """What the scrub needs of a Master."""

    async def copies_of(self, mover: str, after: int, limit: int) -> CopyPage: ...

    async def judged(self, mover: str, verdicts: Sequence[Verdict]) -> Collection[int]: ...


class Halted(Exception):
    """The scrub is to rest now; what was begun is begun anew."""


@define
class Progress:
    """Where a round is. Between two rounds `after` is 0, and `ended` says since when."""

    started: float | None = None
    ended: float | None = None
    after: int = 0
    copies: int = 0
    bytes: int = 0
    damaged: int = 0
    unchecked: int = 0
    stopped: bool = False

    @property
    def under_way(self) -> bool:
        return self.started is not None and self.ended is None


class Notes:
    """The file that keeps where a round is, over restarts."""

    def __init__(self, file: Path, threads: IThreads) -> None:
        self._file = file
        self._threads = threads

    def read(self) -> Progress:
        """Blocks, shortly. What can't be read is no more than a round that begins anew."""
        try:
            found = json.loads(self._file.read_text("utf-8"))
            return Progress(**{each.name: found[each.name] for each in fields(Progress)})
        except FileNotFoundError:
            return Progress()
        except (OSError, ValueError, KeyError, TypeError) as error:
            Scrub.log.warn("{file} can't be used, the scrub begins anew: {error}", file=str(self._file), error=error)
            return Progress()

    async def write(self, progress: Progress) -> None:
        await self._threads.run(write_file, self._file, json.dumps(asdict(progress)).encode() + b"\n")


class Scrub:
    """Lives from `start` to `stop`. `busy` says whether clients' transfers run here."""

    log = Logger()

    def __init__(
        self, name: str, master: Judge, checker: Checker, notes: Notes, settings: Settings, clock: IReactorTime
    ) -> None:
        self.busy: Callable[[], bool] = lambda: False
        self._name = name
        self._master = master
        self._checker = checker
        self._notes = notes
        self._settings = settings
        self._clock = clock
        self._progress = Progress()
        self._not_before = 0.0
        self._owed = 0.0
        self._saved = 0.0
        self._stopping = False
        self._resting: Deferred[None] | None = None
        self._living: Deferred[None] | None = None

    def start(self) -> None:
        self._progress = self._notes.read()
        self._not_before = self._clock.seconds() + SOON
        self._living = ensureDeferred(self._live())
        self._living.addErrback(lambda failure: self.log.failure("the scrub failed", failure))

    async def stop(self) -> None:
        """Returns when it has noted where it is."""
        self._stopping = True
        self._wake()
        if self._living is not None:
            await self._living

    async def order(self, order: str) -> ScrubState:
        """As `IMoverControl.scrub`."""
        if order not in ORDERS:
            raise InvalidRequest(f"order {order[:100]!a}; allowed: {', '.join(ORDERS)}")
        if order == "start" and not self._settings.rate:
            raise InvalidRequest(f"mover {self._name} compares nothing: [scrub] rate is 0")
        if order == "start":
            self._begin()
        elif order == "stop":
            self._progress.stopped = True
        if order != "status":
            await self._notes.write(self._progress)
            self._wake()
        return self.state()

    def _begin(self) -> None:
        self._not_before, self._progress.stopped = 0.0, False
        if not self._progress.under_way:
            self._progress = Progress(self._clock.seconds())

    def state(self) -> ScrubState:
        found, now = self._progress, self._clock.seconds()
        due = None if found.under_way or found.started is None else found.started + self._settings.days * 86400
        if not self._settings.rate:
            state = "off"
        elif found.stopped:
            state = "stopped"
        else:
            state = "waiting" if self._wait(now) else "running"
        counts = (found.after, found.copies, found.bytes, found.damaged, found.unchecked)
        return ScrubState(self._name, state, found.started, found.ended, due, *counts)

    def counts(self) -> dict[str, int]:
        """What its round has read and found, for who watches."""
        found = self._progress
        return {"copies": found.copies, "bytes": found.bytes, "damaged": found.damaged, "unchecked": found.unchecked}

    # Its life

    async def _live(self) -> None:
        while not self._stopping:
            wait = self._wait(self._clock.seconds())
            if wait:
                await self._rest(min(wait, IDLE))
                continue
            try:
                await self._go_on()
            except Halted:
                await self._notes.write(self._progress)
            except (Refusal, OSError) as error:
                self.log.warn("the scrub rests a while: {error}", error=error)
                await self._rest(AGAIN)

    def _wait(self, now: float) -> float:
        """How many seconds there is nothing to do; 0: there is."""
        found = self._progress
        if found.stopped or not self._settings.rate:
            return IDLE
        begins = self._not_before
        if found.ended is not None and found.started is not None:
            begins = max(begins, found.started + self._settings.days * 86400)
        if now < begins:
            return begins - now
        return minutes_until(self._settings.hours, now) * 60.0 if self._settings.hours is not None else 0.0

    async def _go_on(self) -> None:
        """One page of a round."""
        if not self._progress.under_way:
            self._progress = Progress(self._clock.seconds())
        progress = self._progress
        page = await self._master.copies_of(self._name, progress.after, PAGE)
        for each in page.copies:
            progress.after = each.segment - 1
            await self._note_sometimes(progress)
            await self._look_at(progress, each)
        progress.after = page.after or 0
        if page.after is None:
            progress.ended = self._clock.seconds()
            self.log.info("the scrub has ended a round: {progress}", progress=progress)
        await self._notes.write(progress)

    async def _look_at(self, progress: Progress, held: HeldCopy) -> None:
        if self._wait(self._clock.seconds()):
            raise Halted
        try:
            verdict = await self._checker.check(held, self._spend)
        except Unavailable as refusal:
            if not progress.unchecked:
                self.log.warn("segment {segment} can't be compared: {refusal}", segment=held.segment, refusal=refusal)
            progress.unchecked += 1
            return
        known = frozenset((held.segment,)) if verdict.damage and held.damaged else frozenset()
        if (verdict.damage is None) != (held.damaged is None):
            known = frozenset(await self._master.judged(self._name, [verdict]))
        progress.damaged += verdict.damage is not None and held.segment in known
        progress.copies, progress.bytes = progress.copies + 1, progress.bytes + held.length

    async def _note_sometimes(self, progress: Progress) -> None:
        """Between two copies, so that none counts twice after a kill."""
        if self._clock.seconds() - self._saved >= SAVE:
            self._saved = self._clock.seconds()
            await self._notes.write(progress)

    async def _spend(self, count: int) -> None:
        """Rest for what was read before. Raises `Halted`."""
        if self._owed >= SLICE:
            owed, self._owed = self._owed, 0.0
            await self._rest(owed)
        if self._stopping or self._progress.stopped:
            raise Halted
        self._owed += max(count, LEAST) / self._settings.rate * (BUSY if self.busy() else 1)

    async def _rest(self, seconds: float) -> None:
        if self._stopping:
            return
        self._resting = deferLater(self._clock, seconds, lambda: None)
        try:
            await self._resting
        except CancelledError:
            return  # there is something new to do
        finally:
            self._resting = None

    def _wake(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
