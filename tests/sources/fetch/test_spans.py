"""Who fetches which part: every byte once, whatever happens."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.sources.fetch.part_file import merged
from ecpds.sources.fetch.spans import SMALLEST, WORTH, Span, Spans

MIB = 1 << 20


class TakingSpans(SynchronousTestCase):
    def test_from_the_front_and_no_longer_than_a_second(self) -> None:
        spans = Spans(100 * MIB)
        first, second = spans.take(), spans.take(rate=8 * MIB)
        assert first is not None and second is not None
        self.assertEqual((first.began, first.end, second.began, second.end), (0, MIB, MIB, 9 * MIB))

    def test_alone_gets_all(self) -> None:
        only = Spans(100 * MIB).take(alone=True)
        assert only is not None
        self.assertEqual((only.at, only.end), (0, 100 * MIB))

    def test_what_is_here_is_not_handed_out(self) -> None:
        spans = Spans(10 * MIB, [(0, 3 * MIB), (5 * MIB, 10 * MIB)])
        only = spans.take(alone=True)
        assert only is not None
        self.assertEqual((only.at, only.end), (3 * MIB, 5 * MIB))
        self.assertIsNone(spans.take())

    def test_taken_over_so_that_both_end_together(self) -> None:
        spans = Spans(40 * MIB)
        slow = spans.take(alone=True)
        assert slow is not None
        fast = spans.take_over(3.0 * MIB, {slow: 1.0 * MIB})
        assert fast is not None
        self.assertEqual((slow.end, fast.began, fast.end), (10 * MIB, 10 * MIB, 40 * MIB))

    def test_little_is_not_taken_over(self) -> None:
        spans = Spans(WORTH)
        slow = spans.take(alone=True)
        assert slow is not None
        self.assertIsNone(spans.take_over(9e9, {slow: 1.0}))

    @given(st.integers(0, 80 * MIB), st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1)), max_size=60))
    def test_each_byte_is_fetched_once(self, size: int, steps: list[tuple[int, float]]) -> None:
        spans, fetched = Spans(size), []
        running: list[Span] = []
        rates = {0: 0.0, 1: 0.5e6, 2: 5e6, 3: 90e6, 4: 1e9}
        for kind, part in [*steps, *[(3, 1.0)] * 400]:
            span = spans.take(rates[kind]) or spans.take_over(rates[kind], {each: 1e6 for each in running})
            if span is not None:
                running.append(span)
            if not running:
                break
            one = running[int(part * (len(running) - 1))]
            upto = one.at + int(one.left * part)
            fetched.append((one.at, upto))
            one.at = upto
            if one.left == 0 or kind == 1:
                running.remove(one)
                spans.finish(one)
        for one in running:
            fetched.append((one.at, one.end))
            one.at = one.end
            spans.finish(one)
        while (span := spans.take()) is not None:
            fetched.append((span.at, span.end))
            span.at = span.end
            spans.finish(span)
        position = 0
        for begin, end in sorted(each for each in fetched if each[0] < each[1]):
            self.assertEqual(begin, position)
            position = end
        self.assertEqual(position, size)
        self.assertTrue(spans.complete)
        self.assertGreaterEqual(SMALLEST, WORTH)

    @given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=20))
    def test_merged(self, pieces: list[tuple[int, int]]) -> None:
        done: list[tuple[int, int]] = []
        for begin, length in pieces:
            done = merged(done, begin, begin + length)
        there = {at for begin, length in pieces for at in range(begin, begin + length)}
        self.assertEqual({at for begin, end in done for at in range(begin, end)}, there)
        self.assertTrue(all(one[1] < other[0] for one, other in pairwise(done)))
