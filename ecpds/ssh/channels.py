"""ssh-connection (RFC 4254) for a client that has logged in: session channels, a few, and nothing else.

The client opens a session channel and asks it for what that channel has: a `Terminal` for a shell, a `Stream` (see
`streams`) for a subsystem or a command. Then data flows both ways. What else could be asked for is refused: other
channels (forwarded connections, agents, X11), all global requests (`tcpip-forward` among them), environment variables.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Protocol

from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.connection import (
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_OPEN_CONFIRMATION,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_CHANNEL_SUCCESS,
    MSG_CHANNEL_WINDOW_ADJUST,
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    OPEN_RESOURCE_SHORTAGE,
    SSHConnection,
)
from twisted.logger import Logger

from ecpds.ssh.fields import Fields, Malformed
from ecpds.ssh.login import Admitted, Login
from ecpds.ssh.quiet import UNHEARD

SMALLEST_PACKET, LARGEST_PACKET = 64, 32768
"""Bytes that we put into one packet, whatever the client would take."""

DATA = struct.Struct(">2L")
"""The channel and how many bytes: all of CHANNEL_WINDOW_ADJUST, and what stands before the data of CHANNEL_DATA."""

UNREAD = 8 << 20
"""Bytes that may wait for a client whose window is shut; then its channel is closed."""

SIZES = range(2, 1001)
"""Columns and rows that a terminal may have; others become 80 and 24."""

QUIET = frozenset({b"env", b"keepalive@openssh.com", b"no-more-sessions@openssh.com", b"eow@openssh.com"})
"""Requests that clients make unasked; no one need read of their refusal."""


class Shell(Protocol):
    """What a terminal is connected to."""

    def data_received(self, data: bytes) -> None:
        """What was typed."""

    def eof_received(self) -> None:
        """Nothing more will be typed."""

    def resized(self) -> None:
        """The terminal's `width` and `height` are others now."""

    def closed(self) -> None:
        """The terminal has gone; nothing can be written any more."""


OpenShell = Callable[[Login, "Terminal"], Shell]


class Session(SSHChannel):
    """A session channel (RFC 4254, section 6)."""

    name = b"session"
    _log = UNHEARD
    conn: Any
    id: Any
    theirs: int
    is_busy = False

    def channelOpen(self, specificData: bytes) -> None:
        """Nothing happens until something is asked for."""

    def answered(self) -> None:
        """The client has been answered what it asked for last: what was granted may begin."""

    def extReceived(self, dataType: int, data: bytes) -> None:
        """A client has no error output."""

    def take(self, data: memoryview) -> None:
        """Data came, within the window: give room for more at once, and hand it on."""
        self.localWindowLeft -= len(data)
        if self.localWindowLeft < self.localWindowSize // 2:
            self.conn.open_window(self, self.localWindowSize - self.localWindowLeft)
        self.dataReceived(bytes(data))  # type: ignore[no-untyped-call]

    def turn_ended(self) -> None:
        """All that came at once was handed on."""

    def unblocked(self) -> None:
        """The connection can take more to send."""


OpenChannel = Callable[[Any, int, int], Session]
"""Makes the channel of somebody who has logged in, for a client's window and largest packet."""


class Terminal(Session):
    """One session channel: a terminal, once it was asked for, with a shell."""

    log = Logger()

    def __init__(self, login: Login, open_shell: OpenShell, window: int, packet: int) -> None:
        super().__init__(remoteWindow=window, remoteMaxPacket=packet)
        self.login = login
        self.term = ""
        self._has_terminal = False
        self.width, self.height = 80, 24
        self._open_shell = open_shell
        self._shell: Shell | None = None
        self._requests: dict[bytes, Callable[[Fields], bool]] = {
            b"pty-req": self._pty,
            b"shell": self._start,
            b"window-change": self._resize,
        }

    # What the client asks

    def requestReceived(self, requestType: bytes, data: bytes) -> bool:
        handler = self._requests.get(requestType)
        if handler is not None:
            return handler(Fields(data))
        if requestType not in QUIET:
            self.log.info("{who} was refused {kind!r}", who=self.login.who, kind=requestType[:64])
        return False

    def _pty(self, fields: Fields) -> bool:
        # A client without the variable TERM names none (RFC 4254, section 6.2); it has a terminal all the same.
        self.term = fields.string()[:64].decode("ascii", "replace")
        self._has_terminal = True
        return self._sized(fields)

    def _resize(self, fields: Fields) -> bool:
        self._sized(fields)
        if self._shell is not None:
            self._shell.resized()
        return True

    def _sized(self, fields: Fields) -> bool:
        columns, rows = fields.number(), fields.number()
        self.width = columns if columns in SIZES else 80
        self.height = rows if rows in SIZES else 24
        return True

    def _start(self, fields: Fields) -> bool:
        """One shell, and only in a terminal."""
        fields.end()
        if not self._has_terminal or self._shell is not None:
            return False
        self._shell = self._open_shell(self.login, self)
        return True

    # What comes from the client

    def dataReceived(self, data: bytes) -> None:
        if self._shell is not None and not self.localClosed:
            self._shell.data_received(data)

    def eofReceived(self) -> None:
        if self._shell is not None and not self.localClosed:
            self._shell.eof_received()

    def closeReceived(self) -> None:
        """The client reads no more: what still waits for it is dropped, or the channel would never end."""
        self.buf = b""
        self.loseConnection()  # type: ignore[no-untyped-call]

    def closed(self) -> None:
        shell, self._shell = self._shell, None
        if shell is not None:
            shell.closed()

    # What goes to the client

    def write(self, data: bytes) -> None:
        if self.localClosed:
            return
        super().write(data)  # type: ignore[no-untyped-call]
        if len(self.buf) > UNREAD:
            self.log.info("{who} does not read; the channel is closed", who=self.login.who)
            self.closeReceived()

    def leave(self, status: int) -> None:
        """The shell has ended, with an exit status."""
        if not self.localClosed:
            self.conn.sendRequest(self, b"exit-status", struct.pack(">L", status))
            self.loseConnection()  # type: ignore[no-untyped-call]


