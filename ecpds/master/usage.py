"""What a destination holds: how many files, and their bytes.

The catalogue keeps no sums: they would be one more row for every commit to wait for. So what a destination holds is counted
when somebody asks, on a thread, one destination at a time, and told again until that is `limits.usage_life` old, or a hundred
times as old as the counting took: a large destination costs a hundredth of one thread, however often its page is looked at.
"""

from __future__ import annotations

from functools import partial

from sqlalchemy import func, select
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime

from ecpds.master.reader import Reader
from ecpds.master.schema import data_file, directory, entry, standby
from ecpds.master.shared import Shared
from ecpds.master.sql import Session, Statement, value
from ecpds.model import Destination, Usage

_SUM = select(func.count(), func.coalesce(func.sum(data_file.c.size), 0))
_SEEN = Statement(
    _SUM.select_from(
        directory.join(entry, entry.c.directory == directory.c.id).join(data_file, data_file.c.id == entry.c.data_file)
    ).where(directory.c.destination == value("destination"))
)
_WAITING = Statement(
    _SUM.select_from(standby.join(data_file, data_file.c.id == standby.c.data_file)).where(
        standby.c.destination == value("destination")
    )
)

PATIENCE = 0.2
"""Seconds that who asks waits for the count before it is told what was counted last: a page is not to be late for it."""

RARELY = 100
"""A count is good for so many times as long as it took."""


def held(session: Session, destination: int) -> tuple[int, int]:
    """Files of a destination, those that wait to be released too, and their bytes."""
    (seen, size), (waiting, more) = (session.rows(each, destination=destination)[0] for each in (_SEEN, _WAITING))
    return seen + waiting, int(size) + int(more)


class Usages:
    """What is known of all destinations. `life` is how long a count is good at least, in seconds."""

    def __init__(self, reader: Reader, clock: IReactorTime, life: float) -> None:
        self._reader = reader
        self._clock = clock
        self._life = life
        self._turn = DeferredLock()
        self._known: dict[int, tuple[Usage, float]] = {}
        self._counts: dict[int, Shared[None]] = {}

    async def of(self, destination: Destination) -> Usage | None:
        """What it held when it was last counted; None where it is still being counted for the first time, or can't be."""
        known = self._known.get(destination.id)
        if known is None or known[1] <= self._clock.seconds():
            new = Shared("counting a destination", partial(self._count, destination.id))
            await self._patiently(self._counts.setdefault(destination.id, new).begin())
        found = self._known.get(destination.id)
        return found[0] if found else None

    def forget(self, destination: Destination) -> None:
        """It is gone."""
        self._known.pop(destination.id, None)
        self._counts.pop(destination.id, None)

    async def _patiently(self, count: Deferred[None]) -> None:
        """Wait for a count, which goes on when that takes too long."""
        waiter: Deferred[None] = Deferred()
        late = self._clock.callLater(PATIENCE, waiter.callback, None)

        def over(_: None) -> None:
            if late.active():
                late.cancel()
                waiter.callback(None)

        count.addCallback(over)
        await waiter

    async def _count(self, destination: int) -> None:
        await self._turn.acquire()
        try:
            began = self._clock.seconds()
            files, size = await self._reader.ask_on_thread(lambda session: held(session, destination))
            now = self._clock.seconds()
            self._known[destination] = Usage(files, size, now), now + max(self._life, RARELY * (now - began))
        finally:
            self._turn.release()
