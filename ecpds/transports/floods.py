"""A flood: what comes fast from one channel fills buffers on a thread, for as long as it keeps coming.

A fast upload pays for the reactor's turns, and for a hop of each buffer to the threads that write and digest it, a quarter of
its processor time. Here one thread receives into buffer after buffer, and hands them to those threads itself. As in a stretch
the link is lent meanwhile, and the thread has no patience: where the peer keeps it waiting, or no buffer becomes free soon, or
after `LONGEST`, the caller goes on by the reactor. So a slow client holds no thread.
"""

from __future__ import annotations

from collections.abc import Callable

from ecpds.interfaces import IBasin
from ecpds.transports.stretches import Loan, Stretches
from ecpds.waiting import detached

LONGEST = 0.25
"""Seconds of one flood. At its end the threads run dry for a moment, so it is longer than a stretch."""


class Flood:
    """One of them, of at most `length` bytes; it needs one of the threads that `owner` has for stretches."""

    def __init__(self, owner: Stretches, basin: IBasin, length: int) -> None:
        self.moved = 0
        self._owner = owner
        self._basin = basin
        self._length = length
        self._ended = False

    async def run(self, lend: Callable[[], Loan | None]) -> int:
        """How many bytes were moved. `lend` is asked for the link when all else is ready. Who no longer waits ends it soon."""
        if not self._owner.seize():
            return 0
        source = begun = None
        try:
            if begun := await self._basin.begin():
                source = lend()
        finally:
            if source is None:
                self._owner.leave()
        if source is None:
            if begun:
                self._basin.end()
            return 0
        try:
            await detached(self._run(source))
        finally:
            self._ended = True
        return self.moved

    async def _run(self, source: Loan) -> None:
        try:
            await self._owner.threads.run(self._move, source)
        finally:
            self._basin.end()
            source.over(self.moved, source.lost)
            self._owner.leave()

    def _move(self, source: Loan) -> None:
        """On the thread."""
        until = self._owner.clock() + LONGEST

        def wanted() -> bool:
            return not self._ended and source.wanted() and self._owner.clock() < until

        while self.moved < self._length and wanted() and (room := self._basin.room()) is not None:
            view = room[: self._length - self.moved]
            came = source.transfer(source.link.receive, view, wanted)
            self._basin.filled(came)
            self.moved += came
            if came < len(view):
                return
