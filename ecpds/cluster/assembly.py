"""A node's part in a fleet, assembled for the composition root: the Master's side, and a member's."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Any

from attrs import evolve
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from ecpds.admission import Admission
from ecpds.cluster.authority import (
    RENEWED,
    Credentials,
    connected_peer,
    fleet_context,
    fleet_secret,
    master_credentials,
    open_authority,
    store_credentials,
    stored_credentials,
)
from ecpds.cluster.board import MARKS, Beside, Board, BoardCalls, BoardDesk
from ecpds.cluster.calls import Asker, Handler, Remote, call, handlers
from ecpds.cluster.codec import VERSION
from ecpds.cluster.dial import Dialer
from ecpds.cluster.fleet import Address, Member, MoverCalls, NodeState, ProberCalls, RemoteMoverControl
from ecpds.cluster.joining import ONCE, WAITS, Gatekeeper, join_any
from ecpds.cluster.loans import LoanCalls, LoanDesk
from ecpds.cluster.master_end import MasterEnd
from ecpds.cluster.node_end import EventForwarder, NodeEnd
from ecpds.cluster.post import Hello
from ecpds.cluster.remembering import RememberingMaster
from ecpds.cluster.small_reads import LinkedStore, LookCalls, Looking, SmallCalls, SmallDesk
from ecpds.cluster.stores import Stores, peer_name
from ecpds.cluster.stream_client import Connections, RemoteStore
from ecpds.cluster.stream_server import StreamServer
from ecpds.cluster.tickets import TicketCheck, TicketOffice, ticket_key
from ecpds.config import Cluster, Config, ConfigError
from ecpds.datasource_interfaces import IProber
from ecpds.errors import InvalidRequest, Refusal, Unavailable
from ecpds.interfaces import IChannel, IEventSink, IMoverControl, IStore, IThreads
from ecpds.keys import HOST_KEY_FILES, keys_folder, ssh_host_keys, utc_now, write_secret
from ecpds.limits import Limits
from ecpds.loans import IOffice
from ecpds.master_interfaces import IMaster
from ecpds.ports import Ports
from ecpds.transports.channel import Surroundings
from ecpds.transports.listeners import Server, serve

IDENTITY = ("door.crt", "door.key", *HOST_KEY_FILES)
"""The files in `HOME/keys` that make a fleet look like one host to its clients."""

PATIENCE = 15.0
"""Seconds by which a mover waits longer for bytes than a door: what a client is told should come from the door."""

FIRST_MEETING = 10.0
"""Seconds that a node waits for its Master before it opens without."""


def member_of_a_fleet(config: Config) -> bool:
    """Whether this node has its Master elsewhere."""
    return config.cluster is not None and bool(config.cluster.masters)


def master_addresses(cluster: Cluster) -> tuple[Address, ...]:
    """The Masters of `tls:HOST:PORT`. Raises `ConfigError`."""
    found = []
    for text in cluster.masters:
        kind, _, rest = text.partition(":")
        host, _, port = rest.rpartition(":")
        if kind != "tls" or not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ConfigError(f'[cluster] masters: {text!r} is not allowed; allowed: "tls:HOST:PORT"')
        found.append((host.strip("[]"), int(port)))
    return tuple(found)


def join_fleet(config: Config, sleep: Callable[[float], None] = time.sleep) -> None:
    """See that a member has credentials, joining with the fleet's secret when it has none. Blocks; before the reactor runs.

    Where they end soon it joins again, unless the Master can't be asked just now.
    Raises `ConfigError` without the secret, and when the fleet does not take this node.
    """
    assert config.cluster is not None
    secret = fleet_secret(config, make=False)
    now = utc_now()
    found = stored_credentials(config, now)
    if found is not None and found.ends - now >= RENEWED:
        return
    waits = WAITS if found is None else ONCE
    try:
        credentials, identity = join_any(master_addresses(config.cluster), secret, config.node.name, sleep, waits)
    except Refusal as refusal:
        if found is not None:
            text = "this node's certificate ends on {day:%d %B %Y}, and could not be renewed: {reason}"
            Logger().warn(text, day=found.ends, reason=refusal.detail or refusal.sentence)
            return
        raise ConfigError(f"[cluster] this node can't join: {refusal.detail or refusal.sentence}") from refusal
    for name in IDENTITY:
        if name in identity:
            write_secret(keys_folder(config) / name, identity[name])
    store_credentials(config, credentials)


def fleet_identity(config: Config) -> dict[str, bytes]:
    """What a joining node is given. An operator's own certificate is each node's own to be given."""
    folder = keys_folder(config)
    return {name: (folder / name).read_bytes() for name in IDENTITY if (folder / name).exists()}


def certified_name(connection: SSL.Connection) -> str | None:
    peer = connected_peer(connection)
    return None if peer is None else peer.name


def strangers_at(limits: Limits) -> Admission:
    """How many may be at a port that have not shown a certificate of the fleet: as many as at any door."""
    return Admission(limits.connections, limits.connections_per_address)


class Streams:
    """Bytes to and from other movers: this node's own store for them, and theirs for it. `link` is what asks a mover."""

    def __init__(
        self,
        config: Config,
        around: Surroundings,
        threads: IThreads,
        credentials: Credentials,
        store: IStore,
        master: IMaster,
        beside: Beside,
        link: Callable[[str], Asker | None] = lambda mover: None,
    ) -> None:
        assert config.cluster is not None
        self._cluster = config.cluster
        self._around = evolve(around, limits=evolve(around.limits, stall=around.limits.stall + PATIENCE))
        self._context = None if config.cluster.plain_stream else fleet_context(credentials)
        self.check: TicketCheck | None = None
        name_of = peer_name(certified_name)
        clock = around.reactor
        self.server = StreamServer(store, lambda: self.check, name_of, clock, master, around.limits.idle)
        self.connections = Connections(Dialer(self._around, threads, self._context).connect, name_of, clock)

        def store_of(mover: str) -> IStore:
            remote = RemoteStore(mover, self.connections, around.pool, around.limits)
            return LinkedStore(remote, lambda: link(mover), beside.read_now)

        self.stores = Stores({config.node.name: store}, store_of)
        self._listening: Server | None = None

    def open(self, ports: Ports) -> None:
        """Raises `OSError`."""
        ports.bind("stream", self._cluster.stream, (self._cluster.interface,), self._bind)

    def stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.stop_listening()

    async def drain(self) -> None:
        """Begin nothing more for others; returns when what they do here has ended."""
        await self.server.drain()

    def abort(self) -> None:
        """Cut every stream."""
        self.connections.close()
        self.server.abort()

    def _bind(self, address: str, port: int) -> int:
        def serve_channel(channel: IChannel) -> None:
            self.server.serve(channel)

        strangers = strangers_at(self._around.limits)
        self._listening = serve(self._around, address, port, serve_channel, context=self._context, strangers=strangers)
        return self._listening.port


