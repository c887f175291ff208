"""One connection's share of a file: its source, its span, and how fast it comes."""

from __future__ import annotations

from ecpds.sources.fetch.meter import Meter
from ecpds.sources.fetch.parts import Source
from ecpds.sources.fetch.spans import Span
from ecpds.sources.mechanisms.base import IOpened


class Worker(Meter):
    """One connection's share: its source and its span. `until` is where its stream ends; None: at the end of the file."""

    def __init__(self, source: Source, span: Span, now: float) -> None:
        super().__init__(now)
        self.source = source
        self.span = span
        self.opened: IOpened | None = None
        self.until: int | None = None
        self.dismissed = False
