"""What a channel may move in a turn, and when: much where few are busy, always something, and nobody is left out."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.transports.turns import FEW, LEAST, SLICE, TURN, Turns


class TurnsTests(SynchronousTestCase):
    def test_a_few_have_all_they_want(self) -> None:
        turns = Turns(Clock())
        for number in range(FEW):
            turns.moved(number, TURN)
        self.assertEqual(turns.share, TURN)

    def test_many_share_what_a_few_would_have_had(self) -> None:
        turns = Turns(Clock())
        for number in range(2 * FEW):
            turns.moved(number, LEAST)
        self.assertEqual(turns.share, TURN // 2)
        for number in range(1000):
            turns.moved(number, LEAST)
        self.assertEqual(turns.share, LEAST)

    def test_who_moves_nothing_or_has_left_counts_no_more(self) -> None:
        turns = Turns(Clock())
        for number in range(2 * FEW):
            turns.moved(number, LEAST)
            turns.moved(number, LEAST - 1)
        for number in range(FEW):
            turns.moved(number, 0)
        turns.left(FEW)
        self.assertEqual(len(turns._busy), FEW - 1)
        turns.left(FEW)


class GoingOn(SynchronousTestCase):
    """Channels that take half of the time of all to go on."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.turns = Turns(self.clock)
        self.went: list[int] = []

    def ready(self, *numbers: int) -> None:
        for number in numbers:
            self.turns.go_on(lambda number=number: self.go_on(number))  # type: ignore[misc]

    def go_on(self, number: int) -> None:
        self.went.append(number)
        self.clock.rightNow += SLICE / 2

    def turn(self) -> None:
        """As the reactor has it: what is asked for in this turn comes in the next."""
        for call in self.clock.getDelayedCalls():
            function = call.func
            call.cancel()
            function()

    def make_busy(self, count: int) -> None:
        for number in range(count):
            self.turns.moved(number, LEAST)

    def test_a_few_go_on_at_once(self) -> None:
        self.make_busy(FEW)
        self.ready(*range(100))
        self.assertEqual(self.went, list(range(100)))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many_go_on_while_there_is_time(self) -> None:
        self.make_busy(FEW + 1)
        self.ready(0, 1, 2, 3, 4)
        self.assertEqual((self.went, self.turns.over), ([0, 1], True))
        self.turn()
        self.assertEqual(self.went, [0, 1, 2, 3])

    def test_who_was_ready_first_goes_on_first(self) -> None:
        """Those that were ready in an earlier turn come before those that became so since: nobody is passed over."""
        self.make_busy(FEW + 1)
        self.ready(0, 1, 2, 3, 4)
        for number in range(5, 30):
            self.turn()
            self.ready(number)
        while self.clock.getDelayedCalls():
            self.turn()
        self.assertEqual(self.went, list(range(30)))
        self.assertFalse(self.turns.over)

    def test_the_next_turn_has_its_own_time(self) -> None:
        self.make_busy(FEW + 1)
        self.ready(0, 1)
        self.turn()
        self.ready(2, 3, 4)
        self.assertEqual(self.went, [0, 1, 2, 3])

    def test_who_was_refused_time_still_goes_on_when_few_are_left(self) -> None:
        self.make_busy(FEW + 1)
        self.ready(0, 1, 2)
        self.turns.left(0)
        self.turn()
        self.assertEqual(self.went, [0, 1, 2])
