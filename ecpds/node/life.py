"""One daemon: storage, portal and doors, connected; and how they start and stop together.

It starts in the order catalogue, fleet, doors, and is ready when `ports.json` says so. It stops in the reverse one: nobody
new, those inside come to their end, then what is queued is committed and written.
"""

from __future__ import annotations

import gc
import secrets
import sys
import time
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger

from ecpds.admin.api import Api
from ecpds.admin.demo import Demo, demo_text
from ecpds.admin.forward import answered, operator_elsewhere, passing_on
from ecpds.admin.health import Questions, Watch
from ecpds.admin.metrics import CountedPortal
from ecpds.config import Config
from ecpds.datasource_interfaces import IRepository
from ecpds.events import timestamp
from ecpds.http.message import Handler
from ecpds.master.operations import Operations
from ecpds.model import Destination
from ecpds.mover.digests import follower
from ecpds.node.acquiring import Acquiring
from ecpds.node.doors import Doors, every
from ecpds.node.fetching import means_of_a_node
from ecpds.node.means import Means
from ecpds.node.probing import prospects
from ecpds.node.storage import Storage
from ecpds.people import NewUser
from ecpds.portal.backing import Backing
from ecpds.portal.digesting import Digesting
from ecpds.portal.operator import Operator
from ecpds.portal.operator_transfers import TransfersOperator
from ecpds.portal.pace import Paces
from ecpds.portal.portal import Portal
from ecpds.portal.records import Tee
from ecpds.portal.sinks import NodeRecords
from ecpds.sources.fetch.probe import NodeProber
from ecpds.sources.fetch.settings import Settings
from ecpds.sources.probing import FleetProbe
from ecpds.waiting import Bundle

YOUNG = 20_000
"""Objects that are made, and not yet gone, before the collector looks at them."""


