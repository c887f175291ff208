"""Uploads of an earlier Master, at the moment at which they are given up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from ecpds.errors import NotFound, Unavailable
from ecpds.master.readmission import CLAIM
from ecpds.master.sql import Session
from ecpds.model import DestinationChange, Receipt
from tests.contracts.master import SHA, Uploading
from tests.master.support import MasterCase, MemoryMover


class GivenUp(Uploading, MasterCase):
    def setUp(self) -> None:
        super().setUp()
        self.populate()
        self.mover.digests_of = SHA

    def hold(self) -> list[Deferred[None]]:
        """What is changed from now on waits, in the order of asking, until each is told to go on."""
        run, held = self.writer.run, list[Deferred[None]]()

        async def waits(operation: Callable[[Session], Any]) -> Any:
            held.append(Deferred())
            await held[-1]
            return await run(operation)

        self.writer.run = waits  # type: ignore[method-assign]
        return held

    def test_its_name_is_not_given_to_bytes_that_are_on_their_way_out(self) -> None:
        """Nobody had asked for it in time, and somebody does before that is written down."""
        request, allocation = self.request("a"), self.now(self.master.allocate(self.request("a")))
        self.restart()
        receipt = self.receipt(allocation)
        self.now(self.master.stored(receipt))
        held = self.hold()
        self.clock.advance(CLAIM + 1)
        outcome = ensureDeferred(self.master.readmit(request, allocation, [receipt]))
        while held:
            held.pop(0).callback(None)
            self.clock.advance(1)
        self.failureResultOf(outcome, Unavailable)
        self.assertEqual(self.mover.deleted, [allocation.id])
        self.refused(NotFound, self.master.resolve("demo", "a"))

    def test_every_copy_of_it_goes(self) -> None:
        other = MemoryMover("mover-2")
        self.master.register_mover(other)
        self.now(self.operations.change_destination("demo", DestinationChange(copies=2)))
        allocation = self.now(self.master.allocate(self.request("a")))
        self.restart()
        self.master.register_mover(other)
        for where in allocation.placements:
            self.now(self.master.stored(Receipt(allocation.id, where.mover, where.volume, 5, SHA)))
        self.clock.advance(CLAIM)
        self.clock.advance(1)
        self.assertEqual((self.mover.deleted, other.deleted), ([allocation.id], [allocation.id]))

    def test_what_is_under_way_counts_as_it_did(self) -> None:
        """By that the Master knows which mover is the least active."""
        request, allocation = self.request("a"), self.now(self.master.allocate(self.request("a")))
        self.restart()
        self.now(self.master.allocate(self.request("b")))
        placed = self.master.movers._placer._placed
        before = {key: count for key, count in placed.items() if count}
        self.assertEqual(sum(before.values()), 1)
        self.now(self.master.readmit(request, allocation, [self.receipt(allocation)]))
        self.assertEqual({key: count for key, count in placed.items() if count}, before)
