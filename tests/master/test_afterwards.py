"""Digests after the commit: the contract on SQLite, and what is the Master's own."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from ecpds.errors import Unavailable
from ecpds.master.afterwards import whole_copies
from ecpds.model import Copy, DataFile, Segment, StoredSegment
from tests.contracts.afterwards import AfterwardsContract
from tests.master.support import MasterCase


class AfterwardsTests(AfterwardsContract, MasterCase):
    def setUp(self) -> None:
        super().setUp()
        self.populate()
        self.addCleanup(lambda: self.assertEqual(self.orphans(), []))

    def test_the_end_of_the_process_does_not_wait_for_them(self) -> None:
        self.mover.digesting = Deferred()
        file = self.now(self.put("a")).file
        asked = self.begun(self.master.afterwards.wait(file.id))
        self.restart()
        self.successResultOf(asked)
        self.assertEqual(self.owed(), 1)
        self.mover.digesting = None
        self.look()
        self.assertEqual(self.owed(), 0)

    def test_so_many_at_a_time(self) -> None:
        self.mover.digesting = Deferred()
        for number in range(5):
            self.now(self.put(f"{number}"))
        self.assertEqual(len(self.mover.digested), self.limits.digest_threads // 2)
        self.mover.digesting.callback(None)
        self.assertEqual((len(self.mover.digested), self.owed()), (5, 0))

    def test_who_asks_comes_first(self) -> None:
        self.mover.digesting = Deferred()
        files = [self.now(self.put(f"{number}")).file.id for number in range(5)]
        asked = self.begun(self.master.settled("later", "4", files[4]))
        self.mover.digesting.callback(None)
        self.successResultOf(asked)
        self.assertEqual([each[0] for each in self.mover.digested], [files[0], files[1], files[4], files[2], files[3]])

    def test_a_destination_that_is_gone_owes_nothing(self) -> None:
        self.mover.digest_failure = Unavailable("away")
        self.now(self.put("a"))
        self.now(self.operations.remove_destination("later", True))
        self.mover.digest_failure = None
        self.look()
        self.assertEqual(self.owed(), 0)

    def test_bytes_that_are_not_what_came_are_known_as_damaged_and_not_read_again_each_minute(self) -> None:
        self.mover.digests_of["crc64nvme"] = "f" * 16
        self.mover.damage = {1: "its crc64nvme is another"}
        file = self.now(self.put("a")).file
        for _ in range(5):
            self.look()
        (found,) = self.now(self.operations.damaged((0, "", 0), 10))
        self.assertEqual((file.id, found.segment, found.path), (1, 1, "/later/a"))
        self.assertEqual((len(self.mover.digested), len(self.mover.checked), self.owed()), (1, 1, 0))


class WholeCopiesTests(MasterCase):
    def test_the_movers_that_hold_every_segment(self) -> None:
        one = Segment(1, 5, (Copy("a", 0), Copy("b", 1)))
        other = Segment(2, 7, (Copy("b", 0), Copy("c", 0)))
        file = DataFile(9, 12, 0.0, 0.0, segments=(one, other))
        self.assertEqual(dict(whole_copies(file)), {"b": [StoredSegment(1, 1, 5), StoredSegment(2, 0, 7)]})
        self.assertEqual(dict(whole_copies(DataFile(9, 0, 0.0, 0.0))), {})
