"""Bytes from one stored file into another, through a buffer of the upload's own: an open file as a source."""

from __future__ import annotations

import os

from zope.interface import implementer

from ecpds.errors import Corrupt
from ecpds.interfaces import IByteSink, IByteSource, IDownload, IThreads
from ecpds.wire.ranges import Span


@implementer(IByteSink)
class Into:
    """A sink that fills a buffer."""

    def __init__(self, view: memoryview, threads: IThreads) -> None:
        self._view = view
        self._threads = threads

    async def write(self, data: bytes | memoryview) -> None:
        self._view[: len(data)] = data
        self._view = self._view[len(data) :]

    async def send_file(self, fd: int, offset: int, length: int) -> None:
        while length:
            count = await self._threads.run(os.preadv, fd, [self._view[:length]], offset)
            if not count:
                raise Corrupt("a stored file is shorter than its record")
            self._view = self._view[count:]
            offset, length = offset + count, length - count


@implementer(IByteSource)
class FromDownload:
    """A span of an open file as a source."""

    def __init__(self, download: IDownload, span: Span, threads: IThreads) -> None:
        self._download = download
        self._offset, self._left = span.offset, span.length
        self._threads = threads

    async def read_into(self, view: memoryview) -> int:
        count = min(len(view), self._left)
        if count:
            await self._download.send(Into(view[:count], self._threads), self._offset, count)
            self._offset += count
            self._left -= count
        return count
