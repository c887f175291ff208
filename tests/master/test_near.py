"""Small files go to where their client is."""

from __future__ import annotations

from random import Random

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.limits import Limits
from ecpds.master.movers import Movers
from ecpds.model import VolumeUse
from tests.master.support import MemoryMover


class Near(SynchronousTestCase):
    def placed(self, size: int, near_file: int = 100, caller: str = "b", **named: tuple[str, ...]) -> str:
        movers = Movers(Clock(), Random(1), Limits(free_space=0, near_file=near_file))
        for name in "abc":
            movers.register(MemoryMover(name))
        found = {self.successResultOf(ensureDeferred(movers.place(1, size, caller=caller, **named)))[0].mover for _ in range(9)}
        return "".join(sorted(found))

    def test_what_is_small(self) -> None:
        self.assertEqual(self.placed(1), "b")
        self.assertEqual(self.placed(100), "b")

    def test_what_is_larger_or_of_a_size_that_is_not_known_goes_round(self) -> None:
        for size in (101, 0):
            self.assertEqual(self.placed(size), "abc", size)

    def test_none_where_the_limit_is_0(self) -> None:
        self.assertEqual(self.placed(1, near_file=0), "abc")

    def test_where_no_mover_is_or_that_one_was_tried(self) -> None:
        self.assertEqual(self.placed(1, caller="elsewhere"), "abc")
        self.assertEqual(self.placed(1, avoid=("b",)), "ac")

    def now(self, size: int, names: str = "abc", caller: str = "b", full: bool = False) -> str | None:
        movers = Movers(Clock(), Random(1), Limits(free_space=0, near_file=100))
        for name in names:
            use = VolumeUse(0, "/v", 1000, 10 if name == "b" and full else 900)
            movers.register(MemoryMover(name, (use,)))
        self.successResultOf(ensureDeferred(movers.place(1, 0)))
        found = movers.place_now(size, None, caller)
        if size == 1:
            self.assertEqual(movers.takes_now(None, caller), found is not None)
        return None if found is None else found.mover

    def test_at_once_where_it_is_sure(self) -> None:
        self.assertEqual(self.now(1), "b")
        self.assertEqual(self.now(101, names="b"), "b", "there is no other")
        self.assertEqual(self.now(1, names="b"), "b")

    def test_else_it_is_to_be_asked_for(self) -> None:
        self.assertIsNone(self.now(101))
        self.assertIsNone(self.now(1, caller="elsewhere"))
        self.assertIsNone(self.now(1, full=True))
