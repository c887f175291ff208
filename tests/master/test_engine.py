"""The catalogue's file: made, recognised, refused, and asked by index."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import NoSpace, Unavailable
from ecpds.master import (
    access,
    days,
    destinations,
    engine,
    expiry,
    files,
    holdings,
    ids,
    multipart,
    owed,
    publishing,
    reclaim,
    relocation,
    roster,
    scrubbing,
    sqlite,
    standby,
    tree,
    usage,
    user_changes,
    users,
    waiting_below,
)
from ecpds.master.engine import CatalogueError, head
from ecpds.master.sql import Statement
from ecpds.master.sqlite import SqliteEngine
from ecpds.master.tables import metadata
from ecpds.model import RecordFilter


class EngineCase(SynchronousTestCase):
    """A place for a catalogue."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "catalogue 100%.sqlite"

    def opened(self, sync: bool = False) -> SqliteEngine:
        made = SqliteEngine(self.path, sync)
        made.open()
        self.addCleanup(made.close)
        return made

    def pragma(self, made: SqliteEngine, name: str) -> Any:
        session = made.session()
        self.addCleanup(session.close)
        return session.connection.execute(f"PRAGMA {name}").fetchone()[0]


class OpeningTests(EngineCase):
    """`open`."""

    def refused(self) -> str:
        return str(self.assertRaises(CatalogueError, SqliteEngine(self.path).open))

    def test_a_new_catalogue_has_the_schema(self) -> None:
        self.opened().close()
        made = create_engine(f"sqlite:///{self.path}")
        with made.connect() as connection:
            context = MigrationContext.configure(connection, opts={"target_metadata": metadata, "compare_type": True})
            self.assertEqual(compare_metadata(context, metadata), [])
            self.assertEqual(context.get_current_revision(), head())
            without_rowid = {
                name
                for name, sql in connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
                if "WITHOUT ROWID" in sql
            }
        made.dispose()
        expected = {table.name for table in metadata.sorted_tables if not table.dialect_options["sqlite"]["with_rowid"]}
        self.assertEqual(without_rowid, expected)

    def test_where_one_must_be_there_nothing_is_made(self) -> None:
        made = SqliteEngine(self.path)
        self.assertRaises(CatalogueError, made.open, making=made.must_be_there)
        self.assertFalse(self.path.parent.exists())
        self.path.parent.mkdir()
        self.assertRaises(CatalogueError, made.open, upgrade=True, making=made.must_be_there)
        self.assertEqual(list(self.path.parent.iterdir()), [])

    def test_it_is_opened_again(self) -> None:
        for _ in range(2):
            self.opened().close()

    def test_only_its_owner_may_read_it(self) -> None:
        made = self.opened()
        session = made.session()
        self.addCleanup(session.close)
        session.command("BEGIN IMMEDIATE")
        session.command("INSERT INTO dead VALUES (1)")
        session.command("COMMIT")
        for file in self.path.parent.iterdir():
            self.assertEqual(stat.S_IMODE(file.stat().st_mode) & 0o077, 0, file.name)

    def test_one_master_at_a_time(self) -> None:
        self.opened()
        self.assertIn("another Master", self.refused())

    def test_a_lock_is_given_back(self) -> None:
        self.opened().close()
        self.opened()

    def test_another_schema(self) -> None:
        self.opened().close()
        connection = sqlite3.connect(self.path)
        with connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()
        sentence = self.refused()
        self.assertIn("newer than this program's", sentence)
        self.assertNotIn("\n", sentence)
        self.patch(engine, "head", lambda: "9999")
        connection = sqlite3.connect(self.path)
        with connection:
            connection.execute("UPDATE alembic_version SET version_num = '0001'")
        connection.close()
        self.assertIn("older than this program's", self.refused())

    def test_some_other_database(self) -> None:
        self.path.parent.mkdir()
        connection = sqlite3.connect(self.path)
        connection.execute("CREATE TABLE recipe (cake TEXT)")
        connection.close()
        self.assertIn("not a catalogue", self.refused())

    def test_no_database_at_all(self) -> None:
        self.path.parent.mkdir()
        self.path.write_bytes(b"dear diary, " * 1000)
        self.assertIn("can't be opened", self.refused())

    def test_a_folder_that_can_not_be_made(self) -> None:
        self.path.parent.write_bytes(b"")
        self.assertIn("can't be opened", self.refused())

    def test_a_first_start_that_was_killed_leaves_no_half_schema(self) -> None:
        def dies(configuration: Any, _: str) -> None:
            configuration.attributes["connection"].exec_driver_sql("CREATE TABLE destination (id INTEGER)")
            raise OSError("killed")

        whole = engine.upgrade
        self.patch(engine, "upgrade", dies)
        self.assertIn("killed", self.refused())
        self.patch(engine, "upgrade", whole)
        self.opened()

    def test_what_a_session_is_set_to(self) -> None:
        for sync, synchronous in ((True, 2), (False, 0)):
            made = self.opened(sync)
            self.assertEqual(self.pragma(made, "synchronous"), synchronous)
            self.assertEqual(self.pragma(made, "journal_mode"), "wal")
            self.assertEqual(self.pragma(made, "foreign_keys"), 1)
            self.assertEqual(self.pragma(made, "wal_autocheckpoint"), 0)
            made.close()

    def test_pages_are_smaller_where_all_is_in_memory_and_stay_what_they_were(self) -> None:
        for there, made, later in (("tmpfs", 2048, "ext4"), ("ext4", 4096, "tmpfs")):
            self.path = Path(self.mktemp()) / "catalogue.sqlite"
            for kind in (there, later):
                self.patch(sqlite, "file_system_type", lambda device, kind=kind: kind)
                catalogue = self.opened()
                self.assertEqual(self.pragma(catalogue, "page_size"), made)
                catalogue.close()

    def test_no_descriptor_is_left(self) -> None:
        self.opened().close()
        before = len(os.listdir("/proc/self/fd"))
        self.opened().close()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


