"""Where the copies of a file go: one decision for each request, pure but for the random numbers that are handed in.

As OpenECPDS decides (architecture, data mover allocation): a transfer group, by its name, the destination's, or the
default; where that group is one of a cluster, the cluster's next by weighted round robin; a volume of the group, by its
free space; then the movers of the group that have room on that volume, the least active first, in rotation. Unlike there,
what is full, has failed, is draining or not there is never chosen, and what was placed since a mover last said how busy it
is counts as activity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import hypot, sqrt
from random import Random
from types import MappingProxyType
from zlib import crc32

from attrs import frozen

from ecpds.errors import NoSpace, NotFound
from ecpds.model import Placement, VolumeUse

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

    `caller` is where the client is; `preferred` a mover to take if it can be; `avoid` those that were tried in vain.
    """

    copies: int = 1
    size: int = 0
    explicit: str | None = None
    group: str | None = None
    caller: str = ""
    preferred: str | None = None
    avoid: frozenset[str] = frozenset()


class Placer:
    """Remembers whose turn it is. `kept` bytes of a volume are never used."""

    def __init__(self, random: Random, kept: int, default: str = DEFAULT_GROUP) -> None:
        self._random = random
        self._kept = kept
        self._default = default
        self._salt = random.randrange(1 << 30)
        self._turns: Counter[str] = Counter()
        self._clusters: dict[str, tuple[tuple[tuple[str, int], ...], int]] = {}
        self._placed: Counter[tuple[str, int]] = Counter()

    def heard(self, mover: str) -> None:
        """The mover has said how busy it is: what was placed on it before is in that."""
        for place in [place for place in self._placed if place[0] == mover]:
            del self._placed[place]

    def place(self, wanted: Wanted, movers: Sequence[Candidate]) -> tuple[Placement, ...]:
        """A volume for each copy, no two on one mover. Raises `NoSpace`; `NotFound` for a group that there is not."""
        usable = [mover for mover in movers if mover.open and mover.name not in wanted.avoid and self._rooms(mover, wanted)]
        group = self._group(wanted, movers, usable)
        left = [mover for mover in usable if mover.group == group]
        chosen: list[Placement] = []
        for _ in range(wanted.copies):
            if not left:
                raise NoSpace(f"of {wanted.copies} copies, {len(chosen)} can be stored" if chosen else "")
            volume = self._volume(wanted, left)
            mover = self._mover(wanted, group, volume, left)
            chosen.append(Placement(mover.name, volume))
            left.remove(mover)
        self._turns[group] += 1
        self._placed.update((place.mover, place.volume) for place in chosen)
        return tuple(chosen)

    # The group

    def _group(self, wanted: Wanted, movers: Sequence[Candidate], usable: Sequence[Candidate]) -> str:
        """The group that the files go to. One that can take nothing hands on to its cluster, or to the destination's."""
        known = {mover.group for mover in movers}
        if wanted.explicit is not None and wanted.explicit not in known:
            raise NotFound(f"transfer group {wanted.explicit}")
        able = {mover.group for mover in usable}
        named = wanted.explicit or wanted.group or self._usual(known)
        found = self._of_cluster(named, movers, usable)
        if found not in able and wanted.explicit is not None:
            return wanted.group or self._usual(known)
        return found

    def _usual(self, known: set[str]) -> str:
        """The default group; where no mover is of it and there is but one other, that one is meant."""
        return next(iter(known)) if self._default not in known and len(known) == 1 else self._default

    def _of_cluster(self, group: str, movers: Sequence[Candidate], usable: Sequence[Candidate]) -> str:
        cluster = next((mover.cluster for mover in movers if mover.group == group), "")
        weights = {mover.group: mover.weight for mover in usable if mover.cluster == cluster and mover.weight > 0}
        if not cluster or not weights:
            return group
        candidates = tuple(sorted(weights.items()))
        known, turn = self._clusters.get(cluster, (candidates, 0))
        if known != candidates:
            turn = 0
        self._clusters[cluster] = (candidates, turn + 1)
        turn %= sum(weights.values())
        for name, weight in candidates:
            if turn < weight:
                return name
            turn -= weight
        raise AssertionError("a turn is always somebody's")

    # The volume

    def _rooms(self, mover: Candidate, wanted: Wanted) -> bool:
        return any(self._has_room(use, wanted) for use in mover.volumes)

    def _has_room(self, use: VolumeUse, wanted: Wanted) -> bool:
        return use.failed is None and use.free - self._kept > 0 and use.free - self._kept >= wanted.size

    def _volume(self, wanted: Wanted, movers: Sequence[Candidate]) -> int:
        """One of the indices that some mover has room on, by the mean of the room on them."""
        rooms: dict[int, list[float]] = {}
        for mover in movers:
            for use in mover.volumes:
                if self._has_room(use, wanted):
                    free = use.free - self._kept
                    rooms.setdefault(use.index, []).append(max(1.0, free - PENALTY * wanted.size))
        indices = sorted(rooms)
        if len(indices) == 1:
            return indices[0]
        weights = [sum(rooms[index]) / len(rooms[index]) for index in indices]
        if _are_even(weights):
            return self._random.choice(indices)
        return self._random.choices(indices, weights)[0]

    # The mover

    def _mover(self, wanted: Wanted, group: str, volume: int, movers: Sequence[Candidate]) -> Candidate:
        able = [mover for mover in movers if any(use.index == volume and self._has_room(use, wanted) for use in mover.volumes)]
        for mover in able:
            if mover.name == wanted.preferred:
                return mover
        first = crc32(f"{wanted.caller}/{group}/{self._salt}".encode())
        start = (first + self._turns[group]) % len(able)
        turned = [*able[start:], *able[:start]]
        return min(turned, key=lambda mover: mover.reads.get(volume, 0) + self._placed[mover.name, volume])


def _are_even(weights: Sequence[float]) -> bool:
    """Whether they vary by no more than `EVEN`. In floats: the exact sums of `statistics` cost every upload 30 µs."""
    mean = sum(weights) / len(weights)
    return hypot(*(weight - mean for weight in weights)) <= EVEN * mean * sqrt(len(weights))
