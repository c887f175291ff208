"""The order of candidates: by preference, by reports, and against mirrors whose speeds change."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from ecpds.datasources import RateCell, TransferReport
from ecpds.sources import ranking
from ecpds.sources.ranking import Ranking, learnt, median, size_class

MB = 1_000_000


class Never(Random):
    """Never explores."""

    def random(self) -> float:
        return 1.0


class Always(Random):
    def random(self) -> float:
        return 0.0


def report(rate: float = MB, success: bool = True, size: int = 100 * MB, wrong: bool = False) -> TransferReport:
    return TransferReport("http://h/f", success, size, size / rate, wrong=wrong)


def ordered(subject: Ranking, sources: list[int | None], site: int | None = None, kind: int = 0, now: float = 0.0) -> list[int]:
    return [place.index for place in subject.order(sources, site, kind, now, True)]


class Orders(SynchronousTestCase):
    def setUp(self) -> None:
        self.ranking = Ranking(Never())

    def learn(self, source: int, rate: float = MB, count: int = 1, site: int | None = None, now: float = 0.0) -> None:
        for _ in range(count):
            self.ranking.learn(source, site, report(rate), 1.0, now)

    def fail(self, source: int, count: int = 1, wrong: bool = False) -> None:
        for _ in range(count):
            self.ranking.learn(source, None, report(success=False, wrong=wrong), 1.0, 0.0)

    def test_preference_where_nothing_is_known(self) -> None:
        self.assertEqual(ordered(self.ranking, [3, 1, 2, None]), [0, 1, 2, 3])
        self.learn(9)
        self.assertEqual(ordered(self.ranking, [3, 1, 2, None]), [0, 1, 2, 3])

    def test_the_faster_one_first(self) -> None:
        self.learn(1, 1 * MB, 5)
        self.learn(2, 30 * MB, 5)
        self.assertEqual(ordered(self.ranking, [1, 2]), [1, 0])

    def test_an_unknown_one_is_where_the_curator_would_have_it(self) -> None:
        self.learn(1, 1 * MB, 9)
        self.learn(2, 30 * MB, 9)
        self.assertEqual(ordered(self.ranking, [7, 1, 2, 8]), [2, 0, 3, 1])

    def test_one_odd_report_moves_little(self) -> None:
        self.learn(1, 1 * MB, 9)
        self.learn(2, 10 * MB, 9)
        self.learn(1, 10_000 * MB)
        self.assertEqual(ordered(self.ranking, [1, 2]), [1, 0])

    def test_failures_count(self) -> None:
        self.learn(1, 10 * MB, 9)
        self.learn(2, 8 * MB, 9)
        self.assertEqual(ordered(self.ranking, [1, 2]), [0, 1])
        self.fail(1, 4)
        self.assertEqual(ordered(self.ranking, [1, 2]), [1, 0])

    def test_one_wrong_file_demotes(self) -> None:
        self.learn(1, 10 * MB, 9)
        self.learn(2, 8 * MB, 9)
        self.fail(1, 1, wrong=True)
        self.assertEqual(ordered(self.ranking, [1, 2]), [1, 0])

    def test_each_site_has_its_own_order(self) -> None:
        for site, rates in ((5, (10 * MB, 1 * MB)), (6, (1 * MB, 10 * MB))):
            for source, rate in zip((1, 2), rates, strict=True):
                self.learn(source, rate, 9, site)
        self.assertEqual(ordered(self.ranking, [1, 2], 5), [0, 1])
        self.assertEqual(ordered(self.ranking, [1, 2], 6), [1, 0])

    def test_what_is_known_of_others_sites_counts_where_nothing_else_is(self) -> None:
        self.learn(1, 1 * MB, 9, 5)
        self.learn(2, 10 * MB, 9, 5)
        self.assertEqual(ordered(self.ranking, [1, 2], 7), [1, 0])

    def test_small_files_and_large_ones_have_their_own(self) -> None:
        for _ in range(9):
            for source, size, rate in ((1, 1000, 9 * MB), (2, 1000, MB), (1, 500 * MB, 20 * MB), (2, 500 * MB, 90 * MB)):
                self.ranking.learn(source, None, report(rate, size=size), 1.0, 0.0)
        self.assertEqual(ordered(self.ranking, [2, 1], kind=size_class(2000)), [1, 0])
        self.assertEqual(ordered(self.ranking, [1, 2], kind=size_class(400 * MB)), [1, 0])

    def test_old_reports_fade(self) -> None:
        self.learn(1, 1 * MB, 9)
        self.learn(2, 10 * MB, 9)
        self.assertEqual(ordered(self.ranking, [1, 2], now=86400.0), [1, 0])
        self.assertEqual(ordered(self.ranking, [1, 2], now=ranking.HALF_LIFE * 30), [0, 1])

    def test_anonymous_reports_weigh_less(self) -> None:
        self.learn(1, 1 * MB, 9)
        self.learn(2, 10 * MB, 9)
        for _ in range(20):
            self.ranking.learn(1, None, report(1000 * MB), 0.1, 0.0)
        self.assertEqual(ordered(self.ranking, [1, 2]), [1, 0])

    def test_now_and_then_another_goes_first_the_faster_the_likelier(self) -> None:
        self.ranking = Ranking(Random(5))
        for source, rate in ((1, 10 * MB), (2, 5 * MB), (3, MB // 100)):
            self.learn(source, rate, 9)
        first = [ordered(self.ranking, [1, 2, 3, None])[0] for _ in range(10_000)]
        counts = [first.count(index) for index in range(4)]
        self.assertEqual(counts[3], 0)
        self.assertTrue(50 < counts[1] < 300, counts)
        self.assertTrue(1 <= counts[2] < counts[1] // 4, counts)

    def test_who_only_asks_why_gets_the_plain_order(self) -> None:
        self.ranking = Ranking(Always())
        for source, rate in ((1, 10 * MB), (2, 5 * MB)):
            self.learn(source, rate, 9)
        first = self.ranking.order([1, 2], None, 0, 0.0, True)[0]
        self.assertIn("first this time", first.reason)
        self.assertEqual([each.index for each in self.ranking.order([1, 2], None, 0, 0.0, False)], [0, 1])

    def test_a_reason_says_what_was_measured(self) -> None:
        self.learn(1, 10 * MB, 9)
        places = self.ranking.order([1, 2], None, 0, 0.0, False)
        self.assertRegex(places[0].reason, r"measured (9|10|11)[.\d]* MB/s, \d+% work, by [\d.]+ reports")
        self.assertEqual(places[1].reason, "not measured, by preference")

    def test_what_is_forgotten_is_unknown(self) -> None:
        self.learn(2, 10 * MB, 9)
        self.ranking.forget(2)
        self.assertIsNone(self.ranking.known(2, None, 0, 0.0))

    def test_cells_come_back_as_they_were(self) -> None:
        cells = [cell for each in range(5) for cell in self.ranking.learn(2, 3, report(MB + each), 1.0, each)]
        again = Ranking(Never())
        again.load(cells)
        self.assertEqual(again.known(2, 3, 2, 9.0), self.ranking.known(2, 3, 2, 9.0))


class Cells(SynchronousTestCase):
    @given(some.lists(some.floats(1.0, 1e10), min_size=1, max_size=30))
    def test_the_median_is_between_the_least_and_the_greatest(self, rates: list[float]) -> None:
        cell = RateCell(1)
        for rate in rates:
            cell = learnt(cell, report(rate), 1.0, 0.0)
        middle = median(cell.rates)
        assert middle is not None
        self.assertTrue(min(rates) / 1.5 <= 2**middle <= max(rates) * 1.5)
        self.assertLessEqual(cell.done, ranking.WINDOW + 1)

    def test_a_cell_stays_small(self) -> None:
        random, cell = Random(7), RateCell(1)
        for each in range(3000):
            cell = learnt(cell, report(10 ** random.uniform(0, 11)), 1.0, each)
        self.assertLess(len(cell.rates), 50)


class Mirrors:
    """Mirrors whose speeds change, one of which dies for a while; the clients fetch file after file and report."""

    def __init__(self, random: Random, files: int) -> None:
        self.random, self.files = random, files
        self.speeds = [[10 * MB, 30 * MB, 20 * MB, 2 * MB], [10 * MB, 1 * MB, 25 * MB, 40 * MB], [10 * MB, 30 * MB, 0, 15 * MB]]

    def speed(self, file: int, mirror: int) -> float:
        return self.speeds[file * len(self.speeds) // self.files][mirror]

    def run(self, order: Ranking | None) -> float:
        """Seconds for all files, in the order of a ranking, or always in the same."""
        spent = 0.0
        for file in range(self.files):
            tries = [0, 1, 2, 3] if order is None else ordered(order, [1, 2, 3, 4], None, 2, spent)
            for mirror in tries:
                speed = self.speed(file, mirror) * self.random.lognormvariate(0, 0.2)
                seconds = 10 * MB / speed if speed else 1.0
                spent += seconds
                if order is not None:
                    order.learn(mirror + 1, None, TransferReport("", speed > 0, 10 * MB, seconds), 1.0, spent)
                if speed:
                    break
        return spent

    def best(self) -> float:
        """With the best mirror of the moment, always."""
        return sum(10 * MB / max(self.speed(file, mirror) for mirror in range(4)) for file in range(self.files))


class Simulation(SynchronousTestCase):
    def test_regret_against_the_best_in_hindsight_and_against_the_fixed_order(self) -> None:
        mirrors = Mirrors(Random(11), 1500)
        best, fixed = mirrors.best(), mirrors.run(None)
        ranked = mirrors.run(Ranking(Random(12)))
        print(f"best {best:.0f} s, ranked {ranked:.0f} s ({ranked / best:.2f}), fixed order {fixed:.0f} s ({fixed / best:.2f})")
        self.assertLess(ranked, 1.45 * best)
        self.assertLess(ranked, 0.5 * fixed)
