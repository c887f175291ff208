"""How many sessions a user may have, by the time of day, at FTP and SSH together."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as some
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import TooManyConnections
from ecpds.protocols.sessions import UserSessions
from ecpds.schedules import most_sessions
from tests.doubles import make_identity

MINUTE, HOUR, DAY = 60, 3600, 86400


def most(at: float, schedule: str = "", otherwise: str = "") -> int | None:
    named = {"portal.maxConnectionsSchedule": schedule, "portal.maxConnections": otherwise}
    return most_sessions({name: text for name, text in named.items() if text}, 20_000 * DAY + at)


class Most(SynchronousTestCase):
    def test_without_options_any_number(self) -> None:
        self.assertEqual([most(0), most(0, otherwise="0"), most(0, otherwise="7")], [None, None, 7])

    def test_a_span_begins_with_its_first_minute_and_ends_before_its_last(self) -> None:
        found = [most(at, "08:00-18:00=2", "5") for at in (8 * HOUR - 1, 8 * HOUR, 18 * HOUR - 1, 18 * HOUR)]
        self.assertEqual(found, [5, 2, 2, 5])

    def test_a_span_over_midnight(self) -> None:
        found = [most(hour * HOUR, "22:00-06:00=0") for hour in (21, 22, 0, 5, 6)]
        self.assertEqual(found, [None, 0, 0, 0, None])

    def test_the_first_that_holds_counts(self) -> None:
        self.assertEqual([most(hour * HOUR, "09:00-10:00=1,00:00-00:00=3", "5") for hour in (8, 9, 10)], [3, 1, 3])

    @given(some.integers(0, 1439), some.integers(0, 1439), some.integers(0, DAY - 1))
    def test_a_span_and_the_rest_of_the_day_leave_nothing_out(self, begin: int, end: int, at: int) -> None:
        one, two = (f"{time // 60:02}:{time % 60:02}" for time in (begin, end))
        held = [most(at, f"{one}-{two}=1"), most(at, f"{two}-{one}=1")]
        self.assertEqual(held.count(1), 2 if begin == end else 1)


class Counted(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.users = UserSessions(self.clock.seconds)

    def user(self, **options: str) -> Mapping[str, str]:
        return {f"portal.{name}": text for name, text in options.items()}

    def test_one_more_is_refused_until_one_has_left(self) -> None:
        ann = evolve(make_identity("ann"), options=self.user(maxConnections="2"))
        bob = evolve(make_identity("bob"), options=self.user(maxConnections="1"))
        for each in (ann, ann, bob):
            self.users.enter(each)
        refused = self.assertRaises(TooManyConnections, self.users.enter, ann)
        self.assertEqual(refused.reason, "ann may have 2 sessions at this time")
        self.users.leave(ann)
        self.users.enter(ann)
        for each in (ann, ann, bob):
            self.users.leave(each)
        self.assertEqual(self.users.total, 0)

    def test_who_is_in_when_a_span_begins_stays(self) -> None:
        ann = evolve(make_identity("ann"), options=self.user(maxConnectionsSchedule="01:00-02:00=0"))
        self.users.enter(ann)
        self.clock.advance(HOUR)
        self.assertRaises(TooManyConnections, self.users.check, ann)
        self.users.leave(ann)
        self.clock.advance(HOUR)
        self.users.enter(ann)
