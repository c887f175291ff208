"""A PostgreSQL server of the tests' own: in a new folder, on a socket in it, as another user where we are root.

One server serves all the tests of a process; each test begins with an empty catalogue in it. The cluster's collation is
that of a language, so that a name which compares otherwise than by its bytes is found out.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest import SkipTest

import psutil
import psycopg

from ecpds.master.postgresql import PostgresqlEngine
from ecpds.master.tables import metadata
from tests.real.harness import until

USER = "ecpds"

SETTINGS = {"fsync": "off", "shared_buffers": "32MB", "max_connections": "40"}
"""Only the process dies in these tests, never the machine."""


@cache
def programs() -> Path:
    """Where Debian's package has them, the newest version's. Raises `SkipTest` where there is no PostgreSQL."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if not found and (there := shutil.which("postgres")):
        found = [Path(there).resolve().parent]
    if not found:
        raise SkipTest("PostgreSQL is not installed")
    return max(found, key=lambda path: float(path.parent.name) if path.parent.name.isdigit() else 0)


class Server:
    """One cluster, which may be killed and started again."""

    def __init__(self, settings: Mapping[str, str] = SETTINGS) -> None:
        where = programs()
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
        self._process: subprocess.Popen[bytes] | None = None
        if self._as:
            shutil.chown(self.folder, "postgres", "postgres")
        locale = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en"]
        self._run([str(where / "initdb"), "-D", "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync", *locale])
        self._command = [str(where / "postgres"), "-D", "data", "-k", str(self.folder), "-c", "listen_addresses="]
        for setting in settings.items():
            self._command += ["-c", "=".join(setting)]

    def _run(self, command: list[str]) -> None:
        subprocess.run([*self._as, *command], cwd=self.folder, check=True, stdout=subprocess.DEVNULL)

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as, *self._command], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until(self._answers, "PostgreSQL")

    def _answers(self) -> bool:
        try:
            self.ask("postgres", "SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL to the postmaster and to every process of it: no last words, no last write."""
        process, self._process = self._process, None
        if process is None:
            return
        postmaster = psutil.Process(process.pid)
        all_of_them = [postmaster, *postmaster.children(recursive=True)]
        for each in all_of_them:
            try:
                each.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        process.wait()
        psutil.wait_procs(all_of_them, timeout=20)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, database: str, text: str) -> list[Any]:
        """The rows, if any, of what an operator might type."""
        with psycopg.connect(host=str(self.folder), user=USER, dbname=database, autocommit=True) as connection:
            cursor = connection.execute(text.encode())
            return cursor.fetchall() if cursor.description else []

    def url(self, database: str) -> str:
        """As a configuration names it."""
        return f"postgresql+psycopg://{USER}@/{database}?host={self.folder}"

    def make(self, database: str) -> str:
        """An empty database in place of any of that name, and its URL."""
        self.ask("postgres", f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        self.ask("postgres", f"CREATE DATABASE {database}")
        return self.url(database)


@cache
def server() -> Server:
    """The one of this process. Raises `SkipTest`."""
    made = Server()
    atexit.register(made.remove)
    made.start()
    return made


@cache
def _migrated() -> str:
    url = server().make("contract")
    engine = PostgresqlEngine(url, sync=False)
    engine.open()
    engine.close()
    return url


def empty_catalogue() -> str:
    """The URL of a catalogue that has nothing in it, and begins to count at 1."""
    url = _migrated()
    tables = {table.name for table in metadata.sorted_tables}
    days = [name for (name,) in server().ask("contract", "SELECT tablename FROM pg_tables WHERE tablename ~ '^history_[0-9]'")]
    dropped = [f'DROP TABLE "{name}"' for name in days if name not in tables]
    # For so few rows this costs a tenth of TRUNCATE, which makes every file anew.
    emptied = [f'DELETE FROM "{table.name}"' for table in reversed(metadata.sorted_tables)]
    restarted = "SELECT setval(format('%I', sequencename)::regclass, 1, false) FROM pg_sequences"
    server().ask("contract", "; ".join([*dropped, *emptied, restarted]))
    return url