class AdminCalls(Remote):
    """What operators ask of a node that is no Master: it passes it on, as the bytes of the request."""

    prefix = "admin."

    @call
    async def operate(self, path: str, body: bytes) -> tuple[int, bytes]:  # type: ignore[empty-body]
        """The status and the bytes of the answer."""


class MasterSide:
    """A Master with a fleet. `operate` answers what operators ask at other nodes; `register` takes each new mover."""

    log = Logger()

    def __init__(
        self,
        config: Config,
        around: Surroundings,
        threads: IThreads,
        reactor: Any,
        store: IStore,
        master: IMaster,
        history: IEventSink,
        register: Callable[[RemoteMoverControl, Member], None],
        operate: Callable[[str, bytes], Awaitable[tuple[int, bytes]]],
        beside: Beside,
        loans: IOffice,
    ) -> None:
        assert config.cluster is not None
        self._config = config
        self._cluster = config.cluster
        self._reactor = reactor
        self._authority = open_authority(config, utc_now())
        self._credentials = master_credentials(config, self._authority, utc_now())
        self._secret = fleet_secret(config, make=True)
        ssh_host_keys(config)  # Made here, where they are missing, for all nodes to have the same.

        def link(mover: str) -> Asker | None:
            end: MasterEnd = self.end
            return end.link_of(mover)

        self.streams = Streams(config, around, threads, self._credentials, store, master, beside, link)
        office = TicketOffice(ticket_key(config), reactor.seconds, config.limits.ticket_life)
        self.streams.check = TicketCheck(office.public_key, config.node.name, reactor.seconds)
        name = config.node.name
        self.end = MasterEnd(name, secrets.token_hex(8), master, history, office, ("", 0), reactor, register)

        def more(member: Member) -> Mapping[str, Handler]:
            looking = Looking(master, store, member.name, self.end.leave_for(member.name))
            desk = BoardDesk(self.board, member.name, name, beside)
            found = handlers(AdminCalls, Operating(operate)) | handlers(LookCalls, looking) | handlers(BoardCalls, desk)
            return found | handlers(LoanCalls, LoanDesk(loans, member.name))

        self.end.more = more
        self.board = Board(time.monotonic)
        self._marking = LoopingCall(self.board.mark)
        self._marking.clock = reactor
        self.master: Any = self.end.master_for(name)
        self._listening: Any = None

    def open(self, ports: Ports) -> None:
        """Raises `OSError`."""
        self.streams.open(ports)
        self.end.own_address = (advertised(self._cluster), ports.numbers["stream"])
        ports.bind("cluster", self._cluster.listen, (self._cluster.interface,), self._bind)

    async def start(self) -> None:
        """The Master has started: let the nodes in."""
        self._marking.start(MARKS)
        self.end.start()
        self._listening.startReading()

    async def stop(self) -> None:
        """When no door is open any more."""
        self.streams.stop_listening()
        self.streams.abort()
        self.end.stop()
        if self._marking.running:
            self._marking.stop()
        self.board.close()
        stopped = self._listening.stopListening()
        if stopped is not None:
            await stopped

    def _bind(self, address: str, port: int) -> int:
        gatekeeper = Gatekeeper(self._secret, self._authority, fleet_identity(self._config), utc_now, self.end.may_join)
        factory = self.end.factory(self._credentials, gatekeeper, strangers_at(self._config.limits))
        try:
            self._listening = self._reactor.listenTCP(port, factory, interface=address)
        except CannotListenError as error:
            raise error.socketError from error
        self._listening.stopReading()
        return int(self._listening.getHost().port)


