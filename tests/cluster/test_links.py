"""A Master and nodes over real sockets on loopback, real TLS, real Perspective Broker: joining, asking, losing, coming back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from ecpds.admission import Admission
from ecpds.cluster import joining
from ecpds.cluster.authority import (
    MASTER,
    MEMBER,
    Authority,
    Credentials,
    Peer,
    fleet_context,
    make_authority,
    master_credentials,
    new_key,
    open_authority,
    stranger_context,
)
from ecpds.cluster.calls import handlers
from ecpds.cluster.codec import VERSION
from ecpds.cluster.fleet import Member, MoverCalls, NodeState, RemoteMoverControl
from ecpds.cluster.joining import NODE, Application, Gatekeeper, prove
from ecpds.cluster.master_end import MasterEnd
from ecpds.cluster.membership import Standing
from ecpds.cluster.node_end import EventForwarder, NodeEnd
from ecpds.cluster.post import Creator, Gate, Hello, make_broker
from ecpds.cluster.remote import RemoteMaster
from ecpds.cluster.tickets import TicketOffice
from ecpds.config import Config, Node
from ecpds.errors import NotFound, NotPermitted, Refusal, Unavailable
from ecpds.events import Event
from ecpds.keys import utc_now
from ecpds.model import Allocation, Copy, DataFile, Entry, Origin, Receipt, Segment, StoredSegment, VolumeUse
from ecpds.scrubbing import HeldCopy, ScrubState, Verdict
from ecpds.terms import AllocationRequest

reactor: Any = global_reactor
SECRET = b"s" * 43
FILE = DataFile(7, 3, 1.0, 1.0, {}, {}, (Segment(7, 3, (Copy("mover-1", 0), Copy("mover-2", 0), Copy("gone", 0))),))


class FakeMaster:
    """Resolves one name, and holds `finish` until the test says so."""

    def __init__(self) -> None:
        self.finishing: list[Deferred[Entry]] = []
        self.events: list[Event] = []
        self.allocated: list[int] = []
        self.abandoned: list[int] = []

    async def allocate(self, request: AllocationRequest) -> Allocation:
        self.allocated.append(len(self.allocated))
        return Allocation(self.allocated[-1], (), ())

    async def abandon(self, allocation: int) -> None:
        self.abandoned.append(allocation)

    async def resolve(self, destination: str, path: str, waiting: bool = False) -> Entry:
        if path != "a":
            raise NotFound(path)
        return Entry("a", 1.0, FILE)

    async def finish(self, allocation: int) -> Entry:
        waiter: Deferred[Entry] = Deferred()
        self.finishing.append(waiter)
        return await waiter

    async def remove_directory(self, user: int, destination: str, path: str) -> None:
        await Deferred()

    def record(self, event: Event) -> None:
        self.events.append(event)

    def __getattr__(self, name: str) -> Any:
        async def unexpected(*args: Any) -> None:
            raise AssertionError(name)

        return unexpected


class FakeMover:
    """Notes what it is asked to delete."""

    def __init__(self) -> None:
        self.deleted: list[int] = []
        self.deleting: Deferred[None] | None = None

    async def delete(self, segments: Sequence[StoredSegment]) -> None:
        self.deleted += [each.segment for each in segments]
        if self.deleting is not None:
            await self.deleting

    async def digests(self, segments: Sequence[StoredSegment], names: Sequence[str]) -> Mapping[str, str]:
        return dict.fromkeys(names, "")

    async def copy(self, segment: StoredSegment, source: Copy) -> Receipt:
        self.leave = source.ticket
        return Receipt(segment.segment, "mover-1", segment.volume, segment.size)

    async def check(self, copy: HeldCopy) -> Verdict:
        raise AssertionError(copy)

    async def scrub(self, order: str) -> ScrubState:
        raise AssertionError(order)


class AnotherTime:
    """The reactor, with a clock that is so many seconds ahead."""

    def __init__(self, ahead: float) -> None:
        self._ahead = ahead

    def seconds(self) -> float:
        return float(reactor.seconds()) + self._ahead

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


def say_in_its_place(replayed: Application, send: Any, connection: Any, message: Application) -> None:
    send(connection, replayed)


class LinkCase(TestCase):
    timeout = 30  # type: ignore[assignment]

    def setUp(self) -> None:
        self.config = Config(node=Node(name="master", home=str(Path(self.mktemp()).resolve())))
        self.authority = open_authority(self.config, utc_now())
        self.credentials = master_credentials(self.config, self.authority, utc_now())
        self.office = TicketOffice(Ed25519PrivateKey.generate(), reactor.seconds, 60)
        self.real = FakeMaster()
        self.controls: dict[str, RemoteMoverControl] = {}
        self.port = 0
        self.start_master()

    def start_master(self) -> None:
        self.master = MasterEnd(
            "master", os.urandom(4).hex(), self.real, self.real, self.office, ("127.0.0.1", 1), reactor, self.joined
        )
        gatekeeper = Gatekeeper(SECRET, self.authority, {"door.crt": b"door"}, utc_now, self.master.may_join)
        factory = self.master.factory(self.credentials, gatekeeper, Admission(0, 0))
        self.listening = reactor.listenTCP(self.port, factory, interface="127.0.0.1")
        self.port = self.listening.getHost().port
        self.master.start()

    async def stop_master(self) -> None:
        self.master.stop()
        await self.listening.stopListening()

    def joined(self, control: RemoteMoverControl, member: Member) -> None:
        self.controls[member.name] = control

    def tearDown(self) -> Any:
        return ensureDeferred(self.end())

    async def end(self) -> None:
        for node in getattr(self, "nodes", ()):
            node.stop()
        await self.stop_master()
        await deferLater(reactor, 0.05, lambda: None)

    def node(self, name: str, port: int = 0, incarnation: str = "1", reactor: Any = reactor) -> NodeEnd:
        hello = Hello(VERSION, name, incarnation, ["mover"], "default", "127.0.0.1", 9)
        self.mover = FakeMover()

        async def state() -> NodeState:
            return NodeState((VolumeUse(0, "/v", 100, 50),), {0: 2}, 1)

        masters = (("127.0.0.1", port or self.port),)
        made = NodeEnd(masters, hello, handlers(MoverCalls, self.mover), state, reactor, Random(1), 1.0)
        self.nodes = [*getattr(self, "nodes", ()), made]
        return made

    async def linked(self, name: str, incarnation: str = "1") -> NodeEnd:
        node = self.node(name, incarnation=incarnation)
        credentials, _ = await self.join(name)
        node.start(credentials)
        await node.met
        return node

    async def join(self, name: str, secret: bytes = SECRET, port: int = 0) -> tuple[Credentials, dict[str, bytes]]:
        """As a node does it before its reactor runs."""
        joined: Any = await deferToThread(joining.join, ("127.0.0.1", port or self.port), secret, name)
        return joined

    async def until(self, happened: Any) -> None:
        while not happened():
            await deferLater(reactor, 0.01, lambda: None)

    async def refusal(self, work: Any, kind: type[Refusal]) -> Refusal:
        try:
            await work
        except kind as refusal:
            return refusal
        raise AssertionError(f"not refused with {kind.__name__}")


class Joining(LinkCase):
    async def test_who_knows_the_secret_is_certified_and_given_the_identity(self) -> None:
        credentials, identity = await self.join("mover-1")
        self.assertEqual((credentials.peer, identity), (Peer("mover-1", MEMBER), {"door.crt": b"door"}))
        self.assertEqual(credentials.authority, self.authority.pem)

    async def test_who_does_not_gets_nothing(self) -> None:
        refusal = await self.refusal(self.join("mover-1", b"x" * 43), NotPermitted)
        self.assertIn("does not know the fleet's secret", refusal.sentence)

    async def test_names_that_are_taken(self) -> None:
        await self.linked("mover-1")
        for name in ("master", "mover-1"):
            await self.refusal(self.join(name), NotPermitted)

    async def test_a_name_that_is_none(self) -> None:
        await self.refusal(self.join("../x"), NotPermitted)

    async def test_a_stranger_in_the_Master_s_place_is_found_out(self) -> None:
        """It has another secret, hears the node's proof, and can make nothing of it."""
        heard: list[Application] = []

        class Impostor(Gatekeeper):
            def admit(self, application: Application, binding: bytes) -> Any:
                heard.append(application)
                return self.admit_unproved(application, binding)

            def admit_unproved(self, application: Application, binding: bytes) -> Any:
                proof = prove(self.secret, NODE, binding, application.request)
                return super().admit(msgspec.structs.replace(application, proof=proof), binding)

        impostor = Impostor(b"y" * 43, self.authority, {}, utc_now, lambda peer: None)
        factory = self.master.factory(self.credentials, impostor, Admission(0, 0))
        listening = reactor.listenTCP(0, factory, interface="127.0.0.1")
        try:
            refusal = await self.refusal(self.join("mover-1", port=listening.getHost().port), NotPermitted)
        finally:
            await listening.stopListening()
        self.assertIn("who answers does not know", refusal.sentence)
        await self.replay(heard[0])

    async def replay(self, application: Application) -> None:
        """What was heard on one connection is worth nothing on another."""
        self.patch(joining, "_send", partial(say_in_its_place, application, joining._send))
        refusal = await self.refusal(self.join("mover-1"), NotPermitted)
        self.assertIn("does not know the fleet's secret", refusal.sentence)

    async def test_malformed_applications(self) -> None:
        random = Random(3)
        for _ in range(30):
            data = random.randbytes(random.randrange(200))
            await self.shout(stranger_context(), data)
        await self.shout(stranger_context(), b"\xff\xff\xff\xff")
        await self.linked("mover-1")

    async def shout(self, context: Any, data: bytes) -> None:
        """Say anything, and wait for the end."""
        ended: Deferred[None] = Deferred()

        class Shouter(Protocol):
            def connectionMade(self) -> None:
                assert self.transport is not None
                self.transport.write(len(data).to_bytes(4) + data if data != b"\xff" * 4 else data)

            def connectionLost(self, reason: Failure | None = None) -> None:
                ended.callback(None)

            def dataReceived(self, data: bytes) -> None:
                """A denial, which changes nothing."""

        endpoint = HostnameEndpoint(reactor, b"127.0.0.1", self.port)
        await wrapClientTLS(Creator(context), endpoint).connect(Factory.forProtocol(Shouter))
        await ended


