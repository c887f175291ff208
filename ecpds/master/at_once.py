"""Commits on the thread that asks, of an engine whose commits wait for nothing: a catalogue in memory that syncs nothing.

There the hop to another thread, or process, and back costs more than the commit. What is asked is the same, and in the same
order: only operations that nothing else is before are done here, all of a turn of the reactor as one transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from ecpds.master.engine import Engine
from ecpds.master.sql import Session
from ecpds.master.writer import Committer


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

    def run(self, operations: list[Callable[[Session], Any]]) -> list[Any] | None:
        """The outcome of each, as `commit`. None: they are to be done elsewhere, and nothing was done."""
        with self._watched(len(operations)):
            outcomes = self.commit(operations)
        if isinstance(outcomes[0], Exception) and self._is_held(outcomes[0].__cause__):
            return None
        self._committed()
        return outcomes

    def _note(self, error: Exception) -> None:
        if not self._is_held(error):
            super()._note(error)

    def _is_held(self, error: BaseException | None) -> bool:
        return isinstance(error, self._engine.errors) and self._engine.is_held(error)
