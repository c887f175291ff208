"""Who fetches which part of a file. Pure: spans are handed out from the front, given back when a source dies, and taken over
from who is slow.

From the front, so that the file grows in one piece, and its digest along with it; a span lasts a source about a second.
When nothing is left to hand out, who is free takes the rear of the span that would take longest, so that both are done at
the same time. A source that stands just before what comes next goes on with it, and needs no new request.
"""

from __future__ import annotations

from bisect import insort

SMALLEST = 1 << 20
"""Bytes of the smallest span that is handed out, the last one apart."""

LARGEST = 64 << 20

SECONDS = 1.0
"""How long a span should take its source."""

UNKNOWN = 1 << 62
"""Stands for the size of a file whose server doesn't tell it."""

WORTH = 256 << 10
"""Bytes that are worth a request of their own when they are taken over."""


class Span:
    """Bytes from `at` to `end` that one source is fetching; `at` moves on as they come. `began` is where it started."""

    __slots__ = ("at", "began", "end")

    def __init__(self, began: int, end: int) -> None:
        self.began = self.at = began
        self.end = end

    @property
    def left(self) -> int:
        return self.end - self.at


class Spans:
    """One file of `size` bytes; `done` are spans (begin, end) that are here already."""

    def __init__(self, size: int, done: list[tuple[int, int]] | None = None) -> None:
        self.size = size
        self._free: list[tuple[int, int]] = []
        self._busy: list[Span] = []
        position = 0
        for begin, end in sorted(done or []):
            if begin > position:
                self._free.append((position, begin))
            position = max(position, end)
        if position < size:
            self._free.append((position, size))

    @property
    def complete(self) -> bool:
        """Whether every byte was fetched."""
        return not self._free and not self._busy

    @property
    def waiting(self) -> bool:
        """Whether there is something that nobody fetches."""
        return bool(self._free)

    @property
    def busy(self) -> tuple[Span, ...]:
        return tuple(self._busy)

    @property
    def left(self) -> int:
        """Bytes that did not come yet."""
        return sum(end - begin for begin, end in self._free) + sum(span.left for span in self._busy)

    def take(self, rate: float | None = None, at: int | None = None, alone: bool = False) -> Span | None:
        """The next span for a source of that rate (bytes a second, None: not known) that stands at `at`; None: nothing free.

        Who is `alone` gets all that there is in one piece.
        """
        if not self._free:
            return None
        index = next((number for number, (begin, _) in enumerate(self._free) if begin == at), 0)
        begin, end = self._free.pop(index)
        length = LARGEST if rate is None and alone else int(min(max((rate or 0) * SECONDS, SMALLEST), LARGEST))
        stop = end if alone or end - begin < length + SMALLEST else begin + length
        if stop < end:
            insort(self._free, (stop, end))
        span = Span(begin, stop)
        self._busy.append(span)
        return span

    def extend(self, span: Span, rate: float | None, alone: bool = False) -> bool:
        """Go on with what comes right behind a span, if that is free; whether it was."""
        for number, (begin, end) in enumerate(self._free):
            if begin == span.end:
                del self._free[number]
                length = int(min(max((rate or 0) * SECONDS, SMALLEST), LARGEST))
                stop = end if alone or end - begin < length + SMALLEST else begin + length
                if stop < end:
                    insort(self._free, (stop, end))
                span.end = stop
                return True
        return False

    def take_over(self, rate: float | None, rates: dict[Span, float]) -> Span | None:
        """The rear of the span that would take longest, for a source of that rate; None where nothing is worth it.

        `rates` are those at which the busy spans come, where that is known.
        """
        slowest, longest = None, 0.0
        for span in self._busy:
            time = span.left / max(rates.get(span, 0.0), 1.0)
            if time > longest and span.left >= 2 * WORTH:
                slowest, longest = span, time
        if slowest is None:
            return None
        theirs = max(rates.get(slowest, 0.0), 1.0)
        share = 0.5 if not rate else rate / (rate + theirs)
        rear = min(int(slowest.left * share), slowest.left - WORTH)
        if rear < WORTH:
            return None
        taken = Span(slowest.end - rear, slowest.end)
        slowest.end -= rear
        self._busy.append(taken)
        return taken

    def finish(self, span: Span) -> None:
        """Its source does nothing more with it: what did not come of it is free again."""
        self._busy.remove(span)
        if span.left > 0:
            self.free(span.at, span.end)

    def free(self, begin: int, end: int) -> None:
        """These bytes are to be fetched (again)."""
        merged = [(begin, end)]
        for other in self._free:
            if other[1] < merged[0][0] or other[0] > merged[0][1]:
                merged.append(other)
            else:
                merged[0] = min(other[0], merged[0][0]), max(other[1], merged[0][1])
        self._free = sorted(merged)

    def cut(self, size: int) -> None:
        """The file has `size` bytes after all, where nobody knew before."""
        self.size = size
        self._free = [(begin, min(end, size)) for begin, end in self._free if begin < size]
        for span in self._busy:
            span.end = min(span.end, max(size, span.at))
