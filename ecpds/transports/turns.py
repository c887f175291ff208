"""How much each channel may move in one turn of the reactor, and who goes on when in it.

Whoever waits for the reactor, a command on a control connection above all, waits as long as a turn takes. A few busy channels
may move `TURN` bytes each, at once. Where there are many they move `LEAST` at a time, and all of them together have
`SLICE` seconds of a turn: those for whom no time was left go on in the next ones, in the order in which they were ready. So
commands are seen to in every turn, and no channel gets to its bytes more often than another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

KIB = 1024

TURN = 1024 * KIB
"""Bytes that one channel may move in one turn of the reactor."""

FEW = 4
"""Busy channels that may have so much each."""

LEAST = 64 * KIB
"""What a channel may always move; one that moved as much in its last turn is busy."""

SLICE = 0.005
"""Seconds of a turn that many busy channels have together."""


class Turns:
    """Counts the busy channels of a node, and lets them go on. `clock` is the reactor."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._busy: set[object] = set()
        self._ready: deque[Callable[[], None]] = deque()
        self._until: float | None = None

    @property
    def share(self) -> int:
        """Bytes for one activity of a channel, until it waits for the reactor."""
        busy = len(self._busy)
        return TURN if busy <= FEW else max(min(LEAST, TURN), FEW * TURN // busy)

    @property
    def crowded(self) -> bool:
        """Whether more channels are busy than may have `TURN` bytes each."""
        return len(self._busy) > FEW

    @property
    def over(self) -> bool:
        """Whether the time that many channels have in this turn is used up."""
        return self._until is not None and self._clock.seconds() >= self._until

    def go_on(self, resume: Callable[[], None]) -> None:
        """Call `resume`: at once while there is time, else in its order in one of the next turns."""
        if self._until is None and len(self._busy) > FEW:
            self._begin()
        if self._ready or self.over:
            self._ready.append(resume)
        else:
            resume()

    def moved(self, channel: object, count: int) -> None:
        """What one activity of a channel moved before it had to wait. Nothing at all: it is idle."""
        if count >= LEAST:
            self._busy.add(channel)
        elif not count:
            self._busy.discard(channel)

    def left(self, channel: object) -> None:
        """It moves nothing any more."""
        self._busy.discard(channel)

    def _begin(self) -> None:
        """Time runs from now on, until the reactor has looked at all sockets."""
        self._until = self._clock.seconds() + SLICE
        self._clock.callLater(0, self._turned)

    def _turned(self) -> None:
        self._until = None
        if self._ready:
            self._begin()
        while self._ready and not self.over:
            self._ready.popleft()()
