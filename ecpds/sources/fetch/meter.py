"""How fast the bytes of one connection come. Pure."""

from __future__ import annotations


class Meter:
    """`began` is when the connection was asked for; `fresh` counts the bytes that came since `marked`."""

    def __init__(self, now: float) -> None:
        self.began = now
        self.marked = now
        self.fresh = 0
        self.rate: float | None = None

    def pace(self, now: float) -> float:
        """Bytes a second, by what is known by now."""
        waited = now - self.marked
        current = self.fresh / waited if waited > 1.0 else None
        if self.rate is None:
            return current if current is not None else 0.0
        return self.rate if current is None else min(self.rate, current)

    def measure(self, now: float) -> tuple[int, float] | None:
        """How many bytes came since the last time, and in how many seconds; None where there is nothing to measure yet."""
        fresh, seconds = self.fresh, now - self.marked
        if not fresh or seconds <= 0:
            return None
        rate = fresh / seconds
        self.rate = rate if self.rate is None else 0.7 * self.rate + 0.3 * rate
        self.marked, self.fresh = now, 0
        return fresh, seconds
