"""The rules by which connections share one file: who fetches what, whether others should join, and who is too slow. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from ecpds.sources.fetch.pace import Host
from ecpds.sources.fetch.spans import SECONDS, UNKNOWN, WORTH, Span, Spans

BUFFER = 1 << 20
"""Bytes of the buffers of a connection."""

SAMPLE = 1 << 16
"""Bytes by which a source shows that it has the same file."""

LARGE, LONG = 4 << 20, 2.0
"""Bytes for which other sources are asked to join, and seconds that are long enough to ask them for less."""

TICK = 0.5
"""Seconds between two looks at who is slow."""

SETTLED = 2.0
"""Seconds after which a connection's rate is taken for what it is."""


class Sharer(Protocol):
    """One connection's share of a file. `until` is where its stream ends; None: at the end of the file."""

    span: Span
    until: int | None
    dismissed: bool
    began: float

    def pace(self, now: float) -> float: ...


Sharers = Collection[Sharer]


def rates(sharers: Sharers, now: float) -> dict[Span, float]:
    """At what rate each span comes."""
    return {each.span: each.pace(now) for each in sharers}


def first(spans: Spans, host: Host, alone: bool, sharers: Sharers, now: float) -> Span | None:
    """A span for who joins; None where there is none."""
    found = spans.take(host.rate, None, alone)
    return spans.take_over(host.rate, rates(sharers, now)) if found is None else found


def following(spans: Spans, sharer: Sharer, alone: bool, sharers: Sharers, now: float) -> Span | None:
    """What comes next for who has its span: the same, longer, where its stream goes on; another; None: nothing."""
    rate = sharer.pace(now) or None
    if sharer.until is None and spans.extend(sharer.span, rate, alone):
        return sharer.span
    if sharer.dismissed:
        return None
    known = rates(sharers, now)
    found = spans.take(fair(spans, rate, sum(known.values())), sharer.span.end)
    del known[sharer.span]
    return spans.take_over(rate, known) if found is None else found


def fair(spans: Spans, rate: float | None, together: float) -> float | None:
    """The rate by which a span is measured, for one of those who fetch at `together`: no more than its part of what is left.

    So all are done at the same time, and nobody has to take over from others, which costs a connection.
    """
    return None if rate is None else min(rate, spans.left / SECONDS * rate / max(together, rate))


def worth_joining(spans: Spans, front: int, sharers: Sharers, now: float) -> bool:
    """Whether what is left is enough for one more. Nobody joins before there are bytes to compare with."""
    if not front or spans.size == UNKNOWN:
        return False
    left = spans.left
    if not sharers:
        return left > 0
    rate = sum(each.pace(now) for each in sharers)
    return left >= LARGE or (left >= 2 * WORTH and left > LONG * rate > 0)


def settled(sharer: Sharer, now: float) -> float | None:
    """The rate of who has been at it for long enough to be judged, and is not nearly done; None for others."""
    pace = sharer.pace(now)
    if now - sharer.began < SETTLED or sharer.span.left < max(pace * LONG, WORTH):
        return None
    return max(pace, 1.0)
