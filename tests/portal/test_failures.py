"""What the façade does when stores, sockets and the Master fail: nothing half done, bytes given back, one record."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ecpds.errors import ConnectionLost, Corrupt, NoSpace, NotSupported, Refusal, Stalled, TooLarge, Unavailable
from ecpds.interfaces import IByteSink, IByteSource, IReadHandle, IRelaySink, IStore, IWriteHandle
from ecpds.limits import Limits
from ecpds.model import Copy, DataFile, Entry, Placement, Segment
from ecpds.portal import download
from ecpds.portal.download import CountedSink, Download, SegmentReader
from ecpds.portal.filesystem import FileSystem
from ecpds.portal.journal import Journal, TransferRecord
from ecpds.portal.kept import KeptSegments
from ecpds.portal.paths import canonical
from ecpds.portal.upload import CountedSource
from tests.doubles import MemoryChannel, MemoryRelayChannel, MemorySink, MemorySource, RecordingSink, make_identity
from tests.portal.house import NODE, ORIGIN, House

CONTENT = bytes(range(100))


@implementer(IReadHandle)
class Part:
    """A copy in memory that hands out pieces of 10 bytes and breaks after `good` of them."""

    def __init__(self, data: bytes, good: int | None, failure: Refusal) -> None:
        self._data = data
        self._good = good
        self._failure = failure
        self.open = True

    async def send(self, sink: IByteSink, offset: int, length: int) -> None:
        for number, start in enumerate(range(offset, offset + length, 10)):
            if number == self._good:
                raise self._failure
            await sink.write(self._data[start : min(start + 10, offset + length)])

    def held(self, offset: int, length: int) -> memoryview | None:
        return None

    def close(self) -> None:
        self.open = False


@implementer(IStore)
class Copies:
    """A store that reads: by mover, how many pieces a copy gives before it breaks; None gives all, -1 is not there."""

    def __init__(self, contents: dict[int, bytes], good: dict[str, int | None]) -> None:
        self._contents = contents
        self._good = good
        self.failure: Refusal = Unavailable()
        self.opened: list[tuple[str, Part]] = []

    async def write(
        self, segment: int, volume: int, digests: Sequence[str], size: int | None = None, ticket: bytes = b""
    ) -> IWriteHandle:
        raise NoSpace

    async def read(self, segment: int, copy: Copy, length: int) -> IReadHandle:
        if self._good[copy.mover] == -1:
            raise self.failure
        part = Part(self._contents[segment], self._good[copy.mover], self.failure)
        self.opened.append((copy.mover, part))
        return part


class Readers(SynchronousTestCase):
    def setUp(self) -> None:
        self.records = RecordingSink()
        self.sink = MemorySink()

    def now(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.successResultOf(ensureDeferred(work))

    def reader(self, store: Copies, *movers: str, number: int = 1, length: int = len(CONTENT)) -> SegmentReader:
        return SegmentReader(
            Segment(number, length, tuple(Copy(mover, 0) for mover in movers)), lambda _: store, "here", KeptSegments(0, 0)
        )

    def record(self) -> TransferRecord:
        journal = Journal(self.records, lambda: 0.0, make_identity(), ORIGIN, set())
        return TransferRecord(journal, "download", canonical("/demo/a"), 1, len(CONTENT), Copy("a", 0))

    def send(self, reader: SegmentReader, offset: int = 0, length: int = len(CONTENT)) -> Deferred[None]:
        return ensureDeferred(reader.send(CountedSink(self.sink, self.record()), offset, length))

    def test_interfaces(self) -> None:
        self.assertTrue(verifyObject(IByteSink, CountedSink(self.sink, self.record())))
        self.assertTrue(verifyObject(IByteSource, CountedSource(MemorySource(), self.record())))
        self.assertTrue(verifyObject(IStore, Copies({}, {})))
        self.assertTrue(verifyObject(IReadHandle, Part(b"", None, Corrupt())))

    def test_the_nearest_copy_is_read(self) -> None:
        store = Copies({1: CONTENT}, {"far": None, "here": None})
        self.now(self.reader(store, "far", "here").open())
        self.assertEqual([mover for mover, _ in store.opened], ["here"])

    def test_another_copy_is_opened_when_one_is_not_there(self) -> None:
        store = Copies({1: CONTENT}, {"here": -1, "far": None})
        reader = self.reader(store, "here", "far")
        self.now(reader.open())
        self.successResultOf(self.send(reader))
        self.assertEqual((self.sink.value, reader.place.mover), (CONTENT, "far"))

    def test_another_copy_goes_on_at_the_same_byte(self) -> None:
        for failure in (Unavailable(), Corrupt()):
            self.sink = MemorySink()
            store = Copies({1: CONTENT}, {"here": 3, "far": 2, "third": None})
            store.failure = failure
            reader = self.reader(store, "far", "here", "third")
            self.now(reader.open())
            self.successResultOf(self.send(reader, 5, 90))
            self.assertEqual(self.sink.value, CONTENT[5:95])
            self.assertEqual([(mover, part.open) for mover, part in store.opened][:2], [("here", False), ("far", False)])

    def test_no_copy_is_left(self) -> None:
        store = Copies({1: CONTENT}, {"here": 3, "far": -1})
        reader = self.reader(store, "here", "far")
        self.now(reader.open())
        self.failureResultOf(self.send(reader), Unavailable)
        self.assertEqual(self.sink.value, CONTENT[:30])
        self.failureResultOf(ensureDeferred(self.reader(store).open()), Corrupt)

    def test_a_sink_that_fails_is_not_tried_again(self) -> None:
        for failure in (ConnectionLost(), Stalled(), Corrupt()):
            store = Copies({1: CONTENT}, {"here": None, "far": None})
            reader = self.reader(store, "here", "far")
            self.now(reader.open())
            self.sink = MemorySink(25, failure)
            self.failureResultOf(self.send(reader), type(failure))
            self.assertEqual(len(store.opened), 1)

    def test_a_copy_that_ends_early_is_corrupt(self) -> None:
        store = Copies({1: CONTENT[:50]}, {"here": None})
        reader = self.reader(store, "here")
        self.now(reader.open())
        self.failureResultOf(self.send(reader), Corrupt)

    def test_segments_follow_each_other(self) -> None:
        store = Copies({1: CONTENT[:30], 2: b"", 3: CONTENT[30:90], 4: CONTENT[90:]}, {"here": None})
        lengths = {1: 30, 2: 0, 3: 60, 4: 10}
        readers = [self.reader(store, "here", number=number, length=length) for number, length in lengths.items()]
        for reader in readers:
            self.now(reader.open())
        entry = Entry("/demo/a", 0.0, DataFile(1, 100, 0.0, 0.0))
        for offset, length in ((0, 100), (29, 2), (30, 60), (89, 11), (95, 0), (0, 30)):
            sink = MemorySink()
            opened = Download(entry, readers, self.record())
            self.now(opened.send(sink, offset, length))
            self.assertEqual(sink.value, CONTENT[offset : offset + length], (offset, length))
        opened.close()
        self.assertFalse(any(part.open for _, part in store.opened))

    def test_a_long_file_goes_in_spans(self) -> None:
        self.patch(download, "SPAN", 10)
        file = self.mktemp()
        with open(file, "wb+") as opened:
            opened.write(CONTENT)
            opened.flush()
            record = self.record()
            self.sink = MemorySink(25)
            sending = ensureDeferred(CountedSink(self.sink, record).send_file(opened.fileno(), 0, 100))
            self.failureResultOf(sending, ConnectionLost)
            self.assertEqual(record.sent, 20)

    def test_what_goes_straight_is_counted_as_well(self) -> None:
        record, source = self.record(), MemorySource(CONTENT)
        counted = CountedSink(MemoryRelayChannel(20), record)
        verifyObject(IRelaySink, counted)
        self.assertEqual([self.now(counted.carry(source, 50)) for _ in range(2)], [20, 20])
        self.assertEqual((record.sent, counted.sent, counted.failed), (40, 40, False))
        self.assertEqual(self.now(CountedSink(self.sink, record).carry(source, 50)), 0)

    def test_a_client_that_goes_while_it_does(self) -> None:
        """No other copy is tried: nobody knows how much of the last bytes crossed."""
        channel = MemoryRelayChannel(20)
        channel.feed_loss()
        counted = CountedSink(channel, self.record())
        self.failureResultOf(ensureDeferred(counted.carry(MemorySource(CONTENT), 50)), ConnectionLost)
        self.assertTrue(counted.failed)


class Uploads(SynchronousTestCase):
    def setUp(self) -> None:
        self.sink = RecordingSink()
        self.house = House(self, self.sink, Limits(file_size=1000))
        self.house.add_destination("demo")
        self.files = self.house.files_of(self.house.add_user("alice", ("demo",)))

    def now(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.successResultOf(ensureDeferred(work))

    def nothing_is_left(self, *kinds: str) -> None:
        self.assertEqual([event.type for event in self.sink.events], list(kinds))
        self.assertEqual(self.house.stored(), [])
        self.assertEqual(self.house.now(self.house.operations.summary())["uploads"], 0)

    def test_a_store_that_is_not_there(self) -> None:
        del self.house.stores[NODE]
        self.failureResultOf(ensureDeferred(self.files.open_write("/demo/a")), Unavailable)
        self.nothing_is_left("DEA")

    def test_a_store_without_room(self) -> None:
        self.house.stores[NODE] = Copies({}, {})
        self.failureResultOf(ensureDeferred(self.files.open_write("/demo/a")), NoSpace)
        self.nothing_is_left("DEA")

    def test_what_is_announced_too_large(self) -> None:
        self.failureResultOf(ensureDeferred(self.files.open_write("/demo/a", size=1001)), TooLarge)
        self.nothing_is_left("DEA")

    def test_what_becomes_too_large(self) -> None:
        upload = self.now(self.files.open_write("/demo/a"))
        failure = self.failureResultOf(ensureDeferred(upload.receive(MemorySource(b"x" * 1001, piece=100))), TooLarge)
        self.now(upload.abort(failure.value))
        self.nothing_is_left("INH")

    def test_more_copies_than_can_be_written(self) -> None:
        allocate = self.house.master.allocate

        async def two(request: Any) -> Any:
            allocation = await allocate(request)
            return evolve(allocation, placements=(*allocation.placements, Placement("other", 0)))

        self.patch(self.house.master, "allocate", two)
        self.failureResultOf(ensureDeferred(self.files.open_write("/demo/a")), NotSupported)
        self.nothing_is_left("DEA")

    def test_a_master_that_fails_at_the_end(self) -> None:
        async def fails(*asked: Any) -> Any:
            raise Unavailable("the catalogue can't be reached")

        upload = self.now(self.files.open_write("/demo/a"))
        self.now(upload.receive(MemorySource(b"content")))
        self.patch(self.house.master, "finish", fails)
        self.patch(self.house.master, "readmit", fails)
        self.failureResultOf(ensureDeferred(upload.commit()), Unavailable)
        self.now(upload.abort())
        (record,) = self.sink.of("INH")
        self.assertEqual((record["Status"], record["BytesSent"]), ("failed", 7))
        self.assertIn("the catalogue can't be reached", record["Message"])

    def test_giving_up_goes_on_when_a_step_fails(self) -> None:
        async def fails(*_: Any) -> None:
            raise RuntimeError

        upload = self.now(self.files.open_write("/demo/a"))
        self.patch(self.house.master, "abandon", fails)
        self.now(upload.abort(ConnectionLost()))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.house.stored(), [])
        self.assertEqual(len(self.sink.of("INH")), 1)

    def test_an_abort_while_a_commit_waits_changes_nothing(self) -> None:
        answer: Deferred[None] = Deferred()
        finish = self.house.master.finish

        async def late(allocation: int) -> Any:
            await answer
            return await finish(allocation)

        self.patch(self.house.master, "finish", late)
        upload = self.now(self.files.open_write("/demo/a"))
        self.now(upload.receive(MemorySource(b"content")))
        committing = ensureDeferred(upload.commit())
        self.now(upload.abort(ConnectionLost()))
        answer.callback(None)
        self.successResultOf(committing)
        self.assertEqual([record["Status"] for record in self.sink.of("INH")], ["done"])
        self.assertEqual(self.now(self.files.stat("/demo/a")).size, 7)

    def test_what_is_on_the_disk_already_goes(self) -> None:
        house = House(self, self.sink)
        house.add_destination("demo")
        upload = self.now(house.files_of(house.add_user("alice", ("demo",))).open_write("/demo/a"))
        self.now(upload.receive(MemorySource(b"x" * (3 << 20))))
        self.assertEqual(len(house.stored()), 1)
        self.assertGreater(house.pool.lent, 0)
        self.now(upload.abort(ConnectionLost()))
        self.assertEqual((house.stored(), house.pool.lent), ([], 0))

    def test_a_receive_that_is_cancelled(self) -> None:
        upload = self.now(self.files.open_write("/demo/a"))
        channel = MemoryChannel()
        channel.feed(b"some")
        receiving = ensureDeferred(upload.receive(channel))
        receiving.cancel()
        failure = self.failureResultOf(receiving, CancelledError)
        self.now(upload.abort(failure.value))
        self.nothing_is_left("INH")
        self.assertEqual(self.sink.of("INH")[0]["BytesSent"], 4)


class Views(SynchronousTestCase):
    def test_the_root_is_in_order_whatever_the_accounts_order_is(self) -> None:
        house = House(self)
        for name in "abc":
            house.add_destination(name)
        identity = make_identity(destinations=("b", "c", "a"))
        files = FileSystem(house.backing, identity, ORIGIN)
        self.assertEqual([entry.name for entry in house.now(files.list("/")).entries], ["a", "b", "c"])


class Downloads(SynchronousTestCase):
    def setUp(self) -> None:
        self.sink = RecordingSink()
        self.house = House(self, self.sink)
        self.house.add_destination("demo")
        self.files = self.house.files_of(self.house.add_user("alice", ("demo",)))

    def test_a_stored_file_that_has_gone_or_shrunk(self) -> None:
        upload = self.house.now(self.files.open_write("/demo/a"))
        self.house.now(upload.receive(MemorySource(CONTENT)))
        self.house.now(upload.commit())
        (stored,) = self.house.stored()
        stored.write_bytes(CONTENT[:50])
        self.failureResultOf(ensureDeferred(self.files.open_read("/demo/a")), Corrupt)
        stored.unlink()
        self.failureResultOf(ensureDeferred(self.files.open_read("/demo/a")), Unavailable)
        self.assertEqual([event.type for event in self.sink.events], ["INH", "DEA", "DEA"])
