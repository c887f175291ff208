"""The packets of a connection, out of what the socket gives: whole, opened, and in time linear in their bytes.

What comes is looked at where it lies; only the part of a packet whose rest is yet to come is kept.
"""

from __future__ import annotations

from ecpds.ssh.ciphers import Opening

SHORTEST_PADDING = 4


class BadLength(Exception):
    """A packet's length is not one that it may have."""


class Incoming:
    """The bytes of one connection. `feed` lends it what came, until the next call."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._view = memoryview(b"")
        self._at = 0
        self._size = 0

    @property
    def kept(self) -> int:
        """Bytes of a packet that is not whole yet."""
        return len(self._kept)

    def feed(self, data: bytes | memoryview) -> None:
        self._view, self._at = memoryview(data), 0

    def drop(self) -> None:
        """Nothing more is wanted."""
        self._view, self._kept = memoryview(b""), bytearray()

    def line(self, start: bytes, most: int) -> bytes | None:
        """A line with its end, or what can't become one that begins with `start` and has `most` bytes; None until then."""
        while self._at < len(self._view):
            self._kept += self._view[self._at : self._at + 1]
            self._at += 1
            fits = self._kept.startswith(start[: len(self._kept)]) and len(self._kept) < most
            if self._kept[-1:] == b"\n" or not fits:
                line, self._kept = bytes(self._kept), bytearray()
                return line
        return None

    def next(self, opening: Opening, sequence: int, most: int) -> bytes | None:
        """The body of the next packet, `most` bytes at most; None until it is whole. Raises `BadLength`, `BadPacket`."""
        if self._at == len(self._view):
            return None
        if not self._size:
            head = self._bytes(opening.head)
            if head is None:
                return None
            with head:  # What is kept can't grow while somebody looks at it.
                length = opening.length(sequence, head)
            check_length(length, most, opening)
            self._size = 4 + length + opening.tail
        size = self._size
        packet = self._bytes(size)
        if packet is None:
            return None
        body = opening.open(sequence, packet)
        if self._kept:
            self._kept = bytearray()
        else:
            self._at += size
        self._size = 0
        if not SHORTEST_PADDING <= body[0] <= len(body) - 2:
            raise BadLength
        return body

    def _bytes(self, size: int) -> memoryview | None:
        """The next `size` bytes, from where the packet begins; what there is of them is kept until there are as many."""
        at, kept = self._at, len(self._kept)
        if not kept and len(self._view) - at >= size:
            return self._view[at : at + size]
        if kept < size:
            self._kept += self._view[at : at + size - kept]
            self._at += len(self._kept) - kept
        return memoryview(self._kept) if len(self._kept) >= size else None


def check_length(length: int, most: int, opening: Opening) -> None:
    """The length of a body that was not authenticated yet. Raises `BadLength`."""
    padded = length + 4 if opening.counts_length else length
    if not max(opening.block - 4, SHORTEST_PADDING + 2) <= length <= most or padded % opening.block:
        raise BadLength
