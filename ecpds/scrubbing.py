"""Comparing stored bytes with what the catalogue knows of them: what the Master, its movers and operators say to each other.

A mover asks the Master, a page at a time, which copies it should have (`HeldCopy`), reads them, and says of each that it
found damaged, or whole again, what it found (`Verdict`). The Master marks a damaged copy, so that nobody is given it, with a
record; an operator sees where each mover is (`ScrubState`) and what is damaged (`DamagedCopy`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import frozen

from ecpds.model import EMPTY

ORDERS = ("status", "start", "stop")
"""What a mover may be told: to say how far it is, to begin a round or go on with one, to rest until it is told to start."""

STRENGTH = ("sha512", "sha256", "sha1", "md5", "crc64nvme", "crc32c", "crc32")
"""Digests from the one that says most to the one that says least: the first that the catalogue has is compared."""

DAY = 24 * 60
"""Minutes."""

_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


@frozen
class HeldCopy:
    """A copy that a mover should have: `length` bytes with these digests. `damaged` is what was wrong with it, if anything.

    `digests` may be empty: then only its length is known, and whether it can be read.
    """

    segment: int
    volume: int
    length: int
    digests: Mapping[str, str] = EMPTY
    damaged: str | None = None


@frozen
class CopyPage:
    """Copies in the order of their segments. The next page begins behind the segment `after`; None: this is the last."""

    copies: tuple[HeldCopy, ...]
    after: int | None


@frozen
class Verdict:
    """What became of comparing a copy: `damage` says what is wrong with it, None that it is whole."""

    segment: int
    volume: int
    damage: str | None = None


@frozen
class DamagedCopy:
    """A copy that is damaged: of which file, where, since when that is known, and how. `path` is empty for an upload's part."""

    segment: int
    mover: str
    volume: int
    path: str
    found: float
    damage: str


@frozen
class Checked:
    """A copy that was compared because somebody asked: `whole`, `damaged` or `unchecked`, and why."""

    mover: str
    volume: int
    segment: int
    state: str
    reason: str | None


@frozen
class ScrubState:
    """Where a mover is with its round: what it has read of it, and found.

    `state` is `off`, `stopped`, `waiting` (for its hours or for the next round) or `running`. `after` is the segment that was
    compared last. `damaged` and `unchecked` count copies, of this round; those `unchecked` could not be read just now.
    """

    mover: str
    state: str
    started: float | None
    ended: float | None
    next: float | None
    after: int
    copies: int
    bytes: int
    damaged: int
    unchecked: int


def strongest(digests: Mapping[str, str]) -> str | None:
    """The name of the digest that says most."""
    return next((name for name in STRENGTH if name in digests), None)


def is_span(text: str) -> bool:
    """Whether it is a span of the day such as `22:00-06:00`."""
    return _SPAN.fullmatch(text) is not None


def minutes_until(span: str, now: float) -> int:
    """How many minutes it is to a span of the day, in UTC; 0 within it. One whose ends are equal is the whole day."""
    found = _SPAN.fullmatch(span)
    assert found is not None, span
    first, last = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
    since = (int(now // 60) - first) % DAY
    return 0 if since < ((last - first) % DAY or DAY) else DAY - since
