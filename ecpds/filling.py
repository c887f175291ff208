"""A sink that fills a buffer: how what is sent becomes what is read, without a pipe between them."""

from __future__ import annotations

import os

from zope.interface import implementer

from ecpds.errors import Corrupt
from ecpds.interfaces import IByteSink, IThreads
from ecpds.waiting import undisturbed


@implementer(IByteSink)
class Into:
    """Takes as many bytes as its view has. `threads` read what comes as a file."""

    def __init__(self, view: memoryview, threads: IThreads) -> None:
        self._view = view
        self._threads = threads

    async def write(self, data: bytes | memoryview) -> None:
        self._view[: len(data)] = data
        self._view = self._view[len(data) :]

    async def send_file(self, fd: int, offset: int, length: int) -> None:
        while length:
            count = await undisturbed(self._threads.run(os.preadv, fd, [self._view[:length]], offset))
            if not count:
                raise Corrupt("a stored file is shorter than its record")
            self._view = self._view[count:]
            offset, length = offset + count, length - count
