"""A whole node in process, without its doors: a Master on SQLite and a store on a folder, with neither threads nor reactor."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.interfaces import IEventSink, IStore
from ecpds.keys import Vault
from ecpds.limits import Limits
from ecpds.master.engine import Engine
from ecpds.master.operations import Operations
from ecpds.master.service import Master
from ecpds.master.sqlite import SqliteEngine
from ecpds.master.writer import InlineWriter
from ecpds.model import Destination, Identity, Origin
from ecpds.mover.control import LocalControl
from ecpds.mover.digests import follower
from ecpds.mover.store import LocalStore
from ecpds.people import NewUser, UserRecord
from ecpds.portal.backing import Backing
from ecpds.portal.digesting import Digesting
from ecpds.portal.filesystem import FileSystem
from ecpds.portal.operator import Operator
from ecpds.portal.pace import Paces
from ecpds.portal.portal import Portal
from ecpds.portal_interfaces import IFileSystem
from ecpds.threads import InlineThreads
from ecpds.transports.buffers import BufferPool
from tests.doubles import RecordingSink

NODE = "node-1"
ORIGIN = Origin("ftp", "192.0.2.1", NODE)


class House:
    """Built by `test`, and taken down after it."""

    def __init__(
        self,
        test: SynchronousTestCase,
        sink: IEventSink | None = None,
        limits: Limits | None = None,
        engine: Engine | None = None,
    ) -> None:
        self._test = test
        self.home = Path(test.mktemp())
        self.clock = Clock()
        self.clock.advance(1_700_000_000.0)
        self.limits = limits or Limits()
        self.sink = sink or RecordingSink()
        threads = InlineThreads()
        engine = engine or SqliteEngine(self.home / "catalogue.sqlite", sync=False)
        engine.open()
        writer, vault = InlineWriter(engine), Vault(b"k" * 32, Random(2))
        self.master = Master(engine, writer, threads, threads, self.limits, self.clock, Random(1), vault)
        self.now(self.master.start())
        self.volume = self.home / "volume"
        self.pool = BufferPool(self.limits.buffers)
        self.store = LocalStore(
            NODE, [self.volume], self.master.stored, threads, threads, self.pool, self.limits, False, self.clock
        )
        self.control = LocalControl(self.store)
        self.master.register_mover(self.control)
        self.stores: dict[str, IStore] = {NODE: self.store}
        self.operations = Operations(self.master)
        digesting = Digesting(threads, follower)
        paces = Paces(self.limits, self.clock, self.clock.seconds)
        self.backing = Backing(self.master, self.stores, self.sink, self.clock.seconds, self.limits, digesting, paces)
        self.portal = Portal(self.backing)
        facts: dict[str, Any] = {"node": NODE}
        running = self.backing.running
        self.operator = Operator(self.operations, self.master, {NODE: self.control}, self.clock, lambda: facts, running=running)
        test.addCleanup(engine.close)
        test.addCleanup(lambda: self.now(self.master.stop()))

    def now(self, work: Any) -> Any:
        return self._test.successResultOf(ensureDeferred(work))

    def add_destination(self, name: str, **named: Any) -> None:
        self.now(self.operations.add_destination(Destination(0, name, **named)))

    def add_user(self, login: str, destinations: tuple[str, ...], **named: Any) -> UserRecord:
        user: UserRecord = self.now(self.operations.add_user(NewUser(login, destinations=destinations, **named)))
        return user

    def files_of(self, user: UserRecord) -> IFileSystem:
        """As if the user had logged in."""
        identity = Identity(user.id, user.login, frozenset(user.permissions), user.destinations)
        return FileSystem(self.backing, identity, ORIGIN)

    def stored(self) -> list[Path]:
        """Every file on the volume."""
        return [path for path in self.volume.rglob("*") if path.is_file()]
