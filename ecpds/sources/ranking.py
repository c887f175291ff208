"""In which order to try candidates: what reports say of their sources, and the curator's preference where they say little.

Of each source, site and class of sizes a cell is kept (`RateCell`): how often it worked, and how fast, as a histogram whose
median one odd report can't move. Weights halve with time, and a cell remembers about `WINDOW` reports, so that it follows
a mirror whose speed changes. A cell is read on top of the more general ones (any size, any site): each is blended with what
stands above it as if that were `PRIOR` reports, and above all stands the preference: each place down the order is taken to be
a tenth slower. So the order is the curator's while nothing is known, and measured when something is. Now and then another
candidate goes first, else what has become fast would never be noticed: less often the slower it is taken to be (by the
square root), so that looking costs little.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log2
from random import Random

from attrs import evolve, frozen

from ecpds.datasources import RateCell, TransferReport

WINDOW = 6.0
"""Reports that a cell remembers, about."""

FINENESS = 8
"""Steps of an octave in which rates are kept."""

SURPRISE = 1.5
"""Octaves from the median from which on a rate makes what was known count half: one that is odd moves the median little,
two in a row do."""

PRIOR = 1.0
"""How many reports the more general knowledge counts for."""

HALF_LIFE = 7 * 86400.0
"""Seconds after which an old report counts half."""

LOWER = log2(0.9)
"""How much slower each next place in the curator's order is taken to be: a tenth."""

EXPLORED = 0.06
"""The share of answers in which another candidate than the best may go first."""

WRONG = 4.0
"""How many failures a wrong file counts for."""

WORKS = 0.95
"""The share of transfers that are taken to work where nothing is known."""

LEAST = 0.05
"""A cell of less weight says nothing that is worth a reason."""

SIZE_CLASSES = (1 << 20, 1 << 26, 1 << 30)
"""Sizes below 1 MiB, 64 MiB and 1 GiB are classes 1, 2 and 3, larger ones 4; class 0 is any."""

FRESH = 30.0
"""Seconds after which fading is looked at again; a new report is seen at once."""

BY_PREFERENCE, NOT_MEASURED = "in the order of preference", "not measured, by preference"

Key = tuple[int, int, int]


def size_class(size: int | None) -> int:
    """0 where the size is not known."""
    return 0 if size is None else 1 + sum(size >= least for least in SIZE_CLASSES)


def decayed(cell: RateCell, now: float) -> float:
    """What a weight of the cell's own time counts for now."""
    return float(0.5 ** (max(0.0, now - cell.time) / HALF_LIFE))


def learnt(cell: RateCell, report: TransferReport, weight: float, now: float) -> RateCell:
    """The cell with one more report in it. A failed or wrong transfer has no rate."""
    counted = weight * (WRONG if report.wrong else 1.0)
    left = decayed(cell, now) * max(0.0, 1 - counted / WINDOW)
    rate = log2(report.size / report.seconds) if report.success and report.size and report.seconds > 0 else None
    before = median(cell.rates)
    if rate is not None and before is not None and abs(rate - before) > SURPRISE:
        left *= 1 - counted / 2 if counted < 1 else 0.5
    rates = {bucket: kept * left for bucket, kept in cell.rates.items() if kept * left > 1e-3}
    if rate is not None:
        bucket = max(0, round(FINENESS * rate))
        rates[bucket] = rates.get(bucket, 0.0) + counted
    done, failed = cell.done * left, cell.failed * left
    if report.success:
        done += counted
    else:
        failed += counted
    return evolve(cell, time=now, done=done, failed=failed, rates=rates)


def median(rates: Mapping[int, float]) -> float | None:
    """The logarithm (base 2) of the median rate, inside of its bucket by interpolation; None where there is none."""
    half = sum(rates.values()) / 2
    before = 0.0
    for bucket in sorted(rates):
        if before + rates[bucket] >= half > 0:
            return (bucket - 0.5 + (half - before) / rates[bucket]) / FINENESS
        before += rates[bucket]
    return None


@frozen
class Estimate:
    """What is expected of a source: the logarithm (base 2) of its rate, and the share that works; `weight` of reports."""

    rate: float
    works: float
    weight: float = 0.0


@frozen
class Knowledge:
    """What the cells of a source say together, up to a prior: the rate is `base + share * prior`.

    `own` is the rate with the source's most general one as the prior. `score` adds the logarithm of the share that works.
    """

    base: float
    share: float
    own: float
    works: float
    weight: float
    reason: str
    until: float

    def score(self, prior: float) -> float:
        """The logarithm of what arrives a second when failures are counted in."""
        return self.base + self.share * prior + log2(max(self.works, 1e-6))


@frozen
class Place:
    """Where a candidate stands: its index in the preference order, and why it stands here."""

    index: int
    reason: str


