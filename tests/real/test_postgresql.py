"""The Master, the façade and the tree on PostgreSQL keep to what they keep to on SQLite; and what is the engine's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import psycopg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import NoSpace, Unavailable
from ecpds.master import engine as engines
from ecpds.master import expiry, files
from ecpds.master.engine import CatalogueError, head
from ecpds.master.postgresql import PostgresqlEngine
from ecpds.master.reader import Reader
from ecpds.master.sql import Session, Statement
from ecpds.master.tables import metadata
from ecpds.master.writer import InlineWriter
from ecpds.threads import InlineThreads
from tests.contracts import filesystem
from tests.master import (
    test_accounts,
    test_afterwards,
    test_doubt,
    test_holdings,
    test_lifetimes,
    test_master,
    test_operations,
    test_readmission,
    test_reclaim,
    test_scrubbing,
    test_source_store,
    test_standby,
    test_tree_model,
)
from tests.master.support import MasterCase
from tests.portal import test_filesystem_contract, test_namespace, test_operator_users
from tests.portal.house import House
from tests.real.postgresql import empty_catalogue, server


class PostgresqlCase(MasterCase):
    """A Master on an empty catalogue in the server of this process."""

    def new_catalogue(self) -> None:
        self.url = empty_catalogue()

    def make_engine(self) -> PostgresqlEngine:
        return PostgresqlEngine(self.url, sync=False)


class PostgresqlMasterTests(test_master.OnAnyEngine, PostgresqlCase):
    """The contract."""

    def setUp(self) -> None:
        super().setUp()
        self.populate()
        self.addCleanup(lambda: self.assertEqual(self.orphans(), []))


class PostgresqlAfterwardsTests(test_afterwards.AfterwardsTests, PostgresqlCase):
    """Digests after the commit."""


class PostgresqlScrubbingTests(test_scrubbing.ScrubbingTests, PostgresqlCase):
    """Copies that are damaged."""


class PostgresqlDoubtTests(test_doubt.Doubtful, PostgresqlCase):
    """Changes of which nobody knows whether they were made."""


class PostgresqlAtATimeTests(test_doubt.AtATime, PostgresqlCase):
    """Two changes at a time."""


class PostgresqlReadmissionTests(test_readmission.GivenUp, PostgresqlCase):
    """Uploads of an earlier Master."""


class PostgresqlReclaimTests(test_reclaim.Deleting, PostgresqlCase):
    """What is to be deleted."""


class PostgresqlLifetimesTests(test_lifetimes.LifetimesTests, PostgresqlCase):
    """Files that leave."""


class PostgresqlHoldingsTests(test_holdings.HoldingsTests, PostgresqlCase):
    """Quotas of what is held."""

    def test_a_catalogue_that_was_moved_counts_anew(self) -> None:
        """Between engines: see `test_moving`."""


class PostgresqlUserHoldingsTests(test_holdings.UserHoldingsTests, PostgresqlCase):
    """And of what a user holds."""


class PostgresqlStandbyTests(test_standby.StandbyTests, PostgresqlCase):
    """Files that wait to be released."""


class PostgresqlDelayTests(test_standby.DelayTests, PostgresqlCase):
    """And are by themselves."""


class PostgresqlTreeTests(test_tree_model.TreeModelTests, PostgresqlCase):
    """The model test."""


class PostgresqlSourceTests(test_source_store.CatalogueTests, PostgresqlCase):
    """Data sources and their reports."""


class PostgresqlHistoryTests(test_operations.HistoryTests, PostgresqlCase):
    """The history, a table a day."""

    TABLES = "SELECT tablename FROM pg_tables WHERE tablename LIKE 'history#_2%' ESCAPE '#' ORDER BY tablename"


class PostgresqlUserTests(test_operations.UserTests, PostgresqlCase):
    """Users and their keys."""


class PostgresqlLoginTests(test_accounts.LoginTests, PostgresqlCase):
    """Who may log in."""


class Maker(test_filesystem_contract.Maker):
    """The façade's contract."""

    def new_house(self) -> House:
        return House(self, self.sink, engine=PostgresqlEngine(empty_catalogue(), sync=False))


def _on_postgresql(suite: type[filesystem.FileSystemContract]) -> type[filesystem.FileSystemContract]:
    return type(suite.__name__, (Maker, suite), {"__module__": __name__})


ReadAndWrite, Conditions, Directories, Renaming, Rights, Records = map(_on_postgresql, filesystem.SUITES)