class ChannelService(SSHConnection):
    """The channels of one connection, `limit` of them at most."""

    log = Logger()
    _log = UNHEARD
    transport: Any

    def __init__(self, login: Admitted, open_channel: OpenChannel, limit: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._login = login
        self._open_channel = open_channel
        self._limit = limit
        self._touched: set[Session] = set()

    def serviceStarted(self) -> None:
        """Nothing is begun from our side."""

    def ssh_CHANNEL_OPEN(self, packet: bytes) -> None:
        fields = Fields(packet)
        kind, theirs, window, largest = fields.string(), fields.number(), fields.number(), fields.number()
        if kind != b"session":
            self.log.info("{who} was refused a channel {kind!r}", who=self._login.who, kind=kind[:64])
            self._refuse(theirs, OPEN_ADMINISTRATIVELY_PROHIBITED, b"only sessions are allowed")
        elif len(self.channels) >= self._limit:
            self._refuse(theirs, OPEN_RESOURCE_SHORTAGE, b"too many channels")
        elif largest < SMALLEST_PACKET:
            raise Malformed("the largest packet is too small")
        else:
            self._open(theirs, self._open_channel(self._login, window, min(largest, LARGEST_PACKET)))

    def _refuse(self, theirs: int, code: int, text: bytes) -> None:
        self.transport.sendPacket(MSG_CHANNEL_OPEN_FAILURE, struct.pack(">2L", theirs, code) + NS(text) + NS(b""))

    def _open(self, theirs: int, channel: Session) -> None:
        ours = self.localChannelID
        self.localChannelID += 1
        channel.id, channel.conn, channel.theirs = ours, self, theirs
        self.channels[ours] = channel
        self.channelsToRemoteChannel[channel] = theirs
        self.localToRemoteChannel[ours] = theirs
        sizes = struct.pack(">4L", theirs, ours, channel.localWindowSize, channel.localMaxPacket)
        self.transport.sendPacket(MSG_CHANNEL_OPEN_CONFIRMATION, sizes)

    def ssh_CHANNEL_REQUEST(self, packet: bytes) -> None:
        fields = Fields(packet)
        channel, kind, wants_reply = self.channels[fields.number()], fields.string(), fields.boolean()
        theirs = self.channelsToRemoteChannel[channel]
        granted = channel.requestReceived(kind, fields.rest())
        if wants_reply:
            self.transport.sendPacket(MSG_CHANNEL_SUCCESS if granted else MSG_CHANNEL_FAILURE, struct.pack(">L", theirs))
        channel.answered()

    def data(self, message: memoryview) -> None:
        """CHANNEL_DATA, without its number. Raises `Malformed`, `KeyError`."""
        ours, size = DATA.unpack_from(message)
        channel = self.channels[ours]
        if size != len(message) - DATA.size or size > min(channel.localWindowLeft, channel.localMaxPacket):
            raise Malformed("more data than the window, or than the message")
        channel.take(message[DATA.size :])
        self._touched.add(channel)

    def adjusted(self, message: memoryview) -> None:
        """CHANNEL_WINDOW_ADJUST, without its number. Raises `struct.error`, `KeyError`."""
        ours, size = DATA.unpack_from(message)
        self.channels[ours].addWindowBytes(size)

    def open_window(self, channel: Session, size: int) -> None:
        """Let the client send `size` bytes more."""
        channel.localWindowLeft += size
        self.transport.sendPacket(MSG_CHANNEL_WINDOW_ADJUST, struct.pack(">2L", channel.theirs, size))

    def turn_ended(self) -> None:
        """All that came at once was handed on."""
        touched, self._touched = self._touched, set()
        for channel in touched:
            channel.turn_ended()

    @property
    def is_busy(self) -> bool:
        """Whether something is under way that should be let end when the node does."""
        return any(channel.is_busy for channel in self.channels.values())

    def unblocked(self) -> None:
        """The connection can take more to send."""
        for channel in list(self.channels.values()):
            channel.unblocked()

    def gotGlobalRequest(self, requestType: bytes, data: bytes) -> int:
        if requestType not in QUIET:
            self.log.info("{who} was refused {kind!r}", who=self._login.who, kind=requestType[:64])
        return 0
