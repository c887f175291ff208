"""A segment on its way out: an open file, which stays readable when its name is gone."""

from __future__ import annotations

import os
from pathlib import Path

from zope.interface import implementer

from ecpds.errors import Corrupt, InvalidRequest, Unavailable
from ecpds.interfaces import IByteSink, IReadHandle


def open_segment(path: Path, length: int) -> int:
    """Open a stored file that should have `length` bytes. Blocks. Raises `Unavailable`, and `Corrupt` when it has not."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        size = os.fstat(fd).st_size
    except FileNotFoundError:
        raise Unavailable("this copy is not there") from None
    except OSError as error:
        raise Unavailable(f"this copy can't be opened: {error.strerror}") from error
    if size < length:
        os.close(fd)
        raise Corrupt(f"a copy has {size} bytes of {length}")
    return fd


@implementer(IReadHandle)
class ReadHandle:
    """Closed during a send, it closes the file when the send is over: the number must not become another file's before."""

    def __init__(self, fd: int, length: int) -> None:
        self._fd = fd
        self._length = length
        self._sending = 0
        self._open = True

    async def send(self, sink: IByteSink, offset: int, length: int) -> None:
        if not self._open:
            raise Unavailable("it was closed")
        if offset < 0 or length < 0 or offset + length > self._length:
            raise InvalidRequest(f"bytes {offset} to {offset + length} of {self._length}")
        self._sending += 1
        try:
            if length:
                await sink.send_file(self._fd, offset, length)
        finally:
            self._sending -= 1
            if not self._open and not self._sending:
                os.close(self._fd)

    def close(self) -> None:
        if self._open:
            self._open = False
            if not self._sending:
                os.close(self._fd)
