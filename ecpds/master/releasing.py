"""Releases files that wait, when their time has come or somebody says so; and knows where files wait at all.

Who tells whom: whoever is to give a file its name asks what its destination says (`placing`, `waits`), and tells of the
commit (`note`). At the time of the next release the writer releases all that are due, a few in one transaction; then the
cache of resolved names forgets what was there before, and each file leaves one record. The catalogue is asked for that time
by an index, and for what is due no more often than once in `LOOK`, where nothing is known to be due before.

Destinations in which nothing waits, and whose options let nothing wait, cost a look into a set: they are asked and changed
as if there was nothing of this. One is in the set from before the first file is committed that waits there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ecpds.errors import NotADirectory, NotFound
from ecpds.events import release_event
from ecpds.interfaces import IEventSink
from ecpds.limits import Limits
from ecpds.master import standby, tree, waiting_below
from ecpds.master.cache import ResolveCache
from ecpds.master.history import History
from ecpds.master.publishing import Publication
from ecpds.master.reader import Reader
from ecpds.master.shared import Rounds
from ecpds.master.sql import Session
from ecpds.master.standby import Placing, Released
from ecpds.master.tree import Room
from ecpds.model import Destination, Entry
from ecpds.releases import NEVER, waits_until

T = TypeVar("T")

LOOK = 60.0
"""Seconds between two looks: so late a release is at most where the catalogue could not be written, or a clock was set."""

TOGETHER = 50
"""Files that one transaction releases at most."""

PAGE = 1000
"""Files that wait which are looked at with one question."""

May = Callable[[str], Awaitable[bool]]
"""Whether who asks may release the file at a path."""

QUIET = 3600.0
"""Seconds without a file that waits after which a destination is asked and changed again as all others are."""


class IsMaster(Protocol):
    """What this needs of the Master."""

    clock: IReactorTime
    history: History
    limits: Limits
    reader: Reader
    resolved: ResolveCache

    def destination(self, name: str) -> Destination: ...

    def there(self, name: str) -> Destination | None:
        """The destination of that name, where there is one."""

    async def change(self, operation: Callable[[Session], T], then: Callable[[T], None]) -> T:
        """Change the catalogue, and then what is kept in memory."""


class Releases:
    """`sink` hears of each file that is released."""

    log = Logger()

    def __init__(self, master: IsMaster) -> None:
        self._master = master
        self._clock = master.clock
        self.sink: IEventSink = master.history
        self._places: dict[int, float] = {}
        """Where files wait, and when that was said last."""
        self._next: IDelayedCall | None = None
        self._stopping = False
        self._work = Rounds("releasing files", self._look, master.clock)

    async def start(self) -> None:
        """Before anybody asks."""
        self._places = dict.fromkeys(await self._master.reader.ask_on_thread(standby.places), 0.0)
        self._work.start(LOOK)

    async def stop(self) -> None:
        """Returns when the transaction that is under way has ended; the next Master goes on."""
        self._stopping = True
        self._cancel()
        await self._work.stop()

    def concern(self, destination: int) -> bool:
        """Whether files may wait there."""
        return destination in self._places

    def waits(self, destination: str, path: str, now: float) -> float | None:
        """When a file is released that is to get this path; None: it doesn't wait."""
        found = self._master.there(destination)
        if found is None or not found.options:
            return None
        waits = waits_until(found.options, path, now)
        if waits is not None:
            self._places[found.id] = now
        return waits

    def seen_at_once(self, destination: Destination, path: str) -> bool:
        """Whether a file that gets this path now doesn't wait, and nothing waits that it may have to replace."""
        if destination.id in self._places:
            return False
        return not destination.options or waits_until(destination.options, path, 0.0) is None

    def placing(self, destination: str, new: Publication) -> Publication | Placing:
        """The change that gives a file its name, as its destination wants it."""
        waits = self.waits(destination, new.path, new.file.created)
        return Placing(new, waits) if waits is not None or new.destination in self._places else new

    def look(self, destination: int) -> Callable[[Session, int, str], Room]:
        """What finds out what there is at a path, as who may put there sees it."""
        return standby.room if destination in self._places else tree.room

    def note(self, waits: float) -> None:
        """A file was committed that is released then."""
        now = self._clock.seconds()
        if waits < min(now + LOOK, NEVER) and not self._stopping:
            self._wake(waits - now)

    async def release(self, destination: str, path: str) -> Entry:
        """Raises `NotFound`, `IsADirectory`."""
        place, now = self._master.destination(destination), self._clock.seconds()
        due = now + self._master.limits.ticket_life

        def told(outcome: tuple[Entry, bool]) -> None:
            entry, waited = outcome
            if waited:
                self._tell([Released(place.id, place.name, entry)])

        entry, _ = await self._master.change(lambda session: standby.release(session, place.id, path, now, due), told)
        return entry

    async def release_below(self, destination: str, folder: str, may: May) -> int:
        """Release what waits in a folder and below it, where one `may`: a few in one transaction. Returns how many those were.

        What comes meanwhile may wait on. Raises `NotFound`, `NotADirectory`.
        """
        place, count = self._master.destination(destination), 0
        after: waiting_below.Spot | None = waiting_below.BEGINNING
        room = await self._master.reader.ask(lambda session: standby.room(session, place.id, folder))
        if not room.is_directory:
            raise NotFound if room.file is None else NotADirectory
        while after is not None:
            question = partial(waiting_below.page, destination=place.id, after=after, limit=PAGE)
            found, after = await self._master.reader.ask_on_thread(question)
            paths = [path for path in found if waiting_below.is_below(path, folder) and await may(path)]
            for start in range(0, len(paths), TOGETHER):
                count += await self._release_some(place, paths[start : start + TOGETHER])
        return count

    async def _release_some(self, place: Destination, paths: Sequence[str]) -> int:
        now = self._clock.seconds()
        due = now + self._master.limits.ticket_life
        change = partial(waiting_below.release, place=place, paths=paths, now=now, due=due)
        released: Sequence[Released] = await self._master.change(change, self._tell)
        return len(released)

    async def hold(self, destination: str, path: str) -> Entry:
        """Raises `NotFound`, `IsADirectory`."""
        place = self._master.destination(destination).id
        self._places[place] = self._clock.seconds()
        return await self._master.change(
            lambda session: standby.hold(session, place, path), lambda _: self._master.resolved.drop(place, path)
        )

    async def _look(self) -> None:
        if not self._places:
            return
        self._cancel()
        count = TOGETHER
        while count == TOGETHER and not self._stopping:
            now = self._clock.seconds()
            change = partial(standby.release_due, now=now, due=now + self._master.limits.ticket_life, limit=TOGETHER)
            released: Sequence[Released] = await self._master.change(change, self._tell)
            count = len(released)
        await self._forget_quiet()
        following = await self._master.reader.ask_on_thread(standby.next_release)
        if following is not None:
            self.note(following)

    def _tell(self, released: Sequence[Released]) -> None:
        now = self._clock.seconds()
        for each in released:
            self._master.resolved.drop(each.destination, each.entry.path)
            file = each.entry.file
            assert file is not None
            self.sink.record(release_event(now, each.name, each.entry.path, file.id, file.size))

    async def _forget_quiet(self) -> None:
        """Destinations that were said so long ago that no commit is on its way, and in which nothing waits any more."""
        before = self._clock.seconds() - QUIET
        quiet = [place for place, said in self._places.items() if said < before]
        if not quiet:
            return
        waiting = await self._master.reader.ask_on_thread(standby.places)
        for place in quiet:
            if place not in waiting and self._places[place] < before:
                del self._places[place]

    def _wake(self, delay: float) -> None:
        if self._next is not None and self._next.getTime() <= self._clock.seconds() + delay:
            return
        self._cancel()
        self._next = self._clock.callLater(max(0.0, delay), self._wake_up)

    def _wake_up(self) -> None:
        self._next = None
        self._work.begin()

    def _cancel(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
