"""The Master's end of every control link: who is let in, who is there, and what each may ask.

A node connects and shows its certificate; says `Hello`; is welcomed, or refused by a name that is wrong or taken. Its
session is its `incarnation`'s: over a new connection the conversation goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from ecpds.admission import Admission
from ecpds.cluster.authority import MEMBER, Credentials, Peer, fleet_context
from ecpds.cluster.calls import Handler, handlers
from ecpds.cluster.codec import VERSION, decode, refused
from ecpds.cluster.exchange import Exchange
from ecpds.cluster.fleet import Address, FleetCalls, FleetDesk, Leave, MasterFor, Member, RemoteMoverControl
from ecpds.cluster.joining import Gatekeeper, MasterJoining
from ecpds.cluster.membership import BEAT, Membership, Standing
from ecpds.cluster.post import Creator, Gate, Hello, Post, Welcome, make_broker
from ecpds.cluster.remote import RemoteMaster
from ecpds.cluster.tickets import LEEWAY, TicketOffice
from ecpds.errors import ConnectionLost, NotPermitted, NotSupported, Refusal, Unavailable
from ecpds.interfaces import IEventSink
from ecpds.master_interfaces import IMaster


@define
class Session:
    """One incarnation of a node."""

    incarnation: str
    member: Member
    exchange: Exchange
    master: MasterFor
    post: Post | None = None


class MasterEnd:
    """`joined` is told of a mover when it is heard of first. `incarnation` is new whenever the Master starts."""

    log = Logger()

    def __init__(
        self,
        name: str,
        incarnation: str,
        master: IMaster,
        sink: IEventSink,
        office: TicketOffice,
        own_address: Address,
        clock: IReactorTime,
        joined: Callable[[RemoteMoverControl, Member], None],
    ) -> None:
        self.name = name
        self.membership = Membership()
        self.own_address = own_address
        self.more: Callable[[Member], Mapping[str, Handler]] = lambda member: {}
        """What else a member may ask."""
        self._incarnation = incarnation
        self._master = master
        self._sink = sink
        self._office = office
        self._clock = clock
        self._joined = joined
        self._sessions: dict[str, Session] = {}
        self._posts: dict[Post, IDelayedCall] = {}
        """Every link, and when it ends unless it is welcome."""
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock

    # Listening

    def factory(self, credentials: Credentials, gatekeeper: Gatekeeper, strangers: Admission) -> TLSMemoryBIOFactory:
        """For the control port. `strangers` says how many may be there that have shown no certificate of the fleet."""
        entered = Factory.forProtocol(lambda: Gate(self._clock, self._entrance(gatekeeper), strangers))
        return TLSMemoryBIOFactory(Creator(fleet_context(credentials, strangers=True)), False, entered)

    def _entrance(self, gatekeeper: Gatekeeper) -> Callable[[Peer | None], Any]:
        def enter(peer: Peer | None) -> Any:
            if peer is None:
                return MasterJoining(self._clock, gatekeeper)
            return make_broker(peer, False, self._came)

        return enter

    def start(self) -> None:
        self._loop.start(BEAT, now=False)

    def stop(self) -> None:
        """End every link."""
        if self._loop.running:
            self._loop.stop()
        for post in list(self._posts):
            post.drop()
        for session in self._sessions.values():
            session.exchange.end(ConnectionLost)

    def may_join(self, peer: Peer) -> None:
        """Raises `NotPermitted` for a name that is the Master's own, or of a node that is there."""
        session = self._sessions.get(peer.name)
        if peer.name == self.name or (session is not None and session.post is not None):
            raise NotPermitted(f"there is a node {peer.name} already")

    # Who is there

    @property
    def members(self) -> Mapping[str, Member]:
        return {name: session.member for name, session in self._sessions.items()}

    def standing(self, name: str) -> Standing:
        return Standing.ALIVE if name == self.name else self.membership.standing(name)

    def address(self, name: str) -> Address | None:
        """Where a mover's bytes are; None when it is gone."""
        if name == self.name:
            return self.own_address
        session = self._sessions.get(name)
        if session is None or self.standing(name) is Standing.GONE:
            return None
        return session.member.address

    def link_of(self, name: str) -> Exchange | None:
        """What asks a node, while its link is there."""
        session = self._sessions.get(name)
        return session.exchange if session is not None and session.post is not None else None

    def master_for(self, node: str) -> MasterFor:
        """The Master as a node may use it."""
        return MasterFor(self._master, node, self.leave_for(node))

    def leave_for(self, node: str) -> Leave:
        """What lets a node use the others' bytes."""
        return Leave(self._office, node, self.address)

    def _heard(self, name: str) -> None:
        self.membership.heard(name, self._clock.seconds())

    def _look(self) -> None:
        self.membership.look(self._clock.seconds())
        for name, session in self._sessions.items():
            if self.membership.standing(name) is not Standing.GONE:
                continue
            if session.post is not None:
                self.log.warn("node {name} is silent: its link is cut", name=name)
                session.post.drop()
            else:
                session.exchange.refuse_all(partial(Unavailable, f"node {name} is gone"))

    # One link

    def _came(self, post: Post) -> None:
        self._posts[post] = self._clock.callLater(5 * BEAT, post.drop)
        post.receive = lambda data: self._greet(post, data)
        post.on_lost(lambda: self._lost(post))

    def _greet(self, post: Post, data: bytes) -> bytes:
        """The first message of a link. Who is refused may say it better, for a while."""
        hello: Hello = decode(data, Hello)
        try:
            self._check(post.peer, hello)
        except Refusal as refusal:
            self.log.warn("node {name} is not welcome: {reason}", name=post.peer.name, reason=refusal.sentence)
            return msgspec.msgpack.encode(refused(0, refusal))
        self._posts[post].cancel()
        session = self._session(hello)
        session.post = post
        post.receive = session.exchange.receive
        session.exchange.connected(post)
        self._heard(hello.name)
        self.log.info("node {name} is here", name=hello.name)
        self._compare_clocks(hello)
        return msgspec.msgpack.encode(Welcome(VERSION, self.name, self._incarnation, self._office.public_key))

    def _compare_clocks(self, hello: Hello) -> None:
        """Who reads that one behind the other's time understands why tickets are refused, or last too long."""
        ahead = hello.now - self._clock.seconds()
        if abs(ahead) > LEEWAY:
            text = "the clock of node {name} is {seconds:.0f} s {direction} of this one: set both by NTP"
            direction = "ahead" if ahead > 0 else "behind"
            self.log.warn(text, name=hello.name, seconds=abs(ahead), direction=direction)

    def _check(self, peer: Peer, hello: Hello) -> None:
        if hello.version != VERSION:
            raise NotSupported(f"version {hello.version} of the fleet's language; the Master speaks {VERSION}")
        if hello.name != peer.name or peer.name == self.name or peer.part != MEMBER:
            raise NotPermitted(f"node {peer.name} calls itself {hello.name}")
        session = self._sessions.get(hello.name)
        if session is not None and session.post is not None and session.incarnation != hello.incarnation:
            raise NotPermitted(f"there is a node {hello.name} already")

    def _session(self, hello: Hello) -> Session:
        session = self._sessions.get(hello.name)
        if session is None or session.incarnation != hello.incarnation:
            session = self._new_session(hello, session)
        elif session.post is not None:
            session.post.drop()
            session.exchange.disconnected()
        member = session.member
        member.group, member.roles = hello.group, tuple(hello.roles)
        member.cluster, member.weight = hello.cluster, hello.weight
        member.address = (hello.stream_host, hello.stream_port)
        return session

    def _new_session(self, hello: Hello, old: Session | None) -> Session:
        table: dict[str, Handler] = {}
        exchange = Exchange(self._clock, table)
        if old is not None:
            old.exchange.end(lambda: Unavailable(f"node {hello.name} was restarted"))
            Deferred.fromCoroutine(old.master.abandon_all()).addErrback(self._not_abandoned)
        member = Member(hello.name, exchange)
        master = self.master_for(hello.name)
        table |= handlers(RemoteMaster, master)
        table |= handlers(FleetCalls, FleetDesk(member, self._sink, self._heard))
        table |= self.more(member)
        session = self._sessions[hello.name] = Session(hello.incarnation, member, exchange, master)
        if "mover" in hello.roles:
            trusted = lambda: self.standing(hello.name) is Standing.ALIVE  # noqa: E731
            linked = lambda: session.post is not None  # noqa: E731
            self._joined(RemoteMoverControl(member, trusted, linked, self.leave_for(hello.name)), member)
        return session

    def _not_abandoned(self, failure: Failure) -> None:
        self.log.failure("the uploads of a node that has died could not be abandoned", failure)

    def _lost(self, post: Post) -> None:
        late = self._posts.pop(post)
        if late.active():
            late.cancel()
        for name, session in self._sessions.items():
            if session.post is post:
                session.post = None
                session.exchange.disconnected()
                self.membership.lost(name, self._clock.seconds())
                self.log.warn("the link to node {name} is lost", name=name)
