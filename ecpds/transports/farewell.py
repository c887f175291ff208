"""The end of a channel that has said its own: what the peer still sends is read and discarded, for a short while."""

from __future__ import annotations

import socket
from collections.abc import Callable

from ecpds.interfaces import ITimeouts
from ecpds.transports.buffers import KIB

LINGER_TIME = 5.0
"""Seconds that a finished channel waits for the peer's end."""

LINGER_BYTES = 4096 * KIB
"""Bytes that it discards meanwhile; past them it is reset."""


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
