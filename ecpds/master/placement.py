"""Where the copies of a file go: one decision for each request, pure but for the random numbers that are handed in.

As OpenECPDS decides (architecture, data mover allocation): a transfer group, by its name, the destination's, or the
default; where that group is one of a cluster, the cluster's next by weighted round robin; a volume of the group, by its
free space; then the movers of the group that have room on that volume, the least active first, in rotation. Unlike there,
what is full, has failed, is draining or not there is never chosen, and an upload counts as activity until it has ended.

What is known of the movers is kept in the order in which it is asked for, so that a decision costs the same among ten
movers and among a thousand.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import hypot, sqrt
from random import Random
from types import MappingProxyType
from zlib import crc32

from attrs import frozen

from ecpds.errors import NoSpace, NotFound
from ecpds.master.least_active import LeastActive
from ecpds.model import Placement, Room, VolumeUse

EVEN = 0.03
"""Volumes whose free space varies by no more than this (standard deviation by mean) are drawn alike."""

PENALTY = 1.0
"""How many times a file's size is taken off the free space before volumes are compared."""

DEFAULT_GROUP = "default"

NO_READS: Mapping[int, int] = MappingProxyType({})


@frozen
class Candidate:
    """A mover as the choice sees it. `reads` under way by volume; `open`: it is there, and takes new files.

    `cluster` names the groups that share its group's files, each as often as its `weight` says; empty: none.
    """

    name: str
    volumes: Sequence[VolumeUse]
    group: str = DEFAULT_GROUP
    cluster: str = ""
    weight: int = 1
    reads: Mapping[int, int] = NO_READS
    open: bool = True


@frozen
class Wanted:
    """What is to be placed. `explicit` is a group that was asked for by name, `group` the destination's own.

    `caller` is where the client is; `preferred` a mover to take if it can be, and is not much fuller than the others; `avoid`
    those that were tried in vain.
    """

    copies: int = 1
    size: int = 0
    explicit: str | None = None
    group: str | None = None
    caller: str = ""
    preferred: str | None = None
    avoid: frozenset[str] = frozenset()


class _Volume:
    """The movers of a group that have room on the volume of one index, and how much."""

    def __init__(self) -> None:
        self.rooms: dict[str, int] = {}
        self.movers = LeastActive()
        self._total = 0

    def put(self, name: str, room: int, activity: int) -> None:
        self._total += room - self.rooms.get(name, 0)
        self.rooms[name] = room
        self.movers.put(name, activity)

    def remove(self, name: str) -> None:
        self._total -= self.rooms.pop(name)
        self.movers.remove(name)

    def weight(self, size: int) -> float:
        """By how much the volume is better than another: the mean of the room on it, with the file there."""
        return max(1.0, self._total / len(self.rooms) - PENALTY * size)

    def next(self, wanted: Wanted, turn: int, taken: Sequence[Placement]) -> str | None:
        """The mover whose turn it is, of those that can take the file."""
        names = {each.mover for each in taken}
        if self._can(wanted.preferred, wanted, names) and self._has_its_share(wanted.preferred):
            return wanted.preferred
        for name in self.movers.in_order(turn):
            if self._can(name, wanted, names):
                return name
        return None

    def _has_its_share(self, name: str | None) -> bool:
        """Whether a mover has at least half of the room that the movers have on average."""
        return name is not None and 2 * len(self.rooms) * self.rooms[name] >= self._total

    def _can(self, name: str | None, wanted: Wanted, taken: set[str]) -> bool:
        if name is None or name in taken or name in wanted.avoid:
            return False
        return self.rooms.get(name, -1) >= wanted.size


class _Group:
    """The movers of one transfer group: all that are known, and by volume those that have room."""

    def __init__(self) -> None:
        self.members: dict[str, Candidate] = {}
        self.volumes: dict[int, _Volume] = {}
        self.cluster = ""
        self.weight = 1
        self.turns = 0

    def can_take(self, wanted: Wanted) -> bool:
        return any(volume.next(wanted, 0, ()) is not None for volume in self.volumes.values())


