"""Work that goes on whoever waits for it, shared by several."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, ensureDeferred
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
