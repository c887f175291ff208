"""The catalogue's file: SQLite in write-ahead mode, made by the migrations, opened by one process at a time.

The one process is the Master's; its companion (`companion`), with which it takes turns, has a lock file of its own. A Master
that was killed may leave a companion in the middle of a commit, so the next one waits until that has ended.

With `sync` a commit has reached the disk when it returns (`synchronous=FULL`). Checkpoints are nobody's side effect
(`wal_autocheckpoint=0`): the writer's checkpoint thread makes them.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL

from ecpds.file_systems import MEMORY_FILE_SYSTEMS, file_system_type
from ecpds.master.engine import BUSY, LOOSE, SYNCED, CatalogueError, Engine, as_wanted, head, migrate, must_migrate
from ecpds.master.sql import Session

WAL_KEPT = 64 << 20
"""Bytes of the write-ahead log's file that are kept for the next burst."""

WRITERS_CACHE = 64 << 20
"""Bytes of pages that the writer keeps: names come in any order, and each is a leaf of an index that may be large."""

PAGE_IN_MEMORY = 2048
"""Bytes of a page of a catalogue that is made in memory. There a commit costs what it copies, which is all of each page that it
touches. On a disk pages are SQLite's own, of 4 KiB: as much as a disk writes at once."""

LOOK = 0.01
"""Seconds between two looks whether the companion of a Master that was killed has ended."""

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


class SqliteEngine(Engine):
    """A catalogue in one file."""

    errors = sqlite3.Error
    is_near = True
    begin = "BEGIN IMMEDIATE"
    checkpoint = "PRAGMA wal_checkpoint(PASSIVE)"

    def __init__(self, path: Path, sync: bool = True, sleep: Callable[[float], None] = time.sleep) -> None:
        self.name = str(path)
        self._path = path
        self._sync = sync
        self._sleep = sleep
        self._lock: int | None = None
        self._in_memory = False
        self.dialect = sqlite.dialect(paramstyle="named")

    def open(self, upgrade: bool = False, making: Callable[[], None] = as_wanted) -> None:
        try:
            if not self._path.exists():
                making()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._take()
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._in_memory = file_system_type(os.stat(self._path).st_dev) in MEMORY_FILE_SYSTEMS
            self._migrate(upgrade, making)
            self._check_mode()
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise CatalogueError(f"{self._path}: the catalogue can't be opened: {error}") from error
        except CatalogueError:
            self.close()
            raise

    @property
    def companion(self) -> tuple[str, str, str]:
        return f"sqlite:///{self._path.absolute()}", SYNCED if self._sync else LOOSE, head()

    def accompany(self) -> None:
        self._lock = _locked(f"{self._path}.companion.lock")
        if self._lock is None:
            raise CatalogueError(f"{self._path}: it has a companion already")

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def session(self, wait: float = BUSY) -> Session:
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

    @property
    def commits_wait(self) -> bool:
        """Not where a commit is a few copies from memory to memory."""
        return self._sync or not self._in_memory

    def writing_session(self, wait: float = BUSY) -> Session:
        session = self.session(wait)
        session.command(f"PRAGMA cache_size=-{WRITERS_CACHE >> 10}")
        return session

    def of_storage(self, error: Exception) -> bool:
        return _code(error) in STORAGE

    def is_full(self, error: Exception) -> bool:
        return _code(error) == sqlite3.SQLITE_FULL

    def is_held(self, error: Exception) -> bool:
        return _code(error) == sqlite3.SQLITE_BUSY

    def _take(self) -> None:
        """Only one Master may write a catalogue, for it answers from memory what it has written."""
        self._lock = _locked(f"{self._path}.lock")
        if self._lock is None:
            raise CatalogueError(f"{self._path}: another Master has this catalogue open")
        for _ in range(int(BUSY / LOOK)):
            companions = _locked(f"{self._path}.companion.lock")
            if companions is not None:
                os.close(companions)
                return
            self._sleep(LOOK)
        raise CatalogueError(f"{self._path}: the companion of a Master that has ended still has this catalogue open")

    def _migrate(self, upgrade: bool, making: Callable[[], None]) -> None:
        if not must_migrate(self.name, self._version(), upgrade, making):
            return
        engine = create_engine(URL.create("sqlite", database=str(self._path)))
        event.listen(engine, "connect", _leave_transactions_to_us)
        if self._in_memory:
            event.listen(engine, "connect", lambda connection, _: connection.execute(f"PRAGMA page_size={PAGE_IN_MEMORY}"))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        try:
            with engine.begin() as connection:
                migrate(connection)
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


def _locked(file: str) -> int | None:
    """A descriptor of a lock file that is held as long as it is open; None where another process holds it."""
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _code(error: Exception) -> int:
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _leave_transactions_to_us(connection: sqlite3.Connection, _: object) -> None:
    """The driver would commit before each CREATE, and a kill in between would leave half a schema."""
    connection.isolation_level = None
