"""Heads of replies that say the same each time: what a reply says of a version of a file, made once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from ecpds.model import DataFile

HEADS = 4096
"""Heads that are remembered at most; each has half a KiB to a KiB."""


class ReadyHeads:
    """Heads by what they depend on, each for one version of a file; the oldest leave first."""

    def __init__(self) -> None:
        self._made: OrderedDict[Hashable, tuple[DataFile, bytes]] = OrderedDict()

    def get(self, key: Hashable, file: DataFile, make: Callable[[], bytes]) -> bytes:
        """What `make` returned for this key and this very file, now or before."""
        found = self._made.get(key)
        if found is not None and found[0] is file:
            return found[1]
        head = make()
        self._made[key] = file, head
        self._made.move_to_end(key)
        if len(self._made) > HEADS:
            self._made.popitem(last=False)
        return head
