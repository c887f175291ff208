"""Work on a thread that can be interrupted, whatever it does."""

from __future__ import annotations

import threading
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.admin.manhole_runner import Outcome, Runner
from ecpds.threads import LooseThreads
from tests.admin.manhole_support import PATIENCE, HandReactor


class Interrupting(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = HandReactor()
        self.runner = Runner(LooseThreads(self.reactor, "test", 2), self.reactor)
        self.started = threading.Event()

    def start(self, work: Any, *args: Any) -> list[Outcome]:
        outcomes: list[Any] = []
        Deferred.fromCoroutine(self.runner.run(work, *args)).addBoth(outcomes.append)
        return outcomes

    def result(self, outcomes: list[Outcome]) -> Outcome:
        self.reactor.turn_until(lambda: outcomes)
        return outcomes[0]

    def assertInterrupted(self, outcomes: list[Outcome]) -> None:
        self.assertIsInstance(self.result(outcomes).error, KeyboardInterrupt)

    def forever(self) -> None:
        self.started.set()
        while True:
            pass

    def test_values_and_exceptions(self) -> None:
        self.assertEqual(self.result(self.start(lambda: 42)).value, 42)
        error = ValueError("no")

        def fail() -> None:
            raise error

        self.assertIs(self.result(self.start(fail)).error, error)

    def test_a_loop_without_end(self) -> None:
        outcomes = self.start(self.forever)
        self.assertTrue(self.started.wait(PATIENCE))
        self.runner.interrupt()
        self.assertInterrupted(outcomes)

    def test_again_and_again(self) -> None:
        """However the interrupt falls, it ends this piece of work and no other."""
        for _ in range(200):
            self.started.clear()
            outcomes = self.start(self.started.set)
            self.started.wait(PATIENCE)
            self.runner.interrupt()
            outcome = self.result(outcomes)
            self.assertIsInstance(outcome.error, KeyboardInterrupt | None)
            self.assertEqual(self.result(self.start(lambda: sum(range(100)))).value, 4950)

    def test_a_wait_for_the_reactor(self) -> None:
        never: Deferred[None] = Deferred()

        def ask() -> Deferred[None]:
            self.started.set()
            return never

        outcomes = self.start(self.runner.ask, ask)
        self.reactor.turn_until(self.started.is_set)
        self.runner.interrupt()
        self.assertInterrupted(outcomes)
        self.assertFalse(never.called, "what was begun in the node goes on")
        never.callback(None)

    def test_asking(self) -> None:
        async def later() -> int:
            return 7

        def wrong() -> None:
            raise LookupError("no")

        for ask in (later, lambda: 7):
            self.assertEqual(self.result(self.start(self.runner.ask, ask)).value, 7)
        self.assertIsInstance(self.result(self.start(self.runner.ask, wrong)).error, LookupError)

    def test_idle_there_is_nothing_to_interrupt(self) -> None:
        self.runner.interrupt()
        self.assertEqual(self.result(self.start(lambda: 1)).value, 1)
        self.runner.interrupt()
        self.assertEqual(sum(range(1000)), 499500)
