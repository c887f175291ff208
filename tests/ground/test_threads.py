"""A pool of threads: what comes back, in what order it ends, and how it stops."""

from __future__ import annotations

import threading
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ecpds.errors import NotFound, Unavailable
from ecpds.interfaces import IThreads
from ecpds.threads import PoolThreads

PATIENCE = 30.0


class HandReactor:
    """Calls what threads hand it when a test says so."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.handed = threading.Semaphore(0)

    def callFromThread(self, function: Any, *args: Any) -> None:
        self.calls.append((function, args))
        self.handed.release()

    def turn(self) -> None:
        """Wait until something was handed over, and call it."""
        assert self.handed.acquire(timeout=PATIENCE)
        function, args = self.calls.pop(0)
        function(*args)


class PoolThreadsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = HandReactor()
        self.pool = self.make(2)

    def make(self, size: int, queue: int = 0) -> PoolThreads:
        reactor: Any = self.reactor
        pool = PoolThreads(reactor, "test", size, queue)
        pool.start()
        self.addCleanup(pool.stop)
        return pool

    def begin(self, function: Any, *args: Any, pool: PoolThreads | None = None) -> Deferred[Any]:
        return Deferred.fromCoroutine((pool or self.pool).run(function, *args))

    def test_interface(self) -> None:
        verifyObject(IThreads, self.pool)

    def test_what_it_returns_and_raises(self) -> None:
        came = self.begin(lambda a, b: (threading.current_thread().name, a + b), 1, 2)
        self.assertNoResult(came)
        self.reactor.turn()
        self.assertEqual(self.successResultOf(came), ("test-0", 3))
        failed = self.begin(self._refuse)
        self.reactor.turn()
        self.assertEqual(self.failureResultOf(failed, NotFound).value.detail, "a")

    def _refuse(self) -> None:
        raise NotFound("a")

    def test_so_many_at_a_time_and_no_more_threads_than_work(self) -> None:
        gate = threading.Event()
        threads = {thread.name for thread in threading.enumerate()}
        waiting = [self.begin(gate.wait, PATIENCE) for _ in range(5)]
        new = {thread.name for thread in threading.enumerate()} - threads
        self.assertLessEqual(new, {"test-0", "test-1"})
        gate.set()
        while not all(each.called for each in waiting):
            self.reactor.turn()
        self.assertTrue(all(self.successResultOf(each) for each in waiting))

    def test_what_ends_before_the_reactor_looks_is_told_in_one_call(self) -> None:
        several = [self.begin(int, str(number), pool=self.make(1)) for number in range(1)]
        first = self.make(1)
        several += [self.begin(int, str(number), pool=first) for number in (1, 2, 3)]
        last = threading.Event()
        self.begin(last.set, pool=first)
        self.assertTrue(last.wait(PATIENCE))
        while not all(each.called for each in several):
            self.reactor.turn()
        self.assertEqual([self.successResultOf(each) for each in several], [0, 1, 2, 3])

    def test_who_no_longer_waits(self) -> None:
        gate = threading.Event()
        waiting = self.begin(gate.wait, PATIENCE)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        gate.set()
        self.reactor.turn()
        again = self.begin(int, "1")
        self.reactor.turn()
        self.assertEqual(self.successResultOf(again), 1)

    def test_no_more_may_wait_than_so_many(self) -> None:
        gate = threading.Event()
        pool = self.make(1, queue=1)
        two = [self.begin(gate.wait, PATIENCE, pool=pool) for _ in range(2)]
        self.failureResultOf(self.begin(int, "1", pool=pool), Unavailable)
        gate.set()
        while not all(each.called for each in two):
            self.reactor.turn()
        third = self.begin(int, "1", pool=pool)
        self.reactor.turn()
        self.assertEqual(self.successResultOf(third), 1)

    def test_the_end_waits_for_what_was_asked_for(self) -> None:
        done: list[int] = []
        pool = self.make(1)
        several = [self.begin(done.append, number, pool=pool) for number in range(20)]
        pool.stop()
        self.assertEqual(done, list(range(20)))
        self.failureResultOf(self.begin(done.append, 20, pool=pool), Unavailable)
        while not all(each.called for each in several):
            self.reactor.turn()

    def test_work_that_is_asked_for_before_the_start(self) -> None:
        reactor: Any = self.reactor
        pool = PoolThreads(reactor, "late", 2)
        early = self.begin(int, "1", pool=pool)
        pool.start()
        self.addCleanup(pool.stop)
        self.reactor.turn()
        self.assertEqual(self.successResultOf(early), 1)
