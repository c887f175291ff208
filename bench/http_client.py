"""A client that costs little: many connections on one thread, each with one request after the other, kept alive if may be.

Requests are bytes that were made before the time begins, and of an answer only the end is looked for, so that what is
measured is the server. Every answer's status is looked at.
"""

from __future__ import annotations

import re
import selectors
import socket
from collections.abc import Iterator, Sequence

from attrs import define

ROOM = 65536
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)


@define(eq=False)
class Line:
    """One connection, and what it has got of the answer to its request."""

    sock: socket.socket
    got: bytes = b""
    missing: int = -1
    closing: bool = False


def run(port: int, connections: int, requests: Sequence[bytes]) -> None:
    """Send all requests, shared out as the connections become free. Raises `ValueError` for an answer that is no success."""
    run_on((port,), connections, requests)


def run_on(ports: Sequence[int], connections: int, requests: Sequence[bytes]) -> None:
    """The same with several doors, which have as many connections each, or one more than others."""
    left = iter(requests)
    with selectors.DefaultSelector() as selector:
        waiting = 0
        for number in range(min(connections, len(requests))):
            line = Line(_connected(ports[number % len(ports)]))
            selector.register(line.sock, selectors.EVENT_READ, line)
            waiting += _next(line, left)
        while waiting:
            for key, _ in selector.select():
                if _answered(key.data):
                    waiting -= 1
                    if key.data.closing:
                        _reconnect(selector, key.data)
                    if _next(key.data, left):
                        waiting += 1
                    else:
                        selector.unregister(key.data.sock)
                        key.data.sock.close()


def _connected(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _reconnect(selector: selectors.BaseSelector, line: Line) -> None:
    selector.unregister(line.sock)
    port = line.sock.getpeername()[1]
    line.sock.close()
    line.sock = _connected(port)
    selector.register(line.sock, selectors.EVENT_READ, line)


def _next(line: Line, left: Iterator[bytes]) -> bool:
    request = next(left, None)
    if request is None:
        return False
    line.got, line.missing, line.closing = b"", -1, False
    line.sock.sendall(request)
    return True


def _answered(line: Line) -> bool:
    """Take what has come, and say whether that was the last of an answer."""
    data = line.sock.recv(ROOM)
    if not data:
        raise ValueError("a connection was closed in the middle")
    if line.missing >= 0:
        line.missing -= len(data)
        return line.missing <= 0
    line.got += data
    end = line.got.find(b"\r\n\r\n")
    if end < 0:
        return False
    if not line.got.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201", b"HTTP/1.1 204")):
        raise ValueError(line.got[:end].decode("latin-1"))
    length = _LENGTH.search(line.got[: end + 2])
    line.closing = _CLOSE.search(line.got[: end + 2]) is not None
    line.missing = (int(length[1]) if length is not None else 0) - (len(line.got) - end - 4)
    return line.missing <= 0
