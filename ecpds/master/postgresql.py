"""A catalogue in a PostgreSQL database, by psycopg 3 (the extra `ecpds[postgresql]`).

Who tells whom: the writer's session takes an advisory lock before it writes, and the server gives the lock back when
that session's backend has ended. So only one Master writes; and a writer that has lost its connection in the middle of
a COMMIT gets the next session only once the fate of that COMMIT is settled: what it then reads is what there is.

With `sync` a commit has reached the disk when it returns (`synchronous_commit=on`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import errors
from sqlalchemy import create_engine
from sqlalchemy.dialects.postgresql import psycopg as dialect
from sqlalchemy.engine import URL, make_url

from ecpds.master.engine import BUSY, CatalogueError, Engine, as_wanted, migrate, must_migrate
from ecpds.master.sql import Session, Statement

LOCK = 0x6563706473
"""The number of the advisory lock (pg_advisory_lock, section 9.27.10 of the manual): `ecpds` in ASCII."""

CONNECT = 5
"""Seconds to connect within."""

SILENCE = 10
"""Seconds after which a server that doesn't acknowledge what we send is gone."""

STATEMENT = 60
"""Seconds that one statement may take."""

WALKS = ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin")
"""What the planner may not choose (enable_..., section 20.7.1) where it has another way.

Every statement of ours is a look-up in an index, or a walk of one that ends early. A planner that meets small tables, or
does not know the limit yet, would choose to read and sort all of them, and keep to that plan when they have grown.
"""


class PostgresqlSession(Session):
    """A session whose statements of many sets of values don't wait for one answer before the next is asked."""

    __slots__ = ()

    def row_of_each(self, statement: Statement, values: Sequence[Mapping[str, Any]]) -> list[Any | None]:
        if not values:
            return []
        text, constants = statement.prepared(self._dialect)
        cursor = self._cursor
        cursor.executemany(text, [{**constants, **each} for each in values], returning=True)
        return [cursor.fetchone() for _ in cursor.results()]


class PostgresqlEngine(Engine):
    """A catalogue in a database of its own. Its names compare as bytes, whatever the database's collation."""

    errors = psycopg.Error
    is_near = False
    begin = "BEGIN"
    checkpoint = None

    def __init__(self, url: str, sync: bool = True) -> None:
        """`url` is SQLAlchemy's: `postgresql+psycopg://user@host/database`."""
        self._url: URL = make_url(url)
        self._address = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        self.name = self._url.set(drivername="postgresql").render_as_string()
        self._sync = sync
        self._held: Session | None = None
        self.dialect = dialect.dialect()  # type: ignore[no-untyped-call]

    def open(self, upgrade: bool = False, making: Callable[[], None] = as_wanted) -> None:
        try:
            self._held = self._locked()
            self._check_encoding(self._held)
            self._migrate(self._held, upgrade, making)
        except psycopg.Error as error:
            self.close()
            raise CatalogueError(f"{self.name}: the catalogue can't be opened: {_one_line(error)}") from error
        except CatalogueError:
            self.close()
            raise

    def close(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.close()

    def session(self, wait: float = BUSY) -> Session:
        settings = {
            "client_encoding": "UTF8",
            "synchronous_commit": "on" if self._sync else "off",
            "lock_timeout": f"{wait * 1000:.0f}",
            "statement_timeout": f"{STATEMENT}s",
            "idle_in_transaction_session_timeout": f"{STATEMENT}s",
            "tcp_keepalives_idle": f"{SILENCE}",
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "3",
            **{f"enable_{way}": "off" for way in WALKS},
            # A plan whose ways are all forbidden counts as dear, and would be compiled for a fifth of a second.
            "jit": "off",
        }
        connection = psycopg.connect(
            self._address,
            autocommit=True,
            connect_timeout=CONNECT,
            tcp_user_timeout=SILENCE * 1000,
            keepalives_idle=SILENCE,
            application_name="ecpds",
        )
        try:
            _set(connection, settings)
        except psycopg.Error:
            connection.close()
            raise
        return PostgresqlSession(connection, self.dialect)

    def writing_session(self, wait: float = BUSY) -> Session:
        held, self._held = self._held, None
        return held or self._locked()

    def of_storage(self, error: Exception) -> bool:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | psycopg.InternalError)

    def is_full(self, error: Exception) -> bool:
        return isinstance(error, errors.DiskFull)

    def is_lost(self, session: Session) -> bool:
        return bool(session.connection.closed)

    def _locked(self) -> Session:
        """A session that holds the lock of the one Master."""
        session = self.session()
        try:
            (taken,) = session.connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,)).fetchone()
            if not taken:
                raise psycopg.OperationalError("another Master has this catalogue open")
        except psycopg.Error:
            session.close()
            raise
        return session

    def _check_encoding(self, session: Session) -> None:
        (found,) = session.connection.execute("SHOW server_encoding").fetchone()
        if found != "UTF8":
            raise CatalogueError(f"{self.name}: the database's encoding is {found}; allowed: UTF8")

    def _migrate(self, session: Session, upgrade: bool, making: Callable[[], None]) -> None:
        if not must_migrate(self.name, self._version(session), upgrade, making):
            return
        engine = create_engine(self._url)
        try:
            with engine.begin() as connection:
                migrate(connection)
        finally:
            engine.dispose()

    def _version(self, session: Session) -> str | None:
        """The schema that the database has; None when it has no tables at all."""
        found = session.connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
        if not found:
            return None
        if ("alembic_version",) not in found:
            raise CatalogueError(f"{self.name}: this PostgreSQL database is not a catalogue")
        return str(session.connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def _set(connection: psycopg.Connection[tuple[object, ...]], settings: Mapping[str, str]) -> None:
    """Settings of the session, in one round trip."""
    calls = ", ".join(["set_config(%s, %s, false)"] * len(settings))
    values = [word for setting in settings.items() for word in setting]
    connection.execute(f"SELECT {calls}".encode(), values)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
