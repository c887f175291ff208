"""Who of the fleet is there: alive, suspect or gone, by when each was last heard of. Pure: the caller brings the time.

A node is alive while it is heard of, suspect when that stops, and gone when it stays away. One that comes back is trusted
again after a while that doubles with each time it went away lately, so that a node that flaps gets nothing new meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from attrs import define

BEAT = 2.0
"""Seconds between two heartbeats."""

SUSPECT_AFTER = 3 * BEAT
GONE_AFTER = 15.0

LONGEST_PROBATION = 60.0
"""Seconds that a returning node is watched at most."""

FORGIVEN_AFTER = 120.0
"""Seconds of being there without a break after which earlier absences count no more."""


class Standing(Enum):
    """`SUSPECT`: it may be read from, and gets nothing new."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    GONE = "gone"


@define
class _Member:
    heard: float
    standing: Standing = Standing.ALIVE
    absences: int = 0
    since: float = 0.0
    """Since when it has been heard of without a break."""


class Membership:
    """Every node that was ever heard of, until `forget`."""

    def __init__(self) -> None:
        self._members: dict[str, _Member] = {}

    def heard(self, name: str, now: float) -> None:
        """A heartbeat came."""
        member = self._members.get(name)
        if member is None:
            self._members[name] = _Member(now, since=now)
            return
        self._look_at(member, now)
        if member.standing is Standing.GONE or now - member.heard > SUSPECT_AFTER:
            member.standing = Standing.SUSPECT
            member.since = now
        member.heard = now
        self._settle(member, now)

    def lost(self, name: str, now: float) -> None:
        """Its connection was lost: it is suspect at once."""
        member = self._members.get(name)
        if member is not None and member.standing is Standing.ALIVE:
            self._suspect(member, now)

    def look(self, now: float) -> None:
        """Let the time pass."""
        for member in self._members.values():
            self._look_at(member, now)

    def _look_at(self, member: _Member, now: float) -> None:
        silent = now - member.heard
        if member.standing is Standing.ALIVE and silent > SUSPECT_AFTER:
            self._suspect(member, now)
        if silent > GONE_AFTER:
            member.standing = Standing.GONE

    def standing(self, name: str) -> Standing:
        """A node that was never heard of is gone."""
        member = self._members.get(name)
        return Standing.GONE if member is None else member.standing

    def forget(self, name: str) -> None:
        """It is not of the fleet any more."""
        self._members.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def _suspect(self, member: _Member, now: float) -> None:
        member.standing = Standing.SUSPECT
        member.absences += 1
        member.since = now

    def _settle(self, member: _Member, now: float) -> None:
        steady = now - member.since
        if member.standing is Standing.SUSPECT and steady >= self._probation(member):
            member.standing = Standing.ALIVE
        if member.standing is Standing.ALIVE and steady >= FORGIVEN_AFTER:
            member.absences = 0

    def _probation(self, member: _Member) -> float:
        """The first time it is believed at once."""
        return 0.0 if member.absences <= 1 else min(BEAT * 2.0 ** (member.absences - 1), LONGEST_PROBATION)
