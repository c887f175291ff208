"""Time-outs for very many connections: one wheel over an injected clock, progress noted lazily.

A touch only writes down the time; the wheel looks at it when the time-out falls due and goes on waiting for the rest.
A batched timer (txaio's, given by the composition root) puts all that fall due in one second into one call of the
reactor. Its own cancel searches a list, so a cancelled watch is only forgotten, at its next look: after `LOOK` seconds
at the latest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from ecpds.interfaces import ITimeouts, IWatch

LOOK = 15.0
"""A watch looks whether it is still wanted at least this often, in seconds."""

BUCKET = 1.0
"""What a batched timer may be early by, in seconds."""


class Timer(Protocol):
    """What the wheel needs of a batched timer."""

    def call_later(self, delay: float, function: Callable[[], None]) -> Any: ...


class ClockTimer:
    """A timer that batches nothing: the clock itself."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock

    def call_later(self, delay: float, function: Callable[[], None]) -> Any:
        return self._clock.callLater(delay, function)


@implementer(IWatch)
class Watch:
    """One time-out. Touching one that has expired or was cancelled does nothing."""

    __slots__ = ("_expired", "_seconds", "_touched", "_wheel")

    def __init__(self, wheel: Timeouts, seconds: float, expired: Callable[[], None]) -> None:
        self._wheel = wheel
        self._seconds = seconds
        self._expired: Callable[[], None] | None = expired
        self._touched = wheel.clock.seconds()
        self._look_in(seconds)

    def touch(self) -> None:
        self._touched = self._wheel.clock.seconds()

    def cancel(self) -> None:
        self._expired = None

    def _look_in(self, seconds: float) -> None:
        self._wheel.timer.call_later(min(seconds, LOOK) + BUCKET, self._look)

    def _look(self) -> None:
        expired = self._expired
        if expired is None:
            return
        left = self._touched + self._seconds - self._wheel.clock.seconds()
        if left > 0:
            self._look_in(left)
        else:
            self._expired = None
            expired()


@implementer(ITimeouts)
class Timeouts:
    """The wheel. `clock` is the reactor, or a `task.Clock`; without a batched timer it uses the clock alone."""

    def __init__(self, clock: IReactorTime, timer: Timer | None = None) -> None:
        self.clock = clock
        self.timer: Timer = timer or ClockTimer(clock)

    def watch(self, seconds: float, expired: Callable[[], None]) -> Watch:
        return Watch(self, seconds, expired)
