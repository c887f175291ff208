"""Sources, sinks, channels and listeners that live in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from zope.interface import implementer

from ecpds.errors import ConnectionLost, Corrupt, Refusal, Stalled, Unavailable
from ecpds.interfaces import IByteSink, IByteSource, IChannel, IListener, IListeners, IPromptChannel, IRelaySink


@implementer(IByteSource)
class MemorySource:
    """Bytes to read, in pieces of at most `piece`, and then the end, or `failure` in its place."""

    def __init__(self, data: bytes = b"", piece: int | None = None, failure: BaseException | None = None) -> None:
        self._left = memoryview(bytes(data))
        self._piece = piece
        self._failure = failure
        self.read = 0

    async def read_into(self, view: memoryview) -> int:
        if not self._left and self._failure is not None:
            raise self._failure
        count = min(len(view), len(self._left), self._piece or len(view))
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        self.read += count
        return count


@implementer(IByteSink)
class MemorySink:
    """Keeps what is written; raises `failure` once more than `room` bytes have come."""

    def __init__(self, room: int | None = None, failure: BaseException | None = None) -> None:
        self.data = bytearray()
        self._room = room
        self._failure = failure or ConnectionLost()

    async def write(self, data: bytes | memoryview) -> None:
        if self._room is not None and len(self.data) + len(data) > self._room:
            self.data += bytes(data)[: self._room - len(self.data)]
            raise self._failure
        self.data += data

    async def send_file(self, fd: int, offset: int, length: int) -> None:
        await self.write(read_span(fd, offset, length))

    @property
    def value(self) -> bytes:
        return bytes(self.data)


def read_span(fd: int, offset: int, length: int) -> bytes:
    """`length` bytes of an open file. Raises `Corrupt` when there are fewer."""
    data = os.pread(fd, length, offset)
    if len(data) < length:
        raise Corrupt
    return data


@implementer(IPromptChannel)
class MemoryChannel:
    """A connection whose other end is the test.

    The test says what arrives: `feed`, then `feed_end`, `feed_loss` or `feed_failure`. It sees what was written in
    `written`, or takes it with `take`. With a `window`, a write waits until the test has taken enough that no more than
    `window` bytes lie there, which is how a client that stops reading looks.
    """

    def __init__(self, peer: str = "127.0.0.1", secure: bool = False, window: int | None = None) -> None:
        self.peer = peer
        self.secure = secure
        self.resumed = False
        self.patience = 60.0
        self.finished = False
        self.aborted = False
        self.taken = bytearray()
        self.written = bytearray()
        self._window = window
        self._arrived = bytearray()
        self._ended: BaseException | None = None
        self._clean_end = False
        self._woken = False
        self._reader: Deferred[None] | None = None
        self._writer: Deferred[None] | None = None

    # What the test does.

    def feed(self, data: bytes) -> None:
        """These bytes arrive."""
        self._arrived += data
        self._wake_reader()

    def feed_end(self) -> None:
        """The peer says, properly, that nothing more comes."""
        self._clean_end = True
        self._wake_reader()

    def feed_loss(self) -> None:
        """The connection is cut: whoever reads or writes, now or later, gets `ConnectionLost`."""
        self.feed_failure(ConnectionLost())

    def feed_failure(self, failure: Refusal) -> None:
        """Reads (after what has arrived) and writes fail with this, such as `Stalled`."""
        self._ended = self._ended or failure
        self._wake_reader()
        self._wake_writer()

    def take(self) -> bytes:
        """What was written since the last take; a waiting write goes on."""
        data = bytes(self.written)
        self.taken += data
        self.written.clear()
        self._wake_writer()
        return data

    @property
    def all_written(self) -> bytes:
        """Everything that was ever written, taken or not."""
        return bytes(self.taken + self.written)

    @property
    def reading(self) -> bool:
        """Whether somebody waits for bytes."""
        return self._reader is not None

    @property
    def writing(self) -> bool:
        """Whether somebody waits until there is room."""
        return self._writer is not None

    @property
    def closed(self) -> bool:
        return self.finished or self.aborted

    # What the code under test does.

    async def readable(self) -> None:
        assert self._reader is None, "only one reader at a time"
        while not (self._arrived or self._clean_end or self._woken):
            if self.closed:
                raise ConnectionLost
            if self._ended is not None:
                raise self._ended
            self._reader = Deferred()
            await self._reader

    async def read_into(self, view: memoryview) -> int:
        await self.readable()
        if self.closed:
            raise ConnectionLost
        if not self._arrived and self._ended is not None:
            raise self._ended
        count = min(len(view), len(self._arrived))
        view[:count] = self._arrived[:count]
        del self._arrived[:count]
        return count

    async def attend(self, attempt: Callable[[], bool]) -> None:
        try:
            await self.readable()
            while self._arrived and attempt():
                await self.readable()
        finally:
            self._woken = False

    def wake(self) -> None:
        self._woken = self.reading
        self._wake_reader()

    def receive(self, view: memoryview) -> int:
        self._check()
        count = min(len(view), len(self._arrived))
        view[:count] = self._arrived[:count]
        del self._arrived[:count]
        return count

    def send(self, data: bytes) -> int:
        self._check()
        room = len(data) if self._window is None else max(0, self._window - len(self.written))
        self.written += data[:room]
        return min(room, len(data))

    async def go_on(self, rest: memoryview) -> None:
        await self.write(rest)

    def _check(self) -> None:
        if self.closed or (self._ended is not None and not self._arrived):
            raise ConnectionLost

    async def write(self, data: bytes | memoryview) -> None:
        assert self._writer is None, "only one writer at a time"
        left = memoryview(bytes(data))
        while True:
            if self.closed:
                raise ConnectionLost
            if self._ended is not None:
                raise self._ended
            room = len(left) if self._window is None else max(0, self._window - len(self.written))
            self.written += left[:room]
            left = left[room:]
            if not left:
                return
            self._writer = Deferred()
            await self._writer

    async def send_file(self, fd: int, offset: int, length: int) -> None:
        await self.write(read_span(fd, offset, length))

    async def handshake(self) -> None:
        if self.closed:
            raise ConnectionLost

    async def finish(self, linger: bool = True) -> None:
        if self.aborted or self._ended is not None:
            raise ConnectionLost
        self.finished = True
        self._wake_reader()

    def abort(self) -> None:
        if self.closed:
            return
        self.aborted = True
        self._wake_reader()
        self._wake_writer()

    def _wake_reader(self) -> None:
        waiting, self._reader = self._reader, None
        if waiting is not None:
            waiting.callback(None)

    def _wake_writer(self) -> None:
        waiting, self._writer = self._writer, None
        if waiting is not None:
            waiting.callback(None)


@implementer(IRelaySink)
class MemoryRelayChannel(MemoryChannel):
    """One that takes at most `straight` bytes at a time straight from a source."""

    def __init__(self, straight: int) -> None:
        super().__init__()
        self._straight = straight

    async def carry(self, source: IByteSource, length: int) -> int:
        view = memoryview(bytearray(min(length, self._straight)))
        count = await source.read_into(view)
        await self.write(view[:count])
        return count


@implementer(IListener)
class MemoryListener:
    """A port that the test connects to. `expire` lets the time of a waiting `accept` run out."""

    def __init__(
        self, address: str, port: int, peer: str, window: int | None = None, context: SSL.Context | None = None
    ) -> None:
        self.address = address
        self.port = port
        self.peer = peer
        self.context = context
        self.closed = False
        self._window = window
        self._connected: deque[MemoryChannel] = deque()
        self._waiter: Deferred[None] | None = None
        self._expired = False

    def connect(self, peer: str | None = None, secure: bool = False) -> MemoryChannel:
        """Connect from `peer`, by default the expected one; from another the channel comes back aborted."""
        channel = MemoryChannel(peer or self.peer, secure, self._window)
        if self.closed or channel.peer != self.peer:
            channel.abort()
        else:
            self._connected.append(channel)
            self._wake()
        return channel

    def expire(self) -> None:
        self._expired = True
        self._wake()

    @property
    def accepting(self) -> bool:
        """Whether somebody waits for a connection."""
        return self._waiter is not None

    async def accept(self, timeout: float) -> IChannel:
        while (channel := self.accept_now()) is None:
            if self.closed:
                raise ConnectionLost
            if self._expired:
                raise Stalled
            self._waiter = Deferred()
            await self._waiter
        return channel

    def accept_now(self) -> IChannel | None:
        return self._connected.popleft() if self._connected else None

    def close(self) -> None:
        self.closed = True
        while self._connected:
            self._connected.popleft().abort()
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiter = self._waiter, None
        if waiting is not None:
            waiting.callback(None)


@implementer(IListeners)
class MemoryListeners:
    """Makes listeners and remembers them, the newest last. With `full`, no port is free.

    `connected` are the connections that were begun: (address, peer, port), each with the channel that came of it. With
    `refusal`, they are refused.
    """

    def __init__(self, window: int | None = None) -> None:
        self.made: list[MemoryListener] = []
        self.connected: list[tuple[tuple[str, str, int], MemoryChannel]] = []
        self.full = False
        self.refusal: Refusal | None = None
        self._window = window

    async def connect(self, address: str, peer: str, port: int, timeout: float, context: SSL.Context | None = None) -> IChannel:
        if self.refusal is not None:
            raise self.refusal
        channel = MemoryChannel(peer, context is not None, self._window)
        self.connected.append(((address, peer, port), channel))
        return channel

    def listen(self, address: str, ports: range | None, peer: str, context: SSL.Context | None = None) -> IListener:
        taken = {listener.port for listener in self.made if not listener.closed}
        free = [port for port in ports or range(40000, 41000) if port not in taken]
        if self.full or not free:
            raise Unavailable("no port is free")
        listener = MemoryListener(address, free[0], peer, self._window, context)
        self.made.append(listener)
        return listener

    @property
    def open(self) -> list[MemoryListener]:
        """Those that nobody has closed."""
        return [listener for listener in self.made if not listener.closed]
