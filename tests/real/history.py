"""What was done to names, and found of them, by many at once; and whether one order of events can explain all of it.

Each put has a content of its own, so a name is a register whose values are each written once. What is asked of it is
linearizability (Herlihy and Wing, 1990): everything took place at one moment between its beginning and its end. For values
that are written once, Gibbons and Korach (Testing Shared Memories, 1997) look at zones: of each value, from the first end
of what had to do with it to the last beginning. Between those it was there all the time, so two such zones may not
overlap, and nothing else may lie wholly within one. Nothing, which deletes leave, is no value that is written once; so each
look that found nothing is compared with the puts that had ended.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from attrs import define, field

OPEN = float("inf")
"""The end of what was never answered: it may have been done at any time since, or not at all."""

NOTHING = 0
"""The version of a name that is not there."""


class Impossible(AssertionError):
    """No order of events explains what was found."""


@define
class Event:
    """A put, or what takes a name away (of version `NOTHING`), or a look. Times are seconds of one clock."""

    version: int
    looked: bool
    began: float
    ended: float = OPEN
    note: str = ""

    def __str__(self) -> str:
        what = ("found" if self.looked else "left") + (f" {self.version}" if self.version else " nothing")
        return f"{what}, {self.began:.4f} to {self.ended:.4f}, {self.note}"


@define
class Zone:
    """All that had to do with one version. It was there from `first` to `last`, where that is later."""

    first: float = OPEN
    last: float = 0.0
    written: Event | None = None
    events: list[Event] = field(factory=list)

    def add(self, event: Event) -> None:
        self.events.append(event)
        self.first, self.last = min(self.first, event.ended), max(self.last, event.began)
        if not event.looked:
            self.written = event


class History:
    """Of one name; written by any thread. What is there says that it is of the name `says`, which it was put for."""

    def __init__(self, name: str, says: str = "") -> None:
        self.name, self.says = name, says or name
        self._lock = threading.Lock()
        self.events: list[Event] = []

    def note(self, event: Event) -> Event:
        with self._lock:
            self.events.append(event)
        return event

    def forget(self, event: Event) -> None:
        """It was refused."""
        with self._lock:
            self.events.remove(event)

    def check(self) -> None:
        """Raises `Impossible`."""
        zones: dict[int, Zone] = defaultdict(Zone)
        for event in self.events:
            if event.version:
                zones[event.version].add(event)
        for version, zone in zones.items():
            if zone.written is None or zone.first < zone.written.began:
                raise Impossible(f"{self.name}: {version} was found before it was put\n{_lines(zone.events)}")
        stays = sorted((zone for zone in zones.values() if zone.first < zone.last), key=lambda zone: zone.first)
        self._have_one_order(stays, list(self._moments(zones)))
        for event in self.events:
            if event.looked and not event.version:
                self._may_find_nothing(event, zones)

    def _have_one_order(self, stays: list[Zone], moments: list[tuple[float, float, list[Event]]]) -> None:
        for zone, later in pairwise(stays):
            if later.first < zone.last:
                raise Impossible(f"{self.name}: two were there at once\n{_lines([*zone.events, *later.events])}")
        for zone in stays:
            for began, ended, events in moments:
                if zone.first < began and ended < zone.last:
                    raise Impossible(f"{self.name}: one came and went while another stayed\n{_lines([*zone.events, *events])}")

    def _moments(self, zones: dict[int, Zone]) -> Iterator[tuple[float, float, list[Event]]]:
        """What was there for a moment at least."""
        for zone in zones.values():
            if zone.last <= zone.first < OPEN:
                yield zone.last, zone.first, zone.events
        for event in self.events:
            if not event.version and event.ended < OPEN:
                yield event.began, event.ended, [event]

    def _may_find_nothing(self, look: Event, zones: dict[int, Zone]) -> None:
        """Unless the first was not yet put for sure, something must have taken the name away that no put surely followed."""
        before = [zone for zone in zones.values() if zone.first < look.began and zone.written]
        latest = max((zone.written.began for zone in before if zone.written), default=0.0)
        taken = [event for event in self.events if not event.version and not event.looked and event.began <= look.ended]
        if before and not any(event.ended >= latest for event in taken):
            raise Impossible(f"{self.name}: {look}, though it was there\n{_lines([each for z in before for each in z.events])}")


def _lines(events: list[Event]) -> str:
    return "\n".join(str(event) for event in sorted(events, key=lambda event: event.began)[-12:])
