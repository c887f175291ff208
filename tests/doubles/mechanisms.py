"""A mechanism in memory: files by URL, and servers that die, lie, change, refuse, or are slow by a clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import Factory, define
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from ecpds.datasources import Candidate
from ecpds.errors import ConnectionLost, NotFound, PreconditionFailed, Refusal
from ecpds.sources.mechanisms.base import About, ILister, IMechanism, IOpened, Listed


@define(eq=False)
class Served:
    """One file of the twin's servers. `rate`: bytes a second (None: at once); `dies_at`: the byte before which the next
    connections break, so many as `deaths`; `refusals`: what the next openings meet; `size`: what it says of its size; `thinks`:
    seconds before it answers."""

    content: bytes
    version: str = ""
    rate: float | None = None
    dies_at: int | None = None
    deaths: int = 0
    refusals: list[Refusal] = Factory(list)
    size: int | None = -1
    digests: dict[str, str] = Factory(dict)
    media: str = ""
    ranges: bool = True
    thinks: float = 0.0
    opened: list[tuple[int, int | None]] = Factory(list)


@implementer(IOpened)
class MemoryOpened:
    def __init__(self, clock: Clock, served: Served, about: About, offset: int, end: int, close: Callable[[], None]) -> None:
        self.about = about
        self.offset = offset
        self._clock = clock
        self._served = served
        self._end = end
        self._waiting: Deferred[None] | None = None
        self._closed = close
        self._open = True

    async def read_into(self, view: memoryview) -> int:
        if not self._open:
            raise ConnectionLost()
        served = self._served
        count = min(len(view), self._end - self.offset, 65536)
        if served.deaths and served.dies_at is not None:
            count = min(count, served.dies_at - self.offset)
            if count <= 0:
                served.deaths -= 1
                raise ConnectionLost("it died")
        if served.rate is not None and count:
            self._waiting = Deferred()
            call = self._clock.callLater(count / served.rate, self._waiting.callback, None)
            try:
                await self._waiting
            finally:
                self._waiting = None
                if call.active():
                    call.cancel()
        view[:count] = served.content[self.offset : self.offset + count]
        self.offset += count
        return count

    def close(self) -> None:
        if self._open:
            self._open = False
            self._closed()
            if self._waiting is not None:
                self._waiting.errback(ConnectionLost())


@implementer(IMechanism, ILister)
class MemoryMechanism:
    """`files` by URL; `connections` counts those that are open, `most` how many there were at once."""

    many = True

    def __init__(self, clock: Clock) -> None:
        self.files: dict[str, Served] = {}
        self.connections = 0
        self.most = 0
        self._clock = clock

    def serve(self, url: str, content: bytes, **how: object) -> Served:
        served = self.files[url] = Served(content, **how)  # type: ignore[arg-type]
        return served

    async def stat(self, candidate: Candidate) -> About:
        return self._about(self._find(candidate))

    async def open(self, candidate: Candidate, offset: int = 0, end: int | None = None, version: str = "") -> IOpened:
        served = self._find(candidate)
        served.opened.append((offset, end))
        if version and version != served.version:
            raise PreconditionFailed("the file has changed")
        if served.thinks:
            thought: Deferred[None] = Deferred(lambda _: call.cancel())
            call = self._clock.callLater(served.thinks, thought.callback, None)
            await thought
        if not served.ranges:
            offset, end = 0, None
        self.connections += 1
        self.most = max(self.most, self.connections)
        stop = len(served.content) if end is None else min(end, len(served.content))
        return MemoryOpened(self._clock, served, self._about(served), offset, stop, self._closed)

    async def list(self, candidate: Candidate, most: int) -> Sequence[Listed]:
        folder = candidate.url if candidate.url.endswith("/") else f"{candidate.url}/"
        inside = [url for url in self.files if url.startswith(folder) and "/" not in url[len(folder) :]]
        return [Listed(url[len(folder) :], url, len(self.files[url].content)) for url in inside][:most]

    def _closed(self) -> None:
        self.connections -= 1

    def _find(self, candidate: Candidate) -> Served:
        served = self.files.get(candidate.url)
        if served is None:
            raise NotFound("the server said 404")
        if served.refusals:
            raise served.refusals.pop(0)
        return served

    def _about(self, served: Served) -> About:
        size = len(served.content) if served.size == -1 else served.size
        return About(size, served.digests, None, served.version, served.media, served.ranges)
