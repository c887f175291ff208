"""Waiting, for work that is not to be cut short."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.waiting import begun, undisturbed


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
