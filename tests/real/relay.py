"""A relay between a client and a server, which breaks one connection when one end has sent so many bytes by it."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PIECE = 65536
RESET = struct.pack("ii", 1, 0)


class Relay:
    """Listens on `port`, and connects to `target`.

    `break_after` bytes of one client, or of the server to one, it breaks that connection, once.
    """

    def __init__(self, target: int, break_after: int, of_server: bool = False) -> None:
        self._target = target
        self._of_server = of_server
        self._left: int | None = break_after
        self.broken = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]

    def run(self) -> None:
        """Serve until it is closed."""
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            for one, other, counted in ((client, server, not self._of_server), (server, client, self._of_server)):
                threading.Thread(target=self._pass_on, args=(one, other, counted), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        passed = 0
        try:
            while data := source.recv(PIECE):
                target.sendall(data)
                passed += len(data)
                if counted and self._left is not None and passed > self._left:
                    self._left = None
                    self.broken += 1
                    for each in (source, target):
                        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    break
        except OSError:
            pass
        for each in (source, target):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@contextmanager
def relay(target: int, break_after: int, of_server: bool = False) -> Iterator[Relay]:
    """A relay to a port of this machine, while the context lasts."""
    made = Relay(target, break_after, of_server)
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.close()
        thread.join(5)