class Node:
    """`open` binds the doors, `start` begins the work, `stop` ends it; `abort` makes that quick."""

    log = Logger()

    def __init__(self, config: Config, reactor: Any) -> None:
        self.config, self.reactor = config, reactor
        self.serving = False
        self.means = means = Means(config, reactor)
        self.remote = means_of_a_node(means)
        tools = self.remote.tools(Settings())
        self.storage = storage = Storage(means, self._operate, NodeProber(tools, config.limits))
        self.journal = NodeRecords(config, means.threads, reactor)
        if storage.member is None:
            master = storage.master
            master.lifetimes.sink = master.releases.sink = master.scrubbing.sink = self._sink()
        self.soon = Bundle(reactor)
        self.backing = self._backing()
        storage.scrub.busy = lambda: bool(self.backing.running)
        if storage.member is not None:
            storage.member.master.keeper = self.backing.kept
        self.portal = CountedPortal(Portal(self.backing), means.metrics.logged_in)
        self.acquiring = Acquiring(means, self.remote, storage, self.portal, self._sink()) if storage.member is None else None
        self.operator = self._make_operator()
        admin: Handler = Api(self.operator).handle
        if storage.member is not None:
            admin = passing_on(storage.member.admin.operate, admin)
        watch = Watch(means.metrics, self._questions())
        self.doors = Doors(means, self.portal, self.operator, admin, watch, {"node": self}, storage.repository)

    def _make_operator(self) -> Any:
        """The operator's façade; of a node that is no Master, one that asks the Master."""
        storage = self.storage
        if storage.member is not None:
            return operator_elsewhere(storage.member.admin.operate, TransfersOperator(self.backing.running))
        master = storage.master
        acquirer = self.acquiring.acquirer if self.acquiring is not None else None
        operations = Operations(master)
        repository, running = storage.repository, self.backing.running
        probe = self._make_probe(repository) if repository is not None else None
        return Operator(operations, master, storage.controls, self.reactor, self._facts, repository, acquirer, running, probe)

    def _make_probe(self, repository: IRepository) -> FleetProbe:
        """What has the movers measure the data sources."""
        config, storage = self.config, self.storage
        movers = lambda: prospects(config, storage)  # noqa: E731
        return FleetProbe(repository, movers, self.remote.native, config.limits, self.reactor)

    def _backing(self) -> Backing:
        means = self.means
        return Backing(
            self.storage.asked,
            self.storage.stores,
            self._sink(),
            self.reactor.seconds,
            self.config.limits,
            Digesting(means.digest_threads, follower),
            Paces(self.config.limits, self.reactor, time.monotonic),
            # In a fleet the Master is asked for leave to read elsewhere; what is at hand here needs none.
            at_hand=self.storage.master,
            lender=None if self.storage.member is None else self.storage.member.master.loans,
            soon=self.soon,
        )

    def _sink(self) -> Tee:
        return Tee([self.journal, self.storage.history, self.means.metrics])

    async def _operate(self, path: str, body: bytes) -> tuple[int, bytes]:
        return await answered(Api(self.operator).handle, path, body)

    def _questions(self) -> Questions:
        return Questions(
            serving=lambda: self.serving,
            sessions=lambda: self.doors.sessions(),
            buffers=lambda: self.means.pool.lent,
            uploads=self.storage.uploads,
            backlog=self.storage.backlog,
            volumes=self.storage.control.volumes,
            dropped=lambda: {"journal": self.journal.dropped, "history": self.storage.history.dropped},
            kept=lambda: self.backing.kept.size,
            reads=lambda: {"memory": self.backing.kept.hits, "copy": self.backing.kept.misses},
            scrub=self.storage.scrub.counts,
            damaged=self.storage.damaged,
            at_once=lambda: {"https": self.doors.web.answered_at_once, "s3": self.doors.s3.answered_at_once},
        )

    def _facts(self) -> dict[str, Any]:
        return {
            "node": self.config.node.name,
            "roles": list(self.config.node.roles),
            "time": timestamp(time.time()),
            "ports": self.means.ports.numbers,
            "sweep": self.storage.swept,
            "sessions": self.doors.sessions(),
        }

    def open(self) -> None:
        """Open the catalogue and bind the doors. Raises what keeps the node from starting."""
        self.means.ports.remove()
        self.storage.open()
        self.doors.open()

    async def start(self, demo: bool) -> None:
        """Begin to serve; `ports.json` says when that is."""
        self.means.start()
        await self.storage.start()
        if demo and self.storage.member is None:
            await self._make_demo()
        self.serving = True
        if self.acquiring is not None:
            await self.acquiring.acquirer.start()
        self.means.lag.start()
        # What is there now stays to the end: the collector need not look through it again and again. Nor need it look at a
        # page of a thousand keys, some 10,000 objects, in the middle: that cost lists a sixth.
        gc.freeze()
        gc.set_threshold(YOUNG)
        self.means.ports.write()
        self.log.info("ready: {ports}", ports=self.means.ports.numbers)
        swept = ensureDeferred(self.storage.sweep())
        swept.addErrback(lambda failure: self.log.failure("the sweep failed", failure))

    async def _make_demo(self) -> None:
        operations = Operations(self.storage.master)
        if await operations.users() or await operations.destinations():
            return
        password = secrets.token_urlsafe(12)
        await operations.add_destination(Destination(0, "demo"))
        await operations.add_user(NewUser("demo", password, destinations=("demo",)))
        key, secret = await operations.add_access_key("demo", None, None, None)
        # twistd sends sys.stdout to the log, where a password has no business.
        terminal = sys.__stdout__ or sys.stdout
        demo = Demo(password, key.id, secret)
        terminal.write(demo_text(demo, self.means.ports.numbers, self.config.node.interface[0]))
        terminal.flush()

    async def stop(self) -> None:
        """Let running transfers end, `limits.shutdown` seconds at most; then commit, write and close everything."""
        self.serving = False
        self.means.lag.stop()
        self.doors.stop_listening()
        if self.acquiring is not None:
            await self.acquiring.stop()
        self.remote.close()
        late = self.reactor.callLater(self.config.limits.shutdown, self.abort)
        await every(self.doors.drain(), self.storage.drain())
        if late.active():
            late.cancel()
        self.soon.end()
        await self.storage.stop()
        await self.journal.stop()
        self.means.stop()
        self.storage.close()
        self.doors.close()
        self.means.ports.remove_own()
        self.means.home.leave()

    def abort(self) -> None:
        """Close every connection now. What was not acknowledged is given up; nothing that was is lost."""
        self.doors.abort()
        self.storage.abort()
