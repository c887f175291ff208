"""Bytes from one stored file into another, through a buffer of the upload's own: an open file as a source."""

from __future__ import annotations

from zope.interface import implementer

from ecpds.filling import Into
from ecpds.interfaces import IStoredSource, IThreads
from ecpds.portal_interfaces import IDownload
from ecpds.wire.ranges import Span


@implementer(IStoredSource)
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
