"""Which engine a catalogue's URL means."""

from __future__ import annotations

from pathlib import Path

from ecpds.master.engine import CatalogueError, Engine
from ecpds.master.sqlite import SqliteEngine

SQLITE = "sqlite:///"
POSTGRESQL = "postgresql+psycopg://"


def engine_of(url: str, home: Path, sync: bool = True) -> Engine:
    """The engine of a SQLAlchemy URL; a relative SQLite path is relative to `home`. Raises `CatalogueError`."""
    if url.startswith(SQLITE):
        return SqliteEngine(home / url.removeprefix(SQLITE), sync)
    if not url.startswith(POSTGRESQL):
        raise CatalogueError(f"{url}: allowed: {SQLITE}FILE | {POSTGRESQL}USER@HOST/DATABASE")
    try:
        from ecpds.master.postgresql import PostgresqlEngine
    except ImportError as error:
        raise CatalogueError(f"a PostgreSQL catalogue needs psycopg: install ecpds[postgresql] ({error})") from error
    return PostgresqlEngine(url, sync)
