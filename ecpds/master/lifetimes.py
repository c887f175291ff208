"""Lets files go whose destination keeps them only so long: a look every `limits.lifetime_look`, from the oldest file on.

Who tells whom: a thread reads a page of files in the order in which they were published; the writer deletes those of the page
that are over (`expiry` says how nothing else goes), a few in one transaction, so that puts come in between; then the cache
of resolved names forgets them, and each leaves one record. Their bytes are the reclaim list's, as after any delete.

Destinations that keep files equally long share one walk over the index. It goes on where the last look has ended, for what
was published before is gone or was never one of theirs; it begins anew for a destination that has got its lifetime since.
A file's time is taken before its commit, which may wait: so each look begins a little before the end of the last one. And
once a day all begin anew, so that nothing stays that came with an old time after all: a clock was set back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

from attrs import define
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ecpds.errors import Refusal
from ecpds.events import expiry_event
from ecpds.interfaces import IEventSink
from ecpds.limits import Limits
from ecpds.master import expiry
from ecpds.master.cache import ResolveCache
from ecpds.master.expiry import BEGINNING, Candidate, Gone, Moment
from ecpds.master.history import History
from ecpds.master.reader import Reader
from ecpds.master.shared import Rounds
from ecpds.master.sql import Session
from ecpds.model import Destination
from ecpds.options import lifetime_of

T = TypeVar("T")

PAGE = 1000
"""Files that are looked at with one question."""

TOGETHER = 50
"""Files that one transaction deletes at most."""

REST = 0.025
"""Seconds between two transactions or pages: 2,000 files leave in a second at most, as many as their records can be written."""

LATE = 60.0
"""Seconds that a commit may have waited for the writer."""

ANEW = 86400.0
"""Seconds after which walks begin at the oldest file again: some seconds of one thread for a million files."""

PATIENCE = 3600.0
"""Seconds to the next look, at most, while the catalogue can't be written."""


class IsMaster(Protocol):
    """What this needs of the Master."""

    clock: IReactorTime
    history: History
    limits: Limits
    reader: Reader
    resolved: ResolveCache

    def destinations(self) -> Sequence[Destination]: ...

    async def change(self, operation: Callable[[Session], T], then: Callable[[T], None]) -> T:
        """Change the catalogue, and then what is kept in memory."""


@define
class _Walk:
    """How far the files of some destinations were looked at, which keep them for `life` seconds."""

    life: float
    destinations: frozenset[int]
    after: Moment = BEGINNING


class Lifetimes:
    """`sink` hears of each file that leaves."""

    log = Logger()

    def __init__(self, master: IsMaster) -> None:
        self._master = master
        self._clock = master.clock
        self.sink: IEventSink = master.history
        self._walks: dict[float, _Walk] = {}
        self._anew = 0.0
        self._again, self._wait = 0.0, 0.0
        self._resting: Deferred[None] | None = None
        self._stopping = False
        self._work = Rounds("letting go of files whose lifetime is over", self._look, master.clock)

    def start(self) -> None:
        self._work.start(self._master.limits.lifetime_look, now=False)

    async def stop(self) -> None:
        """Returns when the transaction that is under way has ended; the next Master goes on."""
        self._stopping = True
        self._work.end()
        if self._resting is not None:
            self._resting.cancel()
        await self._work.stop()

    async def _look(self) -> None:
        """Less and less often while the catalogue refuses."""
        now = self._clock.seconds()
        if now < self._again:
            return
        self._begin_walks(now)
        try:
            for walk in self._walks.values():
                await self._go(walk, now)
        except Refusal:
            self._wait = min(2 * self._wait or self._master.limits.lifetime_look, PATIENCE)
            self._again = self._clock.seconds() + self._wait
            raise
        self._again = self._wait = 0.0

    def _begin_walks(self, now: float) -> None:
        """One for each lifetime that there is now."""
        if now >= self._anew:
            self._walks.clear()
            self._anew = now + ANEW
        sharing: dict[float, set[int]] = {}
        for destination in self._master.destinations():
            life = lifetime_of(destination)
            if life is not None:
                sharing.setdefault(life, set()).add(destination.id)
        self._walks = {life: self._walk(life, frozenset(ids)) for life, ids in sharing.items()}

    def _walk(self, life: float, destinations: frozenset[int]) -> _Walk:
        old = self._walks.get(life)
        if old is None or not destinations <= old.destinations:
            return _Walk(life, destinations)
        return _Walk(life, destinations, max(BEGINNING, (old.after[0] - LATE, 0)))

    async def _go(self, walk: _Walk, now: float) -> None:
        """From where the walk stands to what is not over yet."""
        until, full = now - walk.life, True
        while full and not self._stopping:
            question = partial(expiry.page, after=walk.after, until=until, limit=PAGE)
            found = await self._master.reader.ask_on_thread(question)
            for some in _few(found, walk.destinations):
                if self._stopping:
                    return
                await self._let_go(some, now)
                await self._rest()
            full = len(found) == PAGE
            walk.after = found[-1].published if full else max(walk.after, (until, 0))
            if full:
                await self._rest()

    async def _let_go(self, files: Sequence[int], now: float) -> None:
        due = self._clock.seconds() + self._master.limits.ticket_life
        await self._master.change(partial(expiry.let_go, files=files, now=now, due=due), self._tell)

    def _tell(self, gone: Sequence[Gone]) -> None:
        now = self._clock.seconds()
        for each in gone:
            self._master.resolved.drop(each.destination, each.entry.path)
            file = each.entry.file
            assert file is not None
            self.sink.record(expiry_event(now, each.name, each.entry.path, file.id, file.size, each.over))
        if gone:
            self.log.info("{count} files left, for their lifetime was over", count=len(gone))

    async def _rest(self) -> None:
        if self._stopping:
            return
        self._resting = deferLater(self._clock, REST, lambda: None)
        try:
            await self._resting
        except CancelledError:
            return  # there is no rest before the end
        finally:
            self._resting = None


def _few(found: Sequence[Candidate], destinations: frozenset[int]) -> Iterator[list[int]]:
    """Those of a page that are of the destinations, as many at a time as one transaction may delete."""
    files = [each.published[1] for each in found if each.destination in destinations]
    for start in range(0, len(files), TOGETHER):
        yield files[start : start + TOGETHER]