class Linked(LinkCase):
    async def test_asking(self) -> None:
        node = await self.linked("mover-1")
        master = RemoteMaster(node)
        entry = await master.resolve("demo", "a")
        self.assertEqual(entry, Entry("a", 1.0, FILE))
        await self.refusal(master.resolve("demo", "b"), NotFound)

    async def test_tickets_for_the_copies_of_others(self) -> None:
        node = await self.linked("mover-1")
        await self.linked("mover-2")
        entry = await RemoteMaster(node).resolve("demo", "a")
        assert entry.file is not None
        tickets = {copy.mover: bool(copy.ticket) for copy in entry.file.segments[0].copies}
        self.assertEqual(tickets, {"mover-1": False, "mover-2": True, "gone": False})

    async def test_the_Master_asks_a_mover(self) -> None:
        await self.linked("mover-1")
        mover = self.mover
        await self.until(lambda: self.master.members["mover-1"].state.volumes)
        control = self.controls["mover-1"]
        self.assertEqual(await control.volumes(), (VolumeUse(0, "/v", 100, 50),))
        await control.delete([StoredSegment(5, 0)])
        self.assertEqual(mover.deleted, [5])

    async def test_records(self) -> None:
        node = await self.linked("mover-1")
        sink = EventForwarder(node.tell, reactor)
        events = [Event("INH", float(n), {"UserId": "\udc80", "n": n}) for n in range(450)]
        for event in events:
            sink.record(event)
        # Until its last answer is here: a link that ends before makes it try again later.
        await self.until(lambda: not sink._sending)
        self.assertEqual(self.real.events, events)

    async def test_a_lost_link_comes_back_and_the_answer_with_it(self) -> None:
        node = await self.linked("mover-1")
        finishing = ensureDeferred(RemoteMaster(node).finish(7))
        await self.until(lambda: self.real.finishing)
        assert node._post is not None
        node._post.drop()
        await self.until(lambda: not node.connected)
        self.real.finishing[0].callback(Entry("a", 1.0))
        self.assertEqual((await finishing).path, "a")
        self.assertEqual(len(self.real.finishing), 1)

    async def test_the_Master_restarts(self) -> None:
        node = await self.linked("mover-1")
        master = RemoteMaster(node)
        finishing, making = ensureDeferred(master.finish(7)), ensureDeferred(master.remove_directory(1, "demo", "d"))
        await self.until(lambda: self.real.finishing)
        await self.stop_master()
        await self.until(lambda: not node.connected)
        self.real = FakeMaster()
        self.start_master()
        await self.refusal(making, Unavailable)
        await self.until(lambda: self.real.finishing)
        self.real.finishing[0].callback(Entry("again", 1.0))
        self.assertEqual((await finishing).path, "again")

    async def test_no_Master_for_long(self) -> None:
        node = await self.linked("mover-1")
        finishing = ensureDeferred(RemoteMaster(node).finish(7))
        await self.until(lambda: self.real.finishing)
        await self.stop_master()
        refusal = await self.refusal(finishing, Unavailable)
        self.assertIn("can't be reached", refusal.sentence)
        await self.refusal(RemoteMaster(node).resolve("demo", "a"), Unavailable)
        self.start_master()
        await self.until(lambda: node.connected)
        await RemoteMaster(node).resolve("demo", "a")

    async def test_a_node_that_goes_is_suspect_at_once(self) -> None:
        node = await self.linked("mover-1")
        await self.until(lambda: self.master.standing("mover-1") is Standing.ALIVE)
        node.stop()
        await self.until(lambda: self.master.standing("mover-1") is Standing.SUSPECT)
        await self.refusal(self.controls["mover-1"].volumes(), Unavailable)

    async def test_a_node_that_was_restarted_is_not_asked_as_the_one_it_was(self) -> None:
        """Whoever still held its control waited for ever."""
        node = await self.linked("mover-1")
        old = self.master.members["mover-1"].calls
        asked = self.controls["mover-1"]
        node.stop()
        await self.until(lambda: self.master.standing("mover-1") is Standing.SUSPECT)
        await self.linked("mover-1", incarnation="2")
        await self.refusal(asked.delete([StoredSegment(5, 0)]), Unavailable)
        await self.refusal(old.delete([StoredSegment(5, 0)]), Unavailable)
        await self.controls["mover-1"].delete([StoredSegment(6, 0)])
        self.assertEqual(self.mover.deleted, [6])

    async def test_a_node_that_is_not_trusted_yet_deletes(self) -> None:
        await self.linked("mover-1")
        self.master.membership.lost("mover-1", reactor.seconds())
        await self.refusal(self.controls["mover-1"].volumes(), Unavailable)
        await self.controls["mover-1"].delete([StoredSegment(5, 0)])
        self.assertEqual(self.mover.deleted, [5])

    async def test_what_a_node_was_asked_is_refused_when_it_is_gone(self) -> None:
        node = await self.linked("mover-1")
        self.mover.deleting = Deferred()
        asked = ensureDeferred(self.controls["mover-1"].delete([StoredSegment(5, 0)]))
        await self.until(lambda: self.mover.deleted)
        node.stop()
        await self.until(lambda: self.master.standing("mover-1") is Standing.SUSPECT)
        self.assertFalse(asked.called)
        self.master.membership.forget("mover-1")
        await self.refusal(asked, Unavailable)
        self.mover.deleting.callback(None)

    async def test_what_a_dead_node_had_begun_is_abandoned(self) -> None:
        """When it is back: a node that only lost its link may still come to an end with it."""
        node = await self.linked("mover-1")
        master = RemoteMaster(node)
        request = AllocationRequest(1, "demo", "a", Origin("ftp", "", ""))
        begun = [(await master.allocate(request)).id for _ in range(4)]
        finishing = ensureDeferred(master.finish(begun[0]))
        await self.until(lambda: self.real.finishing)
        self.real.finishing[0].callback(Entry("a", 1.0))
        await finishing
        await master.abandon(begun[1])
        node.stop()
        await self.until(lambda: self.master.standing("mover-1") is Standing.SUSPECT)
        self.assertEqual(self.real.abandoned, [begun[1]])
        await self.linked("mover-1", incarnation="2")
        self.assertEqual(sorted(self.real.abandoned), begun[1:])

    async def test_a_node_whose_clock_is_wrong(self) -> None:
        """It is welcome, for most goes well, and the Master's log says what does not."""
        for name, ahead, said in (("mover-1", 100, "100 s ahead"), ("mover-2", -100, "100 s behind"), ("mover-3", 0, None)):
            with capturedLogs() as events:
                credentials, _ = await self.join(name)
                node = self.node(name, reactor=AnotherTime(ahead))
                node.start(credentials)
                await node.met
            warned = [text for event in events if "the clock of node" in (text := formatEvent(event))]
            self.assertEqual(warned, [f"the clock of node {name} is {said} of this one: set both by NTP"] if said else [])

    async def test_two_of_one_name(self) -> None:
        node = await self.linked("mover-1")
        assert node._credentials is not None
        twin = self.node("mover-1", incarnation="2")
        twin.start(node._credentials)
        await deferLater(reactor, 0.5, lambda: None)
        self.assertEqual((twin.connected, node.connected), (False, True))


