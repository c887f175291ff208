"""The rules by which `tests/real/test_mixed_doors.py` judges: what one order of events explains, and what none does."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.real.dice import Desk, Span
from tests.real.history import NOTHING, OPEN, Event, History, Impossible


def put(version: int, began: float, ended: float = OPEN) -> Event:
    return Event(version, False, began, ended)


def found(version: int, began: float, ended: float) -> Event:
    return Event(version, True, began, ended)


class Judged(SynchronousTestCase):
    def history(self, *events: Event) -> History:
        history = History("name")
        history.events.extend(events)
        return history

    def fits(self, *events: Event) -> None:
        self.history(*events).check()

    def fails(self, *events: Event) -> None:
        self.assertRaises(Impossible, self.history(*events).check)

    def test_one_after_the_other(self) -> None:
        self.fits(found(NOTHING, 0, 1), put(1, 2, 3), found(1, 4, 5), put(2, 6, 7), found(2, 8, 9))

    def test_either_while_a_put_is_under_way(self) -> None:
        self.fits(put(1, 0, 1), put(2, 2, 9), found(1, 3, 4), found(2, 5, 6))
        self.fails(put(1, 0, 1), put(2, 2, 9), found(2, 3, 4), found(1, 5, 6))

    def test_older_than_what_was_acknowledged(self) -> None:
        self.fails(put(1, 0, 1), put(2, 2, 3), found(1, 4, 5))

    def test_before_it_was_put(self) -> None:
        self.fails(found(1, 0, 1), put(1, 2, 3))
        self.fails(found(1, 0, 1))

    def test_two_puts_at_once_have_one_order(self) -> None:
        self.fits(put(1, 0, 9), put(2, 0, 9), found(1, 1, 2), found(2, 3, 4))
        self.fails(put(1, 0, 9), put(2, 0, 9), found(1, 1, 2), found(2, 3, 4), found(1, 5, 6))

    def test_a_put_that_was_lost(self) -> None:
        self.fails(put(1, 0, 1), found(NOTHING, 2, 3))
        self.fails(put(1, 0, 1), found(NOTHING, 2, 3), found(1, 4, 5))

    def test_a_put_that_was_cut_off(self) -> None:
        """It may come to its end later, or never."""
        self.fits(put(1, 0, 1), put(2, 2), found(1, 3, 4), found(1, 5, 6))
        self.fits(put(1, 0, 1), put(2, 2), found(1, 3, 4), found(2, 5, 6))
        self.fails(put(1, 0, 1), put(2, 2), found(2, 3, 4), found(1, 5, 6))

    def test_deleted(self) -> None:
        self.fits(put(1, 0, 1), put(NOTHING, 2, 3), found(NOTHING, 4, 5))
        self.fails(put(1, 0, 1), put(NOTHING, 2, 3), found(1, 4, 5))
        self.fails(put(NOTHING, 0, 1), put(1, 2, 3), found(NOTHING, 4, 5))
        self.fits(put(NOTHING, 0, 3), put(1, 2, 4), found(NOTHING, 5, 6))


class AtTheDesk(SynchronousTestCase):
    def judge(self, looks: list[Event], releases: list[Span], holds: list[Span]) -> None:
        desk = Desk("name")
        desk.writers.events.extend([put(1, 0, 1), put(2, 4, 5)])
        desk.looks, desk.releases, desk.holds = looks, releases, holds
        desk.check()

    def test_what_waits_is_seen_by_nobody(self) -> None:
        self.judge([found(NOTHING, 2, 3)], [], [])
        self.assertRaises(Impossible, self.judge, [found(1, 2, 3)], [], [])

    def test_what_was_released(self) -> None:
        self.judge([found(1, 4, 5)], [Span(2, 3)], [])
        self.assertRaises(Impossible, self.judge, [found(2, 6, 7)], [Span(2, 3)], [])
        self.assertRaises(Impossible, self.judge, [found(1, 8, 9)], [Span(2, 3), Span(6, 7)], [])

    def test_what_is_held(self) -> None:
        self.assertRaises(Impossible, self.judge, [found(1, 5, 6)], [Span(2, 3)], [Span(3.5, 4)])
        self.judge([found(1, 5, 6)], [Span(2, 3), Span(4.5, 5.5)], [Span(3.5, 4)])
