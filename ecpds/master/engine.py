"""The catalogue's file: SQLite in write-ahead mode, made by the migrations, opened by one process at a time.

With `sync` a commit has reached the disk when it returns (`synchronous=FULL`). Checkpoints are nobody's side effect
(`wal_autocheckpoint=0`): the writer's checkpoint thread makes them.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from importlib.resources import files
from pathlib import Path

from alembic.command import upgrade
from alembic.config import Config as Alembic
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import Dialect

from ecpds.errors import NoSpace, Refusal, Unavailable
from ecpds.master.sql import Session

BUSY = 5.0
"""Seconds to wait for another process, such as an operator's `sqlite3`, that holds the catalogue."""

WAL_KEPT = 64 << 20
"""Bytes of the write-ahead log's file that are kept for the next burst."""


STORAGE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}
"""Errors of the storage under a transaction, not of one operation in it."""


class CatalogueError(Exception):
    """The catalogue can't be used; the text is the one sentence that says why."""


def of_storage(error: sqlite3.Error) -> bool:
    """Whether an error is the storage's, and not that of a statement."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF in STORAGE


def refusal_of(error: sqlite3.Error) -> Refusal:
    """What a user is told when the catalogue's storage fails."""
    if (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF == sqlite3.SQLITE_FULL:
        return NoSpace("the catalogue's disk is full")
    return Unavailable("the catalogue can't be reached")


class SqliteEngine:
    """Makes sessions on one catalogue file. `open` first; `close` when all its sessions are closed."""

    def __init__(self, path: Path, sync: bool = True) -> None:
        self._path = path
        self._sync = sync
        self._lock: int | None = None
        self.dialect: Dialect = sqlite.dialect(paramstyle="named")

    def open(self) -> None:
        """Make the catalogue if there is none. Raises `CatalogueError` when it can't be used."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._take()
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._migrate()
            self._check_mode()
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise CatalogueError(f"{self._path}: the catalogue can't be opened: {error}") from error
        except CatalogueError:
            self.close()
            raise

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def session(self, wait: float = BUSY) -> Session:
        """A connection of its own, which waits so long for a lock. Raises `sqlite3.Error`."""
        connection = sqlite3.connect(self._path, timeout=wait, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA synchronous={'FULL' if self._sync else 'OFF'}")
            connection.execute("PRAGMA wal_autocheckpoint=0")
            connection.execute(f"PRAGMA journal_size_limit={WAL_KEPT}")
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA cache_size=-8192")
        except sqlite3.Error:
            connection.close()
            raise
        return Session(connection, self.dialect)

    def _take(self) -> None:
        """Only one Master may write a catalogue, for it answers from memory what it has written."""
        self._lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CatalogueError(f"{self._path}: another Master has this catalogue open") from error

    def _migrate(self) -> None:
        found, wanted = self._version(), head()
        if found == wanted:
            return
        if found is not None:
            known = found in {script.revision for script in _scripts().walk_revisions()}
            age = "older" if known else "newer"
            raise CatalogueError(f"{self._path}: the catalogue's schema ({found}) is {age} than this program's ({wanted})")
        engine = create_engine(URL.create("sqlite", database=str(self._path)))
        event.listen(engine, "connect", _leave_transactions_to_us)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        try:
            with engine.begin() as connection:
                configuration = _alembic()
                configuration.attributes["connection"] = connection
                upgrade(configuration, "head")
        finally:
            engine.dispose()

    def _check_mode(self) -> None:
        """Some file systems can't hold a shared log; there the engine would quietly keep another journal."""
        session = self.session()
        try:
            (mode,) = session.connection.execute("PRAGMA journal_mode").fetchone()
        finally:
            session.close()
        if mode != "wal":
            raise CatalogueError(f"{self._path}: the file system can't hold a catalogue (journal mode {mode})")

    def _version(self) -> str | None:
        """The schema that the file has; None when it has no tables at all."""
        connection = sqlite3.connect(self._path, timeout=BUSY)
        try:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables:
                return None
            if "alembic_version" not in tables:
                raise CatalogueError(f"{self._path}: this SQLite database is not a catalogue")
            return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])
        finally:
            connection.close()


def head() -> str:
    """The version of the schema that this program works with."""
    return str(_scripts().get_current_head())


def _alembic() -> Alembic:
    configuration = Alembic()
    configuration.set_main_option("script_location", str(files("ecpds.master") / "migrations").replace("%", "%%"))
    return configuration


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_alembic())


def _leave_transactions_to_us(connection: sqlite3.Connection, _: object) -> None:
    """The driver would commit before each CREATE, and a kill in between would leave half a schema."""
    connection.isolation_level = None
