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
from ecpds.master.companion_writer import TOGETHER, CompanionWriter
from ecpds.master.engine import BUSY
from ecpds.master.publishing import Publication
from ecpds.master.sql import Session
from ecpds.master.sqlite import SqliteEngine
from ecpds.model import ANYTHING, Condition, Entry
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

    def run_now(self, *operations: Callable[[Session], Any]) -> list[Any]:
        outcomes = self.at_once.run(list(operations))
        assert outcomes is not None
        return outcomes

    def test_new_names_are_one_commit(self) -> None:
        self.assertEqual(self.run_now(publication(1, "a")), [publication(1, "a").entry(False)])
        outcomes = self.run_now(publication(2, "b"), publication(3, "c/d"), publication(4, "b"))
        self.assertEqual([each.replaced for each in outcomes], [False, False, True])
        self.assertEqual((self.names(), self.watched, self.commits), (["a", "d", "b"], [1, 3], 2))

    def test_digests_that_are_owed(self) -> None:
        self.run_now(Publication(1, "a", publication(1, "a").file, ANYTHING, 0.0, ("md5", "sha256")))
        connection = sqlite3.connect(self.path)
        self.addCleanup(connection.close)
        self.assertEqual(connection.execute("SELECT * FROM owed").fetchall(), [(1, "md5,sha256")])

    def test_what_is_refused_spoils_nothing_for_the_others(self) -> None:
        self.run_now(publication(1, "a"))
        refused = Publication(1, "a", publication(2, "a").file, Condition(absent=True), 0.0)
        outcomes = self.run_now(publication(3, "b"), refused, publication(4, ""), publication(5, "a/b"), publication(6, "c"))
        kinds = ["Entry", "PreconditionFailed", "IsADirectory", "NotADirectory", "Entry"]
        self.assertEqual([type(each).__name__ for each in outcomes], kinds)
        self.assertEqual(self.names(), ["a", "b", "c"])

    def test_a_file_in_one_piece_is_replaced_by_another(self) -> None:
        self.run_now(publication(1, "a"))
        self.assertEqual(self.run_now(publication(2, "a")), [publication(2, "a").entry(True)])
        connection = sqlite3.connect(self.path)
        self.addCleanup(connection.close)
        self.assertEqual(connection.execute("SELECT data_file FROM entry").fetchall(), [(2,)])
        for table, held in (("data_file", "id"), ("segment", "id"), ("copy", "segment")):
            self.assertEqual(connection.execute(f"SELECT {held} FROM {table}").fetchall(), [(2,)], table)
        self.assertEqual(connection.execute("SELECT segment, due FROM reclaim").fetchall(), [(1, 9.0)])

    def test_a_row_that_is_in_the_way_spoils_nothing(self) -> None:
        self.run_now(publication(1, "a"))
        before, spoilt, after = self.run_now(publication(2, "b"), publication(1, "c"), publication(3, "d"))
        self.assertIsInstance(spoilt, sqlite3.IntegrityError)
        self.assertEqual([type(each) for each in (before, after)], [Entry, Entry])
        self.assertEqual(self.names(), ["a", "b", "d"])

    def test_bytes_that_a_sweep_has_taken(self) -> None:
        connection = sqlite3.connect(self.path)
        self.addCleanup(connection.close)
        with connection:
            connection.execute("INSERT INTO dead VALUES (1)")
        taken, kept = self.run_now(publication(1, "a"), publication(2, "b"))
        self.assertIsInstance(taken, Unavailable)
        self.assertEqual((self.names(), kept), (["b"], publication(2, "b").entry(False)))

    def test_a_catalogue_that_another_process_holds_is_not_waited_for(self) -> None:
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        self.assertIsNone(self.at_once.run([publication(1, "a"), publication(2, "b")]))
        other.execute("ROLLBACK")
        self.assertIsInstance(self.run_now(publication(1, "a"))[0], Entry)

    def test_a_storage_that_is_full_refuses_all_of_a_turn(self) -> None:
        engine = FullEngine(self.path, sync=False)
        self.opened(engine)
        engine.full = True
        turns = [[publication(2 * number, f"{number}"), publication(2 * number + 1, f"{number}x")] for number in range(1, 1000)]
        refused = next(outcomes for turn in turns if not isinstance((outcomes := self.run_now(*turn))[0], Entry))
        self.assertEqual([type(each) for each in refused], [NoSpace, NoSpace])
        engine.full = False
        self.assertIsInstance(self.run_now(publication(5000, "a"))[0], Entry)

    def test_a_commit_that_fails_refuses_all_of_a_turn(self) -> None:
        real = Session.command

        def fails(session: Session, text: str) -> None:
            if text == "COMMIT":
                raise sqlite3.OperationalError("no commit today")
            real(session, text)

        self.patch(Session, "command", fails)
        outcomes = self.run_now(publication(1, "a"), publication(2, "b"))
        self.assertEqual([type(each) for each in outcomes], [Unavailable, Unavailable])
        self.patch(Session, "command", real)
        self.assertEqual(self.names(), [])


