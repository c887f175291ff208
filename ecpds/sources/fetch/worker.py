"""One connection's share of a file: its source, its span, and how fast it comes."""

from __future__ import annotations

from ecpds.sources.fetch.parts import Source
from ecpds.sources.fetch.spans import Span
from ecpds.sources.mechanisms.base import IOpened


class Worker:
    """One connection's share: its source and its span. `until` is where its stream ends; None: at the end of the file."""

    def __init__(self, source: Source, span: Span, now: float) -> None:
        self.source = source
        self.span = span
        self.opened: IOpened | None = None
        self.until: int | None = None
        self.dismissed = False
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
