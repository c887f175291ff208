"""Who is let in: the doors that the roles name, the operators' socket and port, and how they open, empty and close."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from random import SystemRandom
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from ecpds.admin.health import Watch
from ecpds.admin.manhole import Manhole
from ecpds.admission import Admission
from ecpds.config import S3, Https
from ecpds.datasource_interfaces import IRepository
from ecpds.http.client import HttpClient
from ecpds.http.familiar import Familiar
from ecpds.http.message import AtOnce, Handler
from ecpds.http.routing import Routes
from ecpds.http.server import HttpServer
from ecpds.interfaces import IChannel
from ecpds.keys import door_certificate, server_context, ssh_host_key, ssh_host_keys, utc_now
from ecpds.model import Origin
from ecpds.node.means import Means
from ecpds.portal_interfaces import IPortal
from ecpds.protocols.data import DataDoor
from ecpds.protocols.data_headers import STRICT, strict_transport
from ecpds.protocols.data_open import OpenDoor, led_by_host, open_hosts
from ecpds.protocols.data_shares import ShareDoor, share_sessions
from ecpds.protocols.ftp import FtpFactory, ImplicitFactory
from ecpds.protocols.ftp_tls import Credentials
from ecpds.protocols.repository import RepositoryDoor
from ecpds.protocols.repository_fetch import ConfigurationFetcher
from ecpds.protocols.s3 import S3Door
from ecpds.protocols.sessions import UserSessions
from ecpds.protocols.sftp import SftpMeans
from ecpds.protocols.ssh_door import SshDoor
from ecpds.ssh.trust import Trust
from ecpds.threads import LooseThreads
from ecpds.transports.arrivals import NOBODY, Balancers
from ecpds.transports.bulk import BulkPeer
from ecpds.transports.factories import FactoryServer, NamedPeer, PromptPeer, serve_factory
from ecpds.transports.listeners import Listeners, Server, serve, serve_path
from ecpds.transports.outgoing import Outgoing, Reach
from ecpds.transports.sockets import local_ports

LOOPBACK = ("127.0.0.1",)


class Doors:
    """`operator` is the façade of the manhole's users, `console` what they have by name beside its verbs.

    `admin` answers the operators' socket, `watch` its port. `repository` is shown at the HTTPS door, where this node has one.
    """

    def __init__(
        self,
        means: Means,
        portal: IPortal,
        operator: Any,
        admin: Handler,
        watch: Watch,
        console: dict[str, Any],
        repository: IRepository | None,
    ) -> None:
        config = means.config
        self._means = means
        self._portal = portal
        self._node = config.node.name
        self._repository = repository
        self._balancers = Balancers(config.node.balancers)
        self._users = UserSessions(means.reactor.seconds)
        self._http_servers: list[Server] = []
        self._factory_servers: list[FactoryServer] = []
        self._local: Server | None = None
        self._watched: list[Server] = []
        self._data = self._make_data()
        self.web = self._make_http(self._data_routes(), "https", self._data.at_once.answer)
        s3 = S3Door(portal, self._node, config.limits, means.threads, means.reactor.seconds, config.s3.domain)
        self.s3 = self._make_http(s3.handle, "s3", s3.at_once.answer)
        self.admin = self._make_http(admin, "admin")
        self.watch = self._make_http(watch.routes, "watch")
        self.ftp = self._make_ftp()
        self.manhole = self._make_manhole(operator, console) if "manhole" in config.node.roles else None
        self.ssh = self._make_ssh() if "ssh" in config.node.roles else None

    def _admission(self) -> Admission:
        limits = self._means.config.limits
        return Admission(limits.connections, limits.connections_per_address)

    def _make_http(self, handler: Handler, protocol: str, at_once: AtOnce | None = None) -> HttpServer:
        means, limits = self._means, self._means.config.limits
        key, seconds = SystemRandom().randbytes(32), means.reactor.seconds

        def refused(peer: str, message: str) -> None:
            self._portal.refused("", message, Origin(protocol, peer, self._node))

        return HttpServer(
            handler,
            limits,
            means.timeouts,
            seconds,
            on_refused=refused,
            pause=lambda: deferLater(means.reactor, 0),
            at_once=at_once,
            familiar=Familiar(key, limits.kept_fields, limits.credential_life, seconds) if at_once is not None else None,
        )

    def _make_data(self) -> DataDoor:
        means, config = self._means, self._means.config
        ports = means.ports.numbers
        always = (STRICT,) if config.https.certificate else ()
        seconds, random = means.reactor.seconds, SystemRandom()
        limits, threads = config.limits, means.threads
        return DataDoor(
            self._portal, self._node, limits, seconds, threads, random, lambda: ports, always, lambda: self.web.is_alone
        )

    def _data_routes(self) -> Handler:
        config = self._means.config
        routes = Routes()
        means, limits = self._means, config.limits
        seconds, random = means.reactor.seconds, SystemRandom()
        door = self._data
        door.add_to(routes)
        ShareDoor(door, self._portal, share_sessions(random, seconds, limits.session_idle, limits.session_life)).add_to(routes)
        OpenDoor(door, self._portal).add_to(routes)
        if self._repository is not None:
            outgoing: Any = Outgoing(means.around, means.threads, reach=Reach.PUBLIC)
            fetcher = ConfigurationFetcher(HttpClient(outgoing, means.timeouts, limits), limits.source_body)
            RepositoryDoor(self._repository, door.gate, limits, fetcher.fetch).add_to(routes)
        led = led_by_host(routes, open_hosts(config.https.open_hosts)) if config.https.open_hosts else routes
        return strict_transport(led) if config.https.certificate else led

    def _make_ftp(self) -> FtpFactory:
        means, config = self._means, self._means.config
        secured = "ftp" in config.node.roles and config.ftp.tls != "off"
        return FtpFactory(
            self._portal,
            Listeners(means.around, SystemRandom(), self._balancers, local_ports()),
            config.limits,
            config.ftp,
            means.timeouts,
            means.reactor,
            self._admission(),
            self._node,
            means.threads,
            self._users,
            credentials=Credentials(*door_certificate(config, utc_now()), SystemRandom(), config.ftp.client_certificates)
            if secured
            else None,
        )

    def _make_ssh(self) -> SshDoor:
        means, config = self._means, self._means.config
        scatter = means.around.pages.scatter
        ways = SftpMeans(config.limits, SystemRandom(), means.reactor.seconds, scatter, means.pool, means.threads)
        authorities, revoked = (
            config.path(name) if name else None for name in (config.ssh.trusted_user_ca_keys, config.ssh.revoked_keys)
        )
        trust = Trust(authorities, revoked, means.threads, means.reactor.seconds)
        keys = ssh_host_keys(config)
        return SshDoor(
            keys, self._portal, self._node, trust, ways, means.timeouts, means.reactor, self._admission(), self._users
        )

    def _make_manhole(self, operator: Any, console: dict[str, Any]) -> Manhole:
        means, config = self._means, self._means.config
        return Manhole(
            config,
            [ssh_host_key(config)],
            operator,
            console,
            means.threads,
            LooseThreads(means.reactor, "console", config.limits.consoles),
            means.reactor,
            means.timeouts,
            self._admission(),
        )

    # Opening

    def open(self) -> None:
        """Bind what the roles name. Raises `OSError`, `ConfigError`, `Unavailable`."""
        config = self._means.config
        roles = config.node.roles
        if "ftp" in roles:
            self._open_ftp()
        if "https" in roles:
            self._open_http("https", self.web, config.https)
        if "s3" in roles:
            self._open_http("s3", self.s3, config.s3)
        if self.ssh is not None:
            self._bind_factory("ssh", config.ssh.port, self.ssh.server, BulkPeer)
        if self.manhole is not None:
            bind = partial(self._bind_protocols, self.manhole.server, NOBODY, False, BulkPeer)
            self._means.ports.bind("manhole", config.manhole.port, LOOPBACK, bind)
        if config.admin.port is not None:
            self._means.ports.bind("admin", config.admin.port, config.admin.interface, self._bind_watch)
        self._local = serve_path(self._means.around, config.path("admin.sock"), served_by(self.admin))

    def _open_ftp(self) -> None:
        options = self._means.config.ftp
        self._bind_factory("ftp", options.port, self.ftp, PromptPeer)
        if options.tls != "off" and options.implicit_port is not None:
            self._bind_factory("ftps", options.implicit_port, ImplicitFactory(self.ftp), PromptPeer)

    def _open_http(self, door: str, web: HttpServer, options: Https | S3) -> None:
        config = self._means.config
        asks = isinstance(options, Https) and options.client_certificates
        context = server_context(*door_certificate(config, utc_now()), alpn=b"http/1.1", asks=asks)
        for name, port, tls in ((door, options.port, context), (f"{door}_plain", options.plain_port, None)):
            if port is not None:
                bind = partial(self._bind_http, web, tls, self._admission())
                self._means.ports.bind(name, port, config.node.interface, bind)

    def _bind_http(self, web: HttpServer, tls: Any, admission: Admission, address: str, port: int) -> int:
        server = serve(
            self._means.around,
            address,
            port,
            served_by(web),
            context=tls,
            admission=admission,
            ragged_eof_ok=True,
            balancers=self._balancers,
            shared=self._means.config.node.share_ports,
        )
        self._http_servers.append(server)
        return server.port

    def _bind_watch(self, address: str, port: int) -> int:
        server = serve(self._means.around, address, port, served_by(self.watch))
        self._watched.append(server)
        return server.port

    def _bind_factory(self, name: str, port: int, factory: Factory[Any], peer: type[NamedPeer] = NamedPeer) -> None:
        node = self._means.config.node
        bind = partial(self._bind_protocols, factory, self._balancers, node.share_ports, peer)
        self._means.ports.bind(name, port, node.interface, bind)

    def _bind_protocols(
        self, factory: Factory[Any], balancers: Balancers, shared: bool, peer: type[NamedPeer], address: str, port: int
    ) -> int:
        server = serve_factory(self._means.around, address, port, factory, balancers, shared, peer)
        self._factory_servers.append(server)
        return server.port

    def sessions(self) -> dict[str, int]:
        """How many connections each door has; `https` counts those of S3 too."""
        counts = {"ftp": len(self.ftp.sessions), "https": sum(len(server.connections) for server in self._http_servers)}
        if self.ssh is not None:
            counts["ssh"] = len(self.ssh.server.sessions)
        return counts

    # Closing

    def stop_listening(self) -> None:
        """Take nobody new; who is in goes on."""
        for web in (*self._http_servers, *([self._local] if self._local is not None else [])):
            web.stop_listening()
        for server in self._factory_servers:
            server.stop_listening()

    async def drain(self) -> None:
        """Let transfers that run come to their end; returns when everybody has left."""
        shells = [each.server.drain() for each in (self.manhole, self.ssh) if each is not None]
        await every(*shells, self.ftp.drain(), self.web.drain(), self.s3.drain(), self.admin.drain())

    def abort(self) -> None:
        """Close every connection now."""
        for each in (self.manhole, self.ssh):
            if each is not None:
                each.server.abort()
        for door in (self.ftp, self.web, self.s3, self.admin):
            door.abort()

    def close(self) -> None:
        """The last to go: who watches the node sees it until then."""
        for server in self._watched:
            server.stop_listening()
        self.watch.abort()
        self._means.config.path("admin.sock").unlink(missing_ok=True)


def served_by(server: HttpServer) -> Callable[[IChannel], None]:
    """What a listener calls with each channel."""

    def serve_channel(channel: IChannel) -> None:
        server.serve(channel)

    return serve_channel


async def every(*those: Awaitable[None]) -> None:
    """Wait for all of them, whatever becomes of one."""
    await DeferredList([Deferred.fromCoroutine(_done(each)) for each in those], consumeErrors=False)


async def _done(one: Awaitable[None]) -> None:
    await one
