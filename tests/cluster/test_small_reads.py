"""Small files over the control link: what comes with an answer, what is asked of a mover, and what goes by the stream."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ecpds.cluster.calls import Asker, handlers
from ecpds.cluster.fleet import Leave, MasterFor
from ecpds.cluster.remembering import RememberingMaster
from ecpds.cluster.remote import RemoteMaster
from ecpds.cluster.small_reads import LinkedStore, LookCalls, Looking, SmallCalls, SmallDesk
from ecpds.cluster.tickets import TicketOffice
from ecpds.errors import Corrupt, InvalidRequest, NotFound, Unavailable
from ecpds.held import SMALL_FILE, HeldSegment
from ecpds.interfaces import IReadHandle, IStore, IWriteHandle
from ecpds.model import Copy, DestinationChange, Entry, Segment, StoredSegment
from ecpds.portal.kept import KeptSegments
from tests.cluster.pb import PbLink
from tests.doubles import MemorySource
from tests.portal.house import NODE, House

ELSEWHERE = "node-2"
STREAMED = b"by the stream"


@implementer(IStore)
class Streams:
    """In place of a store over the data stream: whatever is read is known by its bytes."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, Copy, int]] = []

    async def write(
        self, segment: int, volume: int, digests: Sequence[str], size: int | None = None, ticket: bytes = b""
    ) -> IWriteHandle:
        raise Unavailable("this is about reading")

    async def read(self, segment: int, copy: Copy, length: int) -> IReadHandle:
        self.asked.append((segment, copy, length))
        return HeldSegment(memoryview(STREAMED))


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(self)
        self.house.add_destination("d")
        self.files = self.house.files_of(self.house.add_user("ann", ("d",)))

    def put(self, name: str, content: bytes) -> Segment:
        async def put() -> Entry:
            upload = await self.files.open_write(f"/d/{name}")
            await upload.receive(MemorySource(content))
            return await upload.commit()

        entry: Entry = self.house.now(put())
        assert entry.file is not None
        return self.house.now(self.house.master.resolve("d", name)).file.segments[0] if content else Segment(0, 0)


class WithTheAnswer(Case):
    """A node that is not the Master asks what a path is."""

    def setUp(self) -> None:
        super().setUp()
        self.kept = KeptSegments(1 << 20, SMALL_FILE)
        self.master = self.node(ELSEWHERE)

    def node(self, name: str) -> RememberingMaster:
        house = self.house
        office = TicketOffice(Ed25519PrivateKey.generate(), lambda: 0.0, 60.0)
        leave = Leave(office, name, lambda mover: ("192.0.2.9", 7601))
        table = handlers(RemoteMaster, MasterFor(house.master, name, leave))
        table |= handlers(LookCalls, Looking(house.master, house.store, name, leave))
        master = RememberingMaster(PbLink(table), Clock().seconds, 5.0)
        master.keeper = self.kept
        return master

    def resolve(self, name: str, master: RememberingMaster | None = None) -> Entry:
        entry: Entry = self.successResultOf(ensureDeferred((master or self.master).resolve("d", name)))
        return entry

    def ticket(self, entry: Entry) -> bytes:
        assert entry.file is not None
        return entry.file.segments[0].copies[0].ticket

    def test_few_bytes_come_and_are_kept(self) -> None:
        segment = self.put("f", b"content")
        entry = self.resolve("f")
        self.assertEqual(entry, self.house.now(self.house.master.resolve("d", "f")))
        found = self.kept.get(segment)
        assert found is not None
        self.assertEqual((bytes(found.data), found.place), (b"content", Copy(NODE, 0)))
        self.assertEqual(self.ticket(entry), b"", "nobody needs leave to read what it has")

    def test_what_waits_comes_to_who_sees_it(self) -> None:
        old = self.put("a", b"old")
        options = {"incoming.standby": "true"}
        self.house.now(self.house.operations.change_destination("d", DestinationChange(options=options)))
        upload = self.house.now(self.files.open_write("/d/a"))
        self.house.now(upload.receive(MemorySource(b"newer")))
        self.house.now(upload.commit())
        seen, waiting = (self.house.now(self.master.resolve("d", "a", each)) for each in (False, True))
        self.assertEqual((seen.size, seen.waits, waiting.size), (3, None, 5))
        kept = [self.kept.get(entry.file.segments[0]) for entry in (seen, waiting)]
        self.assertEqual([bytes(each.data) for each in kept if each], [b"old", b"newer"])
        self.assertEqual(seen.file.segments[0].id, old.id)

    def test_what_is_more_gets_a_ticket(self) -> None:
        for size in (SMALL_FILE, SMALL_FILE + 1):
            segment = self.put("f", bytes(size))
            entry = self.resolve("f")
            few = size == SMALL_FILE
            self.assertEqual((self.kept.get(segment) is not None, self.ticket(entry) == b""), (few, few), size)

    def test_no_more_than_is_kept_here(self) -> None:
        self.master.keeper = self.kept = KeptSegments(1 << 20, 3)
        self.put("f", b"four")
        self.assertNotEqual(self.ticket(self.resolve("f")), b"")
        self.master.keeper = KeptSegments(0, SMALL_FILE)
        self.put("g", b"1")
        self.assertNotEqual(self.ticket(self.resolve("g")), b"")

    def test_what_the_asking_node_has_itself_stays_there(self) -> None:
        segment = self.put("f", b"content")
        self.resolve("f", self.node(NODE))
        self.assertIsNone(self.kept.get(segment))

    def test_a_copy_that_is_not_there_gets_a_ticket_and_whoever_reads_it_is_told(self) -> None:
        self.put("f", b"content")
        for path in self.house.stored():
            path.unlink()
        self.assertNotEqual(self.ticket(self.resolve("f")), b"")

    def test_no_bytes_folders_and_nothing(self) -> None:
        self.put("empty", b"")
        self.assertEqual(self.resolve("empty").size, 0)
        self.house.now(self.files.make_directory("/d/folder"))
        self.assertTrue(self.resolve("folder").is_directory)
        self.failureResultOf(ensureDeferred(self.master.resolve("d", "none")), NotFound)
        self.assertEqual(self.kept.size, 0)

    def test_a_change_counts_with_the_next_question(self) -> None:
        old = self.put("f", b"old")
        self.resolve("f")
        new = self.put("f", b"new")
        self.resolve("f")
        self.assertNotEqual(old.id, new.id)
        found = self.kept.get(new)
        assert found is not None
        self.assertEqual(bytes(found.data), b"new")
        self.house.now(self.files.delete("/d/f"))
        self.failureResultOf(ensureDeferred(self.master.resolve("d", "f")), NotFound)


