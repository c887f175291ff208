"""One SFTP session on an SSH channel, client side: requests by number, each with its answer, and how answers are read."""

from __future__ import annotations

import struct
from typing import Any

from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import NS
from twisted.internet.defer import Deferred

from ecpds.errors import ConnectionLost, InvalidRequest, NotFound, NotPermitted, NotSupported, Refusal, Unavailable
from ecpds.sources.mechanisms.base import About
from ecpds.ssh.fields import Fields, Malformed

INIT, OPEN, CLOSE, READ, FSTAT, OPENDIR, READDIR, STAT = 1, 3, 4, 5, 8, 11, 12, 17
VERSION, STATUS, HANDLE, DATA, NAME, ATTRS = 2, 101, 102, 103, 104, 105

WINDOW = 4 << 20
LARGEST = 1 << 18
"""Bytes that the server may send ahead of us, and of one packet."""

REFUSALS: dict[int, type[Refusal]] = {2: NotFound, 3: NotPermitted, 6: ConnectionLost, 7: ConnectionLost, 8: NotSupported}
"""What a status means (section 7); any other is `Unavailable`."""


class SftpChannel(SSHChannel):
    """The subsystem's channel: requests by number, each with its answer."""

    name = b"session"
    conn: Any

    def __init__(self, started: Deferred[SftpChannel]) -> None:
        super().__init__(localWindow=WINDOW, localMaxPacket=LARGEST)
        self._started = started
        self._buffer = bytearray()
        self._number = 0
        self._waiting: dict[int, Deferred[tuple[int, Fields]]] = {}
        self.alive = True

    def channelOpen(self, specificData: bytes) -> None:
        asked = self.conn.sendRequest(self, b"subsystem", NS(b"sftp"), wantReply=True)
        asked.addCallbacks(lambda _: self.write(_packet(INIT, struct.pack(">L", 3))), lambda _: self._refuse())  # type: ignore[no-untyped-call]

    def openFailed(self, reason: Any) -> None:
        self._refuse()

    def _refuse(self) -> None:
        if not self._started.called:
            self._started.errback(NotSupported("the server has no SFTP"))

    def dataReceived(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[:4], "big")
            if not 1 <= length <= LARGEST:
                self.loseConnection()  # type: ignore[no-untyped-call]
                return
            if len(self._buffer) < 4 + length:
                return
            packet = bytes(self._buffer[4 : 4 + length])
            del self._buffer[: 4 + length]
            self._packet(packet[0], Fields(packet[1:]))

    def _packet(self, kind: int, fields: Fields) -> None:
        if kind == VERSION:
            if not self._started.called:
                self._started.callback(self)
            return
        try:
            waiter = self._waiting.pop(fields.number(), None)
        except Malformed:
            self.loseConnection()  # type: ignore[no-untyped-call]
            return
        if waiter is not None:
            waiter.callback((kind, fields))

    def ask(self, kind: int, body: bytes) -> Deferred[tuple[int, Fields]]:
        """Send a request; its answer's type and fields."""
        self._number = (self._number + 1) & 0xFFFFFFFF
        waiter: Deferred[tuple[int, Fields]] = Deferred()
        if not self.alive:
            waiter.errback(ConnectionLost())
            return waiter
        self._waiting[self._number] = waiter
        self.write(_packet(kind, struct.pack(">L", self._number) + body))  # type: ignore[no-untyped-call]
        return waiter

    def closed(self) -> None:
        self.alive = False
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting.values():
            waiter.errback(ConnectionLost("the SSH connection ended"))
        self._refuse()

    def end(self) -> None:
        self.conn.transport.abort()


def _packet(kind: int, body: bytes) -> bytes:
    return struct.pack(">LB", len(body) + 1, kind) + body


def expect(answer: tuple[int, Fields], kind: int) -> Fields:
    """The fields of an answer of that kind. Raises what a status means."""
    got, fields = answer
    if got == kind:
        return fields
    if got != STATUS:
        raise InvalidRequest("the server's answer is not of the kind that was asked for")
    code = fields.number()
    raise REFUSALS.get(code, Unavailable)(f"the server said {code} {fields.string().decode('utf-8', 'replace')[:200]}")


def about_of(fields: Fields) -> About:
    """The attributes of a file (section 5)."""
    flags = fields.number()
    size = int.from_bytes(fields.take(8), "big") if flags & 1 else None
    if flags & 2:
        fields.take(8)
    if flags & 4:
        fields.take(4)
    mtime = float([fields.number(), fields.number()][1]) if flags & 8 else None
    return About(size, mtime=mtime, version=f"{mtime:.0f}/{size}" if mtime is not None else "", ranges=True)
