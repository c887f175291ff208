"""Bytes of which this node does not know whether the Master has given them a name: it is asked until that is known.

Who tells whom: as in a sweep (`Sweep.judge`), but of these alone, and at once. What the Master says is nobody's it refuses to
commit from then on, so that the question that was left without an answer names nothing any more, however late it comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ecpds.errors import Refusal
from ecpds.model import StoredSegment

AGAIN = 30.0
"""Seconds until what could not be judged is asked for again."""

AT_A_TIME = 500
"""Segments that the Master is asked about at a time."""

MOST = 100_000
"""Segments that are remembered at most; what is more waits for the sweep of the next start."""


class IsSweep(Protocol):
    """What this needs of a sweep."""

    async def judge(self, volume: int, found: Sequence[StoredSegment]) -> None: ...


class Doubts:
    """Has what is in doubt judged, a volume at a time; one that can't be waits behind the others."""

    log = Logger()

    def __init__(self, sweep: IsSweep, clock: IReactorTime) -> None:
        self._sweep = sweep
        self._clock = clock
        self._found: list[StoredSegment] = []
        self._asking = False
        self._ended = False
        self._waiting: Deferred[None] | None = None

    def add(self, found: StoredSegment) -> None:
        if len(self._found) >= MOST:
            return
        self._found.append(found)
        if not self._asking and not self._ended:
            self._asking = True
            Deferred.fromCoroutine(self._ask()).addErrback(self._failed)

    def end(self) -> None:
        """Ask no more: the sweep of the next start will."""
        self._ended = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def _ask(self) -> None:
        try:
            while self._found and not self._ended:
                if not await self._judged():
                    self._waiting = deferLater(self._clock, AGAIN)
                    await self._waiting
        except CancelledError:
            if not self._ended:
                raise
        finally:
            self._waiting = None
            self._asking = False

    async def _judged(self) -> bool:
        """Whether some of them are in doubt no more."""
        volume = self._found[0].volume
        some = [each for each in self._found if each.volume == volume][:AT_A_TIME]
        left: list[StoredSegment] = []
        try:
            await self._sweep.judge(volume, some)
        except (Refusal, OSError) as error:
            self.log.warn("whose {count} segments are is not known yet: {reason}", count=len(some), reason=str(error))
            left = some
        asked = set(some)
        self._found = [each for each in self._found if each not in asked] + left
        return not left

    def _failed(self, failure: Failure) -> None:
        self.log.failure("whose segments are could not be asked", failure)
