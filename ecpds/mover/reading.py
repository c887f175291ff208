"""A segment on its way out: what is small is read whole when it is opened, anything else is an open file. Either stays
readable when its name is gone.
"""

from __future__ import annotations

import os

from zope.interface import implementer

from ecpds.errors import Corrupt, Unavailable
from ecpds.held import SMALL_FILE, HeldSegment, check_span
from ecpds.interfaces import IByteSink, IReadHandle, IThreads
from ecpds.transports.opening import open_at_once, read_at_once


async def open_to_read(threads: IThreads, path: str, length: int, in_memory: bool = False) -> IReadHandle:
    """Open a copy of `length` bytes. Only what is not in the kernel's memory costs a thread; `in_memory`: all of it is.

    Raises `Unavailable`, and `Corrupt` when it is shorter.
    """
    if length <= SMALL_FILE:
        data = read_segment(path, length) if in_memory else read_at_once(os.fsencode(path), length)
        return HeldSegment(data if data is not None else await threads.run(read_segment, path, length))
    fd = open_at_once(os.fsencode(path))
    if fd is None:
        fd = await threads.run(open_segment, path, length)
    else:
        _check_size(fd, length)
    return ReadHandle(fd, length)


def read_now(path: str, length: int, in_memory: bool) -> memoryview | None:
    """All of a small copy, where nothing has to be waited for; None where it must be, and where there is no such copy."""
    if not in_memory:
        return read_at_once(os.fsencode(path), length)
    try:
        return read_segment(path, length)
    except (Unavailable, Corrupt):
        return None


def open_segment(path: str, length: int) -> int:
    """Open a stored file that should have `length` bytes. Blocks. Raises `Unavailable`, and `Corrupt` when it has not."""
    fd = _opened(path)
    _check_size(fd, length)
    return fd


def _opened(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Unavailable("this copy is not there") from None
    except OSError as error:
        raise Unavailable(f"this copy can't be opened: {error.strerror}") from error


def read_segment(path: str, length: int) -> memoryview:
    """All of a small stored file. Blocks. Raises as `open_segment` does."""
    fd = _opened(path)
    try:
        data = os.pread(fd, length, 0)
    except OSError as error:
        raise Unavailable(f"this copy can't be read: {error.strerror}") from error
    finally:
        os.close(fd)
    if len(data) < length:
        raise Corrupt(f"a copy has {len(data)} bytes of {length}")
    return memoryview(data)


def _check_size(fd: int, length: int) -> None:
    """Close the file and refuse unless it has `length` bytes."""
    try:
        size = os.fstat(fd).st_size
    except OSError as error:
        os.close(fd)
        raise Unavailable(f"this copy can't be opened: {error.strerror}") from error
    if size < length:
        os.close(fd)
        raise Corrupt(f"a copy has {size} bytes of {length}")


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
        check_span(offset, length, self._length)
        self._sending += 1
        try:
            if length:
                await sink.send_file(self._fd, offset, length)
        finally:
            self._sending -= 1
            if not self._open and not self._sending:
                os.close(self._fd)

    def held(self, offset: int, length: int) -> memoryview | None:
        return None

    def close(self) -> None:
        if self._open:
            self._open = False
            if not self._sending:
                os.close(self._fd)