class FromAMover(Case):
    """The Master's node reads what another mover has."""

    def setUp(self) -> None:
        super().setUp()
        self.stream = Streams()
        self.link: Asker | None = PbLink(handlers(SmallCalls, SmallDesk(NODE, self.house.store)))
        self.store = LinkedStore(self.stream, lambda: self.link)

    def read(self, segment: Segment, length: int | None = None) -> bytes:
        copy, length = segment.copies[0], segment.length if length is None else length
        handle = self.successResultOf(ensureDeferred(self.store.read(segment.id, copy, length)))
        data = handle.held(0, len(STREAMED) if self.stream.asked else length)
        return bytes(data)

    def test_it_is_a_store(self) -> None:
        verifyObject(IStore, self.store)
        self.failureResultOf(ensureDeferred(self.store.write(1, 0, ())), Unavailable)

    def test_few_bytes_come_over_the_link(self) -> None:
        for content in (b"1", b"content", bytes(SMALL_FILE)):
            self.assertEqual(self.read(self.put("f", content)), content)
        self.assertEqual(self.stream.asked, [])

    def test_more_and_none_go_by_the_stream(self) -> None:
        segment = self.put("f", bytes(SMALL_FILE + 1))
        self.assertEqual(self.read(segment), STREAMED)
        self.assertEqual(self.stream.asked, [(segment.id, segment.copies[0], SMALL_FILE + 1)])
        self.read(segment, 0)
        self.assertEqual(len(self.stream.asked), 2)

    def test_without_a_link_or_where_it_is_lost_the_stream_is_asked(self) -> None:
        segment = self.put("f", b"content")
        self.link = None
        self.assertEqual(self.read(segment), STREAMED)
        self.link = Lost()
        self.assertEqual(self.read(segment), STREAMED)

    def test_a_copy_that_is_spoilt(self) -> None:
        segment = self.put("f", b"content")
        for path in self.house.stored():
            path.chmod(0o600)
            path.write_bytes(b"short")
        self.failureResultOf(ensureDeferred(self.store.read(segment.id, segment.copies[0], 7)), Corrupt)
        self.assertEqual(self.stream.asked, [])

    def test_a_mover_gives_no_more_than_little(self) -> None:
        assert self.link is not None
        for size in (-1, 0, SMALL_FILE + 1, 1 << 40):
            work = ensureDeferred(SmallCalls(self.link).read(StoredSegment(1, 0, size)))
            self.failureResultOf(work, InvalidRequest)


class Lost:
    """A link on which nobody answers."""

    async def ask(self, call: str, arguments: bytes, repeatable: bool) -> bytes:
        raise Unavailable("nobody answers")
