"""The end of a channel that has said its own: what the peer still sends is read and discarded, for a short while."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto

from ecpds.interfaces import ITimeouts
from ecpds.transports.buffers import KIB

LINGER_TIME = 5.0
"""Seconds that a finished channel waits for the peer's end."""

LINGER_BYTES = 4096 * KIB
"""Bytes that it discards meanwhile; past them it is reset."""


RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, no time: close sends RST."""


class State(Enum):
    """Of a channel. `LINGERING`: the end is said, and what the peer still sends is discarded."""

    OPEN = auto()
    LINGERING = auto()
    CLOSED = auto()


def end_by_reset(sock: socket.socket) -> None:
    """Have the connection reset when its descriptor is closed."""
    with suppress(OSError):  # The connection may be gone already, which is what is wanted.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def unread(sock: socket.socket) -> bool:
    """Whether something has come that nobody has read."""
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except OSError:
        return False  # Nothing came, or it was reset.


class Farewell:
    """`close` is called once: with True where the peer went on too long."""

    def __init__(self, timeouts: ITimeouts, sock: socket.socket, close: Callable[[bool], None]) -> None:
        self._socket = sock
        self._close = close
        self._left = LINGER_BYTES
        self._watch = timeouts.watch(LINGER_TIME, lambda: close(False))

    def cancel(self) -> None:
        """Wait no longer."""
        self._watch.cancel()

    def discard(self) -> None:
        """The socket is ready to be read, or may be."""
        try:
            count = len(self._socket.recv(64 * KIB))
        except BlockingIOError:
            return
        except OSError:
            count = 0  # It was reset: nobody is there to linger for.
        self._left -= count
        if count == 0 or self._left <= 0:
            self._close(count > 0)
