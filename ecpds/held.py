"""A segment whose bytes are in memory, for whoever has them there: a store that reads small files whole, and the portal."""

from __future__ import annotations

from zope.interface import implementer

from ecpds.errors import InvalidRequest, Unavailable
from ecpds.interfaces import IByteSink, IReadHandle

SMALL_FILE = 16384
"""Bytes up to which a file is small: it is read at once and held in memory, and crosses a fleet's control link with the answer
where it is; with one byte less it is put in one step. That is one TLS record, the smallest buffer that an upload comes into
(`transports.buffers`), and so little that a slow client may keep it."""


def check_span(offset: int, length: int, whole: int) -> None:
    """Raise `InvalidRequest` unless these bytes are some of `whole`."""
    if offset < 0 or length < 0 or offset + length > whole:
        raise InvalidRequest(f"bytes {offset} to {offset + length} of {whole}")


@implementer(IReadHandle)
class HeldSegment:
    """A segment whose bytes are here: they go out in one write, with whatever must stand before them."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._open = True

    async def send(self, sink: IByteSink, offset: int, length: int) -> None:
        if not self._open:
            raise Unavailable("it was closed")
        check_span(offset, length, len(self._data))
        if length:
            await sink.write(self._data[offset : offset + length])

    def held(self, offset: int, length: int) -> memoryview | None:
        there = self._open and 0 <= offset <= offset + length <= len(self._data)
        return self._data[offset : offset + length] if there else None

    def close(self) -> None:
        self._open = False
