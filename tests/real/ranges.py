"""A server of files over plain HTTP with ranges, on loopback, that can be told to misbehave."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType

from attrs import define

PIECE = 1 << 16

NONE: Mapping[str, str] = MappingProxyType({})


@define
class Served:
    """What is said of one name. `ranges`: whether a part can be had of it; `dies_at`: bytes after which its server has gone."""

    body: bytes = b""
    status: int = 200
    fields: Mapping[str, str] = NONE
    tag: str = '"1"'
    ranges: bool = True
    dies_at: int | None = None


@define
class Asked:
    """A request: its target, and its Range."""

    target: str
    range: str


class Ranges:
    """Serves `files` (by target), each connection on a thread. `hold` is what a reply of more than a piece waits for."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.asked: list[Asked] = []
        self.connections = 0
        self.hold = threading.Event()
        self.hold.set()
        self._sent: dict[str, int] = {}
        self._lock = threading.Lock()
        self._peers: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, target: str, served: Served) -> str:
        """The URL of what is served from now on."""
        self.files[target] = served
        return self.url + target

    def end(self) -> None:
        """Answer nobody any more."""
        with self._lock:
            for sock in (self._socket, *self._peers):
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()
            self._peers.clear()
        self.hold.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._socket.accept()
                with self._lock:
                    self.connections += 1
                    self._peers.append(peer)
                threading.Thread(target=self._converse, args=(peer,), daemon=True).start()

    def _converse(self, peer: socket.socket) -> None:
        with suppress(OSError), peer:
            while True:
                request = b""
                while not request.endswith(b"\r\n\r\n"):
                    if not (more := peer.recv(4096)):
                        return
                    request += more
                self._reply(peer, request.decode("ascii"))

    def _reply(self, peer: socket.socket, request: str) -> None:
        target = request.split(" ", 2)[1]
        wanted = re.search(r"\r\nRange: bytes=(\d+)-(\d*)\r\n", request)
        self.asked.append(Asked(target, wanted[0].strip() if wanted is not None else ""))
        served = self.files.get(target, Served(b"no such file", 404))
        match = re.search(r"\r\nIf-Match: (.*)\r\n", request)
        if match is not None and match[1] != served.tag:
            served = Served(status=412)
        begin, end, status, fields = 0, len(served.body), served.status, dict(served.fields)
        if wanted is not None and served.ranges and status == 200:
            begin, end, status = int(wanted[1]), min(int(wanted[2] or end) + 1, end), 206
            fields["Content-Range"] = f"bytes {begin}-{end - 1}/{len(served.body)}"
        if served.tag:
            fields["ETag"] = served.tag
        fields.setdefault("Content-Length", str(end - begin))
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        peer.sendall(f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode("latin-1"))
        self._send(peer, target, served, begin, end)

    def _send(self, peer: socket.socket, target: str, served: Served, begin: int, end: int) -> None:
        for at in range(begin, end, PIECE):
            if at > begin:
                self.hold.wait(60)
            piece = served.body[at : min(at + PIECE, end)]
            with self._lock:
                sent = self._sent[target] = self._sent.get(target, 0) + len(piece)
            if served.dies_at is not None and sent > served.dies_at:
                self.end()
                return
            peer.sendall(piece)
