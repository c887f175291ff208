"""The chunked transfer coding (RFC 9112 section 7.1): framing only, no I/O; the data never pass through here.

Who tells whom: each chunk is a line with its size in hexadecimal, that many bytes and an empty line; a chunk of size 0
ends the body and trailer lines may follow it, up to an empty line. The decoder eats the lines and says how many bytes of
data come next; its user moves those, by whatever way is cheapest, and says so.
"""

from __future__ import annotations

import re

from ecpds.errors import InvalidRequest

SIZE_LINE = 1024
"""Bytes of one size line with its extensions."""

EXTENSIONS = 16384
"""Bytes of the extensions of one body: they carry nothing, and a chunk a byte must not carry them a thousandfold."""

TRAILERS = 8192
"""Bytes of all trailer lines of one body."""

LARGEST = 2**63 - 1
"""The largest chunk: what a signed 64-bit offset holds."""

LAST = b"0\r\n\r\n"
"""The end of a body without trailers."""

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*+([\t\x20-\x7e\x80-\xff]*)")


def size_line(length: int) -> bytes:
    """The line before a chunk of `length` bytes; `length` is not 0, for that would end the body."""
    return b"%x\r\n" % length


class ChunkedDecoder:
    """Eats the framing of one body, strictly: a line that RFC 9112 does not allow raises `InvalidRequest`.

    `remaining` is how many bytes of data come next; while it is 0 and the body not `done`, `feed` wants framing.
    `trailers` holds names (lower case) and values; they are kept apart from the header, never merged into it.
    """

    def __init__(self) -> None:
        self.remaining = 0
        self.done = False
        self.trailers: list[tuple[str, str]] = []
        self._line = bytearray()
        self._limit = SIZE_LINE
        self._read = self._size
        self._extensions = EXTENSIONS

    def feed(self, data: memoryview) -> int:
        """Eat framing from the start of `data` and say how many bytes that was: what is left is data, or not this body's."""
        used = 0
        while used < len(data) and not self.remaining and not self.done:
            used += self._gather(data[used:])
        return used

    def took(self, count: int) -> None:
        """`count` bytes of data were taken, at most `remaining`."""
        self.remaining -= count

    def _gather(self, data: memoryview) -> int:
        """Add to the line that is awaited and, when it is whole, read it."""
        piece = bytes(data[: self._limit + 2 - len(self._line)])
        end = piece.find(b"\n") + 1
        self._line += piece[:end] if end else piece
        if end:
            line, self._line = bytes(self._line), bytearray()
            if not line.endswith(b"\r\n"):
                raise InvalidRequest("a line of the chunked body ends in a bare LF")
            self._read(line[:-2])
        elif len(self._line) >= self._limit + 2:
            raise InvalidRequest("a chunk is longer than its size, or a line of the chunked body too long")
        return end or len(piece)

    def _size(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line)
        if match is None:
            raise InvalidRequest("the size of a chunk is malformed")
        self._extensions -= len(match[2] or b"")
        size = int(match[1], 16)
        if size > LARGEST or self._extensions < 0:
            raise InvalidRequest("a chunk or its extensions are too large")
        self.remaining = size
        if size:
            self._read, self._limit = self._after_data, 0
        else:
            self._read, self._limit = self._trailer, TRAILERS

    def _after_data(self, line: bytes) -> None:
        # `line` is empty: with a limit of 0 bytes no other comes this far.
        self._read, self._limit = self._size, SIZE_LINE

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        match = _TRAILER.fullmatch(line)
        if match is None:
            raise InvalidRequest("a trailer of the chunked body is malformed")
        self._limit -= len(line) + 2
        if self._limit < 0:
            raise InvalidRequest("the trailers of the chunked body are too long")
        self.trailers.append((match[1].lower().decode("ascii"), match[2].rstrip(b" \t").decode("latin-1")))
