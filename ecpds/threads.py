"""Threads as an argument: the reactor never waits, and tests need no thread.

`PoolThreads` runs work on a pool of the node's own; `InlineThreads` runs it at once, for tests. Both are `IThreads`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
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
class InlineThreads:
    """Runs work where it is asked for. For tests, where a thread would only add chance."""

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)