class RefusalTests(SynchronousTestCase):
    """What a user is told when the storage fails."""

    def setUp(self) -> None:
        self.engine = SqliteEngine(Path("catalogue.sqlite"))

    def test_a_full_disk_is_no_space(self) -> None:
        error = sqlite3.OperationalError("full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        self.assertIsInstance(self.engine.refusal_of(error), NoSpace)

    def test_all_else_is_unavailable(self) -> None:
        self.assertIsInstance(self.engine.refusal_of(sqlite3.OperationalError("locked")), Unavailable)


HOT = (
    destinations,
    tree,
    files,
    multipart,
    owed,
    publishing,
    expiry,
    standby,
    holdings,
    ids,
    reclaim,
    relocation,
    roster,
    scrubbing,
    users,
    user_changes,
    access,
    usage,
    waiting_below,
)
WHOLE = {"_LOGINS", "_ALL", "_ALL_DUE", "_BURY", "_BACKLOG", "_COUNT", "_OPTIONS", "_DESTINATIONS", "_COUNTS"}
"""Statements that are meant to read a whole table; `_OPTIONS` of destinations is, that of users is not."""


class PlanTests(EngineCase):
    """No statement that a client can cause reads a table, or sorts more rows than it answers."""

    def plan(self, statement: Statement) -> list[str]:
        made = self.opened()
        session = made.session()
        text, constants = statement.prepared(made.dialect)
        names = {name for name in _names(statement)}
        values = {**dict.fromkeys(names), **constants}
        rows = session.connection.execute(f"EXPLAIN QUERY PLAN {text}", values).fetchall()
        session.close()
        made.close()
        return [row[3] for row in rows]

    def test_no_hot_statement_scans(self) -> None:
        seen = 0
        for module in HOT:
            for name, statement in vars(module).items():
                if isinstance(statement, Statement) and name not in WHOLE:
                    seen += 1
                    scans = [step for step in self.plan(statement) if step.startswith("SCAN") and "CONSTANT ROW" not in step]
                    self.assertEqual(scans, [], f"{module.__name__}.{name}")
        self.assertGreater(seen, 40)

    def test_what_is_over_is_a_stretch_of_an_index(self) -> None:
        first, *rest = self.plan(expiry._PAGE)
        self.assertIn("SEARCH data_file USING COVERING INDEX ix_data_file_created_id (created>? AND created<?)", first)
        self.assertNotIn("TEMP B-TREE", " | ".join(rest))

    def test_a_page_is_a_merge_of_two_walks(self) -> None:
        steps = " | ".join(self.plan(files._PAGE))
        self.assertIn("MERGE (UNION ALL)", steps)
        self.assertNotIn("TEMP B-TREE", steps)


def _names(statement: Statement) -> list[str]:
    compiled: Any = statement._construct.compile()
    return [name for name, bound in compiled.binds.items() if bound.required]


def _filled(connection: Connection) -> dict[str, int]:
    """A row in each table of a catalogue of any shape, and how many rows each has."""
    tables = [name for name in inspect(connection).get_table_names() if name != "alembic_version"]
    connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
    for table in tables:
        row = [
            _made_up(name, kind.upper()) for _, name, kind, *_ in connection.exec_driver_sql(f'PRAGMA table_info("{table}")')
        ]
        connection.exec_driver_sql(f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(row))})', tuple(row))
    return _counted(connection, tables)


