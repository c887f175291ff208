"""Waiting, for work that is not to be cut short; and work that is put off."""

from __future__ import annotations

from functools import partial

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.waiting import MOST, REST, Bundle, begun, undisturbed


class Undisturbed(SynchronousTestCase):
    def setUp(self) -> None:
        self.work: Deferred[int] = Deferred()
        self.waiting = ensureDeferred(undisturbed(self.until_the_end()))

    async def until_the_end(self) -> int:
        return await self.work

    def test_the_outcome(self) -> None:
        self.assertNoResult(self.waiting)
        self.work.callback(7)
        self.assertEqual(self.successResultOf(self.waiting), 7)

    def test_the_failure(self) -> None:
        self.work.errback(ValueError())
        self.failureResultOf(self.waiting, ValueError)

    def test_who_is_cancelled_hears_of_it_when_the_work_has_ended(self) -> None:
        for _ in range(3):
            self.waiting.cancel()
        self.assertNoResult(self.waiting)
        self.work.callback(7)
        self.failureResultOf(self.waiting, CancelledError)

    def test_a_failure_counts_more_than_that(self) -> None:
        self.waiting.cancel()
        self.work.errback(ValueError())
        self.failureResultOf(self.waiting, ValueError)

    def test_what_has_ended_already(self) -> None:
        async def at_once() -> int:
            return 8

        self.assertEqual(self.successResultOf(ensureDeferred(undisturbed(at_once()))), 8)


class Begun(SynchronousTestCase):
    def setUp(self) -> None:
        self.first: Deferred[int] = Deferred()
        self.second: Deferred[int] = Deferred()
        self.ended = False

    async def sum(self) -> int:
        try:
            return await self.first + await self.second
        finally:
            self.ended = True

    def working(self) -> Deferred[int]:
        working = begun(self.sum())
        assert working is not None
        return working

    def test_what_never_waits_needs_no_deferred(self) -> None:
        self.first.callback(3)
        self.second.callback(4)
        self.assertIsNone(begun(self.sum()))
        self.assertTrue(self.ended)

    def test_what_fails_before_it_waits(self) -> None:
        self.first.errback(ValueError())
        self.failureResultOf(self.working(), ValueError)

    def test_what_waits_goes_on(self) -> None:
        working = self.working()
        self.first.callback(3)
        self.assertNoResult(working)
        self.second.callback(4)
        self.assertEqual(self.successResultOf(working), 7)

    def test_what_fails_later(self) -> None:
        working = self.working()
        self.first.callback(3)
        self.second.errback(ValueError())
        self.failureResultOf(working, ValueError)

    def test_a_failure_may_be_seen_to(self) -> None:
        async def careful() -> int:
            try:
                return await self.first
            except ValueError:
                return await self.second

        working = begun(careful())
        assert working is not None
        self.first.errback(ValueError())
        self.second.callback(5)
        self.assertEqual(self.successResultOf(working), 5)

    def test_who_is_cancelled_hears_of_it(self) -> None:
        working = self.working()
        working.cancel()
        self.failureResultOf(working, CancelledError)
        self.assertTrue(self.ended)


class Bundles(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.bundle = Bundle(self.clock)
        self.done: list[int] = []

    def put_off(self, *numbers: int) -> None:
        for number in numbers:
            self.bundle(partial(self.done.append, number))

    def test_all_in_one_go_and_in_their_order(self) -> None:
        self.put_off(1)
        self.clock.advance(REST / 2)
        self.put_off(2, 3)
        self.assertEqual((self.done, len(self.clock.getDelayedCalls())), ([], 1))
        self.clock.advance(REST / 2)
        self.assertEqual((self.done, self.clock.getDelayedCalls()), ([1, 2, 3], []))
        self.put_off(4)
        self.clock.advance(REST)
        self.assertEqual(self.done, [1, 2, 3, 4])

    def test_at_the_end_nothing_waits(self) -> None:
        self.put_off(1)
        self.bundle.end()
        self.assertEqual(self.done, [1])
        self.put_off(2)
        self.assertEqual((self.done, self.clock.getDelayedCalls()), ([1, 2], []))

    def test_many_do_not_wait(self) -> None:
        self.put_off(*range(MOST))
        self.clock.advance(0)
        self.assertEqual(self.done, list(range(MOST)))

    def test_flush(self) -> None:
        self.bundle.flush()
        self.put_off(1)
        self.bundle.flush()
        self.assertEqual((self.done, self.clock.getDelayedCalls()), ([1], []))

    def test_one_that_fails_harms_no_other(self) -> None:
        self.put_off(1)
        self.bundle(lambda: 1 // 0)
        self.put_off(2)
        self.clock.advance(REST)
        self.assertEqual(self.done, [1, 2])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_what_is_put_off_meanwhile_is_for_the_next_go(self) -> None:
        self.bundle(lambda: self.put_off(1))
        self.clock.advance(REST)
        self.assertEqual(self.done, [])
        self.clock.advance(REST)
        self.assertEqual(self.done, [1])
