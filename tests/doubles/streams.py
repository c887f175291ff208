"""The bytes of one SSH channel, in memory."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from ecpds.errors import ConnectionLost
from ecpds.ssh.streams import Fill, Use


class MemoryStream:
    """What the client sends and is sent. `lost` makes the end one that nobody said; `complaints` are its error output.

    While it is `full`, nothing is sent without waiting.
    """

    def __init__(self) -> None:
        self.inbox: list[bytes] = []
        self.sent = bytearray()
        self.complaints = bytearray()
        self.is_busy = False
        self.ended = False
        self.lost = False
        self.full = False
        self._waiting: Deferred[None] | None = None

    async def read(self, use: Use | None = None) -> memoryview:
        while self._used_up(use):
            if self.lost:
                raise ConnectionLost
            if self.ended:
                return memoryview(b"")
            self._waiting = Deferred()
            await self._waiting
        return self.read_now()

    def _used_up(self, use: Use | None) -> bool:
        while self.inbox and use is not None:
            rest = self.inbox[0][use(memoryview(self.inbox[0])) :]
            if rest:
                self.inbox[0] = rest
                return False
            del self.inbox[0]
        return not self.inbox

    def read_now(self) -> memoryview:
        return memoryview(self.inbox.pop(0) if self.inbox else b"")

    async def write(self, data: bytes | memoryview) -> None:
        if self.lost:
            raise ConnectionLost
        self.sent += data

    def write_now(self, data: bytes) -> bool:
        if self.full:
            return False
        self.sent += data
        return True

    def afterwards(self, work: Callable[[], None]) -> None:
        work()

    async def send(self, head: bytes, length: int, fill: Fill) -> None:
        """In pieces of 1000 bytes."""
        whole = memoryview(bytearray(length))
        await fill(0, [whole[start : start + 1000] for start in range(0, length, 1000)])
        self.sent += head + whole

    async def complain(self, data: bytes) -> None:
        self.complaints += data

    def busy(self, busy: bool) -> None:
        self.is_busy = busy

    def arrive(self, data: bytes = b"") -> None:
        if data:
            self.inbox.append(data)
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)
