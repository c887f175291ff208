"""Digests of what is stored: the bytes go from their copies through hashes on a thread, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import frozen
from zope.interface import implementer

from ecpds.hashing import Follower, follow, follow_file
from ecpds.interfaces import IByteSink, IThreads
from ecpds.portal.download import CountedSink, SegmentReader, spans


@implementer(IByteSink)
class DigestSink:
    """Takes bytes, and keeps their digests. `sent` counts them."""

    def __init__(self, threads: IThreads, followers: Sequence[Follower]) -> None:
        self.sent = 0
        self._threads = threads
        self._followers = followers

    async def write(self, data: bytes | memoryview) -> None:
        await self._threads.run(follow, memoryview(data), self._followers)

    async def send_file(self, fd: int, offset: int, length: int) -> None:
        await self._threads.run(follow_file, fd, offset, length, self._followers)


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
