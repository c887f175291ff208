"""The Master's small parts: placement, ids, shared work, the history's queue, the volumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import NoSpace, Unavailable
from ecpds.events import Event
from ecpds.limits import Limits
from ecpds.master import history
from ecpds.master.cache import ResolveCache
from ecpds.master.history import History
from ecpds.master.ids import BLOCK, Ids
from ecpds.master.movers import LOOK, Movers
from ecpds.master.placement import Candidate, Placer, Wanted
from ecpds.master.shared import Shared
from ecpds.master.sql import Session
from ecpds.master.writer import Joint
from ecpds.model import Entry, Room, VolumeUse
from tests.master.support import MasterCase, MemoryMover

USES = st.builds(
    VolumeUse, st.integers(0, 9), st.just("/v"), st.just(100), st.integers(0, 100), st.sampled_from([None, None, "broken"])
)
FLEET = st.dictionaries(st.sampled_from(["m1", "m2", "m3", "m4"]), st.lists(USES, max_size=4, unique_by=lambda u: u.index))


def place(fleet: Any, copies: int, size: int, kept: int, random: Random) -> Any:
    """With a placer that has no memory."""
    movers = [Candidate(name, uses) for name, uses in fleet.items()]
    placer = Placer(random, kept)
    for each in movers:
        placer.know(each)
    return placer.place(Wanted(copies, size))


class PlacementTests(SynchronousTestCase):
    """`Placer`; the rest of it is in `test_placement`."""

    @given(FLEET, st.integers(1, 4), st.integers(0, 120), st.integers(0, 60), st.integers())
    def test_every_copy_fits_on_a_mover_of_its_own(self, fleet: Any, copies: int, size: int, kept: int, seed: int) -> None:
        fitting = {
            name
            for name, uses in fleet.items()
            if any(use.failed is None and use.free > kept and use.free - kept >= size for use in uses)
        }
        try:
            placed = place(fleet, copies, size, kept, Random(seed))
        except NoSpace:
            self.assertLess(len(fitting), copies)
            return
        self.assertEqual(len({placement.mover for placement in placed}), copies)
        for placement in placed:
            (use,) = (use for use in fleet[placement.mover] if use.index == placement.volume)
            self.assertIsNone(use.failed)
            self.assertGreaterEqual(use.free - size, kept)

    def test_the_emptier_volume_gets_more(self) -> None:
        fleet = {"m": (VolumeUse(0, "/a", 100, 10), VolumeUse(1, "/b", 100, 90))}
        random = Random(1)
        counts = Counter(place(fleet, 1, 0, 0, random)[0].volume for _ in range(1000))
        self.assertGreater(counts[1], 5 * counts[0])
        self.assertGreater(counts[0], 0)


class IdsTests(MasterCase):
    """`Ids`."""

    def take(self, ids: Ids, count: int) -> list[int]:
        return [self.now(ids.take()) for _ in range(count)]

    def test_they_go_on_and_on(self) -> None:
        taken = self.take(Ids(self.writer), 3 * BLOCK)
        self.assertEqual(taken, list(range(taken[0], taken[0] + 3 * BLOCK)))

    def test_the_rest_of_a_block_is_skipped_after_a_crash(self) -> None:
        before = self.take(Ids(self.writer), BLOCK * 2 + 3)
        after = self.take(Ids(self.writer), 1)
        self.assertGreater(after[0], before[-1])

    def test_skipped_ones(self) -> None:
        ids = Ids(self.writer)
        (first,) = self.take(ids, 1)
        ids.skip([first - 5, first + 1, first + 3, first + BLOCK * 50])
        self.assertEqual(self.take(ids, 3), [first + 2, first + 4, first + 5])

    def test_one_reservation_serves_all_who_wait(self) -> None:
        writer = HeldWriter()
        ids = Ids(writer)
        waiting = [ensureDeferred(ids.take()) for _ in range(3)]
        writer.answer(7)
        self.assertEqual([self.successResultOf(each) for each in waiting], [7, 8, 9])

    def test_none_can_be_reserved_and_then_one_can(self) -> None:
        writer = HeldWriter()
        ids = Ids(writer)
        first = ensureDeferred(ids.take())
        writer.answer(Unavailable())
        self.failureResultOf(first, Unavailable)
        second = ensureDeferred(ids.take())
        writer.answer(7)
        self.assertEqual(self.successResultOf(second), 7)


class HeldWriter:
    """A `Writer` that answers when the test says so, with what the test says."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[Any]] = []

    def start(self) -> None:
        """There is nothing to start."""

    async def run(self, operation: Callable[[Session], Any]) -> Any:
        waiter: Deferred[Any] = Deferred()
        self.waiting.append(waiter)
        return await waiter

    @property
    def at_once(self) -> bool:
        return False

    def by_turn(self, operation: Joint[Any]) -> Deferred[Any]:
        return ensureDeferred(self.run(operation))

    is_free = at_once

    def run_now(self, operation: Joint[Any]) -> Any:
        return None

    async def stop(self) -> None:
        """There is nothing to stop."""

    def answer(self, outcome: Any) -> None:
        waiter = self.waiting.pop(0)
        if isinstance(outcome, Exception):
            waiter.errback(outcome)
        else:
            waiter.callback(outcome)


