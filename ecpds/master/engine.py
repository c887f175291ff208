"""What a catalogue stands on: an engine makes sessions on it, and says what the errors of its driver mean.

There is one set of statements (`sql`) and one schema (`schema`, made by the migrations) for all engines. An engine is
open in one process at a time, for the Master answers from memory what it has written.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib.resources import files

from alembic.command import upgrade
from alembic.config import Config as Alembic
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import Dialect

from ecpds.errors import NoSpace, Refusal, Unavailable
from ecpds.master.sql import Session

BUSY = 5.0
"""Seconds to wait for another process, such as an operator's `sqlite3` or `psql`, that holds the catalogue."""


SYNCED, LOOSE = "synced", "loose"
"""How a companion is told whether a commit has to have reached the disk when it returns."""


class CatalogueError(Exception):
    """The catalogue can't be used; the text is the one sentence that says why."""


def as_wanted() -> None:
    """A catalogue may be made."""


class Engine(ABC):
    """Makes sessions on one catalogue. `open` first; `close` when all its sessions are closed."""

    name: str
    """What messages call this catalogue."""

    dialect: Dialect

    errors: type[Exception]
    """The base of all that the driver raises."""

    is_near: bool
    """Whether a look-up by index costs less than the hop to a thread, so that the reactor thread may make it."""

    begin: str
    """The command that begins a transaction which writes."""

    checkpoint: str | None
    """The command that a thread must give now and then so that commits needn't; None where the engine sees to it."""

    @property
    def companion(self) -> tuple[str, str, str] | None:
        """What a companion is told: a URL, one of `SYNCED` and `LOOSE`, and `head`; None where only who opened it may write."""
        return None

    def accompany(self) -> None:
        """Instead of `open`, in the companion of a process that has it open. Raises `CatalogueError`."""
        raise CatalogueError(f"{self.name}: only one process may write this catalogue")

    @abstractmethod
    def open(self, upgrade: bool = False, making: Callable[[], None] = as_wanted) -> None:
        """Make the catalogue if there is none; bring an older one up to this program's schema if `upgrade`.

        `making` is called before one is made, and may raise `CatalogueError`. Raises that when it can't be used.
        """

    def must_be_there(self) -> None:
        """What `making` is where a catalogue that is missing must not be made. Raises `CatalogueError`."""
        raise CatalogueError(f"{self.name}: there is no catalogue")

    @abstractmethod
    def close(self) -> None:
        """Let another process have it."""

    @abstractmethod
    def session(self, wait: float = BUSY) -> Session:
        """A connection of its own, which waits so long for a lock. Raises one of `errors`."""

    @property
    def commits_wait(self) -> bool:
        """Whether a commit may wait for a disk, or for another machine."""
        return True

    def writing_session(self, wait: float = BUSY) -> Session:
        """A session for one who writes. Raises one of `errors`."""
        return self.session(wait)

    @abstractmethod
    def of_storage(self, error: Exception) -> bool:
        """Whether an error of the driver is the storage's, under a whole transaction, and not that of one statement."""

    @abstractmethod
    def is_full(self, error: Exception) -> bool:
        """Whether it says that there is no room left."""

    def is_held(self, error: Exception) -> bool:
        """Whether it says that somebody else holds the catalogue, and so that nothing was done."""
        return False

    def is_lost(self, session: Session) -> bool:
        """Whether the session's connection has ended, so that another may do better."""
        return False

    def refusal_of(self, error: Exception) -> Refusal:
        """What a user is told when the catalogue's storage fails."""
        if self.is_full(error):
            return NoSpace("the catalogue's disk is full")
        return Unavailable("the catalogue can't be reached")


def head() -> str:
    """The version of the schema that this program works with."""
    return str(_scripts().get_current_head())


def must_migrate(name: str, found: str | None, wanted_too: bool, making: Callable[[], None]) -> bool:
    """Whether a catalogue of schema `found` (None: it is empty) has to be migrated, an older one only if `wanted_too`.

    Raises `CatalogueError` for one that this program can't use, and what `making` does, which is called for an empty one.
    """
    wanted = head()
    if found == wanted:
        return False
    known = {script.revision for script in _scripts().walk_revisions()}
    if found is None:
        making()
        return True
    if found in known and wanted_too:
        return True
    age = "older" if found in known else "newer"
    what_to_do = "stop the node and run: ecpds -c FILE catalogue upgrade" if found in known else "install a newer release of it"
    raise CatalogueError(f"{name}: the catalogue's schema ({found}) is {age} than this program's ({wanted}); {what_to_do}")


def migrate(connection: Connection) -> None:
    """Bring the catalogue on `connection` up to `head`, in its transaction."""
    configuration = _alembic()
    configuration.attributes["connection"] = connection
    upgrade(configuration, "head")


def _alembic() -> Alembic:
    configuration = Alembic()
    configuration.set_main_option("script_location", str(files("ecpds.master") / "migrations").replace("%", "%%"))
    return configuration


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_alembic())
