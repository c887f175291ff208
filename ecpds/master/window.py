"""How many bytes there were within the last while: counted in coarse steps, so that it takes as much room however many come."""

from __future__ import annotations

from collections.abc import Iterable
from math import floor

STEPS = 60
"""Steps of a window. What is counted leaves it when its whole step does, so late by one step at most, and never early."""


class Window:
    """The last `period` seconds. Times are in seconds since the epoch; none is to be later than it is."""

    def __init__(self, period: float) -> None:
        self._period = period
        self._step = period / STEPS
        self._steps: dict[int, int] = {}
        self._sum = 0
        self._oldest = 0
        """No step before this one is held."""

    def add(self, time: float, size: int) -> None:
        self._add(floor(time / self._step), size)
        self._leave(time)

    def take_back(self, time: float, size: int) -> None:
        """What was added at a time was not so; there is nothing to do where it has left already."""
        step = floor(time / self._step)
        if step in self._steps:
            self._steps[step] -= size
            self._sum -= size

    def merge(self, earlier: Window) -> None:
        """Add what another window of the same period has."""
        for step, size in earlier._steps.items():
            self._add(step, size)

    def used(self, now: float) -> int:
        """Bytes within the period before `now`."""
        self._leave(now)
        return self._sum

    def __len__(self) -> int:
        """How many steps are held."""
        return len(self._steps)

    def _add(self, step: int, size: int) -> None:
        if step >= self._oldest:
            self._steps[step] = self._steps.get(step, 0) + size
            self._sum += size

    def _leave(self, now: float) -> None:
        first = floor((now - self._period) / self._step)
        if first > self._oldest:
            self._oldest = first
            self._drop([step for step in self._steps if step < first])

    def _drop(self, steps: Iterable[int]) -> None:
        for step in steps:
            self._sum -= self._steps.pop(step)
