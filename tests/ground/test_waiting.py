"""Waiting, for work that is not to be cut short."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.waiting import undisturbed


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
