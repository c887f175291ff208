"""How much each channel may move in one turn of the reactor.

Whoever waits for the reactor, a command on a control connection above all, waits as long as a turn takes. A few busy channels
may move `TURN` bytes each; many share what a few would have had, so that a turn stays as short.
"""

from __future__ import annotations

KIB = 1024

TURN = 1024 * KIB
"""Bytes that one channel may move in one turn of the reactor."""

FEW = 4
"""Busy channels that may have so much each."""

LEAST = 64 * KIB
"""What a channel may always move; one that moved as much in its last turn is busy."""


class Turns:
    """Counts the busy channels of a node."""

    def __init__(self) -> None:
        self._busy: set[object] = set()

    @property
    def share(self) -> int:
        """Bytes for one activity of a channel, until it waits for the reactor."""
        busy = len(self._busy)
        return TURN if busy <= FEW else max(min(LEAST, TURN), FEW * TURN // busy)

    def moved(self, channel: object, count: int) -> None:
        """What one activity of a channel moved before it had to wait. Nothing at all: it is idle."""
        if count >= LEAST:
            self._busy.add(channel)
        elif not count:
            self._busy.discard(channel)

    def left(self, channel: object) -> None:
        """It moves nothing any more."""
        self._busy.discard(channel)
