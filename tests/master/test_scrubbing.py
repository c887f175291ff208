"""Copies that are damaged: the contract on SQLite, and what is the Master's own."""

from __future__ import annotations

from ecpds.errors import IsADirectory, NotFound
from ecpds.model import Copy, Destination, Receipt
from ecpds.people import NewUser
from ecpds.scrubbing import Verdict
from ecpds.terms import AllocationRequest
from tests.contracts.master import ORIGIN, SHA
from tests.contracts.scrubbing import MOVER, ScrubContract
from tests.master.support import MasterCase, MemoryMover


class ScrubbingTests(ScrubContract, MasterCase):
    def setUp(self) -> None:
        super().setUp()
        self.populate()
        self.addCleanup(lambda: self.assertEqual(self.orphans(), []))

    def test_another_copy_is_given_instead(self) -> None:
        self.master.register_mover(MemoryMover("mover-2"))
        self.now(self.operations.add_destination(Destination(0, "twice", copies=2)))
        file = self.put_twice()
        self.judge(Verdict(file, 0, "its sha256 is wrong"))
        found = self.now(self.master.resolve("twice", "a")).file
        self.assertEqual(found.segments[0].copies, (Copy("mover-2", 0),))
        checked = self.now(self.operations.verify_file("twice", "a"))
        self.assertEqual({(each.mover, each.state) for each in checked}, {(MOVER, "whole"), ("mover-2", "whole")})

    def put_twice(self) -> int:
        user = self.now(self.operations.add_user(NewUser("two", destinations=("twice",)))).id
        allocation = self.now(self.master.allocate(AllocationRequest(user, "twice", "a", ORIGIN)))
        for where in allocation.placements:
            self.now(self.master.stored(Receipt(allocation.id, where.mover, where.volume, 5, SHA)))
        return int(self.now(self.master.finish(allocation.id)).file.id)

    def test_only_files_are_verified(self) -> None:
        self.now(self.put("folder/a"))
        self.refused(IsADirectory, self.operations.verify_file("demo", "folder"))
        self.refused(NotFound, self.operations.verify_file("demo", "none"))

    def test_a_mover_that_is_away_leaves_its_copies_unchecked(self) -> None:
        self.now(self.put("a"))
        del self.master.movers.controls[MOVER]
        (found,) = self.now(self.operations.verify_file("demo", "a"))
        self.assertEqual((found.state, found.reason), ("unchecked", f"mover {MOVER} is not there"))
