"""Threads as an argument: the reactor never waits, and tests need no thread.

`PoolThreads` runs work on a pool of the node's own, `LooseThreads` such work as may never end; `InlineThreads` runs it at
once, for tests. All are `IThreads`.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from ecpds.errors import Unavailable
from ecpds.interfaces import IThreads


@implementer(IThreads)
class PoolThreads:
    """A pool of at most `size` threads, and at most `queue` pieces of work that wait for one (0: no bound)."""

    def __init__(self, reactor: IReactorFromThreads, name: str, size: int, queue: int = 0) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(minthreads=0, maxthreads=size, name=name)
        self._bound = size + queue if queue else 0
        self._under_way = 0

    def start(self) -> None:
        self._pool.start()

    def stop(self) -> None:
        """Waits for the work that is under way."""
        self._pool.stop()

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        if self._bound and self._under_way >= self._bound:
            raise Unavailable("too much is waiting")
        self._under_way += 1
        try:
            return await deferToThreadPool(self._reactor, self._pool, function, *args)
        finally:
            self._under_way -= 1


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