class Operating:
    """Answers the `AdminCalls`."""

    def __init__(self, operate: Callable[[str, bytes], Awaitable[tuple[int, bytes]]]) -> None:
        self.operate = operate


class MemberSide:
    """A node that has its Master elsewhere. `join_fleet` was called before. `serve` says whose bytes it holds."""

    log = Logger()

    def __init__(self, config: Config, around: Surroundings, threads: IThreads, reactor: Any, random: Random) -> None:
        assert config.cluster is not None
        credentials = stored_credentials(config, utc_now())
        if credentials is None:
            raise ConfigError("[cluster] this node has not joined a fleet")
        self._config, self._cluster = config, config.cluster
        self._around, self._threads, self._reactor, self._random = around, threads, reactor, random
        self._credentials = credentials
        self._link = LateLink()
        self.master = RememberingMaster(self._link, reactor.seconds, config.limits.signature_life)
        self.admin = AdminCalls(self._link)
        self.sink = EventForwarder(self._tell, reactor)
        self.end: NodeEnd | None = None

    def serve(self, store: IStore, control: IMoverControl, prober: IProber, beside: Beside) -> None:
        """Give others this node's store, and the Master its control, and what measures here."""
        self.streams = Streams(self._config, self._around, self._threads, self._credentials, store, self.master, beside)
        self.master.beside = beside
        self._store, self._control = store, control
        self._prober = prober

    def open(self, ports: Ports) -> None:
        """Raises `OSError`."""
        self.streams.open(ports)
        cluster, node = self._cluster, self._config.node
        address = (advertised(cluster), ports.numbers["stream"])
        mover = self._config.mover
        place = (mover.group, *address, mover.cluster, mover.weight)
        hello = Hello(VERSION, node.name, secrets.token_hex(8), list(node.roles), *place)
        table = {**handlers(MoverCalls, self._control), **handlers(ProberCalls, self._prober)}
        table |= handlers(SmallCalls, SmallDesk(node.name, self._store))
        masters, patience = master_addresses(cluster), self._config.limits.master_wait
        self.end = end = NodeEnd(masters, hello, table, self._state, self._reactor, self._random, patience)
        self.end.welcomed = self._welcomed
        self.master.linked = self.master.loans.linked = lambda: end.connected
        self._link.end = self.end

    async def start(self) -> None:
        """Connect for ever; returns when the Master was met, or did not answer for a while."""
        assert self.end is not None
        self.end.start(self._credentials)
        waiting: Deferred[None] = deferLater(self._reactor, FIRST_MEETING)
        met: Deferred[None] = Deferred()
        for each in (waiting, self.end.met):
            each.addCallback(lambda _: None if met.called else met.callback(None))
        await met
        if not waiting.called:
            waiting.addErrback(lambda failure: None)
            waiting.cancel()
        if not self.end.connected:
            self.log.warn("no Master answers; this node serves nobody until one does")

    async def stop(self) -> None:
        """When no door is open any more."""
        self.streams.stop_listening()
        self.streams.abort()
        if self.end is not None:
            self.end.stop()

    def check(self) -> None:
        """Raises `Unavailable` while no Master is linked."""
        if self.end is None or not self.end.connected:
            raise Unavailable("the Master can't be reached")

    def _welcomed(self, key: bytes) -> None:
        self.streams.check = TicketCheck(key, self._config.node.name, self._reactor.seconds)
        self.master.welcomed(time.monotonic)

    async def _state(self) -> NodeState:
        reads = {volume: count for volume, count in self.streams.server.reads.items() if count}
        return NodeState(tuple(await self._control.volumes()), reads, self.streams.server.writes)

    async def _tell(self, events: Sequence[Any]) -> None:
        assert self.end is not None
        await self.end.tell(list(events))


class LateLink:
    """A link that is made when the ports are known."""

    def __init__(self) -> None:
        self.end: NodeEnd | None = None

    async def ask(self, call: str, arguments: bytes, repeatable: bool) -> Any:
        if self.end is None:
            raise InvalidRequest("asked before the node was opened")
        return await self.end.ask(call, arguments, repeatable)


def advertised(cluster: Cluster) -> str:
    """What others reach this node by."""
    return cluster.advertise or cluster.interface
