"""A client of S3 that costs little: requests are made and signed beforehand, and sent over plain sockets.

Who tells whom: each of some threads has a connection of its own, sends a request, reads the whole answer, and goes on. The
answer's end is told by its Content-Length, or by the last chunk.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

from attrs import frozen

from bench.s3_peers import Server
from ecpds.keys import signing_key
from ecpds.wire.sigv4 import UNSIGNED, Scope, Signed, canonical_request, parse_query, signature

REGION = "us-east-1"
ROOM = 1 << 20
"""Bytes that are read at a time."""

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)


@frozen
class Prepared:
    """A request that is signed, and the port that it is for."""

    port: int
    head: bytes
    body: bytes | memoryview = b""


def prepared(server: Server, turn: int, method: str, path: str, body: bytes | memoryview = b"", **query: str) -> Prepared:
    """A request to a server; `turn` says to which of its doors."""
    port = server.ports[turn % len(server.ports)]
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = Scope(stamp[:8], REGION, "s3")
    fields = {"host": f"127.0.0.1:{port}", "x-amz-content-sha256": UNSIGNED, "x-amz-date": stamp}
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
    return Prepared(port, f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode(), body)


class Connection:
    """One connection to a port, which remembers the last small answer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._room = memoryview(bytearray(ROOM))
        self.headers = b""
        self.content = b""

    def __call__(self, request: Prepared) -> int:
        """The bytes that the answer brought. Raises `RuntimeError` for one that refuses."""
        if len(request.body) <= 65536:
            self._socket.sendall(request.head + bytes(request.body))
        else:
            self._socket.sendall(request.head)
            self._socket.sendall(request.body)
        head, rest = self._head()
        if not 200 <= int(head[9:12]) < 300:
            raise RuntimeError(f"{request.head[:100]!r}: {head!r}{rest!r}")
        self.headers = head
        match = _LENGTH.search(head)
        return self._counted(int(match[1]), rest) if match else self._chunked(rest)

    def _head(self) -> tuple[bytes, bytes]:
        got = b""
        while b"\r\n\r\n" not in got:
            piece = self._socket.recv(65536)
            if not piece:
                raise RuntimeError("the server has closed the connection")
            got += piece
        head, _, rest = got.partition(b"\r\n\r\n")
        return head + b"\r\n", rest

    def _counted(self, length: int, rest: bytes) -> int:
        left = length - len(rest)
        small = bytearray(rest) if length <= ROOM else None
        while left:
            count = self._socket.recv_into(self._room[: min(left, ROOM)])
            if not count:
                raise RuntimeError("the answer was cut short")
            if small is not None:
                small += self._room[:count]
            left -= count
        self.content = bytes(small or b"")
        return length

    def _chunked(self, rest: bytes) -> int:
        while not rest.endswith(b"0\r\n\r\n"):
            rest += self._socket.recv(65536)
        self.content = re.sub(rb"(?:^|\r\n)[0-9a-f]+\r\n", b"", rest)
        return len(rest)

    def close(self) -> None:
        self._socket.close()


def exchange(requests: Sequence[Prepared], clients: int) -> None:
    """Have so many clients share the requests. Raises what the first of them to fail has raised."""
    failures: list[BaseException] = []

    def client(own: Sequence[Prepared]) -> None:
        connections: dict[int, Connection] = {}
        try:
            for request in own:
                if request.port not in connections:
                    connections[request.port] = Connection(request.port)
                connections[request.port](request)
        except BaseException as failure:
            failures.append(failure)
        finally:
            for connection in connections.values():
                connection.close()

    threads = [threading.Thread(target=client, args=(requests[number::clients],)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
