"""What a destination holds is counted when it is asked for, seldom, and nobody waits long for it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from ecpds.errors import Unavailable
from ecpds.master.usage import PATIENCE, RARELY, Usages
from ecpds.model import ANYTHING, Destination, Usage
from tests.contracts.master import Uploading
from tests.master.support import MasterCase

LIFE = 5.0


class Counted(Uploading, MasterCase):
    def setUp(self) -> None:
        super().setUp()
        self.populate()
        self.life = self.master.limits.usage_life

    def holds(self) -> tuple[int, int]:
        found = self.now(self.master.usage("demo"))
        return found.files, found.size

    def test_what_came_and_went_is_seen_when_the_count_is_old(self) -> None:
        self.now(self.put("a", 3))
        self.assertEqual(self.holds(), (1, 3))
        self.now(self.put("b", 4))
        self.now(self.put("a", 5))
        self.assertEqual(self.holds(), (1, 3))
        self.clock.advance(self.life)
        self.assertEqual(self.holds(), (2, 9))
        self.now(self.master.delete(self.user, "demo", "a", ANYTHING))
        self.clock.advance(self.life)
        self.assertEqual(self.holds(), (1, 4))

    def test_files_of_others_don_t_count(self) -> None:
        self.now(self.put("a", 3))
        self.assertEqual(self.now(self.master.usage("other")), Usage(0, 0, self.clock.seconds()))


class SlowReader:
    """A reader whose answers a test gives."""

    def __init__(self) -> None:
        self.asked: list[Deferred[tuple[int, int]]] = []

    async def ask_on_thread(self, question: Any) -> tuple[int, int]:
        self.asked.append(Deferred())
        return await self.asked[-1]


class Slow(MasterCase):
    def setUp(self) -> None:
        super().setUp()
        self.reader = SlowReader()
        self.usages = Usages(self.reader, self.clock, LIFE)  # type: ignore[arg-type]
        self.demo, self.other = Destination(1, "demo"), Destination(2, "other")

    def test_nobody_waits_long(self) -> None:
        first, second = (self.begun(self.usages.of(self.demo)) for _ in range(2))
        self.assertEqual(len(self.reader.asked), 1, "one count for all who ask meanwhile")
        self.clock.advance(PATIENCE)
        self.assertEqual((self.successResultOf(first), self.successResultOf(second)), (None, None))
        self.reader.asked[0].callback((7, 70))
        self.assertEqual(self.now(self.usages.of(self.demo)), Usage(7, 70, self.clock.seconds()))

    def test_what_took_long_is_done_seldom(self) -> None:
        asked = self.begun(self.usages.of(self.demo))
        self.clock.advance(PATIENCE / 2)
        self.reader.asked[0].callback((7, 70))
        counted = self.successResultOf(asked)
        self.clock.advance(max(LIFE, RARELY * PATIENCE / 2) - 0.01)
        self.assertEqual(self.now(self.usages.of(self.demo)), counted)
        self.assertEqual(len(self.reader.asked), 1)
        self.clock.advance(0.02)
        again = self.begun(self.usages.of(self.demo))
        self.clock.advance(PATIENCE)
        self.assertEqual(self.successResultOf(again), counted, "the old count is told while the new one takes long")
        self.assertEqual(len(self.reader.asked), 2)

    def test_one_destination_at_a_time(self) -> None:
        for each in (self.demo, self.other):
            self.begun(self.usages.of(each))
        self.assertEqual(len(self.reader.asked), 1)
        self.reader.asked[0].callback((1, 1))
        self.assertEqual(len(self.reader.asked), 2)

    def test_a_count_that_fails_says_nothing_and_is_tried_again(self) -> None:
        asked = self.begun(self.usages.of(self.demo))
        self.reader.asked[0].errback(Unavailable())
        self.assertIsNone(self.successResultOf(asked))
        self.begun(self.usages.of(self.demo))
        self.assertEqual(len(self.reader.asked), 2)

    def test_who_asked_may_go(self) -> None:
        asked = self.begun(self.usages.of(self.demo))
        asked.addErrback(lambda _: None).cancel()
        self.reader.asked[0].callback((1, 1))
        counted = self.clock.seconds()
        self.clock.advance(PATIENCE)
        self.assertEqual(self.now(self.usages.of(self.demo)), Usage(1, 1, counted))

    def test_of_one_that_is_gone_nothing_is_kept(self) -> None:
        asked = self.begun(self.usages.of(self.demo))
        self.reader.asked[0].callback((1, 1))
        self.assertIsNotNone(self.successResultOf(asked))
        self.usages.forget(self.demo)
        self.begun(self.usages.of(self.demo))
        self.assertEqual(len(self.reader.asked), 2)
