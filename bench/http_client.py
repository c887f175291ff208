"""A client that costs little: many connections on one thread, each with one request after the other, kept alive if may be.

Requests are bytes that were made before the time begins, and of an answer only the end is looked for, so that what is
measured is the server. Every answer's status is looked at. With a context it speaks TLS.
"""

from __future__ import annotations

import re
import selectors
import socket
import ssl
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


def run(port: int, connections: int, requests: Sequence[bytes], tls: ssl.SSLContext | None = None) -> None:
    """Send all requests, shared out as the connections become free. Raises `ValueError` for an answer that is no success."""
    run_on((port,), connections, requests, tls)


def one_each(port: int, requests: Sequence[bytes], tls: ssl.SSLContext | None = None, resumed: bool = False) -> None:
    """A connection for each request, one after the other. `resumed`: each goes on with the TLS session of the one before.

    Raises `ValueError` as `run` does, and where a session was not gone on with.
    """
    session: ssl.SSLSession | None = None
    for request in requests:
        line = Line(_connected(port, tls, session))
        line.sock.sendall(request)
        while not _answered(line):
            pass
        if isinstance(line.sock, ssl.SSLSocket) and resumed:
            if session is not None and not line.sock.session_reused:
                raise ValueError("the session was not gone on with")
            session = line.sock.session
        line.sock.close()


def run_on(ports: Sequence[int], connections: int, requests: Sequence[bytes], tls: ssl.SSLContext | None = None) -> None:
    """The same with several doors, which have as many connections each, or one more than others."""
    left = iter(requests)
    with selectors.DefaultSelector() as selector:
        waiting = 0
        for number in range(min(connections, len(requests))):
            line = Line(_connected(ports[number % len(ports)], tls))
            selector.register(line.sock, selectors.EVENT_READ, line)
            waiting += _next(line, left)
        while waiting:
            for key, _ in selector.select():
                if _answered(key.data):
                    waiting -= 1
                    if key.data.closing:
                        _reconnect(selector, key.data, tls)
                    if _next(key.data, left):
                        waiting += 1
                    else:
                        selector.unregister(key.data.sock)
                        key.data.sock.close()


def _connected(port: int, tls: ssl.SSLContext | None, session: ssl.SSLSession | None = None) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock if tls is None else tls.wrap_socket(sock, session=session)


def trusting() -> ssl.SSLContext:
    """A context of a client that asks for no certificate's signer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _reconnect(selector: selectors.BaseSelector, line: Line, tls: ssl.SSLContext | None) -> None:
    selector.unregister(line.sock)
    port = line.sock.getpeername()[1]
    line.sock.close()
    line.sock = _connected(port, tls)
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
    while not (done := _took(line)) and isinstance(line.sock, ssl.SSLSocket) and line.sock.pending():
        pass
    return done


def _took(line: Line) -> bool:
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
