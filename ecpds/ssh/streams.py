"""Session channels that carry bytes for a subsystem or a command (RFC 4254, section 6.5), read and written by a coroutine.

The client opens a channel and asks for one subsystem or one command. What the service makes of that runs as a coroutine:
it reads what the client sends and writes what the client reads, and its result is the exit status. Both ways wait for
each other: room for more is given when bytes were used, and `write` returns when they could be sent.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from attrs import frozen
from twisted.conch.ssh.connection import EXTENDED_DATA_STDERR
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ecpds.errors import ConnectionLost
from ecpds.ssh.channels import QUIET, Session
from ecpds.ssh.fields import Fields

LONGEST_COMMAND = 16384
"""Bytes of a command line."""

LARGEST_DATA = 131072
"""Bytes that a client may put into one packet."""

FAILED = 1
"""The exit status of what went wrong on our side."""


@frozen
class Asked:
    """What a client wants of a channel: a subsystem by its name, or a command line."""

    kind: str
    text: str


class Stream(Protocol):
    """The bytes of one channel."""

    async def read(self) -> bytes:
        """Some bytes; none at the end. Raises `ConnectionLost` when the connection ended instead."""

    async def write(self, data: bytes | memoryview) -> None:
        """Send all of `data`; returns when it is no longer needed. Raises `ConnectionLost`."""

    async def complain(self, data: bytes) -> None:
        """Write to the error output."""

    def busy(self, busy: bool) -> None:
        """Whether something is under way that should be let end when the node does."""


Serve = Callable[[Any, Asked, Stream], Coroutine[Any, Any, int] | None]
"""What a service does for somebody who has logged in: a coroutine whose result is the exit status; None refuses."""


class StreamChannel(Session):
    """One channel. `window` is how much the client may send that was not read yet."""

    log = Logger()

    def __init__(self, login: Any, serve: Serve, window: int, remote_window: int, remote_packet: int) -> None:
        super().__init__(
            localWindow=window, localMaxPacket=LARGEST_DATA, remoteWindow=remote_window, remoteMaxPacket=remote_packet
        )
        self._login = login
        self._serve = serve
        self._asked = False
        self._granted: Coroutine[Any, Any, int] | None = None
        self._inbox: deque[bytes] = deque()
        self._used = 0
        self._ended = False
        self._gone = False
        self._hung_up = False
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

    def take(self, data: bytes) -> None:
        """Room for more is given when this was read."""
        self.localWindowLeft -= len(data)
        if data and not self._ended and not self.localClosed:
            self._inbox.append(data)
            self._wake_reader()

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

    async def read(self) -> bytes:
        while not self._inbox:
            if self._gone:
                raise ConnectionLost
            if self._ended:
                return b""
            self._reader = Deferred()
            await self._reader
        data = self._inbox.popleft()
        self._used += len(data)
        if self._used >= self.localWindowSize // 2 and not self._ended:
            self.conn.adjustWindow(self, self._used)
            self._used = 0
        return data

    # What goes to the client

    def addWindowBytes(self, data: int) -> None:
        self.remoteWindowLeft += data
        self._wake_writer()

    def unblocked(self) -> None:
        self._wake_writer()

    async def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            size = min(await self._room(), len(view))
            self.conn.sendData(self, bytes(view[:size]))
            self.remoteWindowLeft -= size
            view = view[size:]

    async def complain(self, data: bytes) -> None:
        while data:
            size = min(await self._room(), len(data))
            self.conn.sendExtendedData(self, EXTENDED_DATA_STDERR, data[:size])
            self.remoteWindowLeft -= size
            data = data[size:]

    async def _room(self) -> int:
        """Wait until something can be sent, and say how much in one packet."""
        while not self.remoteWindowLeft or self.conn.transport.blocked:
            if self.localClosed or self._gone:
                raise ConnectionLost
            self._writer = Deferred()
            await self._writer
        if self.localClosed or self._gone:
            raise ConnectionLost
        return min(self.remoteWindowLeft, self.remoteMaxPacket)

    def _wake_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.callback(None)

    def _wake_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.callback(None)
