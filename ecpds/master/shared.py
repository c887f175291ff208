"""Work that several ask for and one does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger

from ecpds.errors import Refusal


class Shared:
    """Runs `work` for all who ask for it while it runs: they get the outcome of that one run."""

    log = Logger()

    def __init__(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._work = work
        self._waiting: list[Deferred[None]] | None = None

    @property
    def running(self) -> bool:
        return self._waiting is not None

    async def run(self) -> None:
        """Raises what the work raises."""
        if self._waiting is not None:
            waiter: Deferred[None] = Deferred()
            self._waiting.append(waiter)
            return await waiter
        self._waiting = []
        try:
            await self._work()
        except Exception as error:
            for waiter in self._done():
                waiter.errback(error)
            raise
        for waiter in self._done():
            waiter.callback(None)

    def begin(self) -> Deferred[None]:
        """Run without anybody to wait for it: a failure goes to the log. The Deferred fires at its end, with None."""
        return ensureDeferred(self._logged())

    def _done(self) -> list[Deferred[None]]:
        waiting, self._waiting = self._waiting or [], None
        return waiting

    async def _logged(self) -> None:
        try:
            await self.run()
        except Refusal as refusal:
            self.log.warn("{name}: {refusal}", name=self._name, refusal=refusal)
        except Exception:
            self.log.failure("{name} failed", name=self._name)
