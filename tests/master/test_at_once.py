"""Commits that wait for nothing: made where they are asked for, and by nobody else's leave."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from ecpds.errors import NoSpace, Unavailable
from ecpds.master import sqlite
from ecpds.master.at_once import AtOnce
from ecpds.master.companion_writer import CompanionWriter
from ecpds.master.engine import BUSY
from ecpds.master.publishing import Arrival, Publication
from ecpds.master.sql import Session
from ecpds.master.sqlite import SqliteEngine
from ecpds.master.writer import InlineWriter
from ecpds.model import ANYTHING, Condition, DataFile, Entry
from tests.doubles.companion import InlineCompanion
from tests.master.test_companion import CatalogueCase, publication
from tests.master.test_parts import HeldWriter


class FullEngine(SqliteEngine):
    """On a disk that has no more than a page of room, when `full` is set."""

    full = False

    def session(self, wait: float = BUSY) -> Session:
        session = super().session(wait)
        if self.full:
            session.connection.execute("PRAGMA max_page_count=1")
        return session


class AtOnceCase(CatalogueCase):
    """A catalogue that is in memory, as far as it can tell."""

    def setUp(self) -> None:
        super().setUp()
        self.watched: list[int] = []
        self.commits = 0
        self.patch(sqlite, "file_system_type", lambda device: "tmpfs")
        self.opened(self.engine)

    def opened(self, engine: SqliteEngine) -> AtOnce:
        self.engine.close()
        engine.open()
        self.addCleanup(engine.close)
        self.at_once = AtOnce(engine, self.watch, self.committed)
        self.addCleanup(self.at_once.close)
        return self.at_once

    @contextmanager
    def watch(self, operations: int) -> Iterator[None]:
        self.watched.append(operations)
        yield

    def committed(self) -> None:
        self.commits += 1


class CommitterTests(AtOnceCase):
    """`AtOnce`: what it does, and what it leaves to others."""

    def test_a_new_name(self) -> None:
        self.assertEqual(self.at_once.run(publication(1, "a")), publication(1, "a").entry(False))
        self.assertEqual((self.names(), self.watched, self.commits), (["a"], [1], 1))

    def test_digests_that_are_owed(self) -> None:
        self.at_once.run(Publication(1, "a", publication(1, "a").file, ANYTHING, 0.0, ("md5", "sha256")))
        connection = sqlite3.connect(self.path)
        self.addCleanup(connection.close)
        self.assertEqual(connection.execute("SELECT * FROM owed").fetchall(), [(1, "md5,sha256")])

    def test_what_takes_more_is_left_undone(self) -> None:
        file = publication(2, "a").file
        halves = DataFile(2, 6, 1.0, 2.0, segments=(*file.segments, *publication(3, "a").file.segments))
        self.at_once.run(publication(1, "a"))
        parts = DataFile(17, 6, 1.0, 2.0, segments=(*publication(8, "a").file.segments, *publication(9, "a").file.segments))
        InlineWriter(self.engine).run_now(publication(7, "many"))
        ensureDeferred(InlineWriter(self.engine).run(Publication(1, "many", parts, ANYTHING, 0.0)))
        left: list[Callable[[Session], Any]] = [
            publication(2, "many"),  # the file that it replaces has many segments
            publication(2, "b/c"),
            publication(2, ""),
            publication(2, "a/b"),
            Publication(1, "b", halves, ANYTHING, 0.0),
            Publication(1, "b", file, Condition(exists=True), 0.0),
            Publication(9, "b", file, ANYTHING, 0.0),
            lambda session: 5,
        ]
        self.assertEqual([self.at_once.run(each) for each in left], [None] * len(left))
        self.assertEqual(self.names(), ["a", "many"])

    def test_a_file_in_one_piece_is_replaced_by_another(self) -> None:
        self.at_once.run(publication(1, "a"))
        self.assertEqual(self.at_once.run(publication(2, "a")), publication(2, "a").entry(True))
        connection = sqlite3.connect(self.path)
        self.addCleanup(connection.close)
        self.assertEqual(connection.execute("SELECT data_file FROM entry").fetchall(), [(2,)])
        for table, held in (("data_file", "id"), ("segment", "id"), ("copy", "segment")):
            self.assertEqual(connection.execute(f"SELECT {held} FROM {table}").fetchall(), [(2,)], table)
        self.assertEqual(connection.execute("SELECT segment, due FROM reclaim").fetchall(), [(1, 9.0)])
        self.assertIsNone(self.at_once.run(Publication(1, "a", publication(3, "a").file, Condition(absent=True), 0.0)))

    def test_a_file_that_arrives_is_stored_once_and_before_its_rows(self) -> None:
        stored: list[list[str]] = []

        def store() -> Publication:
            stored.append(self.names())
            return publication(1, "a")

        self.assertIsInstance(self.at_once.run(Arrival(1, "a", 1, ANYTHING, store)), Entry)
        self.assertEqual((stored, self.names()), ([[]], ["a"]))
        for path, condition in (("b/c", ANYTHING), ("", ANYTHING), ("a/b", ANYTHING), ("a", Condition(absent=True))):
            self.assertIsNone(self.at_once.run(Arrival(1, path, 2, condition, store)))
        self.assertEqual(len(stored), 1)
        self.assertIsNone(self.at_once.run(Arrival(1, "d", 2, ANYTHING, lambda: None)))

    def test_a_row_that_is_in_the_way_spoils_nothing(self) -> None:
        self.at_once.run(publication(1, "a"))
        arrival = Arrival(1, "b", 9, ANYTHING, lambda: publication(1, "b"))
        with self.assertRaises(sqlite3.IntegrityError):
            self.at_once.run(arrival)
        self.assertIsNotNone(arrival.publication)
        self.assertEqual(self.names(), ["a"])
        self.assertIsInstance(self.at_once.run(publication(2, "b")), Entry)

    def test_bytes_that_a_sweep_has_taken(self) -> None:
        connection = sqlite3.connect(self.path)
        self.addCleanup(connection.close)
        with connection:
            connection.execute("INSERT INTO dead VALUES (1)")
        self.assertIsNone(self.at_once.run(publication(1, "a")))
        self.assertEqual(self.names(), [])

    def test_a_commit_that_is_synced_is_not_made_here(self) -> None:
        self.assertIsNone(self.opened(SqliteEngine(self.path, sync=True)).run(publication(1, "a")))
        self.assertEqual((self.names(), self.commits), ([], 0))

    def test_nor_one_to_a_disk(self) -> None:
        self.patch(sqlite, "file_system_type", lambda device: "ext4")
        self.assertIsNone(self.opened(SqliteEngine(self.path, sync=False)).run(publication(1, "a")))
        self.assertEqual((self.names(), self.commits), ([], 0))

    def test_a_catalogue_that_another_process_holds_is_not_waited_for(self) -> None:
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        self.assertIsNone(self.at_once.run(publication(1, "a")))
        other.execute("ROLLBACK")
        self.assertIsInstance(self.at_once.run(publication(1, "a")), Entry)

    def test_a_storage_that_is_full_refuses_and_leaves_nothing_to_others(self) -> None:
        engine = FullEngine(self.path, sync=False)
        at_once = self.opened(engine)
        engine.full = True
        with self.assertRaises(NoSpace):
            for number in range(1, 1000):
                self.assertIsNotNone(at_once.run(publication(number, f"{number}")))
        engine.full = False
        self.assertIsInstance(at_once.run(publication(1000, "a")), Entry)

    def test_a_commit_that_fails_is_refused(self) -> None:
        real = Session.command

        def fails(session: Session, text: str) -> None:
            if text == "COMMIT":
                raise sqlite3.OperationalError("no commit today")
            real(session, text)

        self.patch(Session, "command", fails)
        with self.assertRaises(Unavailable):
            self.at_once.run(publication(1, "a"))
        self.patch(Session, "command", real)
        self.assertEqual(self.names(), [])


class WriterTests(AtOnceCase):
    """`CompanionWriter` with an `AtOnce`: three hands, one order."""

    def setUp(self) -> None:
        super().setUp()
        self.companion, self.here = InlineCompanion(self.engine), HeldWriter()
        self.writer = CompanionWriter(self.companion, self.here, lambda _, call: call(), overlapping=0, at_once=self.at_once)
        self.writer.start()

    def run_now(self, operation: Callable[[Session], Any]) -> Deferred[Any]:
        return ensureDeferred(self.writer.run(operation))

    def test_nobody_else_is_asked(self) -> None:
        self.assertIsInstance(self.successResultOf(self.run_now(publication(1, "a"))), Entry)
        self.assertEqual((self.companion.batches, self.here.waiting), ([], []))

    def test_what_is_left_is_done_by_the_others(self) -> None:
        self.successResultOf(self.run_now(publication(1, "a")))
        self.assertFalse(self.successResultOf(self.run_now(publication(2, "b/c"))).replaced)
        self.assertEqual([len(batch) for batch in self.companion.batches], [1])

    def test_what_is_asked_for_now_is_not_done_behind_others(self) -> None:
        self.assertIsInstance(self.writer.run_now(publication(1, "a")), Entry)
        waiting = self.run_now(lambda session: 5)
        self.assertIsNone(self.writer.run_now(publication(2, "b")))
        self.here.answer(5)
        self.successResultOf(waiting)
        self.assertIsInstance(self.writer.run_now(publication(2, "b")), Entry)
        self.successResultOf(ensureDeferred(self.writer.stop()))
        self.assertIsNone(self.writer.run_now(publication(3, "c")))

    def test_it_waits_for_what_was_asked_before(self) -> None:
        first, second = self.run_now(lambda session: 5), self.run_now(publication(1, "a"))
        self.assertNoResult(second)
        self.here.answer(5)
        self.assertEqual(self.successResultOf(first), 5)
        self.assertIsInstance(self.successResultOf(second), Entry)
        self.assertEqual([len(batch) for batch in self.companion.batches], [1])

    def test_a_refusal_is_the_askers(self) -> None:
        def refuses(operation: object) -> None:
            raise NoSpace

        self.patch(self.at_once, "run", refuses)
        self.failureResultOf(self.run_now(publication(1, "a")), NoSpace)
        self.assertEqual(self.companion.batches, [])

    def test_stopped_it_is_closed(self) -> None:
        self.successResultOf(self.run_now(publication(1, "a")))
        self.successResultOf(ensureDeferred(self.writer.stop()))
        self.failureResultOf(self.run_now(publication(2, "b")), Unavailable)
