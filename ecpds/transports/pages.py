"""Whether a file's bytes are in memory, and getting them there on a thread when they are not.

`preadv2` with RWF_NOWAIT (Linux 4.14) answers from the page cache or fails with EAGAIN, so the reactor can ask without
waiting for a disk. Memory file systems refuse the flag and never wait; any other that refuses it is read on a thread.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any

from ecpds.errors import Corrupt, Unavailable
from ecpds.file_systems import MEMORY_FILE_SYSTEMS, file_system_type
from ecpds.interfaces import IThreads

STRIDE = 128 * 1024
"""Bytes between two probes: the kernel reads ahead in pieces at least so large, so a span is rarely cold in between."""


class Reading(Enum):
    """How a file system is read without waiting."""

    PROBED = auto()
    AT_ONCE = auto()
    ON_A_THREAD = auto()


class Pages:
    """Reads files without holding the reactor. `threads` does what would wait."""

    def __init__(self, threads: IThreads) -> None:
        self._threads = threads
        self._ways: dict[int, Reading] = {}
        self._one_byte = [bytearray(1)]

    async def warm(self, fd: int, offset: int, length: int) -> None:
        """Return when the span is in memory, as far as probes tell. Raises `Unavailable` when the disk can't be read."""
        if not self._is_warm(fd, offset, length):
            await self._on_thread(_read_through, fd, offset, length)

    async def read(self, fd: int, offset: int, view: memoryview) -> None:
        """Fill `view` from `offset`. Raises `Corrupt` when the file is shorter, `Unavailable` when it can't be read.

        A thread never writes into `view`: who gives up waiting may give the buffer away at once.
        """
        done = 0
        while done < len(view):
            count = self._read_now(fd, offset + done, view[done:])
            if count is None:
                data = await self._on_thread(os.pread, fd, len(view) - done, offset + done)
                count = len(data)
                view[done : done + count] = data
            if count == 0:
                raise Corrupt("a stored file is shorter than its record")
            done += count

    async def scatter(self, fd: int, offset: int, views: Sequence[memoryview]) -> None:
        """As `read`, into several buffers, one after the other."""
        whole = sum(map(len, views))
        if self._scatter_now(fd, offset, views) == whole:
            return
        for view in views:
            await self.read(fd, offset, view)
            offset += len(view)

    def _scatter_now(self, fd: int, offset: int, views: Sequence[memoryview]) -> int | None:
        """How many bytes were read without waiting; None when that is not possible."""
        way = self._way(fd)
        if way is Reading.ON_A_THREAD:
            return None
        try:
            return os.preadv(fd, views, offset, os.RWF_NOWAIT if way is Reading.PROBED else 0)
        except BlockingIOError:
            return None
        except OSError as error:
            raise _unreadable(error) from error

    def _read_now(self, fd: int, offset: int, view: memoryview) -> int | None:
        return self._scatter_now(fd, offset, [view])

    def _is_warm(self, fd: int, offset: int, length: int) -> bool:
        way = self._way(fd)
        if way is not Reading.PROBED:
            return way is Reading.AT_ONCE
        try:
            for position in (*range(offset, offset + length, STRIDE), offset + length - 1):
                os.preadv(fd, self._one_byte, position, os.RWF_NOWAIT)
        except BlockingIOError:
            return False
        except OSError as error:
            raise _unreadable(error) from error
        return True

    def _way(self, fd: int) -> Reading:
        """How the file system of `fd` is read, found out once for each."""
        device = os.fstat(fd).st_dev
        way = self._ways.get(device)
        if way is None:
            way = self._ways[device] = self._find_way(fd, device)
        return way

    def _find_way(self, fd: int, device: int) -> Reading:
        try:
            os.preadv(fd, self._one_byte, 0, os.RWF_NOWAIT)
        except BlockingIOError:
            return Reading.PROBED
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise _unreadable(error) from error
            return Reading.AT_ONCE if file_system_type(device) in MEMORY_FILE_SYSTEMS else Reading.ON_A_THREAD
        return Reading.PROBED

    async def _on_thread(self, function: Callable[..., bytes], *args: Any) -> bytes:
        try:
            data: bytes = await self._threads.run(function, *args)
            return data
        except OSError as error:
            raise _unreadable(error) from error


def _read_through(fd: int, offset: int, length: int) -> bytes:
    """Read a span and throw it away, so that it is in memory, and let the kernel begin on what follows."""
    os.posix_fadvise(fd, offset, 4 * length, os.POSIX_FADV_WILLNEED)
    for position in range(offset, offset + length, STRIDE):
        os.pread(fd, min(STRIDE, offset + length - position), position)
    return b""


def _unreadable(error: OSError) -> Unavailable:
    return Unavailable(f"a stored file can't be read: {error.strerror}")
