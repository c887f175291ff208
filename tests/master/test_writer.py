"""The one writer: groups, refusals, failing storage, and the end."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from typing import Any

from sqlalchemy import insert
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ecpds.errors import AlreadyExists, NoSpace, Unavailable
from ecpds.master.schema import dead
from ecpds.master.sql import Session, Statement, value
from ecpds.master.sqlite import SqliteEngine
from ecpds.master.writer import InlineWriter, ThreadWriter

ADD = Statement(insert(dead).values(segment=value("number")))

PATIENCE = 20.0
"""Seconds after which a thread that does not answer fails its test."""


@implementer(IReactorFromThreads)
class QueueReactor:
    """Keeps what threads call until the test pumps."""

    def __init__(self) -> None:
        self._calls: Queue[tuple[Callable[..., Any], Any, Any]] = Queue()
        self.heard: list[str] = []

    def callInThread(self, function: Callable[..., Any], *args: Any, **named: Any) -> None:
        raise NotImplementedError

    def getThreadPool(self) -> Any:
        raise NotImplementedError

    def suggestThreadPoolSize(self, size: int) -> None:
        raise NotImplementedError

    def callFromThread(self, function: Callable[..., Any], *args: Any, **named: Any) -> None:
        self.heard.append("reported")
        self._calls.put((function, args, named))

    def pump(self) -> None:
        """Wait for one call and make it."""
        function, args, named = self._calls.get(timeout=PATIENCE)
        function(*args, **named)


class WatchedEngine(SqliteEngine):
    """Notes each transaction's ends, and fails to open when told to."""

    def __init__(self, path: Path, heard: list[str]) -> None:
        super().__init__(path, sync=False)
        self.heard = heard
        self.limit: int | None = None
        self.broken = False

    def session(self, wait: float = 0.0) -> Session:
        if self.broken:
            raise _storage_error(sqlite3.SQLITE_CANTOPEN)
        session = super().session(wait)
        if self.limit:
            session.connection.execute(f"PRAGMA max_page_count={self.limit}")
        session.connection.set_trace_callback(self._note)
        return session

    def _note(self, text: str) -> None:
        if text.startswith(("BEGIN", "COMMIT")):
            self.heard.append(text.split()[0].lower())


def _storage_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("storage")
    error.sqlite_errorcode = code
    return error


def add(number: int) -> Callable[[Session], int]:
    def operation(session: Session) -> int:
        session.run(ADD, number=number)
        return number

    return operation


def refuse(number: int) -> Callable[[Session], int]:
    def operation(session: Session) -> int:
        add(number)(session)
        raise AlreadyExists

    return operation


class WriterCase(SynchronousTestCase):
    """An engine that is watched."""

    def setUp(self) -> None:
        self.reactor = QueueReactor()
        self.path = Path(self.mktemp()) / "catalogue.sqlite"
        self.engine = WatchedEngine(self.path, self.reactor.heard)
        self.engine.open()
        self.reactor.heard.clear()
        self.addCleanup(self.engine.close)

    def there(self) -> list[int]:
        connection = sqlite3.connect(self.path)
        try:
            return [number for (number,) in connection.execute("SELECT segment FROM dead ORDER BY 1")]
        finally:
            connection.close()


