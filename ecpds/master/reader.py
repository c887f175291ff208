"""Questions to the catalogue: short indexed ones on the reactor thread, all others on another thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.logger import Logger

from ecpds.errors import Refusal, Unavailable
from ecpds.interfaces import IThreads
from ecpds.master.engine import SqliteEngine, of_storage, refusal_of
from ecpds.master.sql import Session, Statement

T = TypeVar("T")

IDLE = 4
"""Sessions that are kept open for the next question on a thread."""

AT_ONCE = 0.05
"""Seconds that the reactor thread may wait for a lock; a reader meets one only when somebody repairs the file."""


class Reader:
    """Asks the catalogue. A session whose storage failed is given up, and the next question opens another.

    A point look-up costs less than the hop to a thread would, so it is made where it is asked (`rows`, `row`, `ask`);
    what reads more than a few rows goes through `ask_on_thread`.
    """

    log = Logger()

    def __init__(self, engine: SqliteEngine, threads: IThreads) -> None:
        self._engine = engine
        self._threads = threads
        self._session: Session | None = None
        self._idle: list[Session] = []
        self._closed = False

    def rows(self, statement: Statement, **values: Any) -> list[Any]:
        return self.ask(lambda session: session.rows(statement, **values))

    def row(self, statement: Statement, **values: Any) -> Any | None:
        return self.ask(lambda session: session.row(statement, **values))

    def ask(self, question: Callable[[Session], T]) -> T:
        """Call `question(session)` here. Raises `Unavailable`."""
        if self._closed:
            raise Unavailable("the catalogue is closed")
        try:
            if self._session is None:
                self._session = self._engine.session(AT_ONCE)
            return question(self._session)
        except sqlite3.Error as error:
            if self._session is not None:
                self._session.close()
            self._session = None
            if not of_storage(error):
                raise
            raise self._refusal(error) from error

    async def ask_on_thread(self, question: Callable[[Session], T]) -> T:
        """Call `question(session)` on a thread. Raises `Unavailable`."""
        if self._closed:
            raise Unavailable("the catalogue is closed")
        answer: T = await self._threads.run(self._ask_elsewhere, question)
        return answer

    def close(self) -> None:
        self._closed = True
        for session in (self._session, *self._idle):
            if session is not None:
                session.close()
        self._session = None
        self._idle.clear()

    def _refusal(self, error: sqlite3.Error) -> Refusal:
        self.log.error("the catalogue can't be read: {error}", error=error)
        return refusal_of(error)

    def _ask_elsewhere(self, question: Callable[[Session], T]) -> T:
        session: Session | None = None
        try:
            session = self._idle.pop() if self._idle else self._engine.session()
            answer = question(session)
        except sqlite3.Error as error:
            if session is not None:
                session.close()
            if not of_storage(error):
                raise
            raise self._refusal(error) from error
        if self._closed or len(self._idle) >= IDLE:
            session.close()
        else:
            self._idle.append(session)
        return answer
