"""An HTTP server on loopback that says what it is told to, right or wrong."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence


class Script:
    """Serves one connection after the other: `lines` are, for each, the replies to its requests; then it closes.

    A reply is written in the pieces that it stands in.
    """

    def __init__(self, lines: Sequence[Sequence[Sequence[bytes]]]) -> None:
        self.requests: list[bytes] = []
        self._lines = lines
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._socket:
            for replies in self._lines:
                peer, _ = self._socket.accept()
                with peer:
                    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._converse(peer, replies)

    def _converse(self, peer: socket.socket, replies: Sequence[Sequence[bytes]]) -> None:
        for pieces in replies:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                if not (more := peer.recv(4096)):
                    return
                request += more
            self.requests.append(request)
            try:
                for piece in pieces:
                    peer.sendall(piece)
            except OSError:
                return  # Who doesn't want the rest of it has gone.

    def end(self) -> None:
        self._thread.join(60)
