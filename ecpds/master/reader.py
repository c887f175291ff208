"""Questions to the catalogue: short indexed ones where the engine is best asked, all others on a thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.logger import Logger

from ecpds.errors import Unavailable
from ecpds.interfaces import IThreads
from ecpds.master.engine import Engine
from ecpds.master.sql import Session, Statement

T = TypeVar("T")

IDLE = 4
"""Sessions that are kept open for the next question on a thread."""

AT_ONCE = 0.05
"""Seconds that the reactor thread may wait for a lock; a reader meets one only when somebody repairs the file."""


class Reader:
    """Asks the catalogue. A session whose storage failed is given up, and the next question opens another.

    Of an engine that is near, a point look-up costs less than the hop to a thread would, so `ask` (and `rows` and
    `row`) makes it at once: awaiting it suspends nobody. With any other engine it goes to a thread. What reads more
    than a few rows goes through `ask_on_thread`. Whoever keeps an answer must therefore see to it that nothing has
    changed meanwhile.
    """

    log = Logger()

    def __init__(self, engine: Engine, threads: IThreads) -> None:
        self._engine = engine
        self._threads = threads
        self._session: Session | None = None
        self._idle: list[Session] = []
        self._closed = False

    async def rows(self, statement: Statement, **values: Any) -> list[Any]:
        return await self.ask(lambda session: session.rows(statement, **values))

    async def row(self, statement: Statement, **values: Any) -> Any | None:
        return await self.ask(lambda session: session.row(statement, **values))

    async def ask(self, question: Callable[[Session], T]) -> T:
        """Call `question(session)`, which looks a few rows up by index. Raises `Unavailable`."""
        if self._engine.is_near:
            return self._ask_here(question)
        return await self.ask_on_thread(question)

    def ask_now(self, question: Callable[[Session], T]) -> T:
        """As `ask`, of an engine that is near."""
        return self._ask_here(question)

    async def ask_on_thread(self, question: Callable[[Session], T]) -> T:
        """Call `question(session)` on a thread. Raises `Unavailable`."""
        if self._closed:
            raise Unavailable("the catalogue is closed")
        answer: T = await self._threads.run(self._ask_elsewhere, question)
        return answer

    def close(self) -> None:
        self._closed = True
        if self._session is not None:
            self._session.close()
            self._session = None
        self._close_idle()

    def _ask_here(self, question: Callable[[Session], T]) -> T:
        if self._closed:
            raise Unavailable("the catalogue is closed")
        try:
            if self._session is None:
                self._session = self._engine.session(AT_ONCE)
            return question(self._session)
        except self._engine.errors as error:
            if self._session is not None:
                self._session.close()
            self._session = None
            self._refuse(error)
            raise

    def _ask_elsewhere(self, question: Callable[[Session], T]) -> T:
        """On a session that was kept, or on a new one; on that too when the kept one turns out to have ended."""
        while True:
            session, kept = self._take()
            try:
                answer = question(session)
            except self._engine.errors as error:
                lost = self._engine.is_lost(session)
                session.close()
                if kept and lost:
                    self._close_idle()
                    continue
                self._refuse(error)
                raise
            except BaseException:
                self._give_back(session)
                raise
            self._give_back(session)
            return answer

    def _take(self) -> tuple[Session, bool]:
        """A session, and whether it was kept from an earlier question."""
        try:
            return self._idle.pop(), True
        except IndexError:
            pass
        try:
            return self._engine.session(), False
        except self._engine.errors as error:
            self._refuse(error)
            raise

    def _give_back(self, session: Session) -> None:
        if self._closed or len(self._idle) >= IDLE:
            session.close()
        else:
            self._idle.append(session)

    def _close_idle(self) -> None:
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:
                return

    def _refuse(self, error: Exception) -> None:
        """Raises the refusal that an error of the driver means, where it is the storage's."""
        if self._engine.of_storage(error):
            self.log.error("the catalogue can't be read: {error}", error=error)
            raise self._engine.refusal_of(error) from error