class Ranking:
    """The cells, and the orders that follow from them. Only what is curated makes cells, so they stay few."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._cells: dict[Key, RateCell] = {}
        self._knowledge: dict[int, dict[Key, Knowledge]] = {}

    def load(self, cells: Iterable[RateCell]) -> None:
        self._cells = {(cell.source, cell.site, cell.size_class): cell for cell in cells}
        self._knowledge.clear()

    def forget(self, source: int) -> None:
        """A source has gone, or what is known of it is to be counted anew."""
        self._knowledge.pop(source, None)
        for key in [key for key in self._cells if key[0] == source]:
            del self._cells[key]

    def learn(self, source: int, site: int | None, report: TransferReport, weight: float, now: float) -> list[RateCell]:
        """Take in a report; returns the cells that it changed. How large a file was that failed nobody knows: so all sizes."""
        keys = _keys(source, site or 0, size_class(report.size) if report.success else 0)
        if not report.success:
            others = ((source, place, kind) for place in {0, site or 0} for kind in range(1, len(SIZE_CLASSES) + 2))
            keys += [key for key in others if key in self._cells]
        changed = [learnt(self._cells.get(key) or RateCell(*key), report, weight, now) for key in keys]
        self._cells.update({(cell.source, cell.site, cell.size_class): cell for cell in changed})
        self._knowledge.pop(source, None)
        return changed

    def known(self, source: int, site: int | None, kind: int, now: float) -> Estimate | None:
        """What is measured of a source, without any preference; None where nothing is."""
        found = self._known(source, site or 0, kind, now)
        return Estimate(found.own, found.works, found.weight) if found.weight >= LEAST else None

    def order(self, sources: Sequence[int | None], site: int | None, kind: int, now: float, explore: bool) -> list[Place]:
        """Candidates' sources in the order of preference (None: not a source's) in the order in which to try them.

        What is no source's can't be measured, and stays behind all others.
        """
        if not self._cells:
            return [Place(index, BY_PREFERENCE) for index in range(len(sources))]
        known = [None if each is None else self._known(each, site or 0, kind, now) for each in sources]
        rates = [each.own for each in known if each is not None and each.weight >= LEAST]
        prior = sum(rates) / len(rates) if rates else 0.0
        scored = [
            (
                float("-inf") if each is None else each.score(prior + index * LOWER),
                -index,
                NOT_MEASURED if each is None else each.reason,
            )
            for index, each in enumerate(known)
        ]
        scored.sort(reverse=True)
        if explore and len(scored) > 1 and self._random.random() < EXPLORED:
            self._let_another_begin(scored)
        return [Place(-index, reason) for _, index, reason in scored]

    def _let_another_begin(self, scored: list[tuple[float, int, str]]) -> None:
        """Put one of the others first, if chance will have it; what is no source's never."""
        chosen = self._random.randrange(1, len(scored))
        score, index, reason = scored[chosen]
        if score > float("-inf") and self._random.random() < 2 ** ((score - scored[0][0]) / 2):
            del scored[chosen]
            scored.insert(0, (score, index, f"{reason}; first this time, to see how it is by now"))

    def _known(self, source: int, site: int, kind: int, now: float) -> Knowledge:
        """What the cells say, worked out anew when they have changed or after `FRESH` seconds."""
        ours = self._knowledge.setdefault(source, {})
        found = ours.get((source, site, kind))
        if found is None or now > found.until:
            found = ours[source, site, kind] = self._worked_out(source, site, kind, now)
        return found

    def _worked_out(self, source: int, site: int, kind: int, now: float) -> Knowledge:
        """From the general cells to the special ones, each blended with what stands above it."""
        base, share, works, first, weight = 0.0, 1.0, WORKS, None, 0.0
        for key in _keys(source, site, kind):
            cell = self._cells.get(key)
            if cell is None:
                continue
            left = decayed(cell, now)
            done, failed = cell.done * left, cell.failed * left
            if key in ((source, 0, 0), (source, site, kind)):
                weight = done + failed
            works = (done + PRIOR * works) / (done + failed + PRIOR)
            middle = median(cell.rates)
            if middle is not None:
                first = middle if first is None else first
                base, share = (done * middle + PRIOR * base) / (done + PRIOR), share * PRIOR / (done + PRIOR)
        own = base + share * (first or 0.0)
        return Knowledge(base, share, own, works, weight, _reason(own, works, weight), now + FRESH)


def _keys(source: int, site: int, kind: int) -> list[Key]:
    """The cells that are about a source, site and class, the most general first, each once."""
    return list(dict.fromkeys(((source, 0, 0), (source, 0, kind), (source, site, 0), (source, site, kind))))


def _reason(rate: float, works: float, weight: float) -> str:
    if weight < LEAST:
        return NOT_MEASURED
    return f"measured {readable(2**rate)}/s, {works:.0%} work, by {weight:.1f} reports"


def readable(size: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
