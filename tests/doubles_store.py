"""Twins of the mover's things, in memory: a store, threads that a test lets go on one by one, and a Master that judges."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from awscrt.checksums import crc32, crc32c, crc64nvme
from twisted.internet.defer import Deferred
from zope.interface import implementer

from ecpds.errors import (
    AlreadyExists,
    ConnectionLost,
    Corrupt,
    DigestMismatch,
    Incomplete,
    InvalidRequest,
    Refusal,
    Stalled,
    TooLarge,
    Unavailable,
)
from ecpds.interfaces import IByteSink, IByteSource, IReadHandle, IStore, IThreads, IWriteHandle
from ecpds.model import EMPTY, IF_SMALL, Copy, Receipt, StoredSegment

SMALL = 16384
"""Bytes from which on a file does not fit into a first buffer."""


def digest_of(name: str, data: bytes) -> str:
    """A digest by the catalogue's name."""
    crcs = {"crc32": (crc32, 8), "crc32c": (crc32c, 8), "crc64nvme": (crc64nvme, 16)}
    if name not in crcs:
        return hashlib.new(name, data).hexdigest()
    compute, width = crcs[name]
    return f"{compute(data):0{width}x}"


@implementer(IWriteHandle)
class MemoryWriteHandle:
    def __init__(self, store: MemoryStore, segment: int, volume: int, digests: Sequence[str]) -> None:
        self._store = store
        self._segment = segment
        self._volume = volume
        self._digests = digests
        self._data = bytearray()
        self._over = False

    async def receive(self, source: IByteSource, limit: int | None = None) -> int:
        came = 0
        view = memoryview(bytearray(65536))
        while limit is None or came < limit:
            self._refuse_over()
            count = await source.read_into(view if limit is None else view[: limit - came])
            self._refuse_over()
            if count == 0:
                break
            self._data += view[:count]
            came += count
            if 0 < self._store.file_size < len(self._data):
                raise TooLarge
        return came

    async def settle(self) -> None:
        self._refuse_over()

    async def finish(self, length: int | None = None, expected: Mapping[str, str] = EMPTY) -> Receipt:
        self._refuse_over()
        if length is not None and length != len(self._data):
            await self.abort()
            raise Incomplete
        wanted = [name for name in self._digests if not name.endswith(IF_SMALL) or len(self._data) < SMALL]
        names = {name.removesuffix(IF_SMALL) for name in (*wanted, "crc64nvme")}
        digests = {name: digest_of(name, bytes(self._data)) for name in names}
        if any(digests.get(name) != digest for name, digest in expected.items()):
            await self.abort()
            raise DigestMismatch
        self._over = True
        self._store.content[self._segment, self._volume] = bytes(self._data)
        receipt = Receipt(self._segment, self._store.name, self._volume, len(self._data), digests)
        try:
            await self._store.stored(receipt)
        except (ConnectionLost, Stalled, Unavailable):
            raise
        except Refusal:
            del self._store.content[self._segment, self._volume]
            raise
        finally:
            self._store.writing.discard((self._segment, self._volume))
        return receipt

    async def abort(self) -> None:
        if not self._over:
            self._over = True
            self._store.writing.discard((self._segment, self._volume))

    def _refuse_over(self) -> None:
        if self._over:
            raise Incomplete


@implementer(IReadHandle)
class MemoryReadHandle:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._open = True

    async def send(self, sink: IByteSink, offset: int, length: int) -> None:
        if not self._open:
            raise Unavailable
        if offset < 0 or length < 0 or offset + length > len(self._data):
            raise InvalidRequest
        if length:
            await sink.write(self._data[offset : offset + length])

    def held(self, offset: int, length: int) -> memoryview | None:
        there = self._open and 0 <= offset <= offset + length <= len(self._data)
        return memoryview(self._data)[offset : offset + length] if there else None

    def close(self) -> None:
        self._open = False


@implementer(IStore)
class MemoryStore:
    """Keeps segments in `content`, by id and volume; `file_size` is the limit of one, 0 for none."""

    def __init__(self, name: str, volumes: int, stored: Callable[[Receipt], Awaitable[None]], file_size: int = 0) -> None:
        self.name = name
        self.volumes = volumes
        self.stored = stored
        self.file_size = file_size
        self.content: dict[tuple[int, int], bytes] = {}
        self.writing: set[tuple[int, int]] = set()

    async def write(
        self, segment: int, volume: int, digests: Sequence[str], size: int | None = None, ticket: bytes = b""
    ) -> IWriteHandle:
        self._check(volume)
        if 0 < self.file_size < (size or 0):
            raise TooLarge
        if (segment, volume) in self.content or (segment, volume) in self.writing:
            raise AlreadyExists
        self.writing.add((segment, volume))
        return MemoryWriteHandle(self, segment, volume, digests)

    async def read(self, segment: int, copy: Copy, length: int) -> IReadHandle:
        self._check(copy.volume)
        if copy.mover != self.name or (segment, copy.volume) not in self.content:
            raise Unavailable
        data = self.content[segment, copy.volume]
        if len(data) < length:
            raise Corrupt
        return MemoryReadHandle(data[:length])

    def _check(self, volume: int) -> None:
        if not 0 <= volume < self.volumes:
            raise Unavailable


@implementer(IThreads)
class HandThreads:
    """Work waits until the test lets it be done, first come first done."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        turn: Deferred[None] = Deferred()
        self.waiting.append(lambda: turn.callback(None))
        await turn
        return function(*args)

    def step(self) -> None:
        self.waiting.pop(0)()

    def steps(self) -> None:
        while self.waiting:
            self.step()


class JudgingMaster:
    """Knows some segments; whatever else it is asked about is dead. `asked` is every question."""

    def __init__(self, *known: int) -> None:
        self.known = set(known)
        self.asked: list[list[int]] = []
        self.when_asked: Callable[[], None] = lambda: None

    async def mark_dead(self, mover: str, found: Sequence[StoredSegment]) -> Collection[int]:
        self.asked.append([each.segment for each in found])
        self.when_asked()
        return {each.segment for each in found} - self.known
