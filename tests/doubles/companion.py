"""A companion in this process, which is told and answers in bytes all the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred

from ecpds.errors import Unavailable
from ecpds.master import shipping
from ecpds.master.engine import Engine
from ecpds.master.writer import Committer


class InlineCompanion:
    """Commits at once, on a session of its own; while `held` is a list, each batch waits for a Deferred of its own in it."""

    def __init__(self, engine: Engine) -> None:
        self._committer = Committer(engine)
        self.is_ready = False
        self.held: list[Deferred[None]] | None = None
        self.batches: list[list[object]] = []

    def start(self) -> None:
        self.is_ready = True

    async def commit(self, operations: Sequence[object]) -> list[Any]:
        data = shipping.batch(operations)
        if not self.is_ready:
            raise Unavailable("the catalogue's writer has ended")
        self.batches.append(list(operations))
        if self.held is not None:
            self.held.append(Deferred())
            await self.held[-1]
        asked = shipping.operations_of(data[shipping.PREFIX :])
        answer = shipping.answer(asked, self._committer.commit(asked), [])
        return shipping.outcomes_of(operations, shipping.answer_of(answer[shipping.PREFIX :]))

    async def stop(self) -> None:
        self.is_ready = False
        self._committer.close()
