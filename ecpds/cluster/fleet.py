"""What the nodes of a fleet say to each other beside the Master's own calls, and leave for each to use the others' bytes.

A node tells the Master how it is every two seconds, and what it recorded. The Master asks a mover to delete, for digests of
what it holds, and how fast a data source is from there.
"""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
from attrs import evolve
from zope.interface import classImplements, implementer

from ecpds.cluster.calls import Asker, Remote, call
from ecpds.cluster.tickets import Owner, Pass, TicketOffice
from ecpds.datasource_interfaces import IProber
from ecpds.datasources import Candidate, Measured
from ecpds.errors import NotPermitted, Unavailable
from ecpds.events import Event
from ecpds.interfaces import IEventSink, IMoverControl
from ecpds.master_interfaces import IMaster
from ecpds.model import (
    Allocation,
    Copy,
    Entry,
    Partial,
    Placement,
    Receipt,
    Segment,
    StoredSegment,
    VolumeUse,
)
from ecpds.scrubbing import CopyPage, HeldCopy, ScrubState, Verdict
from ecpds.terms import AllocationRequest

Address = tuple[str, int]

RESUMING = frozenset({"ftp", "ftps", "sftp"})
"""The protocols whose clients can go on with an upload that broke off."""


class NodeState(msgspec.Struct, array_like=True, frozen=True):
    """How a node is: its volumes, and how many reads of each, and uploads, are under way."""

    volumes: tuple[VolumeUse, ...]
    reads: dict[int, int]
    writes: int


class WireEvent(msgspec.Struct, array_like=True, frozen=True):
    """A record. Its fields are JSON, in ASCII, for they may hold text that no Unicode is."""

    type: str
    time: float
    fields: str


def wire_event(event: Event) -> WireEvent:
    return WireEvent(event.type, event.time, json.dumps(dict(event.fields), default=str))


class FleetCalls(Remote):
    """What a node tells the Master."""

    prefix = "fleet."

    @call(repeatable=True)
    async def beat(self, state: NodeState) -> None: ...

    @call(repeatable=True)
    async def record(self, events: Sequence[WireEvent]) -> None: ...


class MoverCalls(Remote):
    """What the Master asks of a mover."""

    prefix = "mover."

    @call(repeatable=True)
    async def delete(self, segments: Sequence[StoredSegment]) -> None: ...

    @call(repeatable=True)
    async def digests(self, segments: Sequence[StoredSegment], names: Sequence[str]) -> Mapping[str, str]: ...

    @call
    async def copy(self, segment: StoredSegment, source: Copy) -> Receipt: ...

    @call(repeatable=True)
    async def check(self, copy: HeldCopy) -> Verdict: ...

    @call(repeatable=True)
    async def scrub(self, order: str) -> ScrubState: ...


class ProberCalls(Remote):
    """What the Master asks a mover to measure."""

    prefix = "prober."

    @call
    async def measure(self, candidate: Candidate, most: int, longest: float) -> Measured: ...


# Said so, not declared: the interface's methods have no `self`.
classImplements(ProberCalls, IProber)


class Member:
    """A node as the Master knows it: what it said last."""

    def __init__(self, name: str, link: Asker) -> None:
        self.name = name
        self.group = "default"
        self.cluster = ""
        self.weight = 1
        self.roles: tuple[str, ...] = ()
        self.address: Address = ("", 0)
        self.state = NodeState((), {}, 0)
        self.calls = MoverCalls(link)
        self.prober: IProber = ProberCalls(link)


@implementer(IMoverControl)
class RemoteMoverControl:
    """A mover at the other end of a link. How full it is, is what it said last; `leave` lets it read at others.

    One that is `linked` does what concerns the bytes that it has; only one that is `trusted` is given new ones.
    """

    def __init__(self, member: Member, trusted: Callable[[], bool], linked: Callable[[], bool], leave: Leave) -> None:
        self.name = member.name
        self._member = member
        self._trusted = trusted
        self._linked = linked
        self._leave = leave

    async def delete(self, segments: Sequence[StoredSegment]) -> None:
        """Raises `Unavailable` while the mover is not there: the Master asks again."""
        self._check(self._linked)
        await self._member.calls.delete(segments)

    async def volumes(self) -> Sequence[VolumeUse]:
        self._check(self._trusted)
        return self._member.state.volumes

    async def digests(self, segments: Sequence[StoredSegment], names: Sequence[str]) -> Mapping[str, str]:
        self._check(self._linked)
        return await self._member.calls.digests(segments, names)

    async def copy(self, segment: StoredSegment, source: Copy) -> Receipt:
        self._check(self._trusted)
        return await self._member.calls.copy(segment, self._leave.to_copy(segment, source))

    async def check(self, copy: HeldCopy) -> Verdict:
        self._check(self._linked)
        return await self._member.calls.check(copy)

    async def scrub(self, order: str) -> ScrubState:
        self._check(self._linked)
        return await self._member.calls.scrub(order)

    def _check(self, there: Callable[[], bool]) -> None:
        if not there():
            raise Unavailable(f"mover {self.name} is not there")