class WriterTests(AtOnceCase):
    """`CompanionWriter` with an `AtOnce`: three hands, one order."""

    def setUp(self) -> None:
        super().setUp()
        self.later: list[Callable[[], None]] = []
        self.heard: list[str] = []
        self.made(overlapping=0)

    def made(self, **named: Any) -> None:
        self.companion, self.here = InlineCompanion(self.engine), HeldWriter()
        later = lambda _, call: self.later.append(call)  # noqa: E731
        self.writer = CompanionWriter(self.companion, self.here, later, at_once=self.at_once, **named)
        self.writer.start()

    def turn(self) -> None:
        """The reactor's turn ends."""
        calls, self.later[:] = list(self.later), []
        for call in calls:
            call()

    def put(self, *names: str) -> list[Deferred[Any]]:
        return [self.writer.by_turn(publication(ord(name), name)).addBoth(self.note, name) for name in names]

    def note(self, outcome: Any, name: str) -> Any:
        self.heard.append(name)
        return outcome

    def ask(self) -> Deferred[Any]:
        return ensureDeferred(self.writer.run(lambda session: 5)).addBoth(self.note, "asked")

    def test_what_comes_in_a_turn_is_one_commit_at_its_end(self) -> None:
        puts = self.put("a", "b", "c")
        self.assertEqual((self.heard, self.names(), self.commits), ([], [], 0))
        self.turn()
        self.assertEqual([type(self.successResultOf(each)) for each in puts], [Entry] * 3)
        self.assertEqual((self.heard, self.names(), self.watched), (["a", "b", "c"], ["a", "b", "c"], [3]))
        self.assertEqual((self.companion.batches, self.here.waiting), ([], []))

    def test_so_is_what_is_run(self) -> None:
        runs = [ensureDeferred(self.writer.run(publication(number, f"{number}"))) for number in (1, 2)]
        self.turn()
        self.assertEqual([type(self.successResultOf(each)) for each in runs], [Entry, Entry])
        self.assertEqual(self.watched, [2])

    def test_very_much_is_not_held_back_to_the_end(self) -> None:
        self.put(*(chr(0x4E00 + number) for number in range(TOGETHER + 1)))
        self.assertEqual(self.watched, [TOGETHER])
        self.turn()
        self.assertEqual((self.watched, len(self.heard)), ([TOGETHER, 1], TOGETHER + 1))

    def test_all_of_a_turn_are_told_in_one(self) -> None:
        """Who asks the catalogue sees all of them, and whoever is told later would see something older again."""
        self.put(*(chr(0x4E00 + number) for number in range(TOGETHER - 1)))
        self.turn()
        self.assertEqual(len(self.heard), TOGETHER - 1)

    def test_what_was_asked_for_before_is_before_what_is_not_by_turn(self) -> None:
        """Whoever asks whose the bytes are, as a sweep does, hears of what has them."""
        self.put("a")
        there: list[list[str]] = []
        ensureDeferred(self.writer.run(lambda session: there.append(self.names())))
        self.assertEqual((self.names(), len(self.here.waiting)), (["a"], 1))
        self.turn()
        self.assertEqual(self.watched, [1])

    def test_behind_others_it_is_theirs(self) -> None:
        first = self.ask()
        puts = self.put("a", "b")
        self.turn()
        self.assertEqual((self.heard, self.watched), ([], []))
        self.here.answer(5)
        self.assertEqual((self.successResultOf(first), [type(self.successResultOf(each)) for each in puts]), (5, [Entry] * 2))
        self.assertEqual((self.heard, [len(batch) for batch in self.companion.batches]), (["asked", "a", "b"], [2]))

    def test_and_so_where_another_process_holds_the_catalogue(self) -> None:
        self.patch(self.at_once, "run", lambda operations: None)
        self.put("a", "b")
        self.turn()
        self.assertEqual((self.heard, [len(batch) for batch in self.companion.batches]), (["a", "b"], [2]))

    def test_a_crowd_in_one_turn_overlaps_too(self) -> None:
        """So that the companion has it where somebody is before it."""
        self.made()
        for number in range(40):
            self.put(chr(0x4E00 + number))
        self.turn()
        self.ask()
        self.put("a", "b")
        self.turn()
        self.here.answer(5)
        self.assertEqual([len(batch) for batch in self.companion.batches], [2])

    def test_a_failure_is_told_to_all_of_a_turn(self) -> None:
        self.patch(self.at_once, "run", lambda operations: [NoSpace() for _ in operations])
        for each in self.put("a", "b"):
            each.addErrback(lambda failure: failure.trap(NoSpace) and None)
        self.turn()
        self.assertEqual((self.heard, self.companion.batches), (["a", "b"], []))

    def test_a_commit_that_is_synced_is_not_made_here(self) -> None:
        self.left_to_others(SqliteEngine(self.path, sync=True))

    def test_nor_one_to_a_disk(self) -> None:
        self.patch(sqlite, "file_system_type", lambda device: "ext4")
        self.left_to_others(SqliteEngine(self.path, sync=False))

    def left_to_others(self, engine: SqliteEngine) -> None:
        self.opened(engine)
        self.made(overlapping=0)
        self.assertFalse(self.writer.at_once)
        self.successResultOf(ensureDeferred(self.writer.run(publication(1, "a"))))
        self.assertEqual((self.commits, [len(batch) for batch in self.companion.batches]), (0, [1]))

    def test_what_is_wanted_now_is_done_behind_the_turn_and_behind_nobody_else(self) -> None:
        self.put("a")
        self.assertIsInstance(self.writer.run_now(publication(2, "b")), Entry)
        self.assertEqual((self.names(), self.watched), (["b", "a"], [1, 1]))
        self.ask()
        self.assertFalse(self.writer.is_free)
        self.assertIsNone(self.writer.run_now(publication(3, "c")))
        self.here.answer(5)
        self.assertTrue(self.writer.is_free)
        self.patch(self.at_once, "run", lambda operations: [NoSpace()])
        self.assertRaises(NoSpace, self.writer.run_now, publication(3, "c"))
        self.assertNotIn("c", self.names())

    def test_stopping_commits_the_turn_and_closes_it(self) -> None:
        (put,) = self.put("a")
        self.successResultOf(ensureDeferred(self.writer.stop()))
        self.assertIsInstance(self.successResultOf(put), Entry)
        self.assertIsNone(self.writer.run_now(publication(2, "b")))
        for refused in (self.writer.by_turn(publication(2, "b")), ensureDeferred(self.writer.run(publication(2, "b")))):
            self.failureResultOf(refused, Unavailable)
        self.turn()
        self.assertEqual(self.names(), ["a"])
