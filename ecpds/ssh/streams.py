"""Session channels that carry bytes for a subsystem or a command (RFC 4254, section 6.5), read and written by a coroutine.

The client opens a channel and asks for one subsystem or one command. What the service makes of that runs as a coroutine:
it reads what the client sends and writes what the client reads, and its result is the exit status. Both ways wait for
each other: room for more is given when bytes were used, and `write` returns when they could be sent.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from attrs import frozen
from twisted.conch.ssh.connection import EXTENDED_DATA_STDERR, MSG_CHANNEL_DATA
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ecpds.errors import ConnectionLost
from ecpds.ssh.channels import DATA, QUIET, Session
from ecpds.ssh.fields import Fields
from ecpds.ssh.frames import BETWEEN, Frames

LONGEST_COMMAND = 16384
"""Bytes of a command line."""

LARGEST_DATA = 131072
"""Bytes that a client may put into one packet."""

OFTEN = 8
"""How many times a window is given anew while it is used once, so that a client far away never finds it shut."""

PIECES = 1024
"""Messages of a client that may wait apart from each other: the shortest costs hundreds of bytes beside the one it brings."""

LUMP = 256 * 1024
"""Bytes of room worth waiting for before more of a large answer is sent: each time costs something, however little it sends."""

SPARE = 32 * BETWEEN
"""What the frames of an answer take beside its bytes."""

FAILED = 1
"""The exit status of what went wrong on our side."""


@frozen
class Asked:
    """What a client wants of a channel: a subsystem by its name, or a command line."""

    kind: str
    text: str


Fill = Callable[[int, Sequence[memoryview]], Awaitable[None]]
"""Puts bytes into views, one after the other, from a place on in what they are of."""


Use = Callable[[memoryview], int]
"""Uses what came as far as that needs no waiting, and says how many bytes of it that were. Raises nothing."""


class Pool(Protocol):
    """Lends buffers for bulk, as `transports.buffers.BufferPool` does."""

    def advise(self, size: int) -> int: ...

    async def acquire(self, size: int) -> memoryview: ...

    def release(self, buffer: memoryview) -> None: ...


class Stream(Protocol):
    """The bytes of one channel."""

    async def read(self, use: Use | None = None) -> memoryview:
        """Some bytes; none at the end. Raises `ConnectionLost` when the connection ended instead.

        What is here, and what comes while this waits, is first shown to `use`, piece by piece; this returns when that has
        left something.
        """

    def read_now(self) -> memoryview:
        """Some bytes, if any are here already."""

    async def write(self, data: bytes | memoryview) -> None:
        """Send all of `data`; returns when it is no longer needed. Raises `ConnectionLost`."""

    def write_now(self, data: bytes) -> bool:
        """Send `data` if that needs no waiting; else False, and nothing is sent."""

    def afterwards(self, work: Callable[[], None]) -> None:
        """Do `work`, which raises nothing, once the client has been sent what was written so far: it need not wait for it."""

    async def send(self, head: bytes, length: int, fill: Fill) -> None:
        """Send `head` and behind it `length` bytes, which `fill` puts where they are sent from, as there is room for them.

        Raises `ConnectionLost`, and what `fill` does: then some may be sent.
        """

    async def complain(self, data: bytes) -> None:
        """Write to the error output."""

    def busy(self, busy: bool) -> None:
        """Whether something is under way that should be let end when the node does."""


Serve = Callable[[Any, Asked, Stream], Coroutine[Any, Any, int] | None]
"""What a service does for somebody who has logged in: a coroutine whose result is the exit status; None refuses."""


class StreamChannel(Session):
    """One channel. `window` is how much the client may send that was not read yet; `pool` has buffers for bulk."""

    log = Logger()

    def __init__(self, login: Any, serve: Serve, pool: Pool, window: int, remote_window: int, remote_packet: int) -> None:
        super().__init__(
            localWindow=window, localMaxPacket=LARGEST_DATA, remoteWindow=remote_window, remoteMaxPacket=remote_packet
        )
        self._login = login
        self._serve = serve
        self._pool = pool
        self._asked = False
        self._granted: Coroutine[Any, Any, int] | None = None
        self._inbox: deque[memoryview] = deque()
        self._outbox = bytearray()
        self._used = 0
        self._whole_window = remote_window
        self._lump = 0
        self._wanted = 0
        self._ended = False
        self._gone = False
        self._hung_up = False
        self._turning = False
        self._use: Use | None = None
        self._reader: Deferred[None] | None = None
        self._writer: Deferred[None] | None = None

    # What the client asks

    def requestReceived(self, requestType: bytes, data: bytes) -> bool:
        if requestType in (b"subsystem", b"exec") and not self._asked:
            fields = Fields(data)
            text = fields.text()
            fields.end()
            if len(text) <= LONGEST_COMMAND:
                self._granted = self._serve(self._login, Asked(requestType.decode("ascii"), text), self)
            self._asked = self._granted is not None
            return self._asked
        if requestType not in QUIET:
            self.log.info("{who} was refused {kind!r}", who=self._login.who, kind=requestType[:64])
        return False

    def answered(self) -> None:
        granted, self._granted = self._granted, None
        if granted is not None:
            Deferred.fromCoroutine(granted).addCallbacks(self._leave, self._failed)

    def _leave(self, status: int) -> None:
        """The service has ended, with an exit status."""
        self.is_busy = False
        if not self.localClosed:
            self._flush()
            self.conn.sendRequest(self, b"exit-status", struct.pack(">L", status))
            self.conn.sendEOF(self)
            self.loseConnection()  # type: ignore[no-untyped-call]
        self.conn.transport.rested()

    def _failed(self, failure: Failure) -> None:
        if not isinstance(failure.value, ConnectionLost):
            self.log.failure("{who}: a channel failed", failure, who=self._login.who)
        self._leave(FAILED)

    def busy(self, busy: bool) -> None:
        self.is_busy = busy
        if not busy:
            self.conn.transport.rested()

    # What comes from the client

    def take(self, data: memoryview) -> None:
        """Room for more is given when this was read."""
        self.localWindowLeft -= len(data)
        if data and not self._ended and not self.localClosed:
            self._inbox.append(data)
            if len(self._inbox) > PIECES:
                self._inbox = deque((memoryview(b"".join(self._inbox)),))

    def turn_ended(self) -> None:
        """What came at once is read at once, and answered in one message."""
        self._turning = True
        try:
            if self._reader is not None and not self._used_up(self._use):
                self._wake_reader()
        finally:
            self._turning = False
            self._flush()

    def eofReceived(self) -> None:
        self._ended = True
        self._wake_reader()

    def closeReceived(self) -> None:
        """The client reads no more; what it has sent is still used."""
        self._ended = self._hung_up = True
        self.loseConnection()  # type: ignore[no-untyped-call]
        self._wake_reader()
        self._wake_writer()

    def closed(self) -> None:
        """The client has closed the channel, or the connection has gone."""
        self._gone = not self._hung_up
        self._ended = True
        self._wake_reader()
        self._wake_writer()

    async def read(self, use: Use | None = None) -> memoryview:
        while self._used_up(use):
            if self._gone:
                raise ConnectionLost
            if self._ended:
                return memoryview(b"")
            self._use, self._reader = use, Deferred()
            await self._reader
        return self.read_now()

    def read_now(self) -> memoryview:
        if not self._inbox:
            return memoryview(b"")
        data = self._inbox.popleft()
        self._take_off(len(data))
        return data

    def _used_up(self, use: Use | None) -> bool:
        """Whether nothing is left of what came when `use` has seen it."""
        inbox = self._inbox
        while inbox and use is not None:
            piece = inbox[0]
            size = use(piece)
            if size < len(piece):
                inbox[0] = piece[size:]
                self._take_off(size)
                return False
            inbox.popleft()
            self._take_off(size)
        return not inbox

    def _take_off(self, size: int) -> None:
        """So much of what came needs no more room."""
        self._used += size
        if self._used >= self.localWindowSize // OFTEN and not self._ended:
            self.conn.open_window(self, self._used)
            self._used = 0

    # What goes to the client

    def addWindowBytes(self, data: int) -> None:
        """There is room for more.

        A client that gives some while so much was left will do so again before less is left, so it is safe to wait for
        that much; one that only gives room when there is none is never waited for. Who makes the window larger, with
        nothing on the way, tells nothing of that.
        """
        if self.remoteWindowLeft < self._whole_window:
            self._lump = min(LUMP, self._whole_window // OFTEN, max(self._lump, self.remoteWindowLeft))
        self.remoteWindowLeft += data
        self._whole_window = max(self._whole_window, self.remoteWindowLeft)
        if self.remoteWindowLeft >= self._wanted:
            self._wake_writer()

    def unblocked(self) -> None:
        self._wake_writer()

    async def write(self, data: bytes | memoryview) -> None:
        if not self.write_now(data):
            await self._write_slowly(memoryview(data))

    def write_now(self, data: bytes | memoryview) -> bool:
        size = len(data)
        if self.localClosed or self._gone or self.conn.transport.blocked:
            return False
        if size > min(self.remoteWindowLeft, self.remoteMaxPacket - len(self._outbox)):
            return False
        self._outbox += data
        self.remoteWindowLeft -= size
        if not self._turning:
            self._flush()
        return True

    def afterwards(self, work: Callable[[], None]) -> None:
        self.conn.transport.afterwards(work)

    async def _write_slowly(self, view: memoryview) -> None:
        self._flush()
        while view:
            size = min(await self._room(), self.remoteMaxPacket, len(view))
            self.conn.sendData(self, bytes(view[:size]))
            self.remoteWindowLeft -= size
            view = view[size:]

    def _flush(self) -> None:
        """Send what waits; the window was asked before."""
        if self._outbox and not self.localClosed:
            self.conn.transport.sendPacket(MSG_CHANNEL_DATA, DATA.pack(self.theirs, len(self._outbox)) + self._outbox)
        self._outbox.clear()

    async def send(self, head: bytes, length: int, fill: Fill) -> None:
        self._flush()
        done = 0
        while head or done < length:
            done += await self._send_some(head, done, length - done, fill)
            head = b""

    async def _send_some(self, head: bytes, done: int, left: int, fill: Fill) -> int:
        """As many frames as there is room for now; how many bytes of the file that were."""
        whole = len(head) + left
        size = min(await self._room(max(len(head) + 1, min(whole, self._lump))), whole)
        buffer = await self._pool.acquire(self._pool.advise(2 * size + SPARE))
        try:
            frames = Frames(buffer, self.remoteMaxPacket, size)
            frames.data[0][: len(head)] = head
            await fill(done, [frames.data[0][len(head) :], *frames.data[1:]])
            await self._room(frames.size)
        except BaseException:
            self._pool.release(buffer)
            raise
        self.remoteWindowLeft -= frames.size
        self.conn.transport.send_frames(frames, self.theirs, lambda: self._pool.release(buffer))
        return frames.size - len(head)

    async def complain(self, data: bytes) -> None:
        self._flush()
        while data:
            size = min(await self._room(), self.remoteMaxPacket, len(data))
            self.conn.sendExtendedData(self, EXTENDED_DATA_STDERR, data[:size])
            self.remoteWindowLeft -= size
            data = data[size:]

    async def _room(self, least: int = 1) -> int:
        """Wait until `least` bytes can be sent, and say how many can."""
        while self.remoteWindowLeft < least or self.conn.transport.blocked:
            self._refuse_closed()
            self._wanted, self._writer = least, Deferred()
            await self._writer
        self._refuse_closed()
        return int(self.remoteWindowLeft)

    def _refuse_closed(self) -> None:
        if self.localClosed or self._gone:
            raise ConnectionLost

    def _wake_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.callback(None)

    def _wake_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.callback(None)
