"""A store at the other end of the data stream keeps to the contract as a local one does; and what it does when it fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.defer import Deferred

from ecpds.cluster.authority import (
    MEMBER,
    Authority,
    Credentials,
    Peer,
    connected_peer,
    fleet_context,
    make_authority,
    new_key,
    stranger_context,
)
from ecpds.cluster.codec import Refused
from ecpds.cluster.dial import Dialer
from ecpds.cluster.frames import DATA, HEADER, MESSAGE, Abort, End, Frames, Opened, Sent, Span, Working
from ecpds.cluster.stores import peer_name
from ecpds.cluster.stream_client import Connections, RemoteStore
from ecpds.cluster.stream_server import StreamServer
from ecpds.cluster.tickets import LEEWAY, Owner, Pass, TicketCheck, TicketOffice
from ecpds.errors import ConnectionLost, NoSpace, NotPermitted, Unavailable
from ecpds.held import SMALL_FILE
from ecpds.interfaces import IChannel, IReadHandle, IStore, IWriteHandle
from ecpds.keys import utc_now
from ecpds.limits import Limits
from ecpds.model import Allocation, Copy, Placement, Receipt
from ecpds.mover import staging
from ecpds.mover.store import LocalStore
from ecpds.terms import AllocationRequest
from ecpds.threads import InlineThreads
from ecpds.transports.listeners import serve
from tests.contracts.store import FILE_SIZE, LARGE, StoreContract
from tests.doubles import MemoryRelayChannel, MemorySink, MemorySource
from tests.transports.pump import ChannelCase

PWRITE = os.pwrite
"""What a test puts something else in the place of."""


class Leave:
    """What the Master would give with each placement and copy."""

    def __init__(self, now: Any, life: float = 60.0) -> None:
        self.office = TicketOffice(Ed25519PrivateKey.generate(), now, life)
        self.address = ("127.0.0.1", 0)
        self.mover, self.holder = "mover-b", "mover-a"

    def packed(self, ticket: bytes) -> bytes:
        return msgspec.msgpack.encode(Pass(*self.address, ticket))

    def to_write(self, segment: int, volume: int, digests: Sequence[str], size: int | None) -> bytes:
        return self.packed(self.office.to_write(segment, self.mover, volume, self.holder, digests, size))

    def to_read(self, segment: int, copy: Copy, length: int) -> bytes:
        return self.packed(self.office.to_read(segment, copy.mover, copy.volume, self.holder, length))


class Ticketed(RemoteStore):
    """A remote store that is always given leave."""

    leave: Leave

    async def write(
        self, segment: int, volume: int, digests: Sequence[str], size: int | None = None, ticket: bytes = b""
    ) -> IWriteHandle:
        return await super().write(segment, volume, digests, size, self.leave.to_write(segment, volume, digests, size))

    async def read(self, segment: int, copy: Copy, length: int) -> IReadHandle:
        return await super().read(segment, evolve(copy, ticket=self.leave.to_read(segment, copy, length)), length)


AUTHORITY = make_authority(utc_now())

OWNER = Owner(7, "demo", "d/a", (4, 2))


def member(name: str, part: str = MEMBER, ago: timedelta = timedelta(0)) -> Credentials:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    loaded: Any = load_pem_private_key(AUTHORITY[1], None)
    authority = Authority(x509.load_pem_x509_certificate(AUTHORITY[0]), loaded)
    pem, key = new_key()
    return Credentials(authority.certify(key.public_key(), Peer(name, part), utc_now() - ago), pem, authority.pem)


A, B = member("mover-a"), member("mover-b")


def name_of(connection: Any) -> str | None:
    peer = connected_peer(connection)
    return None if peer is None else peer.name


class Keeper:
    """What a mover asks the Master when a sender is lost. It keeps uploads that it `knows`, and those of an `earlier` one."""

    def __init__(self) -> None:
        self.knows: set[int] = set()
        self.earlier: set[int] = set()
        self.readmitted: list[tuple[AllocationRequest, Allocation, Sequence[Receipt]]] = []

    async def keep(self, allocation: int) -> None:
        self.refuse_unless(allocation in self.knows | self.earlier)

    async def finish(self, allocation: int) -> None:
        self.refuse_unless(allocation in self.knows)

    async def readmit(
        self, request: AllocationRequest, allocation: Allocation, receipts: Sequence[Receipt], keep: bool = False
    ) -> None:
        self.refuse_unless(allocation.id in self.earlier and keep)
        self.readmitted.append((request, allocation, receipts))

    def refuse_unless(self, known: bool) -> None:
        if not known:
            raise Unavailable("the upload is not known here any more")


class StreamCase(StoreContract, ChannelCase):
    """A mover behind a listening socket, and a node that knows the way; the reactor is turned by hand."""

    plain = False
    ahead = 0.0
    """Seconds by which the mover's clock is ahead of the Master's."""

    def make(self) -> IStore:
        self.leave = Leave(self.reactor.seconds)
        limits = evolve(Limits(), file_size=FILE_SIZE, free_space=0)
        roots = [Path(self.mktemp()).resolve() for _ in range(2)]
        threads = InlineThreads()
        self.local = LocalStore("mover-b", roots, self.stored, threads, threads, self.around.pool, limits, False, self.reactor)
        check = TicketCheck(self.leave.office.public_key, "mover-b", lambda: self.reactor.seconds() + self.ahead)
        who = (lambda channel: None) if self.plain else peer_name(name_of)
        self.keeper = Keeper()
        self.streams = StreamServer(self.local, lambda: check, who, self.reactor, self.keeper, limits.idle)
        ours, theirs = (None, None) if self.plain else (fleet_context(A), fleet_context(B))
        self.server = serve(self.around, "127.0.0.1", 0, self.on_channel, context=theirs)
        self.addCleanup(self.server.stop_listening)
        self.leave.address = ("127.0.0.1", self.server.port)
        self.connections = Connections(Dialer(self.around, threads, ours).connect, who, self.reactor)
        store = Ticketed("mover-b", self.connections, self.around.pool, limits)
        store.leave = self.leave
        self.addCleanup(self.end)
        return store

    def on_channel(self, channel: IChannel) -> None:
        self.channel = channel
        self.streams.serve(channel)

    def end(self) -> None:
        self.connections.close()
        self.streams.abort()
        for _ in range(5):
            self.reactor.turn()

    def now(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.finish(work)

    def refused(self, refusal: type[BaseException], work: Coroutine[Any, Any, Any]) -> Any:
        return self.refuse(work, refusal)

    def setUp(self) -> None:
        ChannelCase.setUp(self)
        StoreContract.setUp(self)

    def is_there(self, segment: int, volume: int = 0) -> bool:
        done = Deferred.fromCoroutine(self.store.read(segment, self.copy(volume), 0))
        done.addCallbacks(lambda handle: handle.close() or True, lambda failure: failure.trap(Unavailable) and False)
        found: bool = self.finish(done)
        return found


class TlsStreamTests(StreamCase):
    def test_a_ticket_of_another_node(self) -> None:
        self.leave.holder = "mover-c"
        self.refused(NotPermitted, self.store.write(1, 0, ()))

    def test_an_expired_ticket(self) -> None:
        self.put(1, b"here")
        ticket = self.leave.to_read(1, Copy("mover-b", 0), 4)
        self.reactor.advance(70)
        self.refused(Unavailable, RemoteStore.read(self.store, 1, Copy("mover-b", 0, ticket), 4))

    def test_a_mover_whose_clock_is_ahead(self) -> None:
        """As far as a ticket lives and a little more is no matter; where it is further, what it says tells why."""
        self.put(1, b"here")
        ticket = self.leave.to_read(1, Copy("mover-b", 0), 4)
        self.ahead = 60 + LEEWAY
        self.now(RemoteStore.read(self.store, 1, Copy("mover-b", 0, ticket), 4)).close()
        self.ahead += 1
        done = self.ended(RemoteStore.read(self.store, 1, Copy("mover-b", 0, ticket), 4))
        self.assertIn(
            "the ticket has expired 6 s ago by the clock of mover-b", str(self.failureResultOf(done, Unavailable).value)
        )

    def test_a_ticket_to_write_is_good_once(self) -> None:
        ticket = self.leave.to_write(1, 0, (), None)
        for times in range(2):
            handle = self.now(RemoteStore.write(self.store, 1, 0, (), None, ticket))
            self.now(handle.receive(MemorySource(b"x")))
            if times:
                self.assertIn("before", str(self.failureResultOf(self.ended(handle.finish()))))
            else:
                self.now(handle.finish())

    def ended(self, work: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        done = self.begin(work)
        self.reactor.until(lambda: done.called)
        return done

    def test_no_ticket(self) -> None:
        self.refused(Unavailable, RemoteStore.write(self.store, 1, 0, ()))

    def test_a_ticket_that_was_changed(self) -> None:
        ticket = bytearray(self.leave.office.to_write(1, "mover-b", 0, "mover-a", (), None))
        ticket[-20] ^= 1
        self.refused(NotPermitted, RemoteStore.write(self.store, 1, 0, (), None, self.leave.packed(bytes(ticket))))

    def test_more_than_the_ticket_is_for(self) -> None:
        self.put(1, b"here")
        ticket = self.leave.to_read(1, Copy("mover-b", 0), 3)
        self.refusal_of_read(ticket, 4)

    def refusal_of_read(self, ticket: bytes, length: int) -> None:
        done = self.ended(RemoteStore.read(self.store, 1, Copy("mover-b", 0, ticket), length))
        self.failureResultOf(done)

    def test_connections_are_used_again(self) -> None:
        for segment in range(1, 6):
            self.put(segment, b"here")
            self.assertEqual(self.get(segment, 4), b"here")
            self.settle()
        self.assertEqual(len(self.server.connections), 1)

    def test_what_is_small_is_had_as_a_whole_when_it_is_opened(self) -> None:
        """So it can be kept, and its connection serves others before it is closed."""
        self.put(1, b"here")
        handle = self.now(self.store.read(1, self.copy(), 4))
        self.settle()
        self.assertEqual((bytes(handle.held(0, 4)), self.streams.reads), (b"here", {0: 0}))
        self.put(2, b"x" * (SMALL_FILE + 1))
        other = self.now(self.store.read(2, self.copy(), SMALL_FILE + 1))
        self.assertEqual((other.held(0, 1), len(self.server.connections)), (None, 1))
        for each in (handle, other):
            each.close()

    def settle(self) -> None:
        for _ in range(20):
            self.reactor.turn()

    def test_the_target_dies_in_the_middle(self) -> None:
        handle = self.now(self.store.write(1, 0, ()))
        self.now(handle.receive(MemorySource(LARGE[:1000])))
        self.streams.abort()
        self.settle()
        self.refused(Unavailable, handle.receive(MemorySource(LARGE)))
        self.now(handle.abort())
        self.settle()
        self.assertFalse(self.is_there(1))
        self.assertEqual(self.receipts, [])

    def break_disk(self, number: int, after: int) -> None:
        """The mover's disks take so many bytes, and then fail."""
        written = [0]

        def pwrite(fd: int, data: Any, offset: int) -> int:
            if written[0] >= after:
                raise OSError(number, os.strerror(number))
            count = PWRITE(fd, data[: after // 3 + 1], offset)
            written[0] += count
            return count

        self.patch(staging.os, "pwrite", pwrite)

    def test_the_target_s_disk_fails_in_the_middle(self) -> None:
        """The sender is told which it was, in the middle or at its end; nothing stays, and the stream serves the next one."""
        for number, refusal in ((errno.ENOSPC, NoSpace), (errno.EIO, Unavailable)):
            for size in (10, len(LARGE)):
                self.break_disk(number, 0 if number == errno.EIO else size // 2)
                self.refused(refusal, self.write_and_clean_up(LARGE[:size]))
                self.settle()
                self.assertFalse(self.is_there(1))
                if number == errno.EIO:
                    self.assertEqual(self.local.volumes[0].use().failed, "Input/output error")
        self.assertEqual(self.receipts, [])
        self.break_disk(errno.EIO, len(LARGE))
        self.put(2, b"x", 1)

    async def write_and_clean_up(self, data: bytes) -> None:
        handle = await self.store.write(1, 0, ("sha256",))
        try:
            await handle.receive(MemorySource(data))
            await handle.finish()
        finally:
            await handle.abort()

    def test_the_sender_dies_in_the_middle(self) -> None:
        handle = self.now(self.store.write(1, 0, ()))
        self.now(handle.receive(MemorySource(LARGE)))
        self.connections.close()
        handle._frames.channel.abort()
        self.settle()
        self.assertFalse(self.is_there(1))
        self.assertEqual(self.receipts, [])

    def cut(self, owner: Owner | None) -> None:
        """An upload whose sender dies, with such a ticket."""
        ticket = self.leave.packed(self.leave.office.to_write(1, "mover-b", 0, "mover-a", ("sha256",), None, owner))
        handle = self.now(RemoteStore.write(self.store, 1, 0, (), None, ticket))
        self.now(handle.receive(MemorySource(LARGE)))
        handle._frames.channel.abort()
        self.settle()

    def test_what_came_from_a_sender_that_died_is_kept_for_who_can_go_on_with_it(self) -> None:
        """Part of it, perhaps: what was still on its way when it died is not there."""
        self.keeper.knows = {1}
        self.cut(OWNER)
        (receipt,) = self.receipts
        self.assertEqual(self.get(1, receipt.size), LARGE[: receipt.size])
        self.assertGreater(receipt.size, 0)
        self.assertEqual(self.keeper.readmitted, [])

    def test_a_Master_that_was_started_meanwhile_is_told_what_it_was(self) -> None:
        """All that it needs was in the ticket: nobody else is left to ask."""
        self.keeper.earlier = {1}
        self.cut(OWNER)
        ((request, allocation, receipts),) = self.keeper.readmitted
        self.assertEqual((request.user_id, request.destination, request.path, request.part), (7, "demo", "d/a", (4, 2)))
        self.assertEqual(allocation, Allocation(1, (Placement("mover-b", 0),), ("sha256",)))
        self.assertEqual((receipts, self.is_there(1)), (tuple(self.receipts), True))

    def test_it_is_not_where_the_sender_has_given_it_up(self) -> None:
        self.cut(OWNER)
        self.assertEqual((self.is_there(1), self.receipts), (False, []))

    def test_it_is_not_where_nobody_could_go_on_with_it(self) -> None:
        self.keeper.knows = {1}
        self.cut(None)
        self.assertEqual((self.is_there(1), self.receipts), (False, []))

    def test_what_a_sink_takes_straight_and_what_it_does_not(self) -> None:
        """Of each frame so much at once; all of it comes, in its order."""
        self.put(1, LARGE)
        handle = self.now(self.store.read(1, self.copy(), len(LARGE)))
        for straight in (1, len(LARGE)):
            sink = MemoryRelayChannel(straight)
            self.now(handle.send(sink, 0, len(LARGE)))
            self.assertEqual(sink.all_written, LARGE)
        handle.close()

    def spans_of(self, pieces: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
        """Read those pieces of a file; which spans the mover was asked for."""
        asked: list[tuple[int, int]] = []
        say = Frames.say

        async def noted(frames: Frames, message: Any) -> None:
            if isinstance(message, Span):
                asked.append((message.offset, message.length))
            await say(frames, message)

        self.patch(Frames, "say", noted)
        self.put(1, LARGE)
        handle = self.now(self.store.read(1, self.copy(), len(LARGE)))
        for offset, length in pieces:
            sink = MemorySink()
            self.now(handle.send(sink, offset, length))
            self.assertEqual(sink.value, LARGE[offset : offset + length])
        handle.close()
        self.settle()
        self.assertEqual(self.streams.reads, {0: 0})
        self.assertEqual(self.get(1, len(LARGE)), LARGE, "the connection is as it should be")
        self.assertEqual(len(self.server.connections), 1)
        return asked[:-1]

    def test_who_reads_on_is_sent_more_than_is_asked_for(self) -> None:
        """Twice as much each time, and never beyond the end; so it is asked for seldom."""
        step = 30_000
        asked = self.spans_of([(at, min(step, len(LARGE) - at)) for at in range(0, len(LARGE), step)])
        self.assertEqual([each for each, _ in asked], [0, *(at + size for at, size in asked[:-1])])
        self.assertEqual(sum(size for _, size in asked), len(LARGE))
        self.assertEqual([size for _, size in asked[:3]], [step, 2 * step, 2 * step])
        self.assertLess(len(asked), 10)

    def test_who_reads_here_and_there_is_sent_no_more(self) -> None:
        pieces = [(2_000_000, 10), (5, 1000), (1005, 10), (0, 7), (2_999_000, 1000), (1, 1)]
        asked = self.spans_of(pieces)
        self.assertEqual(asked, [(2_000_000, 10), (5, 1000), (1005, 20), (0, 7), (2_999_000, 1000), (1, 1)])

    def test_who_reads_elsewhere_and_back_has_the_bytes_of_there(self) -> None:
        random = Random(3)
        pieces, at = [], 0
        for _ in range(200):
            at = random.randrange(len(LARGE)) if random.random() < 0.2 or at == len(LARGE) else at
            size = random.randrange(1, 50_000)
            pieces.append((at, min(size, len(LARGE) - at)))
            at += pieces[-1][1]
        self.spans_of(pieces)

    def test_a_source_that_dies_while_it_is_ahead(self) -> None:
        """What it had sent is not what it was asked for: it is gone at the first byte that is missing."""
        self.put(1, LARGE)
        handle = self.now(self.store.read(1, self.copy(), len(LARGE)))
        for at in range(0, 4000, 1000):
            self.now(handle.send(MemorySink(), at, 1000))
        self.streams.abort()
        self.settle()
        sink = MemorySink()
        self.refused(Unavailable, handle.send(sink, 4000, len(LARGE) - 4000))
        self.assertEqual(sink.value, LARGE[4000 : 4000 + len(sink.value)])
        handle.close()

    def test_who_rests_while_it_reads(self) -> None:
        """As long as a door lets its client do nothing; with bytes on the way, and with none."""
        self.put(1, LARGE)
        for pieces in ([(0, 1_000_000), (1_000_000, 1_000_000)], [(0, 10)]):
            handle = self.now(self.store.read(1, self.copy(), len(LARGE)))
            for offset, length in pieces:
                self.now(handle.send(MemorySink(), offset, length))
            for _ in range(59):
                self.reactor.advance(10)
                self.settle()
            sink = MemorySink()
            self.now(handle.send(sink, 2_000_000, 1_000_000))
            self.assertEqual(sink.value, LARGE[2_000_000:3_000_000])
            handle.close()
            self.settle()

    def test_a_source_that_dies_in_the_middle_of_a_read(self) -> None:
        self.put(1, LARGE)
        handle = self.now(self.store.read(1, self.copy(), len(LARGE)))
        sink = MemorySink()
        sending = self.begin(handle.send(sink, 0, len(LARGE)))
        self.reactor.until(lambda: len(sink.data) > 100_000)
        self.streams.abort()
        self.refuse(sending, Unavailable)
        self.assertEqual(sink.value, LARGE[: len(sink.value)])
        handle.close()

    def test_a_sink_that_fails(self) -> None:
        self.put(1, LARGE)
        handle = self.now(self.store.read(1, self.copy(), len(LARGE)))
        failure = ValueError("the client's own")
        self.refused(ValueError, handle.send(MemorySink(100_000, failure), 0, len(LARGE)))
        handle.close()
        self.settle()
        self.assertEqual(self.streams.reads, {0: 0})

    def test_who_sends_slowly_hears_that_the_mover_is_there(self) -> None:
        """The answer is long in coming, and still nobody is thought dead."""
        handle = self.now(self.store.write(1, 0, ()))
        for _ in range(5):
            self.now(handle.receive(MemorySource(b"x")))
            for _ in range(8):
                self.reactor.advance(5)
                self.settle()
        self.now(handle.finish())
        self.assertEqual(self.get(1, 5), b"xxxxx")

    def test_nonsense_gets_nothing_and_harms_nobody(self) -> None:
        """A member that says anything at all, in frames or not; then everything works as before."""
        random = Random(5)
        dialer = Dialer(self.around, InlineThreads(), fleet_context(A))
        for number in range(60):
            channel = self.now(dialer.connect("127.0.0.1", self.server.port))
            data = random.randbytes(random.randrange(1, 400))
            framed = HEADER.pack(random.choice([MESSAGE, DATA, b"x"]), random.choice([len(data), 0, 2**32 - 1])) + data
            self.now(channel.write(framed if number % 2 else data))
            self.settle()
            channel.abort()
        self.settle()
        self.put(1, LARGE)
        self.assertEqual(self.get(1, len(LARGE)), LARGE)
        self.assertEqual((self.streams.reads, self.streams.writes), ({0: 1}, 0))

    def test_messages_in_the_wrong_order(self) -> None:
        for message in (End(0, {}), Span(0, 1), Abort(), Opened(), Sent(), Working()):
            channel = self.now(Dialer(self.around, InlineThreads(), fleet_context(A)).connect("127.0.0.1", self.server.port))
            frames = Frames(channel)
            self.now(frames.say(message))
            self.assertIsInstance(self.now(frames.hear()), Refused)
            self.refused(ConnectionLost, frames.hear())
            channel.abort()

    def test_draining_waits_for_what_is_under_way_and_begins_nothing(self) -> None:
        self.put(1, LARGE)
        upload = self.now(self.store.write(2, 0, ()))
        reading = self.now(self.store.read(1, self.copy(), len(LARGE)))
        drained = self.begin(self.streams.drain())
        self.refused(Unavailable, self.store.write(3, 0, ()))
        self.refused(Unavailable, self.store.read(1, self.copy(), len(LARGE)))
        self.now(upload.receive(MemorySource(b"to its end")))
        self.now(upload.finish())
        self.settle()
        self.assertNoResult(drained)
        sink = MemorySink()
        self.now(reading.send(sink, 0, len(LARGE)))
        reading.close()
        self.finish(drained)
        self.assertEqual(sink.value, LARGE)

    def test_a_stranger_is_not_heard(self) -> None:
        self.refused(ConnectionLost, self.ask_as(stranger_context()))

    def test_an_expired_certificate(self) -> None:
        self.refused(ConnectionLost, self.ask_as(fleet_context(member("mover-a", ago=timedelta(days=4000)))))

    async def ask_as(self, context: Any) -> None:
        channel = await Dialer(self.around, InlineThreads(), context).connect("127.0.0.1", self.server.port)
        await Frames(channel).hear()


class PlainStreamTests(StreamCase):
    plain = True


del StreamCase
