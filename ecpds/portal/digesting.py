"""Digests of what is stored: the bytes go from their copies through hashes on a thread, and nowhere else."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from attrs import frozen
from zope.interface import implementer

from ecpds.errors import Corrupt
from ecpds.interfaces import IByteSink, IThreads
from ecpds.portal.download import CountedSink, SegmentReader, spans

BLOCK = 256 * 1024
"""Bytes that are read and hashed at a time."""


class Follower(Protocol):
    """A digest that follows the bytes, as hashlib makes them."""

    def update(self, data: memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


@implementer(IByteSink)
class DigestSink:
    """Takes bytes, and keeps their digests. `sent` counts them."""

    def __init__(self, threads: IThreads, followers: Sequence[Follower]) -> None:
        self.sent = 0
        self._threads = threads
        self._followers = followers

    async def write(self, data: bytes | memoryview) -> None:
        await self._threads.run(self._follow, memoryview(data))

    async def send_file(self, fd: int, offset: int, length: int) -> None:
        await self._threads.run(self._follow_file, fd, offset, length)

    def _follow(self, data: memoryview) -> None:
        for follower in self._followers:
            follower.update(data)

    def _follow_file(self, fd: int, offset: int, length: int) -> None:
        with mmap.mmap(-1, BLOCK) as pages, memoryview(pages) as block:
            end = offset + length
            while offset < end:
                with block[: min(BLOCK, end - offset)] as room:
                    count = os.preadv(fd, [room], offset)
                    if not count:
                        raise Corrupt("a stored file is shorter than its record")
                    with room[:count] as found:
                        self._follow(found)
                offset += count


@frozen
class Digesting:
    """What it takes to digest stored bytes. `follower` makes a digest of a name of `model.DIGESTS`."""

    threads: IThreads
    follower: Callable[[str], Follower]

    async def digests(
        self, readers: Sequence[SegmentReader], names: Sequence[str], offset: int, length: int
    ) -> Mapping[str, str]:
        """The digests of `length` bytes from `offset` of what the readers, which are open, read one after the other."""
        followers = {name: self.follower(name) for name in names}
        sink = DigestSink(self.threads, list(followers.values()))
        counted = CountedSink(sink, sink)
        for reader, first, count in spans(readers, offset, offset + length):
            await reader.send(counted, first, count)
        return {name: follower.hexdigest() for name, follower in followers.items()}
