"""The one writer of the catalogue: whatever is queued when it becomes free is one commit.

Who tells whom: the reactor thread queues operations; the writer thread takes all that are there, runs them in one
transaction, commits, and hands all outcomes back with one `callFromThread`. So nobody hears of a change, or of a refusal
that another change was the reason for, before it is on the disk. Nearly all operations that refuse do so before they
have written anything; where one has, or has failed, the transaction begins anew with a savepoint for each. Where the
engine needs it, each commit tells the checkpoint thread, which moves the log into the file every `CHECKPOINT` seconds, so
that no commit has to.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, Self, TypeAlias, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger

from ecpds.errors import Refusal, Unavailable
from ecpds.master.engine import BUSY, Engine
from ecpds.master.sql import Session

T = TypeVar("T")

Outcome: TypeAlias = T | Exception
"""What an operation returned or raised."""

BATCH = 1000
"""Operations of one transaction at most."""

CHECKPOINT = 0.25
"""Seconds between two checkpoints while there is something to move."""


class Joint(ABC, Generic[T]):
    """An operation that costs less where it is run together with others of its kind."""

    def __call__(self, session: Session) -> T:
        (outcome,) = self.together(session, [self])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @classmethod
    @abstractmethod
    def together(cls, session: Session, operations: Sequence[Self]) -> list[Outcome[T]]:
        """The outcome of each. One that is an exception has changed nothing."""


class _Spoilt(Exception):
    """An operation has failed, and the transaction has changes of it."""


class Writer(Protocol):
    """Runs operations that change the catalogue."""

    def start(self) -> None: ...

    async def run(self, operation: Callable[[Session], T]) -> T:
        """Call `operation(session)` in a transaction, and return or raise what it does once that is committed.

        It may be called again, in another transaction that takes the first one's place. One that raises has changed
        nothing. Raises `Unavailable` or `NoSpace` when the storage fails; whether the change is there is then unknown.
        """

    @property
    def at_once(self) -> bool:
        """Whether commits wait for nothing, so that what `by_turn` is given is there at the end of the turn as a rule."""

    def by_turn(self, operation: Joint[T]) -> Deferred[T]:
        """As `run`, together with all that is asked for in the same turn of the reactor.

        It is done whether or not somebody waits for it; who may be cancelled waits by `waiting.detached`.
        """

    @property
    def is_free(self) -> bool:
        """Whether nobody is before who comes now, and commits wait for nothing."""

    def run_now(self, operation: Joint[T]) -> T | None:
        """As `run`, where nobody is before it and nothing has to be waited for. None: nothing was done."""

    async def stop(self) -> None:
        """Commit what is queued; returns when the storage is closed."""


class Committer:
    """Runs a batch of operations as one transaction; on the thread that calls it."""

    log = Logger()

    def __init__(self, engine: Engine, wait: float = BUSY) -> None:
        """`wait` is how many seconds it waits for another process that holds the catalogue."""
        self._engine = engine
        self._wait = wait
        self._session: Session | None = None

    def commit(self, operations: list[Callable[[Session], Any]]) -> list[Any]:
        """The outcome of each, an exception where it raised. Never raises; opens the storage anew after a failure."""
        try:
            return self._transaction(operations)
        except self._engine.errors as error:
            self._note(error)
            reason: Exception = error
        except Exception as error:
            self.log.failure("the catalogue's writer failed")
            reason = error
        self.close()
        return [self._because(reason) for _ in operations]

    def _note(self, error: Exception) -> None:
        self.log.error("the catalogue's storage failed: {error}", error=error)

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            try:
                session.close()
            except self._engine.errors as error:
                self.log.error("the catalogue's storage can't be closed: {error}", error=error)

    def _transaction(self, operations: list[Callable[[Session], Any]]) -> list[Any]:
        session = self._begun()
        try:
            outcomes = self._lightly(session, operations)
        except _Spoilt:
            session.command("ROLLBACK")
            session.command(self._engine.begin)
            outcomes = [self._carefully(session, operation) for operation in operations]
        session.command("COMMIT")
        return outcomes

    def _begun(self) -> Session:
        """A session in a transaction. One that was kept may have ended meanwhile; then nothing is lost by taking another."""
        if self._session is not None:
            try:
                self._session.command(self._engine.begin)
                return self._session
            except self._engine.errors:
                if not self._engine.is_lost(self._session):
                    raise
                self.close()
        self._session = self._engine.writing_session(self._wait)
        self._session.command(self._engine.begin)
        return self._session

    def _lightly(self, session: Session, operations: list[Callable[[Session], Any]]) -> list[Any]:
        """Without savepoints, and neighbours of a kind together. Raises `_Spoilt` where that was too simple."""
        outcomes: list[Any] = []
        for kind, group in groupby(operations, type):
            if issubclass(kind, Joint):
                outcomes.extend(self._joint(session, kind, list(group)))
            else:
                outcomes.extend(self._one(session, operation) for operation in group)
        return outcomes

    def _joint(self, session: Session, kind: type[Joint[T]], operations: list[Any]) -> list[Outcome[T]]:
        try:
            return kind.together(session, operations)
        except Exception as error:
            if self._is_of_storage(error):
                raise
            raise _Spoilt from error

    def _one(self, session: Session, operation: Callable[[Session], Any]) -> Any:
        changes = session.changes
        try:
            return operation(session)
        except Exception as error:
            if self._is_of_storage(error):
                raise
            if not isinstance(error, Refusal) or session.changes != changes:
                raise _Spoilt from error
            return error

    def _is_of_storage(self, error: Exception) -> bool:
        return isinstance(error, self._engine.errors) and self._engine.of_storage(error)

    def _carefully(self, session: Session, operation: Callable[[Session], Any]) -> Any:
        session.command("SAVEPOINT operation")
        try:
            outcome = operation(session)
        except Exception as error:
            if self._is_of_storage(error):
                raise
            session.command("ROLLBACK TO operation")
            outcome = error
        session.command("RELEASE operation")
        return outcome

    def _because(self, error: Exception) -> Refusal:
        """A refusal of its own for each operation of a batch that failed."""
        by_storage = isinstance(error, self._engine.errors)
        refusal = self._engine.refusal_of(error) if by_storage else Unavailable("the catalogue's writer failed")
        refusal.__cause__ = error
        return refusal


class InlineWriter:
    """Commits each operation at once, where it is asked for. For tests and tools, where there is no reactor."""

    def __init__(self, engine: Engine) -> None:
        self._committer = Committer(engine)

    def start(self) -> None:
        """There is nothing to start."""

    async def run(self, operation: Callable[[Session], T]) -> T:
        outcome: T | Exception = self._committer.commit([operation])[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @property
    def at_once(self) -> bool:
        return True

    def by_turn(self, operation: Joint[T]) -> Deferred[T]:
        return Deferred.fromCoroutine(self.run(operation))

    is_free = at_once

    def run_now(self, operation: Joint[T]) -> T | None:
        outcome: T | Exception = self._committer.commit([operation])[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def stop(self) -> None:
        self._committer.close()


class Job:
    """An operation and who waits for it."""

    __slots__ = ("done", "operation")

    def __init__(self, operation: Callable[[Session], Any]) -> None:
        self.operation = operation
        self.done: Deferred[Any] = Deferred()

    def tell(self, outcome: Any) -> None:
        """What the operation returned, or the exception that it raised."""
        if isinstance(outcome, Exception):
            self.done.errback(outcome)
        else:
            self.done.callback(outcome)


class ThreadWriter:
    """Commits on a thread of its own, in groups. `spawn` makes an unstarted thread that runs what it is given.

    `watched` is told of how many operations a transaction is, and is what it is run in.
    """

    log = Logger()

    def __init__(
        self,
        engine: Engine,
        reactor: IReactorFromThreads,
        spawn: Callable[[Callable[[], None]], threading.Thread] | None = None,
        watched: Callable[[int], AbstractContextManager[None]] | None = None,
    ) -> None:
        self._engine = engine
        self._reactor = reactor
        self._committer = Committer(engine)
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._checkpoints = Checkpoints(engine)
        works = [self._work] if engine.checkpoint is None else [self._work, self._checkpoints.work]
        spawn = spawn or (lambda run: threading.Thread(target=run, daemon=True, name="catalogue"))
        self._threads = [spawn(work) for work in works]
        self._watched = watched or (lambda _: nullcontext())
        self._stopped: Deferred[None] = Deferred()
        self._open = False

    def start(self) -> None:
        self._open = True
        for thread in self._threads:
            thread.start()

    async def run(self, operation: Callable[[Session], T]) -> T:
        if not self._open:
            raise Unavailable("the catalogue is closed")
        job = Job(operation)
        self._queue.put(job)
        outcome: T = await job.done
        return outcome

    @property
    def at_once(self) -> bool:
        return False

    def by_turn(self, operation: Joint[T]) -> Deferred[T]:
        return Deferred.fromCoroutine(self.run(operation))

    is_free = at_once

    def run_now(self, operation: Joint[T]) -> T | None:
        return None

    async def stop(self) -> None:
        if self._open:
            self._open = False
            self._queue.put(None)
            await self._stopped
            for thread in self._threads:
                thread.join()

    def committed(self) -> None:
        """Somebody has committed on this engine."""
        if not self._checkpoints.wanted.is_set():
            self._checkpoints.wanted.set()

    def _work(self) -> None:
        going_on = True
        while going_on:
            jobs, going_on = self._take()
            if jobs:
                with self._watched(len(jobs)):
                    outcomes = self._committer.commit([job.operation for job in jobs])
                self.committed()
                self._reactor.callFromThread(_report, jobs, outcomes)
        self._checkpoints.stop()
        self._committer.close()
        self._reactor.callFromThread(self._stopped.callback, None)

    def _take(self) -> tuple[list[Job], bool]:
        """Wait for a job and take all that are there with it; False when the writer is to stop after them."""
        jobs: list[Job] = []
        job = self._queue.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) == BATCH:
                return jobs, True
            try:
                job = self._queue.get_nowait()
            except Empty:
                return jobs, True
        return jobs, False


def _report(jobs: list[Job], outcomes: list[Any]) -> None:
    for job, outcome in zip(jobs, outcomes, strict=True):
        job.tell(outcome)


class Checkpoints:
    """Moves the write-ahead log into the file, a while after there is something to move."""

    log = Logger()

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.wanted = threading.Event()
        self._stop = threading.Event()

    def stop(self) -> None:
        self._stop.set()
        self.wanted.set()

    def work(self) -> None:
        session: Session | None = None
        command = self._engine.checkpoint
        assert command is not None
        while not self._stop.is_set():
            self.wanted.wait()
            self.wanted.clear()
            self._stop.wait(CHECKPOINT)
            try:
                session = session or self._engine.session()
                session.command(command)
            except self._engine.errors as error:
                self.log.error("the catalogue's log can't be moved into its file: {error}", error=error)
                session = None
        if session is not None:
            session.close()
