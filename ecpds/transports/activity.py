"""What a channel does in one direction: it waits, or moves bytes, one call at a time."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from twisted.internet.defer import Deferred

from ecpds.errors import ConnectionLost, Refusal
from ecpds.interfaces import ITimeouts, IWatch
from ecpds.transports.links import Need

FOREVER = float("inf")
"""The patience of who has a clock of its own: nothing is watched."""


class Activity:
    """Reading or writing: what it waits for, if it waits, and what it may still move in this turn.

    `owed`: bytes of a write that had to wait. A link is given all of them again, however small the share has become.
    `attempt` is tried before who waits is woken: where it says True, that was all, and waiting goes on.
    """

    __slots__ = ("attempt", "busy", "need", "owed", "patience", "ready", "room", "share", "waiter", "watch")

    def __init__(self, share: int) -> None:
        self.busy = self.ready = False
        self.patience = 0.0
        self.owed = 0
        self.need: Need | None = None
        self.waiter: Deferred[None] | None = None
        self.watch: IWatch | None = None
        self.attempt: Callable[[], bool] | None = None
        self.room = self.share = share

    def go_on(self) -> None:
        """Wake who waits; it may have given up since the socket was ready."""
        self.ready = False
        if self.attempt is not None and self.waiter is not None and self._attempted(self.attempt):
            return
        self.wake()

    def wake(self) -> None:
        """Who waits goes on, whatever it waits for."""
        waiter, self.waiter, self.need = self.waiter, None, None
        if waiter is not None:
            waiter.callback(None)

    def _attempted(self, attempt: Callable[[], bool]) -> bool:
        """Whether nobody need be woken."""
        try:
            done = attempt()
        except Exception as failure:
            waiter, self.waiter, self.need = self.waiter, None, None
            if waiter is not None:
                waiter.errback(failure)
            return True
        if done and self.watch is not None:
            self.watch.touch()
        return done

    def expect(self, timeouts: ITimeouts, patience: float, expired: Callable[[], None]) -> None:
        """Something is waited for, again: so something has moved. `expired` is called where then nothing does."""
        if self.watch is not None and self.patience == patience:
            self.watch.touch()
            return
        if self.watch is not None:
            self.watch.cancel()
        self.patience = patience
        self.watch = timeouts.watch(patience, expired) if patience < FOREVER else None

    def renew(self, share: int) -> int:
        """A turn begins with this share; how much was moved in the one before."""
        moved = self.share - self.room
        self.room = self.share = share
        return moved


class Use:
    """One call that is under way. What breaks a write off leaves the peer with half of it, so the channel goes as well."""

    __slots__ = ("_abort", "_activity", "_writing")

    def __init__(self, abort: Callable[[], None], activity: Activity, writing: bool) -> None:
        self._abort = abort
        self._activity = activity
        self._writing = writing

    def __enter__(self) -> Activity:
        if self._activity.busy:
            raise RuntimeError("a channel has one reader and one writer at a time")
        self._activity.busy = True
        return self._activity

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._activity.busy = False
        if error is not None and (isinstance(error, ConnectionLost) or (self._writing and not isinstance(error, Refusal))):
            self._abort()