def _made_up(column: str, kind: str) -> object:
    if column == "parent":
        return None
    if column in ("digests", "metadata", "fields", "options"):
        return "{}"
    return 5.0 if "DOUBLE" in kind else "x" if "TEXT" in kind else 1


def _counted(connection: Connection, tables: Iterable[str]) -> dict[str, int]:
    return {table: int(connection.exec_driver_sql(f'SELECT count(*) FROM "{table}"').scalar_one()) for table in tables}


class UpgradeTests(EngineCase):
    """A catalogue of the first shape, brought up to this one."""

    def test_nothing_is_lost_on_the_way_from_any_shape(self) -> None:
        for script in engine._scripts().walk_revisions():
            path = Path(self.mktemp())
            made, scripts = create_engine(f"sqlite:///{path}"), engine._alembic()
            with made.begin() as connection:
                scripts.attributes["connection"] = connection
                engine.upgrade(scripts, script.revision)
                before = _filled(connection)
            before.pop("history", None)
            newest = SqliteEngine(path)
            newest.open(upgrade=True)
            newest.close()
            with made.begin() as connection:
                self.assertEqual(_counted(connection, before), before, script.revision)
                self.assertEqual(connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall(), [])
            made.dispose()

    def test_its_history_is_divided_into_days(self) -> None:
        self.path.parent.mkdir()
        scripts = engine._alembic()
        with create_engine(f"sqlite:///{self.path}").begin() as connection:
            scripts.attributes["connection"] = connection
            engine.upgrade(scripts, "0001")
            for number, time in enumerate((86400.0, 86401.0, 3 * 86400.0)):
                values = f"({time}, 'INH', 'joe', 'demo', 'a{number}', 'done', '{{\"N\": {number}}}')"
                columns = '(time, type, "user", destination, path, status, fields)'
                connection.exec_driver_sql(f"INSERT INTO history {columns} VALUES {values}")
        made = SqliteEngine(self.path)
        made.open(upgrade=True)
        self.addCleanup(made.close)
        session = made.session()
        self.addCleanup(session.close)
        self.assertEqual(days.days(session), [1, 3])
        found = days.newest(session, RecordFilter(user="joe"), 10, None)
        self.assertEqual([event.fields["N"] for _, event in found], [2, 1, 0])
        days.add(session, 1, [])
