"""The bytes of small segments that were read lately, or put as a whole.

What is kept is true as long as it is asked for: whoever asks has just been told by the Master that a path is this segment, and
that its copies are these; a segment's bytes never change, and an overwrite is another segment. They are believed only with
the copies that the catalogue named when they were read: after one was moved, added or taken away, they are read anew. What
becomes of a copy on its disk meanwhile (it is lost or spoilt, its mover drains or is away) does not make them false, and so
they are served on, as the kernel serves pages of a disk that has failed. Copies are looked after where they are; one that is
known to be damaged is none that the catalogue names.
"""

from __future__ import annotations

from collections import OrderedDict

from attrs import frozen

from ecpds.model import Copy, Segment

OVERHEAD = 512
"""Bytes that a segment costs beside its own, about."""


@frozen
class Kept:
    """A segment's bytes, the copy that they were read from or written to, and the segment as the catalogue had it."""

    data: memoryview
    place: Copy
    segment: Segment


class KeptSegments:
    """Of at most `largest` bytes each, and `most` in all; the least lately used leave first."""

    def __init__(self, most: int, largest: int) -> None:
        self._most = most
        self.largest = min(largest, most - OVERHEAD)
        self.size = 0
        """Bytes that it takes."""
        self.hits = self.misses = 0
        self._kept: OrderedDict[int, Kept] = OrderedDict()

    def get(self, segment: Segment) -> Kept | None:
        """What is kept of a segment that the catalogue has just named."""
        if segment.length > self.largest:
            return None
        found = self._kept.get(segment.id)
        if found is not None and (found.segment is segment or found.segment == segment):
            self._kept.move_to_end(segment.id)
            self.hits += 1
            return found
        self.misses += 1
        return None

    def keep(self, segment: Segment, place: Copy, data: bytes | memoryview) -> None:
        """These are all the bytes of a segment, read from one of its copies, or written to it."""
        if len(data) != segment.length or segment.length > self.largest:
            return
        old = self._kept.pop(segment.id, None)
        if old is not None:
            self.size -= len(old.data) + OVERHEAD
        # A copy of a view, which may be one of more; bytes stay the same object.
        self._kept[segment.id] = Kept(memoryview(bytes(data)), place, segment)
        self.size += len(data) + OVERHEAD
        while self.size > self._most:
            _, gone = self._kept.popitem(last=False)
            self.size -= len(gone.data) + OVERHEAD
