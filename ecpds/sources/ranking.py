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

STEP = 0.9
"""How much slower each next place in the curator's order is taken to be."""

EXPLORED = 0.06
"""The share of answers in which another candidate than the best may go first."""

WRONG = 4.0
"""How many failures a wrong file counts for."""

WORKS = 0.95
"""The share of transfers that are taken to work where nothing is known."""

LEAST = 0.1
"""A cell of less weight says nothing that is worth a reason."""

SIZE_CLASSES = (1 << 20, 1 << 26, 1 << 30)
"""Sizes below 1 MiB, 64 MiB and 1 GiB are classes 1, 2 and 3, larger ones 4; class 0 is any."""

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

    @property
    def score(self) -> float:
        """The logarithm of what arrives a second when failures are counted in."""
        return self.rate + log2(max(self.works, 1e-6))


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

    def load(self, cells: Iterable[RateCell]) -> None:
        self._cells = {(cell.source, cell.site, cell.size_class): cell for cell in cells}

    def forget(self, source: int) -> None:
        """A source has gone, or what is known of it is to be counted anew."""
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
        return changed

    def known(self, source: int, site: int | None, kind: int, now: float) -> Estimate | None:
        """What is measured of a source, without any preference; None where nothing is."""
        weight = self._weight(source, site or 0, kind, now)
        if weight < LEAST:
            return None
        found = self._blend(source, site or 0, kind, now, None)
        return Estimate(found.rate, found.works, weight)

    def order(self, sources: Sequence[int | None], site: int | None, kind: int, now: float, explore: bool) -> list[Place]:
        """Candidates' sources in the order of preference (None: not a source's) in the order in which to try them.

        What is no source's can't be measured, and stays behind all others.
        """
        if not self._cells:
            return [Place(index, "in the order of preference") for index in range(len(sources))]
        known = {each: self.known(each, site, kind, now) for each in sources if each is not None}
        rates = [estimate.rate for estimate in known.values() if estimate is not None]
        base = sum(rates) / len(rates) if rates else 0.0
        scored = []
        for index, source in enumerate(sources):
            found = None if source is None else self._blend(source, site or 0, kind, now, base + index * log2(STEP))
            score = float("-inf") if found is None else found.score
            scored.append((score, -index, _reason(known.get(source) if source is not None else None)))
        scored.sort(reverse=True)
        if explore and len(known) > 1 and self._random.random() < EXPLORED:
            self._let_another_begin(scored)
        return [Place(-index, reason) for _, index, reason in scored]

    def _let_another_begin(self, scored: list[tuple[float, int, str]]) -> None:
        """Put one of the others first, if chance will have it; what is no source's never."""
        chosen = self._random.randrange(1, len(scored))
        score, index, reason = scored[chosen]
        if score > float("-inf") and self._random.random() < 2 ** ((score - scored[0][0]) / 2):
            del scored[chosen]
            scored.insert(0, (score, index, f"{reason}; first this time, to see how it is by now"))

    def _weight(self, source: int, site: int, kind: int, now: float) -> float:
        """How much is known of just this source, site and class; else of the source at all."""
        for key in ((source, site, kind), (source, 0, 0)):
            cell = self._cells.get(key)
            if cell is not None:
                return (cell.done + cell.failed) * decayed(cell, now)
        return 0.0

    def _blend(self, source: int, site: int, kind: int, now: float, prior: float | None) -> Estimate:
        """From the general to the special; without a prior the most general cell that has a rate begins."""
        rate, works = prior, WORKS
        for key in _keys(source, site, kind):
            cell = self._cells.get(key)
            if cell is None:
                continue
            left = decayed(cell, now)
            done, failed = cell.done * left, cell.failed * left
            works = (done + PRIOR * works) / (done + failed + PRIOR)
            middle = median(cell.rates)
            if middle is not None:
                rate = middle if rate is None else (done * middle + PRIOR * rate) / (done + PRIOR)
        return Estimate(rate or 0.0, works)


def _keys(source: int, site: int, kind: int) -> list[Key]:
    """The cells that are about a source, site and class, the most general first, each once."""
    return list(dict.fromkeys(((source, 0, 0), (source, 0, kind), (source, site, 0), (source, site, kind))))


def _reason(estimate: Estimate | None) -> str:
    if estimate is None:
        return "not measured, by preference"
    return f"measured {readable(2**estimate.rate)}/s, {estimate.works:.0%} work, by {estimate.weight:.1f} reports"


def readable(size: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
