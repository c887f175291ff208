"""`twistd ecpds`: its options, and the composition root that builds a node from its configuration.

This is the only file that sees every room. `Node` is built top to bottom, each part handed what it needs; it starts in
that order (catalogue, mover, records, doors) and stops in the reverse one.
"""

from __future__ import annotations

import os
import resource
import secrets
import signal
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from random import SystemRandom
from typing import Any, NoReturn

import txaio
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, DeferredList, ensureDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python import usage

from ecpds.admin.api import Api
from ecpds.admin.demo import demo_text
from ecpds.admin.forward import answered, passing_on
from ecpds.admin.health import Questions, Watch
from ecpds.admin.manhole import Manhole
from ecpds.admin.metrics import CountedPortal, Lag, Metrics
from ecpds.admission import Admission
from ecpds.cluster.assembly import MasterSide, MemberSide, join_fleet, master_addresses, member_of_a_fleet
from ecpds.cluster.fleet import Member
from ecpds.cluster.membership import Standing
from ecpds.config import S3, Config, ConfigError, Https, load
from ecpds.errors import Refusal
from ecpds.events import timestamp
from ecpds.folders import make_folder
from ecpds.http.routing import Routes
from ecpds.http.server import HttpServer
from ecpds.interfaces import IChannel, IStore
from ecpds.keys import catalogue_vault, door_certificate, server_context, ssh_host_key, utc_now
from ecpds.master.engine import CatalogueError
from ecpds.master.engines import engine_of
from ecpds.master.movers import Facts
from ecpds.master.operations import Operations
from ecpds.master.reclaim import backlog
from ecpds.master.service import Master
from ecpds.master.writer import ThreadWriter
from ecpds.model import Destination, NewUser, Origin
from ecpds.mover.control import LocalControl
from ecpds.mover.digests import follower
from ecpds.mover.store import LocalStore
from ecpds.mover.sweep import Sweep
from ecpds.portal.digesting import Digesting
from ecpds.portal.filesystem import Backing
from ecpds.portal.operator import Operator
from ecpds.portal.portal import Portal
from ecpds.portal.records import Tee
from ecpds.portal.sinks import NodeRecords
from ecpds.ports import Ports
from ecpds.protocols.data import DataDoor
from ecpds.protocols.data_headers import strict_transport
from ecpds.protocols.ftp import FtpFactory, ImplicitFactory
from ecpds.protocols.ftp_tls import Credentials
from ecpds.protocols.s3 import S3Door
from ecpds.protocols.sftp import SftpMeans
from ecpds.protocols.ssh_door import SshDoor
from ecpds.threads import LooseThreads, PoolThreads
from ecpds.timeouts import Timeouts
from ecpds.transports.buffers import BufferPool, make_buffer
from ecpds.transports.channel import Surroundings
from ecpds.transports.listeners import Listeners, Server, serve, serve_path
from ecpds.transports.pages import Pages

LANDED = ("master", "mover", "ftp", "ssh", "https", "s3", "manhole")
"""The roles that are built; the others are accepted and warned of."""

SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread must let another have the interpreter: a busy reactor starves the catalogue's writer else."""


SWEEP_AGAIN = 30.0
"""Seconds after a sweep that failed."""


class Options(usage.Options):
    """The command line of `twistd ecpds`."""

    synopsis = "[options]"
    longdesc = "Runs one node of an ecpds data portal. conf/ecpds.toml shows every setting."
    optParameters = [["config", "c", None, "The configuration file."]]  # noqa: RUF012
    optFlags = [["demo", None, "On the first start make a user and a destination `demo`, and print how to use them."]]  # noqa: RUF012

    def postOptions(self) -> None:
        if self["config"] is None:
            raise usage.UsageError("--config FILE says which node this is")


def makeService(options: Options) -> IService:
    """A node by its configuration. A configuration that can't be used ends the program with one line that says why."""
    try:
        config = checked(load(Path(options["config"])))
    except ConfigError as error:
        sys.exit(f"ecpds: {error}")
    service: IService = NodeService(config, bool(options["demo"]))
    return service


def checked(config: Config) -> Config:
    """The configuration, if this release can do what it asks for. Raises `ConfigError`."""
    if config.cluster is not None:
        master_addresses(config.cluster)
    if not member_of_a_fleet(config) and "master" not in config.node.roles:
        raise ConfigError('[node] roles: without "master" a node needs a Master elsewhere: [cluster] masters')
    if config.cluster is None and "mover" not in config.node.roles:
        raise ConfigError('[node] roles: without "mover" a node needs movers elsewhere: a [cluster]')
    return config


