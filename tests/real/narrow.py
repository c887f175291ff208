"""A relay that makes a server as narrow as a test wants it: so many bytes a second for all its clients, and failures."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PIECE = 32768
BUFFER = 128 << 10
"""Bytes that the kernel may hold on the way to a client: what is lost with a connection that is reset."""

RESET = struct.pack("ii", 1, 0)


class Narrow:
    """Listens on `port`, and connects to `target`. `rate`: bytes a second to all clients together.

    Every `breaks`-th connection is reset after its first piece (0: none is). After `lasts` bytes to clients in all, every
    connection is reset and no other is taken (0: never). `passed` counts the bytes that went to clients.
    """

    def __init__(self, target: int, rate: float, breaks: int = 0, lasts: int = 0) -> None:
        self.passed = 0
        self._target, self._rate, self._breaks, self._lasts = target, rate, breaks, lasts
        self._free_at = 0.0
        self._lock = threading.Lock()
        self._taken = 0
        self._open: set[socket.socket] = set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]

    def serve(self) -> None:
        """Until it is closed or dies."""
        while True:
            try:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._taken += 1
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            self._open |= {client, server}
            broken = bool(self._breaks) and self._taken % self._breaks == 0
            threading.Thread(target=self._up, args=(client, server), daemon=True).start()
            threading.Thread(target=self._down, args=(server, client, broken), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(PIECE):
                server.sendall(data)
        self._end(server, socket.SHUT_WR)

    def _down(self, server: socket.socket, client: socket.socket, broken: bool) -> None:
        with suppress(OSError):
            while data := server.recv(PIECE):
                self._wait_for_room(len(data))
                client.sendall(data)
                self.passed += len(data)
                if self._lasts and self.passed >= self._lasts:
                    self.close()
                    return
                if broken:
                    self._reset(client)
                    break
        for each in (client, server):
            self._end(each, socket.SHUT_RDWR)
            self._open.discard(each)
            each.close()

    def _wait_for_room(self, count: int) -> None:
        with self._lock:
            now = time.monotonic()
            begins = max(now, self._free_at)
            self._free_at = begins + count / self._rate
        time.sleep(begins - now)

    @staticmethod
    def _end(sock: socket.socket, how: int) -> None:
        with suppress(OSError):
            sock.shutdown(how)

    @staticmethod
    def _reset(sock: socket.socket) -> None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            # A thread that waits for it is woken by this, and by nothing else.
            sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def close(self) -> None:
        """Reset all connections, and take no more."""
        self._end(self._listening, socket.SHUT_RDWR)
        self._listening.close()
        for each in list(self._open):
            self._reset(each)


@contextmanager
def narrow(target: int, rate: float, breaks: int = 0, lasts: int = 0) -> Iterator[Narrow]:
    """A relay that runs."""
    made = Narrow(target, rate, breaks, lasts)
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.close()
        thread.join()
