"""The list of bytes that are to be deleted: a volume that has failed, and the end of a Master that has much on it."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred, ensureDeferred

from ecpds.errors import Unavailable
from ecpds.master import reclaim
from ecpds.master.movers import Facts
from ecpds.master.reclaim import AGAIN, AT_A_TIME
from ecpds.master.sql import Session
from ecpds.model import Copy, StoredSegment
from tests.contracts.master import Uploading
from tests.master.support import MasterCase, MemoryMover


class HalfBroken(MemoryMover):
    """One whose first volume can't be written any more: what is on others is deleted, and it says so as `MoverControl` does."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_for = 0

    async def delete(self, segments: Sequence[StoredSegment]) -> None:
        self.asked_for += 1
        self.deleted.extend(each.segment for each in segments if each.volume)
        if not all(each.volume for each in segments):
            raise Unavailable("not everything could be unlinked: Read-only file system")


class Deleting(Uploading, MasterCase):
    def list(self, segments: range, volume: int) -> None:
        def operation(session: Session) -> None:
            for each in segments:
                reclaim.discard(session, each, [Copy("mover-1", volume)])

        self.now(self.writer.run(operation))

    def left(self) -> int:
        return int(self.now(self.writer.run(reclaim.backlog)))

    def test_a_volume_that_has_failed_holds_up_no_other(self) -> None:
        self.mover = HalfBroken()
        self.master.register_mover(self.mover)
        self.list(range(1, 2 * AT_A_TIME + 1), 0)
        self.list(range(5000, 5000 + AT_A_TIME + 1), 1)
        self.clock.pump([1.0] * 3)
        self.assertEqual(sorted(set(self.mover.deleted)), list(range(5000, 5000 + AT_A_TIME + 1)))
        self.assertEqual(self.left(), 2 * AT_A_TIME)

    def test_and_is_not_asked_each_second(self) -> None:
        self.mover = HalfBroken()
        self.master.register_mover(self.mover)
        self.list(range(1, 5), 0)
        self.clock.pump([1.0] * int(AGAIN))
        self.assertLessEqual(self.mover.asked_for, 2)
        self.mover.delete = MemoryMover.delete.__get__(self.mover)  # type: ignore[method-assign]
        self.clock.pump([1.0] * int(AGAIN))
        self.assertEqual((sorted(self.mover.deleted), self.left()), ([1, 2, 3, 4], 0))

    def test_one_that_is_away_is_not_asked(self) -> None:
        self.present = False
        self.mover = HalfBroken()
        self.master.register_mover(self.mover, lambda: Facts(present=self.present))
        self.list(range(1, 3), 1)
        self.clock.pump([1.0] * 10)
        self.assertEqual((self.mover.asked_for, self.left()), (0, 2))
        self.present = True
        self.clock.advance(1)
        self.assertEqual((self.mover.deleted, self.left()), ([1, 2], 0))

    def test_what_is_on_the_list_does_not_hold_up_the_end(self) -> None:
        self.list(range(1, 10 * AT_A_TIME + 1), 0)
        self.mover.deleting = Deferred()
        self.clock.advance(1)
        self.assertEqual(len(self.mover.deleted), AT_A_TIME)
        ended = ensureDeferred(self.master.stop())
        deleting, self.mover.deleting = self.mover.deleting, None
        deleting.callback(None)
        self.successResultOf(ended)
        self.assertEqual(len(self.mover.deleted), AT_A_TIME)
        self.engine.close()
        self.start()

    def test_what_came_to_nothing_is_on_it_at_the_end(self) -> None:
        """Also where that was while others were being deleted: the next Master goes on with it."""
        self.populate()
        allocation = self.now(self.master.allocate(self.request("a")))
        self.list(range(5000, 5002), 0)
        self.mover.deleting = Deferred()
        self.clock.advance(1)
        self.now(self.master.abandon(allocation.id))
        ended = ensureDeferred(self.master.stop())
        deleting, self.mover.deleting = self.mover.deleting, None
        deleting.callback(None)
        self.successResultOf(ended)
        self.assertEqual(self.sql("SELECT segment FROM reclaim"), [(allocation.id,)])
        self.engine.close()
        self.start()