class Strangers(LinkCase):
    def made(self, authority: Authority, peer: Peer, ago: timedelta = timedelta(0)) -> Credentials:
        pem, key = new_key()
        return Credentials(authority.certify(key.public_key(), peer, utc_now() - ago), pem, self.authority.pem)

    async def welcome(self, credentials: Credentials) -> bool:
        """Whether a node with such credentials is welcome."""
        node = self.node("mover-1")
        node.start(credentials)
        await deferLater(reactor, 0.5, lambda: None)
        return node.connected

    async def test_a_certificate_of_another_authority(self) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        certificate, key = make_authority(utc_now())
        loaded: Any = load_pem_private_key(key, None)
        other = Authority(x509.load_pem_x509_certificate(certificate), loaded)
        self.assertFalse(await self.welcome(self.made(other, Peer("mover-1", MEMBER))))

    async def test_an_expired_certificate(self) -> None:
        old = self.made(self.authority, Peer("mover-1", MEMBER), timedelta(days=4000))
        self.assertFalse(await self.welcome(old))

    async def test_another_s_name(self) -> None:
        self.assertFalse(await self.welcome(self.made(self.authority, Peer("mover-2", MEMBER))))

    async def test_a_member_in_the_Master_s_place(self) -> None:
        """It has a certificate of the fleet, but not a Master's."""
        self.credentials = self.made(self.authority, Peer("mover-9", MEMBER))
        await self.stop_master()
        self.start_master()
        self.assertFalse(await self.welcome(self.made(self.authority, Peer("mover-1", MEMBER))))

    async def test_good_ones_are_welcome(self) -> None:
        self.assertTrue(await self.welcome(self.made(self.authority, Peer("mover-1", MEMBER))))

    async def test_nonsense_from_a_member_harms_nobody(self) -> None:
        random = Random(4)
        credentials = self.made(self.authority, Peer("mover-1", MEMBER))
        for _ in range(20):
            posts: Deferred[Any] = Deferred()
            gate = Gate(reactor, lambda peer: make_broker(Peer("master", MASTER), True, posts.callback))  # noqa: B023
            endpoint = HostnameEndpoint(reactor, b"127.0.0.1", self.port)
            context = Creator(fleet_context(credentials))
            await wrapClientTLS(context, endpoint).connect(Factory.forProtocol(lambda: gate))  # noqa: B023
            post = await posts
            try:
                await post.send(random.randbytes(random.randrange(1, 300)))
            except Exception as error:
                self.assertNotIsInstance(error, AssertionError)
            post.drop()
        self.flushLoggedErrors()
        await self.linked("mover-2")
