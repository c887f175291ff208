"""A catalogue that goes from one engine to the other and back, and nodes that have it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from twisted.trial.unittest import SynchronousTestCase

from ecpds.events import Event
from ecpds.master import days
from ecpds.master.engine import CatalogueError, Engine
from ecpds.master.moving import TABLES, move
from ecpds.master.postgresql import PostgresqlEngine
from ecpds.master.sql import Statement
from ecpds.master.sqlite import SqliteEngine
from ecpds.model import Destination, RecordFilter
from ecpds.people import NewUser
from ecpds.terms import Terms
from tests.contracts.master import Uploading
from tests.master.support import NOW, MasterCase
from tests.real.clients import authorization, https, path_of
from tests.real.harness import DESTINATION, Node, node, write_config
from tests.real.postgresql import server


class MovingTests(Uploading, MasterCase):
    """`move`."""

    def setUp(self) -> None:
        super().setUp()
        self.populate()
        self.target: Engine = PostgresqlEngine(server().make("moved"))

    def fill(self) -> None:
        for path in ("z/deep/er/file", "a b", "é\\%'", "z/x"):
            self.now(self.put(path, terms=Terms(metadata={"k": "ü"})))
        # A directory with a lower number than the one above it.
        self.now(self.master.make_directory(self.user, "demo", "old"))
        self.now(self.master.make_directory(self.user, "demo", "new"))
        self.now(self.master.rename(self.user, "demo", "old", "new/old"))
        self.now(self.put("a b"))
        self.master.history.record(Event("INH", NOW, {"UserId": "joe", "FileName": "a b"}))
        self.now(self.master.history.flush())

    def contents(self, engine: Engine) -> dict[str, list[Any]]:
        session = engine.session()
        try:
            tables = (*TABLES, *map(days.table_of, days.days(session)))
            return {table.name: sorted(session.rows(Statement(select(table))), key=repr) for table in tables}
        finally:
            session.close()

    def test_there_and_back(self) -> None:
        self.fill()
        self.stop()
        back = SqliteEngine(self.folder / "back.sqlite")
        self.assertEqual(move(self.engine, self.target), move(self.target, back))
        before, there, again = map(self.contents, (self.engine, self.target, back))
        self.assertEqual(before, there)
        self.assertEqual(before, again)
        self.path = self.folder / "back.sqlite"
        self.start()

    def test_the_history_of_every_day_comes_along(self) -> None:
        self.fill()
        self.clock.advance(days.DAY)
        self.master.history.record(Event("RET", NOW + days.DAY, {"UserId": "joe", "FileName": "z/x"}))
        self.now(self.master.history.flush())
        before = self.history()
        self.assertEqual([event.type for _, event in before], ["RET", "INH"])
        self.stop()
        move(self.engine, self.target)
        self.make_engine = lambda: self.target  # type: ignore[method-assign]
        self.start()
        self.assertEqual(self.history(), before)
        self.master.history.record(Event("DEL", NOW + days.DAY, {"UserId": "joe"}))
        self.now(self.master.history.flush())
        later = self.history()
        self.assertEqual((later[1:], later[0][1].type), (before, "DEL"))
        self.assertGreater(later[0][0], before[0][0])

    def history(self) -> list[tuple[int, Event]]:
        found: list[tuple[int, Event]] = self.now(self.operations.history(RecordFilter(), 10, None))
        return found

    def test_a_master_goes_on_with_the_copy(self) -> None:
        self.fill()
        entry = self.now(self.master.resolve("demo", "z/x"))
        self.stop()
        move(self.engine, self.target)
        self.make_engine = lambda: self.target  # type: ignore[method-assign]
        self.start()
        self.assertEqual(self.now(self.master.resolve("demo", "z/x")), entry)
        self.now(self.operations.add_destination(Destination(0, "after")))
        self.now(self.operations.add_user(NewUser("late", destinations=("after",))))
        self.assertGreater(self.now(self.put("one/more")).file.id, entry.file.id)
        self.master.history.record(Event("INH", NOW, {"UserId": "joe"}))
        self.now(self.master.history.flush())
        self.assertEqual(self.orphans(), [])

    def test_a_catalogue_in_use_is_not_copied(self) -> None:
        self.assertIn("another Master", str(self.assertRaises(CatalogueError, move, self.engine, self.target)))

    def test_one_that_holds_something_is_not_overwritten(self) -> None:
        self.stop()
        move(self.engine, self.target)
        self.assertIn("not empty", str(self.assertRaises(CatalogueError, move, self.engine, self.target)))
        self.start()


class CommandTests(SynchronousTestCase):
    """`ecpds catalogue`, beside a real node."""

    def test_a_node_moves_to_postgresql(self) -> None:
        url = server().make("command")
        with node() as held:
            write(held, "a b", b"content")
            told = held.try_ecpds("catalogue", "copy", url)
            self.assertEqual((told.returncode, told.stdout), (1, ""))
            self.assertIn("another Master", told.stderr)
            held.stop()
            self.assertIn("rows copied", held.ecpds("catalogue", "copy", url))
            self.assertIn("schema", held.ecpds("catalogue", "upgrade"))
            write_config(held.config, {"catalogue": {"url": url}})
            held.start()
            self.assertEqual(held.json("file", "show", f"/{DESTINATION}/a b")["size"], 7)
            write(held, "another", b"more")
            told = held.try_ecpds("catalogue", "upgrade")
            self.assertEqual(told.returncode, 1)
            self.assertIn("another Master", told.stderr)

    def test_urls_that_are_none(self) -> None:
        with node(populated=False) as held:
            held.stop()
            for url in ("mysql://x/y", "postgresql+psycopg://nobody@127.0.0.1:1/none"):
                told = held.try_ecpds("catalogue", "copy", url)
                self.assertEqual((told.returncode, told.stderr.count("\n")), (1, 1), told.stderr)
                self.assertNotIn("Traceback", told.stderr)
            self.assertEqual(held.try_ecpds("catalogue", "copy").returncode, 2)
            held.start()


def write(held: Node, name: str, data: bytes) -> None:
    connection = https(held)
    connection.request("PUT", path_of(name), data, authorization())
    if connection.getresponse().status != 201:
        raise AssertionError(f"{name} was not put")
    connection.close()
