"""What operators say of movers outlives the Master; who was heard of is known; a mover goes when it holds nothing."""

from __future__ import annotations

from typing import Any

from ecpds.errors import NoSpace, NotFound, Unavailable
from ecpds.master import evacuation, roster
from ecpds.master.movers import FRESH, Facts
from ecpds.model import ANYTHING, DestinationChange, Receipt, VolumeUse
from tests.contracts.master import SHA, Uploading
from tests.master.support import MasterCase, MemoryMover


class RosterCase(Uploading, MasterCase):
    def setUp(self) -> None:
        super().setUp()
        self.populate()

    def about(self, name: str) -> Any:
        return self.now(self.operations.about_mover(name))

    def names(self) -> list[str]:
        return list(self.now(self.operations.movers()))


class Duties(RosterCase):
    def test_a_drain_outlives_the_master(self) -> None:
        self.now(self.operations.drain_mover("mover-1", True))
        self.restart()
        self.assertTrue(self.about("mover-1")["draining"])
        self.refused(NoSpace, self.master.allocate(self.request("a")))
        self.now(self.operations.drain_mover("mover-1", False))
        self.restart()
        self.assertFalse(self.about("mover-1")["draining"])
        self.now(self.master.allocate(self.request("a")))

    def test_who_was_heard_of_is_known_after_a_restart(self) -> None:
        self.master.register_mover(MemoryMover("mover-2"))
        self.assertEqual(self.names(), ["mover-1", "mover-2"])
        self.restart()
        self.assertEqual(self.names(), ["mover-1", "mover-2"])
        self.assertEqual((self.about("mover-2")["standing"], self.about("mover-1")["standing"]), ("gone", "alive"))
        self.now(self.operations.drain_mover("mover-2", True))
        self.master.register_mover(MemoryMover("mover-2"))
        self.assertEqual((self.about("mover-2")["standing"], self.about("mover-2")["draining"]), ("alive", True))

    def test_who_was_never_heard_of(self) -> None:
        for ask in (
            self.operations.drain_mover("x", True),
            self.operations.retire_mover("x", False),
            self.operations.forget_mover("x"),
            self.operations.about_mover("x"),
        ):
            self.refused(NotFound, ask)


class Retiring(RosterCase):
    """One that holds nothing; `test_evacuation` has the others."""

    def retire(self, name: str) -> None:
        self.now(self.operations.retire_mover(name, False))

    def test_not_while_something_is_on_its_way(self) -> None:
        allocation = self.now(self.master.allocate(self.request("a")))
        self.retire("mover-1")
        self.assertFalse(self.about("mover-1")["retired"])
        self.refused(NoSpace, self.master.allocate(self.request("b")))
        self.now(self.master.abandon(allocation.id))
        self.clock.advance(evacuation.LOOK)
        self.assertTrue(self.about("mover-1")["retired"])

    def test_it_is_not_seen_any_more_when_it_has_gone(self) -> None:
        present = [True]
        use = (VolumeUse(0, "/v", 1 << 40, 1 << 39),)
        self.master.register_mover(MemoryMover("mover-2"), lambda: Facts(present=present[0], volumes=use))
        self.retire("mover-2")
        self.assertTrue(self.about("mover-2")["retired"])
        self.assertEqual(self.names(), ["mover-1", "mover-2"])
        present[0] = False
        self.assertEqual(self.names(), ["mover-1"])
        self.restart()
        self.assertEqual(self.names(), ["mover-1"])
        self.now(self.operations.drain_mover("mover-2", False))
        self.assertEqual(self.names(), ["mover-1", "mover-2"])

    def test_what_waited_to_be_deleted_there_does_not_any_more_when_it_is_away(self) -> None:
        present = [True]
        self.master.register_mover(self.mover, lambda: Facts(present=present[0]))
        self.now(self.put("a"))
        self.mover.failure = Unavailable()
        self.now(self.put("a"))
        self.now(self.master.delete(self.user, "demo", "a", ANYTHING))
        self.assertEqual(self.now(self.operations.summary())["reclaim"], 2)
        self.retire("mover-1")
        self.assertFalse(self.about("mover-1")["retired"])
        present[0] = False
        self.clock.advance(evacuation.LOOK)
        self.assertTrue(self.about("mover-1")["retired"])
        self.assertEqual(self.now(self.operations.summary())["reclaim"], 0)

    async def put_twice(self, path: str) -> None:
        allocation = await self.master.allocate(self.request(path))
        for place in allocation.placements:
            await self.master.stored(Receipt(allocation.id, place.mover, place.volume, 5, SHA))
        await self.master.finish(allocation.id)

    def test_copies_are_counted_over_pages(self) -> None:
        self.patch(roster, "PAGE", 3)
        self.master.register_mover(MemoryMover("mover-2"))
        self.now(self.operations.change_destination("demo", DestinationChange(copies=2)))
        for number in range(5):
            self.now(self.put_twice(f"two-{number}"))
        self.now(self.operations.drain_mover("mover-1", True))
        self.now(self.operations.change_destination("demo", DestinationChange(copies=1)))
        for number in range(4):
            self.now(self.put(f"one-{number}"))
        held = [self.now(self.master.roster.held(name)) for name in ("mover-1", "mover-2", "mover-3")]
        self.assertEqual([(each.copies, each.only) for each in held], [(5, 0), (9, 4), (0, 0)])


class Clusters(RosterCase):
    def test_groups_of_a_cluster_share_by_weight(self) -> None:
        use = (VolumeUse(0, "/v", 1 << 40, 1 << 39),)
        self.now(self.operations.drain_mover("mover-1", True))
        for name, weight in (("heavy", 3), ("light", 1)):
            facts = Facts(name, volumes=use, cluster="all", weight=weight)
            self.master.register_mover(MemoryMover(f"of-{name}"), lambda facts=facts: facts)
        self.now(self.operations.change_destination("demo", DestinationChange(group="light")))
        where = [self.now(self.put(f"f{number}")).file.segments[0].copies[0].mover for number in range(40)]
        self.assertEqual((where.count("of-heavy"), where.count("of-light")), (30, 10))


class Away(RosterCase):
    def test_where_a_mover_that_is_away_may_have_room(self) -> None:
        present = [True]
        self.now(self.operations.drain_mover("mover-1", True))
        self.master.register_mover(MemoryMover("mover-2"), lambda: Facts(present=present[0]))
        self.now(self.put("a"))
        present[0] = False
        self.clock.advance(FRESH)
        refusal = self.refused(Unavailable, self.master.allocate(self.request("b")))
        self.assertIn("away: mover-2", refusal.sentence)
        self.now(self.operations.drain_mover("mover-2", True))
        self.refused(NoSpace, self.master.allocate(self.request("b")))
