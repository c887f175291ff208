"""Work that goes on whoever waits for it, shared by several."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, DeferredLock, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ecpds.errors import Refusal
from ecpds.waiting import detached as detached

T = TypeVar("T")


class Shared(Generic[T]):
    """Runs `work` for all who ask for it while it runs: they get the outcome of that one run.

    The run is nobody's own, so one who is cancelled while waiting takes nothing from the others.
    """

    log = Logger()

    def __init__(self, name: str, work: Callable[[], Awaitable[T]]) -> None:
        self._name = name
        self._work = work
        self._waiting: list[Deferred[T]] | None = None

    @property
    def running(self) -> bool:
        return self._waiting is not None

    async def run(self) -> T:
        """Raises what the work raises."""
        waiter: Deferred[T] = Deferred()
        if self._waiting is None:
            self._waiting = [waiter]
            ensureDeferred(self._run())
        else:
            self._waiting.append(waiter)
        return await waiter

    def begin(self) -> Deferred[None]:
        """Run without anybody to hear of a failure, which goes to the log. The Deferred fires at the end, with None."""
        return ensureDeferred(self._logged())

    async def _run(self) -> None:
        try:
            outcome = await self._work()
        except Exception as error:
            for waiter in self._done():
                waiter.errback(error)
        else:
            for waiter in self._done():
                waiter.callback(outcome)

    def _done(self) -> list[Deferred[T]]:
        waiting, self._waiting = self._waiting or [], None
        return waiting

    async def _logged(self) -> None:
        try:
            await self.run()
        except Refusal as refusal:
            self.log.warn("{name}: {refusal}", name=self._name, refusal=refusal)
        except Exception:
            self.log.failure("{name} failed", name=self._name)


class Rounds(Shared[None]):
    """Work that is done every so often, and when somebody asks; one round at a time. A failure of one goes to the log."""

    def __init__(self, name: str, work: Callable[[], Awaitable[None]], clock: IReactorTime) -> None:
        super().__init__(name, work)
        self._loop = LoopingCall(self.begin)
        self._loop.clock = clock

    def start(self, every: float, now: bool = True) -> None:
        """A round each so many seconds, unless they are on already; the first one `now`, or after those."""
        if not self._loop.running:
            self._loop.start(every, now)

    def end(self) -> None:
        """No round begins by itself any more."""
        if self._loop.running:
            self._loop.stop()

    async def stop(self) -> None:
        """As `end`; returns when a round that is under way has ended."""
        self.end()
        if self.running:
            await self.begin()


class Turns:
    """Work on one thing at a time: who comes while somebody works on the same has the next turn."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, DeferredLock] = {}

    def __len__(self) -> int:
        """On how many things somebody works."""
        return len(self._locks)

    async def run(self, thing: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """What the work returns or raises."""
        lock = self._locks.setdefault(thing, DeferredLock())
        await lock.acquire()
        try:
            return await work()
        finally:
            lock.release()
            if not lock.locked and self._locks.get(thing) is lock:
                del self._locks[thing]