class NodeService(Service):
    """Starts and stops a node. What keeps it from starting ends the program with one line, before the reactor runs."""

    log = Logger()

    def __init__(self, config: Config, demo: bool) -> None:
        self._config = config
        self._demo = demo
        self._node: Node | None = None

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        from twisted.internet import reactor

        try:
            self._node = Node(self._config, reactor)
            self._node.open()
        except (ConfigError, CatalogueError, Refusal) as error:
            give_up(str(error))
        except OSError as error:
            give_up(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        reactor.callWhenRunning(self._running, reactor)

    def _running(self, reactor: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: reactor.callFromThread(self._told_to_stop, reactor))
        assert self._node is not None
        ensureDeferred(self._node.start(self._demo)).addErrback(self._failed, reactor)

    def _told_to_stop(self, reactor: Any) -> None:
        """The first signal lets transfers end (and the exit status be 0), the second doesn't."""
        if self.running:
            reactor.stop()
        elif self._node is not None:
            self._node.abort()

    def _failed(self, failure: Any, reactor: Any) -> None:
        self.log.failure("the node could not start", failure)
        # twistd would end with 0, whatever happened.
        reactor.addSystemEventTrigger("after", "shutdown", os._exit, 1)
        reactor.stop()

    def stopService(self) -> Deferred[None] | None:
        super().stopService()  # type: ignore[no-untyped-call]
        return ensureDeferred(self._node.stop()) if self._node is not None else None


class Node:
    """One daemon: every part, built and connected. `open` binds the doors, `start` begins the work, `stop` ends it."""

    log = Logger()

    def __init__(self, config: Config, reactor: Any) -> None:
        self.config, self.reactor = config, reactor
        limits = config.limits
        sys.setswitchinterval(SWITCH_INTERVAL)
        raise_descriptor_limit()
        make_folder(config.home, 0o750)
        self.ports = Ports(config.path("ports.json"))
        self.threads = PoolThreads(reactor, "disk", limits.disk_threads)
        self.digest_threads = PoolThreads(reactor, "digest", limits.digest_threads)
        self.catalogue_threads = PoolThreads(reactor, "catalogue", limits.catalogue_threads)
        self.login_threads = PoolThreads(reactor, "login", limits.login_threads, limits.login_queue)
        self.timeouts = Timeouts(reactor, batched_timer(reactor))
        self.pool = BufferPool(limits.buffers)
        self.around = Surroundings(reactor, self.timeouts, limits, self.pool, Pages(self.threads))
        self.metrics = Metrics(time.perf_counter)
        self.lag = Lag(reactor, self.metrics.late)
        self.serving = False
        self.engine: Any = None
        self._build_storage()
        self._build_portal()
        self._build_doors()

    def _make_master(self) -> Master:
        config = self.config
        self.engine = engine_of(config.catalogue.url, config.home, config.mover.sync)
        return Master(
            self.engine,
            ThreadWriter(self.engine, self.reactor, watched=self.metrics.transaction),
            self.catalogue_threads,
            self.login_threads,
            config.limits,
            self.reactor,
            SystemRandom(),
            catalogue_vault(config, SystemRandom()),
        )

    def _make_member(self) -> MemberSide:
        join_fleet(self.config)
        return MemberSide(self.config, self.around, self.threads, self.reactor, SystemRandom())

    def _join_in(self) -> None:
        """Give the others what they need of this node, and this node what it needs of them."""
        config = self.config
        self.stores: Mapping[str, IStore] = {config.node.name: self.store}
        self.fleet: MasterSide | MemberSide | None = self.member
        if self.member is not None:
            self.member.serve(self.store, self.control)
            self.stores = self.member.streams.stores
            return
        if "mover" in config.node.roles:
            self.master.register_mover(self.control, self._own_facts)
        if config.cluster is not None:
            self.fleet = side = MasterSide(
                config,
                self.around,
                self.threads,
                self.reactor,
                self.store,
                self.master,
                self.master.history,
                lambda control, member: self.master.register_mover(control, lambda: member_facts(side, member)),
                self._operate,
            )
            self.stores = side.streams.stores

    def _own_facts(self) -> Facts:
        reads = self.fleet.streams.server.reads if self.fleet is not None else {}
        return Facts(self.config.mover.group, reads=reads)

    async def _operate(self, path: str, body: bytes) -> tuple[int, bytes]:
        """What operators ask by way of another node."""
        return await answered(Api(self.operator).handle, path, body)

    def _build_storage(self) -> None:
        config, limits = self.config, self.config.limits
        self.member = self._make_member() if member_of_a_fleet(config) else None
        self.master: Any = self.member.master if self.member is not None else self._make_master()
        volumes = [config.path(volume) for volume in config.mover.volumes]
        self.store = LocalStore(
            config.node.name,
            volumes,
            self.master.stored,
            self.threads,
            self.digest_threads,
            self.pool,
            limits,
            config.mover.sync,
            self.reactor,
        )
        self.control = LocalControl(self.store)
        self._join_in()
        self.sweep = Sweep(self.store, self.master)
        self.sweeping = "waiting"

    def _build_portal(self) -> None:
        config = self.config
        self.journal = NodeRecords(config, self.threads, self.reactor)
        sink = Tee([self.journal, self.member.sink if self.member is not None else self.master.history, self.metrics])
        backing = Backing(
            self.fleet.master if self.fleet is not None else self.master,
            self.stores,
            sink,
            self.reactor.seconds,
            config.limits,
            Digesting(self.digest_threads, follower),
        )
        self.portal = CountedPortal(Portal(backing), self.metrics.logged_in)
        movers = self.master.movers.controls if self.member is None else {config.node.name: self.control}
        self.operator = Operator(Operations(self.master), self.master, movers, self.reactor, self._facts)

    def _build_doors(self) -> None:
        config, limits = self.config, self.config.limits
        data = DataDoor(self.portal, config.node.name, limits, self.reactor.seconds)
        routes = Routes()
        data.add_to(routes)
        self.web = self._http_server(strict_transport(routes) if config.https.certificate else routes, "https")
        s3 = S3Door(self.portal, config.node.name, limits, self.threads, self.reactor.seconds)
        self.s3 = self._http_server(s3.handle, "s3")
        admin = Api(self.operator).handle if self.member is None else passing_on(self.member.admin.operate)
        self.admin = self._http_server(admin, "admin")
        self.watch = self._http_server(Watch(self.metrics, self._questions()).routes, "watch")
        self._watch_server: Server | None = None
        listeners = Listeners(self.around, SystemRandom())
        admission = Admission(limits.connections, limits.connections_per_address)
        self.ftp = FtpFactory(
            self.portal,
            listeners,
            limits,
            config.ftp,
            self.timeouts,
            self.reactor,
            admission,
            config.node.name,
            credentials=self._ftp_credentials(),
        )
        self.manhole = self._make_manhole() if "manhole" in config.node.roles else None
        self.ssh = self._make_ssh() if "ssh" in config.node.roles else None
        self._servers: list[Server] = []
        self._ftp_ports: list[Any] = []

    def _make_ssh(self) -> SshDoor:
        config, limits = self.config, self.config.limits
        means = SftpMeans(limits, SystemRandom(), self.reactor.seconds, self.around.pages.read, make_buffer)
        admission = Admission(limits.connections, limits.connections_per_address)
        return SshDoor(ssh_host_key(config), self.portal, config.node.name, means, self.timeouts, self.reactor, admission)

    def _make_manhole(self) -> Manhole:
        config, limits = self.config, self.config.limits
        return Manhole(
            config,
            ssh_host_key(config),
            self.operator,
            {"node": self},
            self.threads,
            LooseThreads(self.reactor, "console", limits.consoles),
            self.reactor,
            self.timeouts,
            Admission(limits.connections, limits.connections_per_address),
        )

    def _questions(self) -> Questions:
        return Questions(
            serving=lambda: self.serving,
            sessions=lambda: self._facts()["sessions"],
            buffers=lambda: self.pool.lent,
            uploads=lambda: len(self.master.uploads) if self.member is None else self.member.streams.server.writes,
            backlog=self._backlog,
            volumes=self.control.volumes,
            dropped=lambda: {"journal": self.journal.dropped, "history": self._history.dropped},
        )

    async def _backlog(self) -> int:
        """A member has none: its Master does, and without it nobody can be served. Raises `Unavailable`."""
        if self.member is not None:
            self.member.check()
            return 0
        return int(await self.master.reader.ask_on_thread(backlog))

    @property
    def _history(self) -> Any:
        return self.master.history if self.member is None else self.member.sink

    def _http_server(self, handler: Any, protocol: str) -> HttpServer:
        def refused(peer: str, message: str) -> None:
            self.portal.refused("", message, Origin(protocol, peer, self.config.node.name))

        return HttpServer(
            handler,
            self.config.limits,
            self.timeouts,
            self.reactor.seconds,
            on_refused=refused,
            pause=lambda: deferLater(self.reactor, 0),
        )

    # Starting

    def open(self) -> None:
        """Open the catalogue and bind the doors. Raises what keeps the node from starting."""
        self.ports.remove()
        if self.engine is not None:
            self.engine.open()
        if self.fleet is not None:
            self.fleet.open(self.ports)
        roles = self.config.node.roles
        if "ftp" in roles:
            self._open_ftp()
        if "https" in roles:
            self._open_http("https", self.web, self.config.https)
        if "s3" in roles:
            self._open_http("s3", self.s3, self.config.s3)
        self._open_ssh()
        if self.config.admin.port is not None:
            self.ports.bind("admin", self.config.admin.port, ("127.0.0.1",), self._bind_watch)
        self._admin_server = serve_path(self.around, self.config.path("admin.sock"), served_by(self.admin))
        for role in roles:
            if role not in LANDED:
                self.log.warn("[node] roles: {role} is not in this release; that door stays closed", role=role)

    def _open_http(self, door: str, web: HttpServer, options: Https | S3) -> None:
        limits = self.config.limits
        context = server_context(*door_certificate(self.config, utc_now()), alpn=b"http/1.1")
        for name, port, tls in ((door, options.port, context), (f"{door}_plain", options.plain_port, None)):
            if port is None:
                continue
            admission = Admission(limits.connections, limits.connections_per_address)

            def bind(address: str, number: int, tls: Any = tls, admission: Admission = admission) -> int:
                server = serve(
                    self.around, address, number, served_by(web), context=tls, admission=admission, ragged_eof_ok=True
                )
                self._servers.append(server)
                return server.port

            self.ports.bind(name, port, self.config.node.interface, bind)

    def _ftp_credentials(self) -> Credentials | None:
        if "ftp" not in self.config.node.roles or self.config.ftp.tls == "off":
            return None
        return Credentials(*door_certificate(self.config, utc_now()), SystemRandom())

    def _open_ftp(self) -> None:
        options = self.config.ftp
        implicit = None if options.tls == "off" else options.implicit_port
        for name, number, factory in (("ftp", options.port, self.ftp), ("ftps", implicit, ImplicitFactory(self.ftp))):
            if number is not None:
                self.ports.bind(name, number, self.config.node.interface, partial(self._bind_tcp, factory))

    def _open_ssh(self) -> None:
        """The door, and the manhole, which is on loopback whatever the doors are."""
        if self.ssh is not None:
            self.ports.bind("ssh", self.config.ssh.port, self.config.node.interface, partial(self._bind_tcp, self.ssh.server))
        if self.manhole is not None:
            self.ports.bind("manhole", self.config.manhole.port, ("127.0.0.1",), partial(self._bind_tcp, self.manhole.server))

    def _bind_tcp(self, factory: Factory[Any], address: str, number: int) -> int:
        try:
            port = self.reactor.listenTCP(number, factory, backlog=1024, interface=address)
        except CannotListenError as error:
            raise error.socketError from error
        self._ftp_ports.append(port)
        return int(port.getHost().port)

    def _bind_watch(self, address: str, number: int) -> int:
        self._watch_server = serve(self.around, address, number, served_by(self.watch))
        return self._watch_server.port

    async def start(self, demo: bool) -> None:
        """Begin to serve; `ports.json` says when that is."""
        for pool in (self.threads, self.digest_threads, self.catalogue_threads, self.login_threads):
            pool.start()
        if self.member is None:
            await self.master.start()
        if self.fleet is not None:
            await self.fleet.start()
        if demo and self.member is None:
            await self._make_demo()
        self.serving = True
        self.lag.start()
        self.ports.write()
        self.log.info("ready: {ports}", ports=self.ports.numbers)
        ensureDeferred(self._sweep()).addErrback(lambda failure: self.log.failure("the sweep failed", failure))

    async def _sweep(self) -> None:
        """One round that goes well. A Master that can't be reached now may be later."""
        while self.serving:
            self.sweeping = "running"
            try:
                await self.sweep.run()
            except Refusal as refusal:
                self.sweeping = f"failed: {refusal}"
                self.log.error("the sweep failed: {reason}", reason=str(refusal))
                await deferLater(self.reactor, SWEEP_AGAIN)
            else:
                self.sweeping = "done"
                return

    def _facts(self) -> dict[str, Any]:
        return {
            "node": self.config.node.name,
            "roles": list(self.config.node.roles),
            "time": timestamp(time.time()),
            "ports": self.ports.numbers,
            "sweep": self.sweeping,
            "sessions": {"ftp": len(self.ftp.sessions), "https": sum(len(server.connections) for server in self._servers)},
        }

    async def _make_demo(self) -> None:
        operations = Operations(self.master)
        if await operations.users() or await operations.destinations():
            return
        password = secrets.token_urlsafe(12)
        await operations.add_destination(Destination(0, "demo"))
        await operations.add_user(NewUser("demo", password, destinations=("demo",)))
        # twistd sends sys.stdout to the log, where a password has no business.
        terminal = sys.__stdout__ or sys.stdout
        terminal.write(demo_text(password, self.ports.numbers, self.config.node.interface[0]))
        terminal.flush()

    # Stopping

    async def stop(self) -> None:
        """Let running transfers end, `limits.shutdown` seconds at most; then commit, write and close everything."""
        self.serving = False
        self.lag.stop()
        for server in (*self._servers, self._admin_server):
            server.stop_listening()
        await DeferredList([Deferred.fromCoroutine(_stopped(port)) for port in self._ftp_ports])
        late = self.reactor.callLater(self.config.limits.shutdown, self.abort)
        consoles = [each.server.drain() for each in (self.manhole, self.ssh) if each is not None]
        doors = [*consoles, self.ftp.drain(), self.web.drain(), self.s3.drain(), self.admin.drain()]
        if self.fleet is not None:
            doors.append(self.fleet.streams.drain())
        await DeferredList([Deferred.fromCoroutine(door) for door in doors])
        if late.active():
            late.cancel()
        if self._watch_server is not None:
            self._watch_server.stop_listening()
        self.watch.abort()
        if self.fleet is not None:
            await self.fleet.stop()
        if self.member is None:
            await self.master.stop()
        await self.journal.stop()
        for pool in (self.threads, self.digest_threads, self.catalogue_threads, self.login_threads):
            pool.stop()
        if self.engine is not None:
            self.engine.close()
        self.config.path("admin.sock").unlink(missing_ok=True)
        self.ports.remove_own()

    def abort(self) -> None:
        """Close every connection now. What was not acknowledged is given up; nothing that was is lost."""
        for each in (self.manhole, self.ssh):
            if each is not None:
                each.server.abort()
        if self.fleet is not None:
            self.fleet.streams.abort()
        self.ftp.abort()
        self.web.abort()
        self.s3.abort()
        self.admin.abort()


def served_by(server: HttpServer) -> Callable[[IChannel], None]:
    """What a listener calls with each channel."""

    def serve_channel(channel: IChannel) -> None:
        server.serve(channel)

    return serve_channel


def member_facts(side: MasterSide, member: Member) -> Facts:
    """A member as the Master's placement sees it."""
    standing = side.end.standing(member.name)
    state = member.state
    heard = side.end.membership.heard_at(member.name)
    return Facts(member.group, standing is Standing.ALIVE, standing.value, state.reads, state.volumes, heard)


async def _stopped(port: Any) -> None:
    stopped = port.stopListening()
    if stopped is not None:
        await stopped


def give_up(reason: str) -> NoReturn:
    """End the program with one line. twistd sends sys.stderr to the log by now; the line is for who started us."""
    terminal = sys.__stderr__ or sys.stderr
    terminal.write(f"ecpds: {reason}\n")
    raise SystemExit(1)


def batched_timer(reactor: Any) -> Any:
    """txaio's timer, which calls the reactor once for all that fall due in one second."""
    api: Any = txaio
    api.use_twisted()
    api.config.loop = reactor
    return api.make_batched_timer(1.0)


def raise_descriptor_limit() -> None:
    """As many open files as the system lets us have: each connection and each running transfer is one or two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
