"""Threads as an argument: the reactor never waits, and tests need no thread.

`PoolThreads` runs work on a pool of the node's own, `LooseThreads` such work as may never end; `InlineThreads` runs it at
once, for tests. All are `IThreads`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure
from zope.interface import implementer

from ecpds.errors import Unavailable
from ecpds.interfaces import IThreads

Job = tuple[Callable[..., Any], tuple[Any, ...], Deferred[Any]]
"""What to call, and who waits for it."""


@implementer(IThreads)
class PoolThreads:
    """A pool of at most `size` threads, and at most `queue` pieces of work that wait for one (0: no bound).

    Small files pay a hop for each commit, so a hop is one put into a queue and, for all that have ended by then, one call
    of the reactor: Twisted's own pool costs five times as much.
    """

    def __init__(self, reactor: IReactorFromThreads, name: str, size: int, queue: int = 0) -> None:
        self._reactor = reactor
        self._name = name
        self._size = size
        self._bound = size + queue if queue else 0
        self._under_way = 0
        self._started = self._stopped = False
        self._threads: list[Thread] = []
        self._work: SimpleQueue[Job | None] = SimpleQueue()
        self._ended: deque[tuple[Deferred[Any], Any]] = deque()
        self._reporting = False

    def start(self) -> None:
        self._started = True
        self._grow()

    def stop(self) -> None:
        """Waits for all work that was asked for."""
        self._stopped = True
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        if self._stopped:
            raise Unavailable("the node is stopping")
        if self._bound and self._under_way >= self._bound:
            raise Unavailable("too much is waiting")
        done: Deferred[Any] = Deferred()
        self._under_way += 1
        self._work.put((function, args, done))
        if len(self._threads) < self._size:
            self._grow()
        return await done

    def _grow(self) -> None:
        """As many threads as there is work, if they may be so many."""
        while self._started and len(self._threads) < min(self._under_way, self._size):
            thread = Thread(target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self) -> None:
        while (job := self._work.get()) is not None:
            function, args, done = job
            try:
                outcome = function(*args)
            except BaseException:
                outcome = Failure()  # type: ignore[no-untyped-call]
            del job, function, args
            self._ended.append((done, outcome))
            if not self._reporting:
                self._reporting = True
                self._reactor.callFromThread(self._report)

    def _report(self) -> None:
        # Taken back before the first is looked at: whoever sees it still set has its outcome in the queue by then.
        self._reporting = False
        while self._ended:
            done, outcome = self._ended.popleft()
            self._under_way -= 1
            done.callback(outcome)


@implementer(IThreads)
class LooseThreads:
    """A thread for each piece of work, at most `size` of them; nobody waits for them when the process ends."""

    def __init__(self, reactor: IReactorFromThreads, name: str, size: int) -> None:
        self._reactor = reactor
        self._name = name
        self._size = size
        self._under_way = 0

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        if self._under_way >= self._size:
            raise Unavailable("too much is running")
        self._under_way += 1
        ended: Deferred[Any] = Deferred()

        def work() -> None:
            try:
                answer = function(*args)
            except BaseException as error:
                answer = Failure(error)  # type: ignore[no-untyped-call]
            self._reactor.callFromThread(self._ended, ended, answer)

        Thread(target=work, name=self._name, daemon=True).start()
        return await ended

    def _ended(self, ended: Deferred[Any], answer: Any) -> None:
        self._under_way -= 1
        ended.callback(answer)


@implementer(IThreads)
class InlineThreads:
    """Runs work where it is asked for. For tests, where a thread would only add chance."""

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)