class InlineTests(WriterCase):
    """`InlineWriter`, and what both have in common."""

    def setUp(self) -> None:
        super().setUp()
        self.writer = InlineWriter(self.engine)
        self.writer.start()

    def tearDown(self) -> None:
        self.successResultOf(ensureDeferred(self.writer.stop()))

    def run_now(self, operation: Callable[[Session], Any]) -> Deferred[Any]:
        return ensureDeferred(self.writer.run(operation))

    def test_an_outcome_is_there_after_the_commit(self) -> None:
        self.assertEqual(self.successResultOf(self.run_now(add(1))), 1)
        self.assertEqual(self.there(), [1])

    def test_a_refusal_undoes_its_own(self) -> None:
        self.failureResultOf(self.run_now(refuse(1)), AlreadyExists)
        self.assertEqual(self.there(), [])

    def test_an_error_of_one_statement(self) -> None:
        self.successResultOf(self.run_now(add(1)))
        self.failureResultOf(self.run_now(add(1)), sqlite3.IntegrityError)
        self.failureResultOf(self.run_now(lambda session: session.command("nonsense")), sqlite3.OperationalError)
        self.assertEqual(self.successResultOf(self.run_now(add(2))), 2)

    def test_a_full_disk_and_room_again(self) -> None:
        self.engine.limit = 1

        def much(session: Session) -> None:
            session.connection.executemany("INSERT INTO dead VALUES (?)", [(n,) for n in range(100_000)])

        self.failureResultOf(self.run_now(much), NoSpace)
        self.assertEqual(self.there(), [])
        self.engine.limit = None
        self.assertEqual(self.successResultOf(self.run_now(add(1))), 1)

    def test_a_catalogue_that_is_locked_and_free_again(self) -> None:
        other = sqlite3.connect(self.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        self.failureResultOf(self.run_now(add(1)), Unavailable)
        other.execute("ROLLBACK")
        other.close()
        self.assertEqual(self.successResultOf(self.run_now(add(1))), 1)

    def test_storage_that_can_not_be_opened_and_can_again(self) -> None:
        self.engine.broken = True
        self.failureResultOf(self.run_now(add(1)), Unavailable)
        self.engine.broken = False
        self.assertEqual(self.successResultOf(self.run_now(add(1))), 1)

    def test_a_commit_that_fails_refuses(self) -> None:
        real = Session.command

        def fails(session: Session, text: str) -> None:
            if text == "COMMIT":
                raise _storage_error(sqlite3.SQLITE_IOERR)
            real(session, text)

        self.patch(Session, "command", fails)
        self.failureResultOf(self.run_now(add(1)), Unavailable)
        self.assertEqual(self.there(), [])
        self.patch(Session, "command", real)
        self.assertEqual(self.successResultOf(self.run_now(add(1))), 1)

    def test_a_writer_that_fails_goes_on(self) -> None:
        self.patch(self.engine, "session", lambda wait: 1 / 0)
        self.failureResultOf(self.run_now(add(1)), Unavailable)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class ThreadTests(WriterCase):
    """`ThreadWriter`."""

    def setUp(self) -> None:
        super().setUp()
        verifyObject(IReactorFromThreads, self.reactor)
        self.spawned: list[threading.Thread] = []
        self.writer = ThreadWriter(self.engine, self.reactor, self.spawn)
        self.writer.start()
        self.addCleanup(self.stop)

    def spawn(self, run: Callable[[], None]) -> threading.Thread:
        self.spawned.append(threading.Thread(target=run, daemon=True))
        return self.spawned[-1]

    def stop(self) -> None:
        stopping = ensureDeferred(self.writer.stop())
        while not stopping.called:
            self.reactor.pump()
        self.successResultOf(stopping)

    def queue(self, operation: Callable[[Session], Any]) -> Deferred[Any]:
        return ensureDeferred(self.writer.run(operation))

    def hold(self) -> threading.Event:
        """Keep the writer busy until the event is set."""
        busy, go_on = threading.Event(), threading.Event()

        def operation(_: Session) -> None:
            busy.set()
            go_on.wait(PATIENCE)

        self.queue(operation)
        self.assertTrue(busy.wait(PATIENCE))
        return go_on

    def test_what_is_queued_is_one_commit(self) -> None:
        go_on = self.hold()
        waiting = [self.queue(add(number)) for number in range(5)]
        go_on.set()
        self.reactor.pump()
        for each in waiting:
            self.assertNoResult(each)
        self.reactor.pump()
        self.assertEqual([self.successResultOf(each) for each in waiting], list(range(5)))
        self.assertEqual(self.reactor.heard, ["begin", "commit", "reported"] * 2)

    def test_a_refused_one_does_not_spoil_the_others(self) -> None:
        go_on = self.hold()
        one, bad, broken, two = map(self.queue, (add(1), refuse(2), lambda session: 1 / 0, add(3)))
        go_on.set()
        self.reactor.pump()
        self.reactor.pump()
        self.assertEqual((self.successResultOf(one), self.successResultOf(two)), (1, 3))
        self.failureResultOf(bad, AlreadyExists)
        self.failureResultOf(broken, ZeroDivisionError)
        self.assertEqual(self.there(), [1, 3])

    def test_failing_storage_refuses_all_of_a_group(self) -> None:
        go_on = self.hold()

        def fails(_: Session) -> None:
            raise _storage_error(sqlite3.SQLITE_IOERR)

        one, two = self.queue(add(1)), self.queue(fails)
        go_on.set()
        self.reactor.pump()
        self.reactor.pump()
        self.failureResultOf(one, Unavailable)
        self.failureResultOf(two, Unavailable)
        self.assertEqual(self.there(), [])
        three = self.queue(add(3))
        self.reactor.pump()
        self.assertEqual(self.successResultOf(three), 3)

    def test_one_who_is_cancelled_takes_nothing_from_the_others(self) -> None:
        go_on = self.hold()
        gone, here = self.queue(add(1)), self.queue(add(2))
        gone.addErrback(lambda _: None)
        gone.cancel()
        go_on.set()
        self.reactor.pump()
        self.reactor.pump()
        self.assertEqual(self.successResultOf(here), 2)

    def test_stopping_commits_what_is_queued(self) -> None:
        go_on = self.hold()
        waiting = [self.queue(add(number)) for number in range(5)]
        go_on.set()
        self.stop()
        self.assertEqual([self.successResultOf(each) for each in waiting], list(range(5)))
        self.assertEqual(self.there(), list(range(5)))
        self.assertFalse(any(thread.is_alive() for thread in self.spawned))
        self.assertFalse(self.path.with_name(self.path.name + "-wal").exists(), "the log is in the file")

    def test_nothing_is_taken_after_the_end(self) -> None:
        self.stop()
        self.failureResultOf(self.queue(add(1)), Unavailable)

    def test_a_checkpoint_follows_a_commit(self) -> None:
        moved = threading.Event()
        self.engine._note = lambda text: moved.set() if "wal_checkpoint" in text else None  # type: ignore[method-assign]
        self.queue(add(1))
        self.reactor.pump()
        self.assertTrue(moved.wait(PATIENCE))
