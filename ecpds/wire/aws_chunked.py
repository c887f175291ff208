"""The `aws-chunked` coding of S3's bodies: framing only, no I/O (S3, "Transferring payload in multiple chunks").

Who tells whom: each chunk is a line with its size in hexadecimal and, where chunks are signed, `;chunk-signature=`; then
that many bytes and an empty line. A chunk of size 0 is the last; it has no data, trailer lines may follow it, and an empty
line ends the body. The decoder eats the lines and says how many bytes of data come next, as `ChunkedDecoder` does.
"""

from __future__ import annotations

import re

from ecpds.errors import InvalidRequest

LINE = 1024
"""Bytes of one line of framing."""

TRAILERS = 8192
"""Bytes of all trailer lines of one body."""

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?")
_TRAILER = re.compile(rb"([A-Za-z0-9-]{1,128}):[ \t]*([\x21-\x7e][\x20-\x7e]*)")


class AwsChunkedDecoder:
    """Eats the framing of one body of `length` bytes, strictly: what is not allowed raises `InvalidRequest`.

    `remaining` is how many bytes of data come next; while it is 0 and the body not `done`, `feed` wants framing. `signature`
    is that of the chunk whose size line was read last (empty without signatures), `chunk_ended` is true from the end of a
    chunk's data to the next size line; `trailers` holds names in lower case and values.
    """

    def __init__(self, signed: bool, length: int) -> None:
        self.remaining = 0
        self.done = False
        self.last = False
        self.signature = ""
        self.trailers: list[tuple[str, str]] = []
        self._signed = signed
        self._left = length
        self._line = bytearray()
        self._room = TRAILERS
        self._read = self._size

    def feed(self, data: memoryview) -> int:
        """Eat one line, or what is there of it, and say how many bytes that was."""
        piece = bytes(data[: LINE + 2 - len(self._line)])
        end = piece.find(b"\n") + 1
        self._line += piece[:end] if end else piece
        if end:
            line, self._line = bytes(self._line), bytearray()
            if not line.endswith(b"\r\n"):
                raise InvalidRequest("a line of the aws-chunked body ends in a bare LF")
            self._read(line[:-2])
        elif len(self._line) >= LINE + 2:
            raise InvalidRequest("a line of the aws-chunked body is too long")
        return end or len(piece)

    def took(self, count: int) -> None:
        """`count` bytes of data were taken, at most `remaining`."""
        self.remaining -= count

    def _size(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line)
        if match is None or (match[2] is not None) != self._signed:
            raise InvalidRequest("the line before a chunk of the aws-chunked body is malformed")
        size = int(match[1], 16)
        if size > self._left:
            raise InvalidRequest("the aws-chunked body is longer than x-amz-decoded-content-length says")
        self._left -= size
        self.signature = (match[2] or b"").decode("ascii")
        self.remaining = size
        self.last = not size
        self._read = self._after_data if size else self._trailer
        if not size and self._left:
            raise InvalidRequest("the aws-chunked body is shorter than x-amz-decoded-content-length says")

    def _after_data(self, line: bytes) -> None:
        if line:
            raise InvalidRequest("a chunk of the aws-chunked body is longer than its size")
        self._read = self._size

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        match = _TRAILER.fullmatch(line)
        self._room -= len(line) + 2
        if match is None or self._room < 0:
            raise InvalidRequest("a trailer of the aws-chunked body is malformed, or they are too long")
        self.trailers.append((match[1].lower().decode("ascii"), match[2].rstrip().decode("ascii")))
