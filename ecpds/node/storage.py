"""Who keeps the catalogue and the bytes: the Master of this node or the way to another's, the store, and the fleet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from random import SystemRandom
from typing import Any

from twisted.internet.task import deferLater
from twisted.logger import Logger

from ecpds.cluster.assembly import MasterSide, MemberSide, join_fleet, member_of_a_fleet
from ecpds.cluster.fleet import Member
from ecpds.cluster.membership import Standing
from ecpds.datasource_interfaces import IProber
from ecpds.errors import Refusal
from ecpds.interfaces import IStore
from ecpds.keys import catalogue_vault, repository_key
from ecpds.master.companion_writer import writer_of
from ecpds.master.engine import CatalogueError
from ecpds.master.engines import engine_of
from ecpds.master.movers import Facts
from ecpds.master.reclaim import backlog
from ecpds.master.service import Master
from ecpds.master.source_store import SourceStore
from ecpds.mover.beside import VolumesBeside
from ecpds.mover.checking import Checker
from ecpds.mover.control import LocalControl
from ecpds.mover.doubts import Doubts
from ecpds.mover.scrub import Notes, Scrub
from ecpds.mover.store import LocalStore
from ecpds.mover.sweep import Sweep
from ecpds.node.means import Means
from ecpds.sources.repository import Repository

SWEEP_AGAIN = 30.0
"""Seconds after a sweep that failed."""

Operate = Callable[[str, bytes], Awaitable[tuple[int, bytes]]]
"""What operators ask by way of another node: a path and a body, a status and an answer."""


class Storage:
    """`member` is this node's side of a fleet whose Master is elsewhere; `fleet` is either side, where there is a fleet."""

    log = Logger()

    def __init__(self, means: Means, operate: Operate, prober: IProber) -> None:
        self._means = means
        self.prober = prober
        self._sweeping = False
        self.swept = "waiting"
        self.engine: Any = None
        self.member = self._make_member() if member_of_a_fleet(means.config) else None
        self.master: Any = self.member.master if self.member is not None else self._make_master()
        self.repository = None if self.member is not None else self._make_repository()
        self.store = self._make_store()
        self.control = LocalControl(self.store)
        self.scrub = self._make_scrub()
        self._doubts = Doubts(Sweep(self.store, self.master), means.reactor)
        self.fleet: MasterSide | MemberSide | None = None
        self.stores: Mapping[str, IStore] = {means.config.node.name: self.store}
        self._join_in(operate)

    def _make_member(self) -> MemberSide:
        means = self._means
        join_fleet(means.config)
        return MemberSide(means.config, means.around, means.threads, means.reactor, SystemRandom())

    def _make_master(self) -> Master:
        means, config = self._means, self._means.config
        self.engine = engine_of(config.catalogue.url, config.home, config.mover.sync)
        return Master(
            self.engine,
            writer_of(self.engine, means.reactor, means.metrics.transaction),
            means.catalogue_threads,
            means.login_threads,
            config.limits,
            means.reactor,
            SystemRandom(),
            catalogue_vault(config, SystemRandom()),
        )

    def _make_repository(self) -> Repository:
        """The data sources, which only a Master's node has."""
        means, random = self._means, SystemRandom()
        store = SourceStore(self.master.reader, self.master.writer)
        key = repository_key(means.config, random)
        return Repository(store, means.catalogue_threads, means.reactor, random, key, means.config.limits)

    def _make_store(self) -> LocalStore:
        means, config = self._means, self._means.config
        store = LocalStore(
            config.node.name,
            [config.path(volume) for volume in config.mover.volumes],
            self.master.stored,
            means.threads,
            means.digest_threads,
            means.pool,
            config.limits,
            config.mover.sync,
            means.reactor,
            means.home.absent,
        )
        means.home.remember()
        return store

    def _make_scrub(self) -> Scrub:
        means, config = self._means, self._means.config
        checker = self.control.checker = Checker(self.store, means.scrub_threads)
        notes = Notes(config.path("scrub.json"), means.scrub_threads)
        scrub = Scrub(config.node.name, self.master, checker, notes, config.scrub, means.reactor)
        self.control.scrub_of_node = scrub
        return scrub

    def _join_in(self, operate: Operate) -> None:
        """Give the others what they need of this node, and this node what it needs of them."""
        means, config = self._means, self._means.config
        beside = VolumesBeside([config.path(volume) for volume in config.mover.volumes], means.threads)
        if self.member is not None:
            self.fleet = self.member
            self.member.serve(self.store, self.control, self.prober, beside)
            self.member.master.loans.in_doubt = self._doubts.add
            self.stores = self.control.sources = self.member.streams.stores
            return
        if "mover" in config.node.roles:
            self.master.register_mover(self.control, self._own_facts)
        if config.cluster is not None:
            self.fleet = side = MasterSide(
                config,
                means.around,
                means.threads,
                means.reactor,
                self.store,
                self.master,
                self.master.history,
                lambda control, member: self.master.register_mover(control, lambda: member_facts(side, member)),
                operate,
                beside,
                self.master.loans,
            )
            self.master.resolved.told, self.master.accounts.told = side.board.changed, side.board.people_changed
            self.stores = self.control.sources = side.streams.stores
            self.control.leave = side.end.leave_for(config.node.name).to_copy

    def _own_facts(self) -> Facts:
        reads = self.fleet.streams.server.reads if self.fleet is not None else {}
        mover = self._means.config.mover
        return Facts(mover.group, reads=reads, cluster=mover.cluster, weight=mover.weight)

    # What others ask

    @property
    def asked(self) -> Any:
        """The Master as the portal asks it."""
        return self.fleet.master if self.fleet is not None else self.master

    @property
    def history(self) -> Any:
        """Where records go beside this node's own files."""
        return self.master.history if self.member is None else self.member.sink

    @property
    def controls(self) -> Any:
        """The movers that an operator of a Master's node sees."""
        return self.master.movers.controls

    def uploads(self) -> int:
        return len(self.master.uploads) if self.member is None else self.member.streams.server.writes

    async def backlog(self) -> int:
        """A member has none: its Master does, and without it nobody can be served. Raises `Unavailable`."""
        if self.member is not None:
            self.member.check()
            return 0
        return int(await self.master.reader.ask_on_thread(backlog))

    async def damaged(self) -> Mapping[str, int]:
        """How many copies are known to be damaged, by mover; only a Master knows. Raises `Unavailable`."""
        return await self.master.scrubbing.counts() if self.member is None else {}

    # Its life

    def open(self) -> None:
        """Open the catalogue and the fleet's ports. Raises what keeps the node from starting."""
        if self.engine is not None:
            self.engine.open(making=self._check_nothing_is_stored)
        if self.fleet is not None:
            self.fleet.open(self._means.ports)

    def _check_nothing_is_stored(self) -> None:
        """A new catalogue names nothing, so the sweep would take away all that stands on the volumes."""
        if self._means.home.may_hold_files():
            raise CatalogueError(
                f"{self.engine.name}: there is no catalogue yet, but files are stored on this node's volumes, or one is away "
                "that may hold some, which a new one would not know; allowed: the catalogue that names them ([catalogue] url), "
                "or volumes that are all there, without files"
            )

    async def start(self) -> None:
        if self.member is None:
            await self.master.start()
        if self.repository is not None:
            await self.repository.start()
        if self.fleet is not None:
            await self.fleet.start()
        self._sweeping = True
        if "mover" in self._means.config.node.roles:
            self.scrub.start()

    async def sweep(self) -> None:
        """One round that goes well. A Master that can't be reached now may be later."""
        round_ = Sweep(self.store, self.master)
        while self._sweeping:
            self.swept = "running"
            try:
                await round_.run()
            except Refusal as refusal:
                self.swept = f"failed: {refusal}"
                self.log.error("the sweep failed: {reason}", reason=str(refusal))
                await deferLater(self._means.reactor, SWEEP_AGAIN)
            else:
                self.swept = "done"
                return

    async def drain(self) -> None:
        """Let what other nodes read and write here come to its end."""
        self._sweeping = False
        self._doubts.end()
        if self.fleet is not None:
            await self.fleet.streams.drain()

    def abort(self) -> None:
        if self.fleet is not None:
            self.fleet.streams.abort()

    async def stop(self) -> None:
        """When nobody asks any more: commit what is queued."""
        await self.scrub.stop()
        if self.fleet is not None:
            await self.fleet.stop()
        if self.member is None:
            await self.master.stop()

    def close(self) -> None:
        """The last of all, when no thread works any more."""
        if self.engine is not None:
            self.engine.close()


def member_facts(side: MasterSide, member: Member) -> Facts:
    """A member as the Master's placement sees it."""
    standing = side.end.standing(member.name)
    state = member.state
    return Facts(
        member.group,
        standing is Standing.ALIVE,
        standing.value,
        state.reads,
        state.volumes,
        member.cluster,
        member.weight,
    )
