"""Who is there, by what was heard and when; and the machine that comes back."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.cluster.membership import BEAT, FORGIVEN_AFTER, GONE_AFTER, LONGEST_PROBATION, SUSPECT_AFTER, Membership, Standing
from ecpds.cluster.reconnecting import FIRST, LONGEST, Reconnecting, Waiting

ALIVE, SUSPECT, GONE = Standing


class Members(SynchronousTestCase):
    def setUp(self) -> None:
        self.members = Membership()
        self.now = 1000.0

    def beats(self, seconds: float) -> None:
        """Heard of every `BEAT` for so long."""
        until = self.now + seconds
        self.members.heard("a", self.now)
        while self.now + BEAT <= until:
            self.now += BEAT
            self.members.heard("a", self.now)

    def silence(self, seconds: float) -> None:
        self.now += seconds
        self.members.look(self.now)

    def standing(self) -> Standing:
        return self.members.standing("a")

    def test_who_was_never_heard_of_is_gone(self) -> None:
        self.assertIs(self.standing(), GONE)

    def test_alive_suspect_gone(self) -> None:
        self.beats(10)
        self.assertIs(self.standing(), ALIVE)
        self.silence(SUSPECT_AFTER)
        self.assertIs(self.standing(), ALIVE)
        self.silence(0.1)
        self.assertIs(self.standing(), SUSPECT)
        self.silence(GONE_AFTER)
        self.assertIs(self.standing(), GONE)

    def test_a_lost_link_makes_suspect_at_once_and_the_first_return_is_believed(self) -> None:
        self.beats(10)
        self.members.lost("a", self.now)
        self.assertIs(self.standing(), SUSPECT)
        self.members.heard("a", self.now + 0.5)
        self.assertIs(self.standing(), ALIVE)

    def flap(self) -> float:
        """Go away, come back; how long until it is trusted."""
        self.members.lost("a", self.now)
        self.now += 1
        back = self.now
        self.members.heard("a", self.now)
        while self.standing() is not ALIVE:
            self.now += BEAT
            self.members.heard("a", self.now)
        return self.now - back

    def test_one_that_flaps_waits_longer_each_time_but_not_for_ever(self) -> None:
        self.beats(10)
        waits = [self.flap() for _ in range(10)]
        self.assertEqual(waits[:5], [0, 4, 8, 16, 32])
        self.assertEqual(waits[-1], LONGEST_PROBATION)

    def test_it_is_forgiven(self) -> None:
        self.beats(10)
        for _ in range(5):
            self.flap()
        self.beats(FORGIVEN_AFTER + BEAT)
        self.assertEqual(self.flap(), 0)

    def test_a_break_in_probation_begins_it_again(self) -> None:
        self.beats(10)
        for _ in range(3):
            self.flap()
        self.members.lost("a", self.now)
        self.members.heard("a", self.now)
        self.silence(GONE_AFTER + 1)
        self.assertIs(self.standing(), GONE)
        self.members.heard("a", self.now)
        self.assertIs(self.standing(), SUSPECT)

    @given(st.lists(st.tuples(st.floats(0, 30), st.sampled_from(["heard", "lost", "look"])), max_size=40))
    def test_whatever_happens(self, steps: list[tuple[float, str]]) -> None:
        """Never alive when it was silent for longer than is allowed; never gone when it was just heard of."""
        members, now, heard = Membership(), 0.0, None
        for wait, what in steps:
            now += wait
            if what == "heard":
                members.heard("a", now)
                heard = now
                self.assertIsNot(members.standing("a"), GONE)
            elif what == "lost":
                members.lost("a", now)
                self.assertIsNot(members.standing("a"), ALIVE)
            members.look(now)
            silent = now - heard if heard is not None else 1e9
            if silent > SUSPECT_AFTER:
                self.assertIsNot(members.standing("a"), ALIVE)
            if silent > GONE_AFTER:
                self.assertIs(members.standing("a"), GONE)


class ComingBack(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.attempts: list[float] = []
        self.machine = Reconnecting(Waiting(self.clock, Random(1), lambda: self.attempts.append(self.clock.seconds())))

    def test_longer_each_time_with_a_longest_and_never_all_at_once(self) -> None:
        self.machine.start()
        waits = []
        for _ in range(12):
            self.machine.failed()
            before = self.clock.seconds()
            while len(self.attempts) < len(waits) + 2:
                self.clock.advance(0.01)
            waits.append(self.clock.seconds() - before)
        for number, wait in enumerate(waits):
            whole = min(LONGEST, FIRST * 2**number)
            self.assertTrue(whole / 2 <= wait <= whole + 0.02, (number, wait))
        self.assertGreater(len({round(wait, 1) for wait in waits[6:]}), 2)

    def test_a_success_begins_anew(self) -> None:
        self.machine.start()
        for _ in range(6):
            self.machine.failed()
            self.clock.advance(LONGEST)
        self.machine.made()
        self.machine.lost()
        count = len(self.attempts)
        self.clock.advance(FIRST)
        self.assertEqual(len(self.attempts), count + 1)

    def test_stopped_in_every_state(self) -> None:
        for steps in ((), ("start",), ("start", "made"), ("start", "failed"), ("start", "made", "lost")):
            self.setUp()
            for step in steps:
                getattr(self.machine, step)()
            count = len(self.attempts)
            self.machine.stop()
            self.machine.lost()
            self.machine.failed()
            self.clock.advance(100)
            self.assertEqual((len(self.attempts), self.clock.getDelayedCalls()), (count, []))