class FleetDesk:
    """Answers the `FleetCalls` of one member."""

    def __init__(self, member: Member, sink: IEventSink, heard: Callable[[str], None]) -> None:
        self._member = member
        self._sink = sink
        self._heard = heard

    async def beat(self, state: NodeState) -> None:
        self._member.state = state
        self._heard(self._member.name)

    async def record(self, events: Sequence[WireEvent]) -> None:
        for event in events:
            self._sink.record(Event(event.type, event.time, json.loads(event.fields)))


class Leave:
    """Tickets for one node: for each place that is another mover's, and is there."""

    def __init__(self, office: TicketOffice, holder: str, address: Callable[[str], Address | None]) -> None:
        self._office = office
        self._holder = holder
        self._address = address

    def to_write(self, allocation: Allocation, request: AllocationRequest) -> Allocation:
        size, owner = request.size, None
        if request.origin.protocol in RESUMING:
            owner = Owner(request.user_id, request.destination, request.path, request.part)

        def leave(place: Placement) -> Placement:
            mover, volume = place.mover, place.volume
            ticket = self._packed(
                mover,
                lambda: self._office.to_write(allocation.id, mover, volume, self._holder, allocation.digests, size, owner),
            )
            return evolve(place, ticket=ticket)

        return evolve(allocation, placements=tuple(leave(place) for place in allocation.placements))

    def to_read(self, entry: Entry) -> Entry:
        if entry.file is None:
            return entry
        return evolve(entry, file=evolve(entry.file, segments=self.to_read_segments(entry.file.segments)))

    def to_read_segments(self, segments: Sequence[Segment]) -> tuple[Segment, ...]:
        return tuple(
            evolve(segment, copies=tuple(self._copy(segment, copy) for copy in segment.copies)) for segment in segments
        )

    def to_copy(self, segment: StoredSegment, source: Copy) -> Copy:
        """For a mover that is to have a copy of its own."""
        return self._copy(Segment(segment.segment, segment.size), source)

    def _copy(self, segment: Segment, copy: Copy) -> Copy:
        def sign() -> bytes:
            return self._office.to_read(segment.id, copy.mover, copy.volume, self._holder, segment.length)

        return evolve(copy, ticket=self._packed(copy.mover, sign))

    def _packed(self, mover: str, sign: Callable[[], bytes]) -> bytes:
        address = None if mover == self._holder else self._address(mover)
        return b"" if address is None else msgspec.msgpack.encode(Pass(*address, sign()))


class MasterFor:
    """The Master as one node may use it: with tickets, and speaking of its own copies only. All else goes through.

    Which uploads the node has begun is remembered until it ends them, for when it can't.
    """

    def __init__(self, master: IMaster, node: str, leave: Leave) -> None:
        self._master = master
        self._node = node
        self._leave = leave
        self._begun: set[int] = set()
        self._dead = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._master, name)

    async def allocate(self, request: AllocationRequest) -> Allocation:
        allocation = await self._master.allocate(request)
        if self._dead:
            await self._master.abandon(allocation.id)
            raise Unavailable(f"node {self._node} was restarted")
        self._begun.add(allocation.id)
        return self._leave.to_write(allocation, request)

    async def finish(self, allocation: int) -> Entry:
        try:
            return await self._master.finish(allocation)
        finally:
            self._begun.discard(allocation)

    async def abandon(self, allocation: int) -> None:
        self._begun.discard(allocation)
        await self._master.abandon(allocation)

    async def abandon_all(self) -> None:
        """The node has died: nobody will end what it had begun, and until then no sweep may take its bytes."""
        self._dead = True
        while self._begun:
            await self.abandon(self._begun.pop())

    async def resolve(self, destination: str, path: str, waiting: bool = False) -> Entry:
        return self._leave.to_read(await self._master.resolve(destination, path, waiting))

    async def kept(self, user: int, destination: str, path: str, upload: int | None = None) -> Partial:
        found: Partial = await self._master.kept(user, destination, path, upload)
        return evolve(found, segments=self._leave.to_read_segments(found.segments))

    async def stored(self, receipt: Receipt) -> None:
        self._own(receipt.mover)
        await self._master.stored(receipt)

    async def mark_dead(self, mover: str, found: Sequence[StoredSegment]) -> Collection[int]:
        self._own(mover)
        dead: Collection[int] = await self._master.mark_dead(mover, found)
        return dead

    async def copies_of(self, mover: str, after: int, limit: int) -> CopyPage:
        self._own(mover)
        page: CopyPage = await self._master.copies_of(mover, after, limit)
        return page

    async def judged(self, mover: str, verdicts: Sequence[Verdict]) -> Collection[int]:
        self._own(mover)
        there: Collection[int] = await self._master.judged(mover, verdicts)
        return there

    def _own(self, mover: str) -> None:
        if mover != self._node:
            raise NotPermitted(f"node {self._node} speaks for mover {mover}")


# Said so, not declared: what `__getattr__` passes on can't be seen in the class.
classImplements(MasterFor, IMaster)
