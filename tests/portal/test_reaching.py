"""A file in very many segments costs few open ones, and its bytes are the same."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ecpds.errors import NotFound, Refusal, Unavailable
from ecpds.interfaces import IByteSink, IReadHandle, IStore, IWriteHandle
from ecpds.model import Copy, Segment
from ecpds.portal.download import CountedSink, SegmentReader
from ecpds.portal.kept import KeptSegments
from ecpds.portal.reaching import FEW, FEW_HERE, OPEN, Reach, open_segments
from tests.doubles import MemorySink

LIFE = 60.0


class Tally:
    sent = 0


def content(segment: int) -> bytes:
    return f"{segment:010d}".encode()


@implementer(IReadHandle)
class Opened:
    def __init__(self, store: Counting, segment: int) -> None:
        self._store = store
        self._data = content(segment)
        store.open += 1
        store.most = max(store.most, store.open)

    async def send(self, sink: IByteSink, offset: int, length: int) -> None:
        await sink.write(self._data[offset : offset + length])

    def held(self, offset: int, length: int) -> memoryview | None:
        return None

    def close(self) -> None:
        self._store.open -= 1


@implementer(IStore)
class Counting:
    """Counts what is open of it, and lets only such tickets in as were made a short while ago. `opening` holds one back."""

    def __init__(self, clock: Clock) -> None:
        self.open = self.most = 0
        self.opening: Deferred[None] | None = None
        self._clock = clock

    async def write(
        self, segment: int, volume: int, digests: Sequence[str], size: int | None = None, ticket: bytes = b""
    ) -> IWriteHandle:
        raise AssertionError(segment)

    async def read(self, segment: int, copy: Copy, length: int) -> IReadHandle:
        if self._clock.seconds() >= float(copy.ticket) + LIFE:
            raise Unavailable("the ticket has expired")
        if self.opening is not None:
            await self.opening
        return Opened(self, segment)


class Reaching(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.store = Counting(self.clock)
        self.asked = 0
        self.asking: Deferred[None] | None = None
        self.failure: Refusal | None = None
        self.given = 0.0
        """How old a ticket is when it is handed out."""

    def segments(self, count: int) -> tuple[Segment, ...]:
        ticket = str(self.clock.seconds() - self.given).encode()
        return tuple(Segment(number, 10, (Copy("mover", 0, ticket),)) for number in range(count))

    async def again(self) -> Sequence[Segment]:
        self.asked += 1
        if self.asking is not None:
            await self.asking
        if self.failure is not None:
            raise self.failure
        return self.segments(self.count)

    def readers(self, count: int, node: str = "here") -> Sequence[SegmentReader]:
        self.count = count
        reach = Reach(self.again, self.clock.seconds, LIFE)
        opened = open_segments(self.segments(count), lambda mover: self.store, node, KeptSegments(0, 0), reach)
        readers: Sequence[SegmentReader] = self.now(opened)
        return readers

    def now(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.successResultOf(ensureDeferred(work))

    def read(self, reader: SegmentReader) -> Coroutine[Any, Any, None]:
        self.sink = MemorySink()
        return reader.send(CountedSink(self.sink, Tally()), 0, 10)

    def test_few_are_opened_with_their_file(self) -> None:
        for reader in self.readers(FEW):
            self.now(self.read(reader))
        self.assertEqual(self.store.open, FEW)

    def test_to_open_files_of_this_node_costs_less(self) -> None:
        self.readers(FEW_HERE, "mover")
        self.assertEqual(self.store.open, FEW_HERE)
        self.readers(FEW_HERE + 1, "mover")
        self.assertEqual(self.store.open, FEW_HERE + 1)

    def test_of_many_few_are_open(self) -> None:
        readers = self.readers(3 * FEW)
        for number in (*range(3 * FEW), 7, 3, 250, 3, 3):
            self.now(self.read(readers[number]))
            self.assertEqual(self.sink.value, content(number))
        self.assertEqual((self.store.most, self.asked), (OPEN, 0))
        for reader in readers:
            reader.close()
        self.assertEqual(self.store.open, 0)

    def test_tickets_are_asked_for_anew_in_time(self) -> None:
        readers = self.readers(2 * FEW)
        for number in range(20):
            self.clock.advance(LIFE / 4)
            self.now(self.read(readers[number]))
        self.assertEqual(self.asked, 19)

    def test_read_steadily_and_replaced_at_any_time_it_is_read_for_a_quarter_more(self) -> None:
        """Tickets are kept for who asks again, so that one may have half of its life behind it."""
        self.given = LIFE / 2
        for replaced in range(int(LIFE)):
            self.failure = None
            readers = self.readers(2 * FEW)
            for second in range(replaced + int(LIFE / 4)):
                if second == replaced:
                    self.failure = NotFound()
                self.now(self.read(readers[second]))
                self.clock.advance(1)

    def test_a_master_that_is_away_is_asked_again_before_the_tickets_end(self) -> None:
        self.given = LIFE / 2
        readers, self.failure = self.readers(2 * FEW), Unavailable("the Master is away")
        for number in range(1, 2 * FEW):
            self.clock.advance(LIFE / 20)
            self.now(self.read(readers[number]))
            if self.asked:
                self.failure = None

    def test_a_master_that_is_away_is_not_waited_for_at_each_segment(self) -> None:
        readers = self.readers(2 * FEW)
        self.clock.advance(LIFE / 4)
        self.asking = Deferred()
        reading = ensureDeferred(self.read(readers[1]))
        self.clock.advance(LIFE / 6)
        self.asking.errback(Unavailable("the Master is away"))
        self.successResultOf(reading)
        self.now(self.read(readers[2]))
        self.assertEqual(self.asked, 1)

    def test_tickets_are_as_old_as_the_question(self) -> None:
        """The Master may have signed them long before its answer comes."""
        readers = self.readers(2 * FEW)
        self.clock.advance(LIFE / 4)
        self.asking = Deferred()
        reading = ensureDeferred(self.read(readers[1]))
        self.clock.advance(LIFE / 6)
        self.asking.callback(None)
        self.successResultOf(reading)
        self.clock.advance(LIFE / 12)
        self.now(self.read(readers[2]))
        self.assertEqual(self.asked, 2)

    def test_what_has_lost_its_name_is_read_as_long_as_its_tickets_are_good(self) -> None:
        readers, self.failure = self.readers(2 * FEW), NotFound()
        self.clock.advance(LIFE - 1)
        self.now(self.read(readers[1]))
        self.clock.advance(1)
        self.failureResultOf(ensureDeferred(self.read(readers[2])), Unavailable)
        self.now(self.read(readers[1]))

    def test_nothing_is_opened_behind_the_end(self) -> None:
        readers = self.readers(2 * FEW)
        self.store.opening = Deferred()
        reading = ensureDeferred(self.read(readers[5]))
        for reader in readers:
            reader.close()
        self.store.opening.callback(None)
        self.failureResultOf(reading, Unavailable)
        self.failureResultOf(ensureDeferred(self.read(readers[5])), Unavailable)
        self.assertEqual(self.store.open, 0)
