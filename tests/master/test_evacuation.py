"""A mover that is to be retired: what it holds is moved, one transaction a copy, and may be broken off anywhere."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import ensureDeferred

from ecpds.errors import Corrupt, InvalidRequest, NotFound, Unavailable
from ecpds.master.evacuation import LOOK
from ecpds.master.movers import FRESH, Facts
from ecpds.model import ANYTHING, Copy, DestinationChange, Receipt, StoredSegment, VolumeUse
from ecpds.scrubbing import Verdict
from tests.contracts.master import SHA, Uploading
from tests.master.support import MasterCase, MemoryMover

USE = (VolumeUse(0, "/v", 1 << 40, 1 << 39),)


class EvacuationCase(Uploading, MasterCase):
    """Files on `mover-1`, and a `mover-2` to take them."""

    def setUp(self) -> None:
        super().setUp()
        self.populate()
        for name in ("a", "b", "c"):
            self.now(self.put(name))

    def start(self) -> None:
        super().start()
        self.second = MemoryMover("mover-2")
        self.there = {"mover-1": True, "mover-2": True}
        for mover in (self.mover, self.second):
            self.master.register_mover(mover, lambda mover=mover: Facts(present=self.there[mover.name], volumes=USE))
        if not self.sql("select count(*) from copy")[0][0]:
            self.there["mover-2"] = False

    def retire(self, wait: bool = False) -> None:
        self.there["mover-2"] = True
        self.now(self.operations.retire_mover("mover-1", wait))

    def about(self) -> Any:
        return self.now(self.operations.about_mover("mover-1"))

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.clock.advance(LOOK)

    def finish_copies(self) -> None:
        """Those that wait, and from now on none does."""
        waiting, self.second.copying = self.second.copying or [], None
        for each in waiting:
            each.callback(None)

    def where(self, path: str) -> list[Copy]:
        file = self.now(self.master.resolve("demo", path)).file
        return [copy for segment in file.segments for copy in segment.copies]

    def listed(self) -> list[Any]:
        return self.sql("select segment, mover, due from reclaim order by segment, mover")


class Moving(EvacuationCase):
    def test_all_it_holds_goes_to_another_and_then_it_is_retired(self) -> None:
        ids = [self.now(self.master.resolve("demo", name)).file.id for name in ("a", "b", "c")]
        self.retire()
        for name in ("a", "b", "c"):
            self.assertEqual(self.where(name), [Copy("mover-2", 0)])
        self.assertEqual([(each.segment, each.size) for each, _ in self.second.copied], [(id_, 5) for id_ in ids])
        self.assertEqual({source.mover for _, source in self.second.copied}, {"mover-1"})
        self.assertEqual(self.about()["moving"], {"moved": 3, "left": 0, "problem": None})
        self.assertFalse(self.about()["retired"])
        self.assertEqual(self.mover.deleted, [])
        self.clock.advance(self.limits.ticket_life)
        self.look(2)
        self.assertEqual((self.mover.deleted, self.second.deleted), (ids, []))
        self.assertTrue(self.about()["retired"])
        self.assertIsNone(self.about()["moving"])

    def test_who_waits_is_told(self) -> None:
        self.there["mover-2"] = True
        waiting = self.begun(self.operations.retire_mover("mover-1", True))
        self.clock.advance(self.limits.ticket_life)
        self.look(2)
        self.assertIsNone(self.successResultOf(waiting))

    def test_who_waits_is_told_when_it_is_not_to_be_any_more(self) -> None:
        waiting = self.begun(self.operations.retire_mover("mover-1", True))
        self.now(self.operations.drain_mover("mover-1", False))
        self.look()
        self.assertIsNone(self.successResultOf(waiting))

    def test_so_many_at_a_time(self) -> None:
        self.second.copying = []
        self.now(self.put("d"))
        self.now(self.put("e"))
        self.now(self.put("f"))
        self.retire()
        self.assertEqual(len(self.second.copied), self.limits.moves)
        self.finish_copies()
        self.assertEqual(len(self.second.copied), 6)
        self.assertEqual(self.about()["moving"], {"moved": 6, "left": 0, "problem": None})

    def test_nowhere_to_go(self) -> None:
        self.now(self.operations.retire_mover("mover-1", False))
        self.assertEqual(self.about()["moving"]["left"], 3)
        self.assertIn("away: mover-2", self.about()["moving"]["problem"])
        self.there["mover-2"] = True
        self.look()
        self.assertEqual(self.about()["moving"], {"moved": 3, "left": 0, "problem": None})

    def test_undrained_in_the_middle_it_keeps_the_rest(self) -> None:
        self.limits = type(self.limits)(moves=1)
        self.restart()
        self.second.copying = []
        self.retire()
        self.now(self.operations.drain_mover("mover-1", False))
        self.finish_copies()
        self.assertEqual([self.where(name)[0].mover for name in ("a", "b", "c")], ["mover-2", "mover-1", "mover-1"])
        self.look(3)
        self.assertEqual(len(self.second.copied), 1)

    def test_a_second_copy_is_where_none_was(self) -> None:
        """With its other copy on the only other mover there is nowhere to go."""
        self.there["mover-2"] = True
        self.now(self.operations.change_destination("demo", DestinationChange(copies=2)))

        async def put_twice() -> None:
            allocation = await self.master.allocate(self.request("two"))
            for place in allocation.placements:
                await self.master.stored(Receipt(allocation.id, place.mover, place.volume, 5, SHA))
            await self.master.finish(allocation.id)

        self.now(put_twice())
        self.retire()
        self.assertEqual(self.about()["moving"]["left"], 1)
        third = MemoryMover("mover-3")
        self.master.register_mover(third, lambda: Facts(volumes=USE))
        self.there["mover-1"] = False
        self.look()
        self.assertEqual(self.where("two"), [Copy("mover-2", 0), Copy("mover-3", 0)])
        self.assertEqual([source.mover for _, source in third.copied], ["mover-2"])

    def test_a_part_of_an_upload_goes_too(self) -> None:
        upload = self.now(self.master.create_upload(self.request("p")))
        self.now(self.put("p", part=(upload, 1)))
        self.retire()
        self.assertEqual(self.about()["moving"]["left"], 0)
        self.assertEqual(self.mover.digested, [])

    def test_a_damaged_part_does_not_become_a_whole_one(self) -> None:
        """What its source reads now says nothing; the part's own digest does."""
        upload = self.now(self.master.create_upload(self.request("p")))
        part = self.now(self.put("p", part=(upload, 1))).file.segments[0].id
        self.now(self.master.judged("mover-1", [Verdict(part, 0, "its crc64nvme is wrong")]))
        self.second.digests_of = self.mover.digests_of = {"crc64nvme": "ffffffffffffffff"}
        self.retire()
        found = self.sql(f"select mover, damage from copy where segment = {part}")
        self.assertEqual(found, [("mover-1", "its crc64nvme is wrong")])


