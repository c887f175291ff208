"""A client of S3 that costs little: requests are made and signed beforehand, and sent over plain sockets.

Who tells whom: many small requests go over several connections of one thread (`bench.http_client`); for large ones each of
some threads has a connection of its own, sends a request, reads the whole answer, and goes on. The answer's end is told by its
Content-Length, or by the last chunk. All are signed for one host's name, so any of a server's doors takes them.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

from attrs import frozen

from bench.http_client import run_on
from bench.s3_peers import Server
from ecpds.keys import signing_key
from ecpds.wire.sigv4 import UNSIGNED, Scope, Signed, canonical_request, parse_query, signature

REGION = "us-east-1"
HOST = "localhost"
ROOM = 1 << 20
"""Bytes that are read at a time."""

SMALL = 65536
"""Bytes of a body up to which it is sent with the head."""

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)


@frozen
class Prepared:
    """A request that is signed."""

    head: bytes
    body: bytes | memoryview = b""


def prepared(server: Server, method: str, path: str, body: bytes | memoryview = b"", **query: str) -> Prepared:
    """A request to a server."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = Scope(stamp[:8], REGION, "s3")
    fields = {"host": HOST, "x-amz-content-sha256": UNSIGNED, "x-amz-date": stamp}
    signed = Signed(server.access_key, scope, stamp, tuple(fields), "", UNSIGNED)
    text = urlencode(query)
    canonical = canonical_request(method, path, parse_query(text), fields, signed)
    proof = signature(signing_key(server.secret, scope.date, REGION, "s3"), signed, canonical)
    fields["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={server.access_key}/{scope}, SignedHeaders={';'.join(signed.headers)}, Signature={proof}"
    )
    if method in ("PUT", "POST"):
        fields["content-length"] = str(len(body))
        fields["content-type"] = "application/octet-stream"
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    target = f"{path}?{text}" if text else path
    return Prepared(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode(), body)


class Connection:
    """One connection to a port, made anew where the server has closed it. It remembers the last small answer."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._room = memoryview(bytearray(ROOM))
        self.content = b""

    def __call__(self, request: Prepared) -> int:
        """The bytes that the answer brought. Raises `RuntimeError` for one that refuses."""
        sock = self._socket or self._connected()
        if len(request.body) <= SMALL:
            sock.sendall(request.head + bytes(request.body))
        else:
            sock.sendall(request.head)
            sock.sendall(request.body)
        head, rest = self._head(sock)
        if not 200 <= int(head[9:12]) < 300:
            raise RuntimeError(f"{request.head[:100]!r}: {head!r}{rest!r}")
        match = _LENGTH.search(head)
        if match is None and head[9:12] != b"204":
            length = self._chunked(sock, rest)
        else:
            length = self._counted(sock, int(match[1]) if match is not None else 0, rest)
        if _CLOSE.search(head):
            self.close()
        return length

    def _connected(self) -> socket.socket:
        self._socket = socket.create_connection(("127.0.0.1", self._port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def _head(self, sock: socket.socket) -> tuple[bytes, bytes]:
        got = b""
        while b"\r\n\r\n" not in got:
            got += _some(sock)
        head, _, rest = got.partition(b"\r\n\r\n")
        return head + b"\r\n", rest

    def _counted(self, sock: socket.socket, length: int, rest: bytes) -> int:
        left = length - len(rest)
        small = bytearray(rest) if length <= ROOM else None
        while left:
            count = sock.recv_into(self._room[: min(left, ROOM)])
            if not count:
                raise RuntimeError("the answer was cut short")
            if small is not None:
                small += self._room[:count]
            left -= count
        self.content = bytes(small or b"")
        return length

    def _chunked(self, sock: socket.socket, rest: bytes) -> int:
        while not rest.endswith(b"0\r\n\r\n"):
            rest += _some(sock)
        self.content = re.sub(rb"(?:^|\r\n)[0-9a-f]+\r\n", b"", rest)
        return len(rest)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _some(sock: socket.socket) -> bytes:
    piece = sock.recv(65536)
    if not piece:
        raise RuntimeError("the server has closed the connection in the middle")
    return piece


def exchange_small(server: Server, requests: Sequence[Prepared], clients: int) -> None:
    """Have so many connections share the requests. Raises `ValueError` for an answer that refuses."""
    run_on(server.ports, clients, [each.head + bytes(each.body) for each in requests])


def exchange(server: Server, requests: Sequence[Prepared], clients: int) -> None:
    """Have so many clients share the requests. Raises what the first of them to fail has raised."""
    failures: list[BaseException] = []

    def client(port: int, own: Sequence[Prepared]) -> None:
        connection = Connection(port)
        try:
            for request in own:
                connection(request)
        except BaseException as failure:
            failures.append(failure)
        finally:
            connection.close()

    doors = [server.ports[number % len(server.ports)] for number in range(clients)]
    threads = [threading.Thread(target=client, args=(port, requests[n::clients])) for n, port in enumerate(doors)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
