"""Where the copies of a file go: pure choice among volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from ecpds.errors import NoSpace
from ecpds.model import Placement, VolumeUse


def place(
    volumes: Mapping[str, Sequence[VolumeUse]], copies: int, size: int, kept: int, random: Random
) -> tuple[Placement, ...]:
    """A volume for each copy, no two on one mover, drawn with the room on it as its weight.

    A volume is left out that has failed, or would have less than `kept` bytes free with `size` more on it. Raises
    `NoSpace` when there are not enough.
    """
    chosen: list[Placement] = []
    for _ in range(copies):
        taken = {placement.mover for placement in chosen}
        open_to = {
            Placement(mover, use.index): use.free - kept
            for mover, uses in volumes.items()
            if mover not in taken
            for use in uses
            if use.failed is None and use.free - kept > 0 and use.free - kept >= size
        }
        if not open_to:
            raise NoSpace(f"of {copies} copies, {len(chosen)} can be stored" if chosen else "")
        chosen += random.choices(list(open_to), list(open_to.values()))
    return tuple(chosen)