class SharedTests(SynchronousTestCase):
    """`Shared`."""

    def setUp(self) -> None:
        self.runs: list[Deferred[int]] = []
        self.shared: Shared[int] = Shared("counting", self.work)

    async def work(self) -> int:
        self.runs.append(Deferred())
        return await self.runs[-1]

    def test_one_run_for_all(self) -> None:
        waiting = [ensureDeferred(self.shared.run()) for _ in range(3)]
        self.assertEqual((len(self.runs), self.shared.running), (1, True))
        self.runs[0].callback(5)
        self.assertEqual([self.successResultOf(each) for each in waiting], [5, 5, 5])
        self.assertFalse(self.shared.running)

    def test_a_failure_is_everybodys_and_the_next_run_is_new(self) -> None:
        waiting = [ensureDeferred(self.shared.run()) for _ in range(2)]
        self.runs[0].errback(Unavailable())
        for each in waiting:
            self.failureResultOf(each, Unavailable)
        again = ensureDeferred(self.shared.run())
        self.runs[1].callback(1)
        self.assertEqual(self.successResultOf(again), 1)

    def test_the_first_to_ask_may_go_away(self) -> None:
        gone, here = ensureDeferred(self.shared.run()), ensureDeferred(self.shared.run())
        gone.addErrback(lambda _: None)
        gone.cancel()
        self.runs[0].callback(5)
        self.assertEqual(self.successResultOf(here), 5)

    def test_a_failure_that_nobody_waits_for_is_logged(self) -> None:
        self.shared.begin()
        self.runs[0].errback(RuntimeError("broken"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class HistoryQueueTests(SynchronousTestCase):
    """What waits to be written."""

    def setUp(self) -> None:
        self.writer = HeldWriter()
        self.history = History(self.writer, Clock(), 0, lambda _: None)

    def record(self, count: int) -> None:
        for number in range(count):
            self.history.record(Event("DEA", float(number), {}))

    def test_one_write_at_a_time(self) -> None:
        self.record(10)
        self.assertEqual(len(self.writer.waiting), 1)
        self.writer.answer(None)
        self.assertEqual(len(self.writer.waiting), 1)
        self.writer.answer(None)
        self.assertEqual(self.writer.waiting, [])

    def test_what_could_not_be_written_is_tried_again_with_the_next(self) -> None:
        self.record(1)
        self.writer.answer(Unavailable())
        self.assertEqual(self.writer.waiting, [])
        self.record(1)
        flushed = ensureDeferred(self.history.flush())
        self.assertNoResult(flushed)
        self.writer.answer(None)
        self.successResultOf(flushed)
        self.assertEqual(self.history.dropped, 0)

    def test_who_catches_up_waits_for_what_there_was_alone(self) -> None:
        self.record(1)
        self.record(2)
        caught_up = ensureDeferred(self.history.catch_up())
        self.writer.answer(None)
        self.assertNoResult(caught_up)
        self.record(1)
        self.writer.answer(None)
        self.successResultOf(caught_up)
        self.assertEqual(len(self.writer.waiting), 1, "what came meanwhile is written after that")
        self.writer.answer(None)
        self.successResultOf(ensureDeferred(self.history.catch_up()))

    def test_who_catches_up_does_not_wait_for_what_can_t_be_written(self) -> None:
        self.record(2)
        caught_up = [ensureDeferred(self.history.catch_up()) for _ in range(2)]
        self.writer.answer(Unavailable())
        for each in caught_up:
            self.successResultOf(each)
        again = ensureDeferred(self.history.catch_up())
        self.writer.answer(None)
        self.successResultOf(again)

    def test_the_queue_is_bounded(self) -> None:
        self.patch(history, "QUEUE", 5)
        self.record(10)
        self.assertEqual(self.history.dropped, 4)


class MoversTests(SynchronousTestCase):
    """`Movers`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.movers = Movers(self.clock, Random(1), Limits(free_space=0))
        self.mover = MemoryMover()
        self.movers.register(self.mover)
        self.movers.start()
        self.addCleanup(self.movers.stop)

    def place(self, size: int = 0) -> Deferred[Any]:
        return ensureDeferred(self.movers.place(1, size))

    def test_it_looks_when_it_knows_nothing_and_then_now_and_then(self) -> None:
        self.successResultOf(self.place())
        self.successResultOf(self.place())
        self.assertEqual(self.mover.asked, 1)
        self.clock.advance(LOOK)
        self.assertEqual(self.mover.asked, 2)

    def test_it_looks_again_before_it_says_no(self) -> None:
        self.mover.uses = (VolumeUse(0, "/v", 100, 10),)
        self.failureResultOf(self.place(50), NoSpace)
        self.mover.uses = (VolumeUse(0, "/v", 100, 90),)
        self.successResultOf(self.place(50))

    def test_room_is_looked_for_where_none_is_known(self) -> None:
        self.mover.uses = (VolumeUse(0, "/v", 101, 91),)
        self.assertEqual(self.successResultOf(ensureDeferred(self.movers.room({None}, 2))), Room(50, 45))
        self.assertEqual(self.mover.asked, 1)

    def test_a_mover_that_does_not_answer_is_left_out(self) -> None:
        self.successResultOf(self.place())
        self.mover.failure = Unavailable()
        self.clock.advance(LOOK)
        self.failureResultOf(self.place(), NoSpace)
        self.mover.failure = RuntimeError("broken")
        self.failureResultOf(self.place(), NoSpace)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.mover.failure = None
        self.successResultOf(self.place())


class CacheTests(SynchronousTestCase):
    """`ResolveCache`."""

    def test_the_least_lately_used_leaves(self) -> None:
        cache = ResolveCache(2)
        for name in "ab":
            cache.put(1, Entry(name, 0.0))
        cache.get(1, "a")
        cache.put(1, Entry("c", 0.0))
        self.assertEqual([bool(cache.get(1, name)) for name in "abc"], [True, False, True])
        self.assertIsNone(cache.get(2, "a"))
