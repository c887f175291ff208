"""What a channel may move in a turn: much where few are busy, and always something."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ecpds.transports.turns import FEW, LEAST, TURN, Turns


class TurnsTests(SynchronousTestCase):
    def test_a_few_have_all_they_want(self) -> None:
        turns = Turns()
        for number in range(FEW):
            turns.moved(number, TURN)
        self.assertEqual(turns.share, TURN)

    def test_many_share_what_a_few_would_have_had(self) -> None:
        turns = Turns()
        for number in range(2 * FEW):
            turns.moved(number, LEAST)
        self.assertEqual(turns.share, TURN // 2)
        for number in range(1000):
            turns.moved(number, LEAST)
        self.assertEqual(turns.share, LEAST)

    def test_who_moves_nothing_or_has_left_counts_no_more(self) -> None:
        turns = Turns()
        for number in range(2 * FEW):
            turns.moved(number, LEAST)
            turns.moved(number, LEAST - 1)
        for number in range(FEW):
            turns.moved(number, 0)
        turns.left(FEW)
        self.assertEqual(len(turns._busy), FEW - 1)
        turns.left(FEW)
