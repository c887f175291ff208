"""The buffers of a fast upload on their way between threads; here one thread does what they all do, in any order."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ecpds.errors import Incomplete, NoSpace, TooLarge
from ecpds.interfaces import IBasin, IFloodSource
from ecpds.mover import basin as rooms
from ecpds.mover.basin import Basin
from ecpds.mover.pipeline import Pipeline
from ecpds.mover.strands import Strand
from ecpds.transports.buffers import LARGEST, BufferPool
from tests.doubles_store import HandThreads

SIZE = 4
CONTENT = os.urandom(24 << 20)


class BasinCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(rooms, "PATIENCE", 0)  # nobody gives a buffer back while the test waits
        self.threads = HandThreads()
        self.buffers: Sequence[memoryview] = [memoryview(bytearray(SIZE)) for _ in range(3)]
        self.outcomes: list[object] = []
        self.returned: list[Sequence[memoryview]] = []
        self.seen = [bytearray(), bytearray()]

    def make(self, *works: Callable[[memoryview], Any]) -> Basin:
        async def fetch() -> Sequence[memoryview]:
            return self.buffers

        steps = [(Strand(self.threads), work) for work in works]
        return Basin(fetch, steps, self.outcomes.append, self.returned.append)

    def begun(self, *works: Callable[[memoryview], Any]) -> Basin:
        made = self.make(*works)
        self.assertTrue(self.successResultOf(Deferred.fromCoroutine(made.begin())))
        return made

    def fill(self, basin: Basin, data: bytes) -> bool:
        room = basin.room()
        if room is None:
            return False
        room[: len(data)] = data
        basin.filled(len(data))
        return True


class BasinTests(BasinCase):
    def test_provides(self) -> None:
        verifyObject(IBasin, self.make())

    def test_every_step_has_every_byte_in_order(self) -> None:
        basin = self.begun(self.seen[0].extend, self.seen[1].extend)
        self.assertEqual([self.fill(basin, each) for each in (b"abcd", b"ef", b"ghij", b"kl")], [True, True, True, False])
        basin.end()
        self.threads.step()
        self.assertEqual((bytes(self.seen[0]), self.returned), (b"abcdefghij", []), "the other step has not seen them")
        self.threads.step()
        self.assertEqual(bytes(self.seen[1]), b"abcdefghij")
        self.assertEqual((self.outcomes, self.returned), ([None, None], [self.buffers]))

    def test_a_step_that_fails(self) -> None:
        """It is told, the other step goes on, and nothing more is asked for."""

        def fail(view: memoryview) -> None:
            raise NoSpace

        basin = self.begun(fail, self.seen[1].extend)
        self.assertTrue(self.fill(basin, b"abcd"))
        self.assertTrue(self.fill(basin, b"ef"))
        basin.end()
        self.threads.steps()
        self.assertIsNone(basin.room())
        self.assertEqual(bytes(self.seen[1]), b"abcdef")
        failed, other = self.outcomes
        assert isinstance(failed, Failure)
        self.assertTrue(failed.check(NoSpace))
        self.assertEqual((other, self.returned), (None, [self.buffers]))

    def test_nothing_came(self) -> None:
        basin = self.begun(self.seen[0].extend)
        self.assertIsNotNone(basin.room())
        basin.filled(0)
        basin.end()
        self.threads.steps()
        self.assertEqual((self.seen[0], self.returned), (b"", [self.buffers]))

    def test_without_buffers(self) -> None:
        self.buffers = []
        made = self.make(self.seen[0].extend)
        self.assertFalse(self.successResultOf(Deferred.fromCoroutine(made.begin())))
        self.assertEqual(self.threads.waiting, [])


@implementer(IFloodSource)
class Floods:
    """Gives `data` by floods, and by reads of at most `LARGEST`."""

    def __init__(self, data: bytes) -> None:
        self.data = memoryview(data)
        self.floods = 0

    async def read_into(self, view: memoryview) -> int:
        return self._give(view)

    async def flood(self, basin: IBasin, length: int) -> int:
        if not await basin.begin():
            return 0
        self.floods += 1
        moved = 0
        while self.data and moved < length and (room := basin.room()) is not None:
            count = self._give(room[: length - moved])
            basin.filled(count)
            moved += count
        basin.end()
        return moved

    def _give(self, view: memoryview) -> int:
        count = min(len(view), len(self.data))
        view[:count] = self.data[:count]
        self.data = self.data[count:]
        return count


class PipelineTests(SynchronousTestCase):
    """A pipeline whose source may flood it."""

    def setUp(self) -> None:
        self.patch(rooms, "PATIENCE", 0)
        self.threads = HandThreads()
        self.pool = BufferPool(128 << 20)
        self.found = hashlib.sha256()
        self.count = 0

    def take(self, view: memoryview) -> None:
        self.found.update(view)
        self.count += len(view)

    async def receive(self, pipeline: Pipeline, source: Floods, most: int) -> None:
        came = 0
        while came < most:
            count = await pipeline.pour(source, most - came) if pipeline.may_flood else 0
            if not count:
                room = await pipeline.room()
                count = await source.read_into(room[: most - came])
                if not count:
                    break
                pipeline.filled(count)
            came += count
        pipeline.flush()
        await pipeline.drain()

    def work(self, pipeline: Pipeline, source: Floods, most: int) -> Deferred[None]:
        receiving = Deferred.fromCoroutine(self.receive(pipeline, source, most))
        while self.threads.waiting:
            self.threads.step()
        return receiving

    @given(st.integers(0, len(CONTENT)), st.integers(1, 30 << 20), st.integers(1, 4))
    def test_all_bytes_in_their_order(self, size: int, most: int, window: int) -> None:
        self.setUp()
        data = CONTENT[:size]
        source = Floods(data)
        pipeline = Pipeline(self.pool, window, [(Strand(self.threads), self.take), (Strand(self.threads), len)])
        self.successResultOf(self.work(pipeline, source, most))
        self.assertEqual(self.found.hexdigest(), hashlib.sha256(data[:most]).hexdigest())
        self.assertEqual(self.pool.lent, 0)
        if window == 1:
            self.assertEqual(source.floods, 0, "one buffer can't be filled and emptied at once")

    def test_a_fast_source_floods(self) -> None:
        source = Floods(bytes(32 << 20))
        self.successResultOf(self.work(Pipeline(self.pool, 4, [(Strand(self.threads), self.take)]), source, 1 << 40))
        self.assertGreaterEqual(source.floods, 3)
        self.assertEqual(self.count, 32 << 20)

    def test_a_failure_in_a_flood_is_the_pipelines(self) -> None:
        def fail(view: memoryview) -> None:
            if len(view) == LARGEST:
                raise TooLarge

        source = Floods(bytes(32 << 20))
        self.failureResultOf(self.work(Pipeline(self.pool, 4, [(Strand(self.threads), fail)]), source, 1 << 40), TooLarge)
        self.assertEqual(self.pool.lent, 0)

    def test_a_full_pool_has_no_flood(self) -> None:
        """The largest buffers are for the few that have the node to themselves."""
        pool = BufferPool(16 << 20)
        source = Floods(bytes(32 << 20))
        self.successResultOf(self.work(Pipeline(pool, 4, [(Strand(self.threads), self.take)]), source, 1 << 40))
        self.assertEqual((self.count, pool.lent), (32 << 20, 0))

    def test_what_came_before_it_failed_is_given_back(self) -> None:
        class Refusing(HandThreads):
            async def run(self, function: Any, *args: Any) -> Any:
                raise Incomplete

        source = Floods(bytes(1000))
        pipeline = Pipeline(self.pool, 4, [(Strand(Refusing()), self.take)])
        self.failureResultOf(self.work(pipeline, source, 1 << 40), Incomplete)
        self.assertEqual(self.pool.lent, 0)
