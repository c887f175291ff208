"""Bandwidth, by a clock that the tests turn: what a bucket lets through, which limits a transfer obeys, that all ways do."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ecpds.filling import Into
from ecpds.interfaces import IBasin, IChannel, IFloodSource, IRelaySink
from ecpds.limits import Limits
from ecpds.model import DestinationChange, Identity
from ecpds.people import UserChange
from ecpds.portal import pace as pace_module
from ecpds.portal.download import PacedSink
from ecpds.portal.pace import DOWNLOAD, SLACK, UPLOAD, Bucket, Pace, Paces
from ecpds.portal.upload import PacedSource
from ecpds.protocols.copying import FromDownload
from ecpds.rates import Rates
from ecpds.threads import InlineThreads
from ecpds.wire.ranges import Span
from tests.doubles import MemorySink, MemorySource
from tests.portal.house import ORIGIN, House

RATE = 1000
"""Bytes per second."""

EXACT = 0.05
"""How far a rate may be off."""

TICK = 0.01
"""Seconds by which the house's clock is turned."""


class Sent:
    sent = 0


@implementer(IRelaySink, IFloodSource)
class Fast(MemorySink):
    """What would move bytes on a thread. Where anybody asks it to, the test fails."""

    async def carry(self, source: IChannel, length: int) -> int:
        raise AssertionError("asked to move bytes on a thread")

    async def read_into(self, view: memoryview) -> int:
        return len(view)

    async def flood(self, basin: IBasin, length: int) -> int:
        raise AssertionError("asked to fill buffers on a thread")


class BucketTests(SynchronousTestCase):
    @given(st.lists(st.tuples(st.integers(1, 5000), st.floats(0, 0.5), st.floats(0, 2)), min_size=1, max_size=60))
    def test_no_more_than_the_rate_and_the_slack(self, steps: list[tuple[int, float, float]]) -> None:
        """Between any two moments, whatever pauses there were, and however late each timer was."""
        bucket, now = Bucket(RATE, 0.0), 0.0
        crossed: list[tuple[float, int]] = []
        for size, late, pause in steps:
            now += max(0.0, bucket.take(size, now)) + late
            crossed.append((now, size))
            now += pause
        for first in range(len(crossed)):
            for last in range(first, len(crossed)):
                seconds = crossed[last][0] - crossed[first][0]
                between = sum(size for _, size in crossed[first + 1 : last + 1])
                self.assertLessEqual(between, RATE * (seconds + SLACK) + 1e-6)

    def test_it_is_empty_at_first(self) -> None:
        bucket = Bucket(RATE, 5.0)
        self.assertFalse(bucket.holds(1, 5.0))
        self.assertAlmostEqual(bucket.take(100, 5.0), 0.1)

    def test_what_was_not_used_is_there_for_a_while(self) -> None:
        bucket = Bucket(RATE, 0.0)
        self.assertTrue(bucket.holds(100, 60.0))
        self.assertFalse(bucket.holds(101, 60.0))

    def test_late_timers_cost_nothing(self) -> None:
        bucket, now = Bucket(RATE, 0.0), 0.0
        for _ in range(40):
            now += max(0.0, bucket.take(50, now)) + 0.02
        self.assertLess(abs(now - 2.0), 2.0 * EXACT)


class PaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def pace(self, *rates: int) -> Pace:
        return Pace([Bucket(rate, 0.0) for rate in rates], self.clock, self.clock.seconds)

    def elapsed(self, work: Any) -> float:
        """Seconds that something takes."""
        start, waiting = self.clock.seconds(), ensureDeferred(work)
        while not waiting.called:
            (call,) = self.clock.getDelayedCalls()
            self.clock.advance(call.getTime() - self.clock.seconds())
        self.successResultOf(waiting)
        return self.clock.seconds() - start

    def test_the_slowest_counts(self) -> None:
        self.assertAlmostEqual(self.elapsed(self.pace(RATE, RATE // 4).spend(500)), 2.0)

    def test_pieces(self) -> None:
        self.assertEqual([self.pace(rate).piece for rate in (1, 19, 1000, 1 << 40)], [1, 1, 50, 1 << 20])

    def test_writes(self) -> None:
        sink, sent = MemorySink(), Sent()
        data = os.urandom(2 * RATE)
        waiting = ensureDeferred(PacedSink(sink, sent, self.pace(RATE)).write(data))
        for tenth in range(1, 20):
            self.clock.pump([0.05, 0.05])
            self.assertLessEqual(abs(sent.sent - tenth * RATE / 10), 50)
        self.clock.pump([0.05, 0.05])
        self.successResultOf(waiting)
        self.assertEqual(sink.value, data)

    def test_files(self) -> None:
        with open(self.mktemp(), "w+b") as file:
            data = os.urandom(2 * RATE)
            file.write(data)
            file.flush()
            sink = MemorySink()
            paced = PacedSink(sink, Sent(), self.pace(RATE))
            self.assertAlmostEqual(self.elapsed(paced.send_file(file.fileno(), 300, 1700)), 1.7)
            self.assertEqual(sink.value, data[300:])

    def test_sources(self) -> None:
        source: Any = PacedSource(MemorySource(bytes(2 * RATE)), Sent(), self.pace(RATE))  # type: ignore[arg-type]

        async def read() -> None:
            while await source.read_into(memoryview(bytearray(4096))):
                pass

        self.assertAlmostEqual(self.elapsed(read()), 2.0)

    def test_nothing_is_moved_on_a_thread(self) -> None:
        fast: Any = Fast()
        record: Any = Sent()
        self.assertEqual(self.successResultOf(ensureDeferred(PacedSink(fast, record, self.pace(RATE)).carry(fast, 9))), 0)
        self.assertEqual(self.successResultOf(ensureDeferred(PacedSource(fast, record, self.pace(RATE)).flood(fast, 9))), 0)

    def test_who_is_cancelled_leaves_no_timer(self) -> None:
        waiting: Deferred[None] = ensureDeferred(self.pace(RATE).spend(500))
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_may_cross_at_once_counts(self) -> None:
        pace = self.pace(RATE, 2 * RATE)
        self.clock.advance(60)
        self.assertFalse(pace.spend_now(101))
        self.assertTrue(pace.spend_now(60))
        self.assertFalse(pace.spend_now(60))
        self.assertTrue(pace.spend_now(40))
        self.assertAlmostEqual(self.elapsed(pace.spend(50)), 0.05)


class WhatIsObeyed(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def paces(self, **limits: int) -> Paces:
        return Paces(Limits(**limits), self.clock, self.clock.seconds)

    def identity(self, rates: Rates | None = None, user: int = 1, **options: str) -> Identity:
        named = {f"portal.maxBytesPerSec{name}": text for name, text in options.items()}
        return Identity(user, "joe", frozenset(), ("demo",), named, rates={"demo": rates} if rates else {})

    def waits(self, pace: Pace | None, size: int = RATE) -> float:
        """Seconds that so many bytes would have to wait."""
        self.assertIsNotNone(pace)
        assert pace is not None
        ensureDeferred(pace.spend(size))
        calls = self.clock.getDelayedCalls()
        return max((call.getTime() for call in calls), default=0.0) - self.clock.seconds()

    def test_nothing(self) -> None:
        paces, none = self.paces(), self.identity()
        self.assertIsNone(paces.of(DOWNLOAD, none, "192.0.2.1", "demo"))
        one_way = self.identity(Rates(download=5), ForInput="7")
        self.assertIsNone(paces.of(UPLOAD, one_way, "192.0.2.1", "demo"))
        self.assertIsNone(self.paces(upload_rate=5).of(DOWNLOAD, none, "192.0.2.1", "demo"))
        self.assertIsNone(paces.of(DOWNLOAD, self.identity(Rates(download=5)), "192.0.2.1", "other"))

    def test_each_transfer_of_a_destination_by_itself(self) -> None:
        paces, joe = self.paces(), self.identity(Rates(RATE, 2 * RATE))
        for _ in range(2):
            self.assertAlmostEqual(self.waits(paces.of(DOWNLOAD, joe, "192.0.2.1", "demo")), 1.0)
        self.clock = Clock()
        self.assertAlmostEqual(self.waits(self.paces().of(UPLOAD, joe, "192.0.2.1", "demo")), 0.5)

    def test_parts_of_one_upload_together(self) -> None:
        paces, joe = self.paces(), self.identity(Rates(upload=RATE))
        for seconds in (1.0, 2.0):
            self.assertAlmostEqual(self.waits(paces.of(UPLOAD, joe, "192.0.2.1", "demo", 7)), seconds)

    def test_all_of_a_user_together(self) -> None:
        paces = self.paces()
        for seconds in (1.0, 2.0):
            self.assertAlmostEqual(self.waits(paces.of(DOWNLOAD, self.identity(ForInput="1000"), "192.0.2.1", "demo")), seconds)
        ann = self.identity(user=2, ForInput="250")
        self.assertAlmostEqual(self.waits(paces.of(DOWNLOAD, ann, "192.0.2.1", "demo")), 4.0)

    def test_another_limit_counts_from_the_next_transfer_on(self) -> None:
        paces = self.paces()
        paces.of(DOWNLOAD, self.identity(ForInput="1000"), "192.0.2.1", "demo")
        self.assertAlmostEqual(self.waits(paces.of(DOWNLOAD, self.identity(ForInput="500"), "192.0.2.1", "demo")), 2.0)

    def test_all_of_a_node_together(self) -> None:
        paces = self.paces(download_rate=RATE)
        for user, seconds in ((1, 1.0), (0, 2.0)):
            self.assertAlmostEqual(self.waits(paces.of(DOWNLOAD, self.identity(user=user), "192.0.2.1", "demo")), seconds)

    def test_networks_of_a_user(self) -> None:
        paces = self.paces()
        joe = self.identity(ByNetwork="192.0.2.0/24=500/0,2001:db8::/32=0/250", ForInput="1000", ForOutput="1000")
        self.assertAlmostEqual(self.waits(paces.of(DOWNLOAD, joe, "192.0.2.9", "demo")), 2.0)
        self.assertIsNone(paces.of(UPLOAD, joe, "192.0.2.9", "demo"))
        self.assertIsNone(paces.of(DOWNLOAD, joe, "2001:db8::1%eth0", "demo"))
        self.assertAlmostEqual(self.waits(paces.of(UPLOAD, joe, "2001:db8::1", "demo")), 4.0)
        self.clock = Clock()
        self.assertAlmostEqual(self.waits(self.paces().of(UPLOAD, joe, "198.51.100.1", "demo")), 1.0)

    def test_what_is_remembered_is_bounded(self) -> None:
        paces = self.paces()
        self.patch(pace_module, "REMEMBERED", 2)
        for user in range(1, 9):
            paces.of(DOWNLOAD, self.identity(user=user, ForInput="1000"), "192.0.2.1", "demo")
        self.assertEqual(len(paces._shared), 2)


class Throttled(SynchronousTestCase):
    """As a user meets it; files of demo go at `RATE` each way."""

    def setUp(self) -> None:
        self.house = House(self)
        options = {"incoming.maxBytesPerSecForInput": str(RATE), "incoming.maxBytesPerSecForOutput": str(RATE)}
        self.house.add_destination("demo", options=options)
        self.house.add_destination("free")
        self.house.add_user("joe", ("demo", "free"), password="secret")
        self.files: Any = self.house.now(self.house.portal.login("joe", "secret", ORIGIN))

    def elapsed(self, work: Any) -> float:
        start, waiting = self.house.clock.seconds(), ensureDeferred(work)
        while not waiting.called:
            self.house.clock.advance(TICK)
        self.successResultOf(waiting)
        return self.house.clock.seconds() - start

    async def put(self, path: str, data: bytes) -> None:
        upload = await self.files.open_write(path)
        await upload.receive(MemorySource(data))
        await upload.commit()

    async def get(self, path: str) -> None:
        download, sink = await self.files.open_read(path), MemorySink()
        await download.send(sink)
        download.close()

    def test_both_ways(self) -> None:
        for size in (200, 2 * RATE):
            for transfer in (self.put("/demo/a", bytes(size)), self.get("/demo/a")):
                self.assertLess(abs(self.elapsed(transfer) - size / RATE), TICK + EXACT * size / RATE)
        self.assertEqual(self.elapsed(self.put("/free/a", bytes(2 * RATE))) + self.elapsed(self.get("/free/a")), 0.0)

    def test_what_is_put_as_a_whole(self) -> None:
        for path, seconds in (("/demo/a", 0.5), ("/free/a", 0.0)):
            self.assertLess(abs(self.elapsed(self.files.write_whole(path, bytes(500))) - seconds), TICK + EXACT)
            self.assertEqual(self.house.now(self.files.stat(path)).size, 500)

    def test_bytes_that_are_in_memory(self) -> None:
        self.elapsed(self.put("/demo/a", bytes(200)))
        self.elapsed(self.get("/demo/a"))
        download = self.house.now(self.files.open_read("/demo/a"))
        self.assertIsNone(download.held(0, 200))
        self.assertIsNone(self.house.portal.read_again(self.files, "/demo/a"))

    def test_many_small_ones_of_a_user(self) -> None:
        """Those that may cross now are answered at once, and the next one waits."""
        self.house.now(self.put("/free/a", bytes(60)))
        change = UserChange(options={"portal.maxBytesPerSecForInput": str(RATE)})
        self.house.now(self.house.operations.change_user("joe", change))
        self.files = self.house.now(self.house.portal.login("joe", "secret", ORIGIN))
        self.house.now(self.files.stat("/free/a"))
        self.assertIsNone(self.house.portal.read_again(self.files, "/free/a"), "the bucket is empty at first")
        self.house.clock.advance(1)
        found = self.house.portal.read_again(self.files, "/free/a")
        assert found is not None
        self.assertEqual(found.held(0, 60), bytes(60))
        self.assertIsNone(self.house.portal.read_again(self.files, "/free/a"))
        self.assertLess(abs(self.elapsed(self.get("/free/a")) - 0.02), 1.1 * TICK)

    def test_one_that_is_open_and_read_again_and_again(self) -> None:
        """It was let through once; each time more its bytes count anew, as SFTP may ask for them."""
        self.house.now(self.put("/free/a", bytes(60)))
        change = UserChange(options={"portal.maxBytesPerSecForInput": str(RATE)})
        self.house.now(self.house.operations.change_user("joe", change))
        self.files = self.house.now(self.house.portal.login("joe", "secret", ORIGIN))
        self.house.now(self.files.open_read("/free/a")).close()
        self.house.clock.advance(1)
        download = self.house.now(self.files.open_read("/free/a"))
        self.assertEqual([download.held(0, 20) for _ in range(3)], [bytes(20)] * 3)
        self.assertEqual([download.held(0, 20) for _ in range(2)], [bytes(20)] * 2, "what was not used is there")
        self.assertIsNone(download.held(0, 20))
        self.assertLess(abs(self.elapsed(download.send(MemorySink(), 0, 60)) - 0.06), 2 * TICK)

    def test_a_copy_crosses_nothing(self) -> None:
        self.elapsed(self.put("/demo/a", bytes(500)))

        async def copy() -> None:
            download, upload = await self.files.open_read("/demo/a"), await self.files.open_write("/demo/b")
            await upload.receive(FromDownload(download, Span(0, 500), InlineThreads()))
            await upload.commit()
            download.close()

        self.assertEqual(self.elapsed(copy()), 0.0)
        self.assertEqual(self.house.now(self.files.stat("/demo/b")).size, 500)

    def test_into_memory(self) -> None:
        self.elapsed(self.put("/demo/a", bytes(500)))
        download = self.house.now(self.files.open_read("/demo/a"))
        self.assertEqual(self.elapsed(download.send(Into(memoryview(bytearray(500)), InlineThreads()))), 0.0)
        download.close()

    def test_the_limit_of_a_destination_changes(self) -> None:
        unset = ("incoming.maxBytesPerSecForInput", "incoming.maxBytesPerSecForOutput")
        self.house.now(self.house.operations.change_destination("demo", DestinationChange(unset=unset)))
        self.files = self.house.now(self.house.portal.login("joe", "secret", ORIGIN))
        self.assertEqual(self.elapsed(self.put("/demo/a", bytes(500))), 0.0)