class BreakingOff(EvacuationCase):
    """Whatever happens, the old copy is the catalogue's until the new one is, and no bytes stay that nobody names."""

    def crash(self) -> None:
        """The next Master finds the catalogue as it is now, whatever this one does at its end."""
        kept = {each: each.read_bytes() for each in self.folder.iterdir()}
        self.stop()
        for file, content in kept.items():
            file.write_bytes(content)
        self.start()

    def is_as_it_was(self) -> None:
        for name in ("a", "b", "c"):
            self.assertEqual(self.where(name), [Copy("mover-1", 0)])

    def test_a_target_that_fails_is_asked_to_delete_what_may_have_come(self) -> None:
        self.second.copy_failure = Unavailable("no disk")
        self.retire()
        self.is_as_it_was()
        self.assertEqual([(mover, due <= self.clock.seconds()) for _, mover, due in self.listed()], [("mover-2", True)] * 3)
        self.second.copy_failure = None
        self.clock.advance(1)
        self.assertEqual((len(self.second.deleted), self.listed()), (3, []))
        self.look()
        self.assertEqual(self.about()["moving"]["left"], 0)

    def test_what_is_not_what_came_in_does_not_take_its_place(self) -> None:
        self.second.digests_of = {"crc64nvme": "ffffffffffffffff"}
        self.retire()
        self.is_as_it_was()
        self.assertIn("not what came in", self.about()["moving"]["problem"])
        self.assertEqual(len(self.second.deleted), 3)

    def test_a_source_that_is_corrupt(self) -> None:
        self.second.copy_failure = Corrupt()
        self.retire()
        self.is_as_it_was()

    def test_a_master_that_dies_in_the_middle_is_followed_by_one_that_goes_on(self) -> None:
        self.second.copying = []
        self.retire()
        self.assertEqual([(mover, due > self.clock.seconds()) for _, mover, due in self.listed()], [("mover-2", True)] * 3)
        self.crash()
        self.is_as_it_was()
        self.clock.advance(1)
        self.assertEqual((len(self.second.deleted), self.listed()), (3, []))
        self.look()
        self.assertEqual([self.where(name) for name in ("a", "b", "c")], [[Copy("mover-2", 0)]] * 3)

    def test_an_upload_of_an_earlier_master_that_is_on_its_way_elsewhere_is_published(self) -> None:
        request = self.request("told-again")
        allocation = self.now(self.master.allocate(request))
        receipt = self.receipt(allocation)
        self.now(self.master.stored(receipt))
        self.now(self.master.finish(allocation.id))
        self.second.copying = []
        self.retire()
        self.crash()
        entry = self.now(self.master.readmit(request, allocation, [receipt]))
        self.assertEqual((entry.file.id, self.where("told-again")), (allocation.id, [Copy("mover-1", 0)]))

    def test_a_file_that_is_deleted_meanwhile(self) -> None:
        self.second.copying = []
        self.retire()
        gone = self.now(self.master.delete(self.user, "demo", "a", ANYTHING)).file.id
        self.finish_copies()
        self.clock.advance(1)
        self.assertEqual(self.second.deleted, [gone])
        self.refused(NotFound, self.master.resolve("demo", "a"))
        self.assertEqual(self.where("b"), [Copy("mover-2", 0)])

    def test_a_target_that_goes_away_is_not_waited_for(self) -> None:
        self.second.copying = []
        self.retire()
        self.there["mover-2"] = False
        self.look()
        self.is_as_it_was()
        self.assertIn("away", self.about()["moving"]["problem"])

    def test_a_master_that_stops(self) -> None:
        self.second.copying = []
        waiting = ensureDeferred(self.operations.retire_mover("mover-1", True))
        self.restart()
        self.assertIsNone(self.successResultOf(waiting))
        self.is_as_it_was()
        self.assertTrue(self.about()["draining"])


class Losing(EvacuationCase):
    def test_one_that_is_there_is_not_lost(self) -> None:
        self.refused(InvalidRequest, self.operations.forget_mover("mover-1"))

    def test_what_is_lost_is_said(self) -> None:
        self.there |= {"mover-1": False, "mover-2": True}
        self.clock.advance(FRESH)
        self.now(self.put("elsewhere"))
        count, paths = self.now(self.operations.forget_mover("mover-1"))
        self.assertEqual((count, paths), (3, ["/demo/a", "/demo/b", "/demo/c"]))
        self.assertTrue(self.about()["retired"])

    def test_should_it_come_back_nothing_was_forgotten_of_its_files(self) -> None:
        self.there["mover-1"] = False
        self.now(self.operations.forget_mover("mover-1"))
        self.there["mover-1"] = True
        self.assertEqual(self.where("a"), [Copy("mover-1", 0)])
        self.retire()
        self.assertEqual(self.where("a"), [Copy("mover-2", 0)])
        self.assertEqual(self.second.copied[0][0], StoredSegment(self.second.copied[0][0].segment, 0, 5))
