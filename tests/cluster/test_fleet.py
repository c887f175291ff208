"""What the Master does for one node, and what that node tells it, when something takes long."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.cluster.calls import handlers
from ecpds.cluster.fleet import FleetCalls, FleetDesk, Member, wire_event
from ecpds.cluster.node_end import GROUP, RETRY, EventForwarder
from ecpds.errors import Unavailable
from ecpds.events import Event
from ecpds.model import Allocation, Entry
from tests.cluster.pb import PbLink, seen_from
from tests.doubles import RecordingSink


class SlowMaster:
    """Allocates when it is told to."""

    def __init__(self) -> None:
        self.allocating: list[Deferred[Allocation]] = []
        self.given_up: list[int] = []

    async def allocate(self, request: Any) -> Allocation:
        self.allocating.append(Deferred())
        return await self.allocating[-1]

    async def abandon(self, allocation: int) -> None:
        self.given_up.append(allocation)

    async def finish(self, allocation: int) -> Entry:
        raise AssertionError(allocation)


class DeadNodes(SynchronousTestCase):
    def test_an_upload_that_is_allocated_when_its_node_has_died_is_abandoned_too(self) -> None:
        """Nobody will end it: it would be in the Master's memory, and its bytes out of the sweep's reach, for ever."""
        real = SlowMaster()
        node: Any = seen_from("mover-1", real)  # type: ignore[arg-type]
        late = Deferred.fromCoroutine(node.allocate("what was asked for"))
        self.successResultOf(Deferred.fromCoroutine(node.abandon_all()))
        real.allocating[0].callback(Allocation(7, (), ()))
        self.failureResultOf(late, Unavailable)
        self.assertEqual(real.given_up, [7])


class Records(SynchronousTestCase):
    def test_the_longest_ones_reach_the_Master(self) -> None:
        """Many that have gathered while it was away, of names as long as they may be, in text that JSON escapes."""
        sink, clock = RecordingSink(), Clock()
        link = PbLink({})
        link = PbLink(handlers(FleetCalls, FleetDesk(Member("mover-1", link), sink, lambda name: None)))
        tries = []

        async def tell(events: list[Event]) -> None:
            tries.append(len(events))
            if len(tries) == 1:
                raise Unavailable("the Master is away")
            await FleetCalls(link).record([wire_event(event) for event in events])

        forwarder = EventForwarder(tell, clock)
        events = [Event("INH", float(n), {"FileName": "\u20ac" * 341, "Message": "\u20ac" * 341}) for n in range(2 * GROUP)]
        for event in events:
            forwarder.record(event)
        clock.advance(RETRY)
        self.assertEqual(sink.events, events)