class Placer:
    """Knows the movers, and remembers whose turn it is. `kept` bytes of a volume are never used."""

    def __init__(self, random: Random, kept: int, default: str = DEFAULT_GROUP) -> None:
        self._random = random
        self._kept = kept
        self._default = default
        self._salt = random.randrange(1 << 30)
        self._groups: dict[str, _Group] = {}
        self._known: dict[str, Candidate] = {}
        self._clusters: dict[str, tuple[tuple[tuple[str, int], ...], int]] = {}
        self._placed: dict[tuple[str, int], int] = {}

    def know(self, mover: Candidate) -> None:
        """How a mover is now."""
        before = self._known.get(mover.name)
        if mover == before:
            return
        if before is not None and before.group != mover.group:
            self.forget(before.name)
        self._known[mover.name] = mover
        group = self._groups.setdefault(mover.group, _Group())
        group.members[mover.name] = mover
        group.cluster, group.weight = mover.cluster, mover.weight
        self._index(group, mover)

    def forget(self, name: str) -> None:
        """The mover is no more."""
        mover = self._known.pop(name)
        group = self._groups[mover.group]
        del group.members[name]
        for index in list(group.volumes):
            _leave(group, index, name)
        if not group.members:
            del self._groups[mover.group]

    def began(self, places: Sequence[Placement]) -> None:
        """What was placed otherwise is being stored there."""
        for place in places:
            self._count(place, 1)

    def ended(self, places: Sequence[Placement]) -> None:
        """What was placed there is stored, or came to nothing."""
        for place in places:
            if self._placed.get((place.mover, place.volume)):
                self._count(place, -1)

    def place(self, wanted: Wanted) -> tuple[Placement, ...]:
        """As `find`; the copies count as under way there until they have `ended`."""
        chosen = self.find(wanted)
        for each in chosen:
            self._count(each, 1)
        return chosen

    def find(self, wanted: Wanted) -> tuple[Placement, ...]:
        """A volume for each copy, no two on one mover. Raises `NoSpace`; `NotFound` for a group that there is not."""
        name = self._group(wanted)
        group = self._groups.get(name)
        if group is None:
            raise NoSpace(f"no mover that is here is of the transfer group {name!a}")
        chosen: list[Placement] = []
        while len(chosen) < wanted.copies:
            place = self._place_in(name, group, wanted, chosen)
            if place is None:
                break
            chosen.append(place)
        if len(chosen) < wanted.copies:
            raise NoSpace(f"of {wanted.copies} copies, {len(chosen)} can be stored" if chosen else "")
        group.turns += 1
        return tuple(chosen)

    def room(self, groups: Collection[str | None]) -> Room:
        """What copies in these groups (None: the default one), and those that share their files, may take together.

        Volumes that are directories of one file system are counted as if each were its own.
        """
        names = {name for group in groups for name in self._alike(group or self._usual())}
        movers = [mover for name in names for mover in self._groups[name].members.values() if mover.open]
        uses = [use for mover in movers for use in mover.volumes if use.failed is None]
        return Room(sum(use.total for use in uses), sum(max(use.free - self._kept, 0) for use in uses))

    def _alike(self, name: str) -> Collection[str]:
        """The groups that files meant for this one may go to."""
        if name not in self._groups:
            return ()
        cluster = self._groups[name].cluster
        shared = [each for each, group in self._groups.items() if cluster and group.cluster == cluster and group.weight > 0]
        return shared or (name,)

    def _count(self, place: Placement, step: int) -> None:
        key = (place.mover, place.volume)
        self._placed[key] = self._placed.get(key, 0) + step
        mover = self._known.get(place.mover)
        volume = None if mover is None else self._groups[mover.group].volumes.get(place.volume)
        if volume is not None and place.mover in volume.rooms:
            volume.movers.change(place.mover, step)

    def _index(self, group: _Group, mover: Candidate) -> None:
        open_to = {use.index: use.free - self._kept for use in mover.volumes if mover.open and use.failed is None}
        for index in [*group.volumes]:
            if open_to.get(index, 0) <= 0:
                _leave(group, index, mover.name)
        for index, room in open_to.items():
            if room > 0:
                volume = group.volumes.setdefault(index, _Volume())
                volume.put(mover.name, room, mover.reads.get(index, 0) + self._placed.get((mover.name, index), 0))

    # The group

    def _group(self, wanted: Wanted) -> str:
        """The group that the files go to. One that can take nothing hands on to its cluster, or to the destination's."""
        if wanted.explicit is not None and wanted.explicit not in self._groups:
            raise NotFound(f"transfer group {wanted.explicit}")
        found = self._of_cluster(wanted.explicit or wanted.group or self._usual(), wanted)
        if wanted.explicit is not None and not self._groups[found].can_take(wanted):
            return wanted.group or self._usual()
        return found

    def _usual(self) -> str:
        """The default group; where no mover is of it and there is but one other, that one is meant."""
        return next(iter(self._groups)) if self._default not in self._groups and len(self._groups) == 1 else self._default

    def _of_cluster(self, name: str, wanted: Wanted) -> str:
        cluster = self._groups[name].cluster if name in self._groups else ""
        if not cluster:
            return name
        alike = [(each, group) for each, group in self._groups.items() if group.cluster == cluster and group.weight > 0]
        candidates = tuple(sorted((each, group.weight) for each, group in alike if group.can_take(wanted)))
        if not candidates:
            return name
        known, turn = self._clusters.get(cluster, (candidates, 0))
        if known != candidates:
            turn = 0
        self._clusters[cluster] = (candidates, turn + 1)
        turn %= sum(weight for _, weight in candidates)
        for each, weight in candidates:
            if turn < weight:
                return each
            turn -= weight
        raise AssertionError("a turn is always somebody's")

    # The volume, and the mover

    def _place_in(self, name: str, group: _Group, wanted: Wanted, taken: Sequence[Placement]) -> Placement | None:
        """A volume, and a mover that has room on it; another volume where no mover of the first can take the file."""
        turn = self._first_turn(name, wanted.caller) + group.turns
        indices = sorted(group.volumes)
        while indices:
            index = self._volume(group, indices, wanted.size)
            mover = group.volumes[index].next(wanted, turn, taken)
            if mover is not None:
                return Placement(mover, index)
            indices.remove(index)
        return None

    def _volume(self, group: _Group, indices: Sequence[int], size: int) -> int:
        if len(indices) == 1:
            return indices[0]
        weights = [group.volumes[index].weight(size) for index in indices]
        return self._random.choice(indices) if _are_even(weights) else self._random.choices(indices, weights)[0]

    def _first_turn(self, group: str, caller: str) -> int:
        return crc32(f"{caller}/{group}/{self._salt}".encode())


def _leave(group: _Group, index: int, name: str) -> None:
    volume = group.volumes[index]
    if name in volume.rooms:
        volume.remove(name)
        if not volume.rooms:
            del group.volumes[index]


def _are_even(weights: Sequence[float]) -> bool:
    """Whether they vary by no more than `EVEN`. In floats: the exact sums of `statistics` cost every upload 30 µs."""
    mean = sum(weights) / len(weights)
    return hypot(*(weight - mean for weight in weights)) <= EVEN * mean * sqrt(len(weights))