class OnPostgresql:
    """Operators and users, in a house on an empty catalogue."""

    def new_house(self) -> House:
        return House(cast(SynchronousTestCase, self), engine=PostgresqlEngine(empty_catalogue(), sync=False))


class PostgresqlPolicyTests(OnPostgresql, test_operator_users.PolicyTests):
    pass


class PostgresqlAccessKeyTests(OnPostgresql, test_operator_users.AccessKeyTests):
    pass


class PostgresqlAccountTests(OnPostgresql, test_operator_users.UserTests):
    pass


class PostgresqlDestinationTests(OnPostgresql, test_operator_users.DestinationTests):
    pass


class PostgresqlSessionTests(OnPostgresql, test_namespace.SessionTests):
    pass


class EngineCase(SynchronousTestCase):
    """A database of its own."""

    def setUp(self) -> None:
        self.url = server().make("engine")
        self.engine = self.new_engine()
        self.addCleanup(self.engine.close)

    def new_engine(self) -> PostgresqlEngine:
        return PostgresqlEngine(self.url, sync=True)

    def refused(self, engine: PostgresqlEngine | None = None) -> str:
        sentence = str(self.assertRaises(CatalogueError, (engine or self.new_engine()).open))
        self.assertNotIn("\n", sentence)
        return sentence


class OpeningTests(EngineCase):
    """`open`."""

    def test_a_new_catalogue_has_the_schema(self) -> None:
        self.engine.open()
        made = create_engine(self.url)
        with made.connect() as connection:
            context = MigrationContext.configure(connection, opts={"target_metadata": metadata, "compare_type": True})
            self.assertEqual(compare_metadata(context, metadata), [])
            self.assertEqual(context.get_current_revision(), head())
            names = connection.exec_driver_sql(
                "SELECT table_name, column_name, collation_name FROM information_schema.columns"
                " WHERE table_schema = 'public' AND column_name IN ('name', 'path', 'login', 'mover')"
            ).fetchall()
        made.dispose()
        self.assertGreater(len(names), 5)
        self.assertEqual([row for row in names if row[2] != "C"], [])

    def test_one_master_at_a_time(self) -> None:
        self.engine.open()
        self.assertIn("another Master", self.refused())
        self.engine.close()
        self.new_engine_opens()

    def new_engine_opens(self) -> None:
        other = self.new_engine()
        other.open()
        other.close()

    def test_the_lock_is_the_writers(self) -> None:
        self.engine.open()
        session = self.engine.writing_session()
        self.engine.close()
        self.assertIn("another Master", self.refused())
        session.close()
        self.new_engine_opens()

    def test_another_schema(self) -> None:
        self.engine.open()
        self.engine.close()
        server().ask("engine", "UPDATE alembic_version SET version_num = '9999'")
        self.assertIn("newer than this program's", self.refused())
        server().ask("engine", "UPDATE alembic_version SET version_num = '0001'")
        self.assertIn("ecpds -c FILE catalogue upgrade", self.refused())

    def test_an_older_schema_is_upgraded_when_asked_for(self) -> None:
        whole = engines.upgrade
        self.patch(engines, "upgrade", lambda configuration, _: whole(configuration, "0001"))
        self.engine.open()
        self.engine.close()
        self.patch(engines, "upgrade", whole)
        self.refused()
        self.engine.open(upgrade=True)
        self.engine.close()
        self.new_engine_opens()

    def test_some_other_database(self) -> None:
        server().ask("engine", "CREATE TABLE recipe (cake TEXT)")
        self.assertIn("not a catalogue", self.refused())

    def test_no_database(self) -> None:
        self.assertIn("can't be opened", self.refused(PostgresqlEngine(server().url("nowhere"))))

    def test_a_password_is_not_told(self) -> None:
        url = server().url("nowhere").replace("ecpds@", "ecpds:geheim@")
        self.assertNotIn("geheim", self.refused(PostgresqlEngine(url)))

    def test_what_a_session_is_set_to(self) -> None:
        for sync, wanted in ((True, "on"), (False, "off")):
            session = PostgresqlEngine(self.url, sync).session()
            found = session.connection.execute("SHOW synchronous_commit").fetchone()
            self.assertEqual(found, (wanted,))
            session.close()


