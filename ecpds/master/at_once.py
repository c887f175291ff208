"""Commits on the thread that asks, of an engine whose commits wait for nothing: a catalogue in memory that syncs nothing.

There the hop to another thread, or process, and back costs more than the commit. What is asked is the same, and in the same
order: only an operation that nothing else is before is done here, and one that takes more than a few rows is the writer's.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from ecpds.master.engine import Engine
from ecpds.master.sql import Session
from ecpds.master.writer import Committer, Short

T = TypeVar("T")


class AtOnce(Committer):
    """`watched` is as in `ThreadWriter`; `committed` is called after each commit of something."""

    def __init__(
        self, engine: Engine, watched: Callable[[int], AbstractContextManager[None]], committed: Callable[[], None]
    ) -> None:
        super().__init__(engine, wait=0.0)
        self._watched = watched
        self._committed = committed

    @property
    def possible(self) -> bool:
        """Whether anything is ever done here."""
        return not self._engine.commits_wait

    def run(self, operation: Callable[[Session], T] | Short[T]) -> T | None:
        """What it returns, when that is committed. None: it is to be done elsewhere, and nothing was done.

        Raises what the operation raises, or `Unavailable` or `NoSpace`, as `Writer.run`.
        """
        if not self.possible or not isinstance(operation, Short):
            return None
        with self._watched(1):
            outcome: Any = self.commit([operation.alone])[0]
        if outcome is not None:
            self._committed()
        if isinstance(outcome, Exception):
            if self._is_held(outcome.__cause__):
                return None
            raise outcome
        result: T | None = outcome
        return result

    def _note(self, error: Exception) -> None:
        if not self._is_held(error):
            super()._note(error)

    def _is_held(self, error: BaseException | None) -> bool:
        return isinstance(error, self._engine.errors) and self._engine.is_held(error)
