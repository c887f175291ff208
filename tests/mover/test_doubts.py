"""Bytes in doubt: asked of until it is known whose they are, and no volume holds up another's."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import Unavailable
from ecpds.model import StoredSegment
from ecpds.mover import doubts
from ecpds.mover.doubts import AGAIN, AT_A_TIME, Doubts


class Judged:
    """A sweep that notes what it is asked. It raises `failing` of some volumes."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, list[int]]] = []
        self.failing: dict[int, Exception] = {}

    async def judge(self, volume: int, found: Sequence[StoredSegment]) -> None:
        self.asked.append((volume, [each.segment for each in found]))
        if volume in self.failing:
            raise self.failing[volume]


class Tests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.sweep = Clock(), Judged()
        self.doubts = Doubts(self.sweep, self.clock)

    def add(self, *found: tuple[int, int]) -> None:
        for segment, volume in found:
            self.doubts.add(StoredSegment(segment, volume, 5))

    def test_each_is_asked_of_once_and_at_once(self) -> None:
        self.add((1, 0), (2, 0))
        self.clock.advance(AGAIN)
        self.assertEqual(self.sweep.asked, [(0, [1]), (0, [2])])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_volume_that_fails_waits_behind_the_others(self) -> None:
        self.sweep.failing = {0: OSError(5, "no")}
        self.add((1, 0), (2, 1), (3, 0))
        self.clock.pump([AGAIN] * 2)
        self.assertEqual(self.sweep.asked, [(0, [1]), (0, [1, 3]), (1, [2]), (0, [1, 3])])
        self.sweep.failing.clear()
        self.clock.pump([AGAIN] * 2)
        self.assertEqual(sorted(self.sweep.asked[-1][1]), [1, 3])
        self.assertEqual(self.doubts._found, [])

    def test_no_more_are_asked_of_at_a_time_than_fit(self) -> None:
        self.sweep.failing = {0: Unavailable()}
        self.add(*[(number, 0) for number in range(AT_A_TIME + 3)])
        self.sweep.failing.clear()
        self.clock.advance(AGAIN)
        self.assertEqual([len(asked) for _, asked in self.sweep.asked], [1, AT_A_TIME, 3])

    def test_they_are_bounded(self) -> None:
        self.patch(doubts, "MOST", 3)
        self.sweep.failing = {0: Unavailable()}
        self.add(*[(number, 0) for number in range(9)])
        self.assertEqual(len(self.doubts._found), 3)

    def test_a_fault_is_told_and_tried_again_with_the_next(self) -> None:
        self.sweep.failing = {0: ValueError("a fault")}
        self.add((1, 0))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.sweep.failing.clear()
        self.add((2, 0))
        self.assertEqual(self.sweep.asked, [(0, [1]), (0, [1, 2])])

    def test_after_the_end_nothing_is_asked(self) -> None:
        self.sweep.failing = {0: Unavailable()}
        self.add((1, 0))
        self.doubts.end()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(AGAIN)
        self.add((2, 0))
        self.assertEqual(self.sweep.asked, [(0, [1])])