class ErrorTests(EngineCase):
    """What becomes of the driver's errors."""

    def setUp(self) -> None:
        super().setUp()
        self.engine.open()
        self.writer = InlineWriter(self.engine)
        self.reader = Reader(self.engine, InlineThreads())
        self.addCleanup(self.reader.close)
        self.addCleanup(lambda: self.successResultOf(ensureDeferred(self.writer.stop())))

    def write(self, number: int) -> Any:
        return self.run_now(lambda session: session.command(f"INSERT INTO dead VALUES ({number})"))

    def run_now(self, operation: Callable[[Session], Any]) -> Any:
        return ensureDeferred(self.writer.run(operation))

    def there(self) -> list[int]:
        asked = ensureDeferred(self.reader.ask(lambda session: session.connection.execute("TABLE dead").fetchall()))
        return sorted(number for (number,) in self.successResultOf(asked))

    def end_all_sessions(self) -> None:
        server().ask("engine", "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'ecpds'")

    def test_an_error_of_one_statement(self) -> None:
        self.successResultOf(self.write(1))
        self.failureResultOf(self.write(1), psycopg.IntegrityError)
        self.failureResultOf(self.run_now(lambda session: session.command("nonsense")), psycopg.ProgrammingError)
        self.successResultOf(self.write(2))
        self.assertEqual(self.there(), [1, 2])

    def test_sessions_that_ended_while_nobody_asked(self) -> None:
        self.successResultOf(self.write(1))
        self.assertEqual(self.there(), [1])
        self.end_all_sessions()
        self.successResultOf(self.write(2))
        self.assertEqual(self.there(), [1, 2])

    def test_a_session_that_ends_in_a_transaction(self) -> None:
        def ends(session: Session) -> None:
            session.command("INSERT INTO dead VALUES (1)")
            self.end_all_sessions()
            session.command("INSERT INTO dead VALUES (2)")

        self.failureResultOf(self.run_now(ends), Unavailable)
        self.successResultOf(self.write(3))
        self.assertEqual(self.there(), [3])

    def test_a_table_that_is_locked_and_free_again(self) -> None:
        self.patch(self.engine, "session", lambda wait=0.1: PostgresqlEngine.session(self.engine, 0.1))
        self.end_all_sessions()
        holder = self.engine.session()
        holder.command("BEGIN")
        holder.command("LOCK TABLE dead")
        self.failureResultOf(self.write(1), Unavailable)
        self.failureResultOf(ensureDeferred(self.reader.ask(lambda session: session.command("TABLE dead"))), Unavailable)
        holder.close()
        self.successResultOf(self.write(1))
        self.assertEqual(self.there(), [1])

    def test_a_full_disk_is_no_space(self) -> None:
        self.assertIsInstance(self.engine.refusal_of(psycopg.errors.DiskFull()), NoSpace)


class PlanTests(EngineCase):
    """A page reads as many rows as it answers, whatever the planner thinks of the tables."""

    def plan(self, statement: Statement, values: dict[str, Any]) -> str:
        self.engine.open()
        session = self.engine.session()
        self.addCleanup(session.close)
        text, constants = statement.prepared(self.engine.dialect)
        session.command("INSERT INTO destination VALUES (1, 'd', 1, NULL, NULL, '', 'inline', 0)")
        session.command("INSERT INTO directory VALUES (1, 1, NULL, '', '', false, 0)")
        session.command("INSERT INTO data_file SELECT n, 1, 1, 1, '{}', '{}' FROM generate_series(1, 20000) n")
        session.command("INSERT INTO entry SELECT 1, 'name ' || n, n FROM generate_series(1, 20000) n")
        session.command("ANALYZE")
        rows = session.connection.execute(f"EXPLAIN {text}", {**constants, **values}).fetchall()
        return "\n".join(row[0] for row in rows)

    def test_a_page(self) -> None:
        plan = self.plan(files._PAGE, {"directory": 1, "after": "name 5", "limit": 100})
        for what in ("Seq Scan", "Hash", "Bitmap"):
            self.assertNotIn(what, plan)
        self.assertEqual(plan.count("Limit"), 3)

    def test_files_that_are_over(self) -> None:
        plan = self.plan(expiry._PAGE, {"after": 0.5, "after_id": 7, "until": 2.0, "limit": 100})
        self.assertIn("ix_data_file_created_id", plan)
        for what in ("Seq Scan on data_file", "Seq Scan on entry", "Hash", "Bitmap", "Sort"):
            self.assertNotIn(what, plan)
