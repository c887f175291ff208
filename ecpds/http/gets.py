"""Short answers to many GETs, over kept connections to plain HTTP/1.1 servers: for a program that does nothing else meanwhile.

Who tells whom: we send a GET without a body; the server sends a head, and a body of the length that it says. A body that is
framed otherwise, or is longer than the caller wants, is not taken: its connection ends. What is no HTTP/1.1 at all, an interim
reply, silence and a lost connection are one thing here, no answer: the caller has a better way to ask then (`http.client`).

It waits for the kernel itself, so it must not be used where a reactor runs. A connection has one buffer, which holds the head
and the body of its answer and is used for the next one.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from errno import EINPROGRESS
from select import EPOLLIN, EPOLLOUT, epoll

from ecpds.errors import InvalidRequest
from ecpds.http.headers import AGENT
from ecpds.http.reply_head import ReplyHead, parse_reply

HEAD = 64 << 10
"""Bytes of the longest head, and of a buffer as long as nothing longer has come."""

FIELDS = 100
"""Header fields of one reply."""

PATIENCE = 5.0
"""Seconds without a byte after which nothing more is expected: few, for whoever asks in a better way then waits again."""

LOOK = 1.0
"""Seconds between two looks at who is silent."""

MOST_IDLE = 32
"""Connections that are kept without use."""

NOTHING = memoryview(b"")

Told = Callable[[ReplyHead | None, memoryview | None], None]
"""Gets the answer: its head (None: there is no answer), and its body (None: it is not taken), which is good for this call."""


class Server:
    """A host and port, and what is known of the way to it. `headers` go with every request to it."""

    def __init__(self, host: str, port: int, headers: tuple[tuple[str, str], ...] = ()) -> None:
        name = host if port == 80 else f"{host}:{port}"
        lines = [("Host", name), ("User-Agent", AGENT), *headers]
        self.host = host
        self.port = port
        self.idle: list[Line] = []
        self._rest = "".join(["\r\n", *(f"{key}: {value}\r\n" for key, value in lines)])

    def request(self, target: str, more: str = "") -> bytes:
        """A GET. `target` has visible ASCII characters only; `more` are header lines, each with its end."""
        return f"GET {target} HTTP/1.1{self._rest}{more}\r\n".encode("ascii")


class Line:
    """One connection, with the request that it is asked now."""

    __slots__ = (
        "addresses",
        "begin",
        "buffer",
        "connecting",
        "end",
        "filled",
        "fresh",
        "head",
        "largest",
        "request",
        "server",
        "since",
        "sock",
        "told",
        "view",
    )

    def __init__(self, server: Server) -> None:
        self.server = server
        self.buffer = bytearray(HEAD)
        self.view = memoryview(self.buffer)
        self.addresses: list[str] = []
        self.sock: socket.socket | None = None
        self.connecting = False
        self.fresh = True
        self.told: Told | None = None
        self.request = b""
        self.largest = 0
        self.since = 0.0
        self.filled = self.begin = self.end = 0
        self.head: ReplyHead | None = None

    def grow(self, size: int) -> None:
        """Have room for `size` bytes."""
        larger = bytearray(size)
        larger[: self.filled] = self.view[: self.filled]
        self.buffer, self.view = larger, memoryview(larger)


def look_up(host: str, port: int) -> list[str]:
    """The addresses of a name. Raises `OSError`."""
    # As bytes: for text, Python would import what reads names of other alphabets.
    found = socket.getaddrinfo(host.encode("ascii"), port, 0, socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Gets:
    """Asks, and tells what came, in `wait`. `seconds` is a clock that only goes forward."""

    def __init__(self, seconds: Callable[[], float], addresses: Callable[[str, int], list[str]] = look_up) -> None:
        self.busy = 0
        self._seconds = seconds
        self._addresses = addresses
        self._epoll = epoll()
        self._lines: dict[int, Line] = {}
        self._lost: list[Line] = []
        self._idle = 0
        self._looked = seconds()

    def get(self, server: Server, target: str, largest: int, told: Told) -> None:
        """Ask for `target`; of an answer of up to `largest` bytes the body is taken."""
        line = server.idle.pop() if server.idle else None
        self.busy += 1
        if line is None:
            line = Line(server)
        else:
            self._idle -= 1
        line.told, line.largest, line.request, line.head = told, largest, server.request(target), None
        line.filled = 0
        if line.sock is None:
            self._dial(line)
        else:
            self._send(line)

    def wait(self) -> None:
        """Wait until something has come, or a second has passed, and tell it."""
        lost, self._lost = self._lost, []
        for line in lost:
            self._tell(line, None, None)
        if lost:
            return
        ready = [self._lines[number] for number, _ in self._epoll.poll(LOOK)]
        # What is told may end connections and begin others, with the same numbers, while we are at it.
        for line, sock in [(line, line.sock) for line in ready]:
            if line.sock is sock:
                self._ready(line)
        if self._seconds() - self._looked > LOOK:
            self._look()

    def close(self) -> None:
        """End all connections; nobody is told."""
        for line in list(self._lines.values()):
            self._drop(line)
        self._epoll.close()

    # Connecting and sending

    def _dial(self, line: Line) -> None:
        """Connect to the next address of the server; where there is none left, there is no answer."""
        self._drop(line)
        try:
            if not line.addresses:
                line.addresses = self._addresses(line.server.host, line.server.port)
            self._connect(line, line.addresses.pop(0))
        except (OSError, UnicodeError, IndexError):
            if line.addresses:
                self._dial(line)
            else:
                self._lose(line)

    def _connect(self, line: Line, address: str) -> None:
        line.fresh, line.since = True, self._seconds()
        sock = line.sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        self._lines[sock.fileno()] = line
        sock.setblocking(False)
        error = sock.connect_ex((address, line.server.port))
        if error not in (0, EINPROGRESS):
            raise OSError(error, "")
        line.connecting = error == EINPROGRESS
        self._epoll.register(sock, EPOLLOUT if line.connecting else EPOLLIN)
        if not line.connecting:
            self._send(line)

    def _connected(self, line: Line) -> None:
        assert line.sock is not None
        if not line.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            line.connecting = False
            self._epoll.modify(line.sock, EPOLLIN)
            self._send(line)
        elif line.addresses:
            self._dial(line)
        else:
            self._lose(line)

    def _send(self, line: Line) -> None:
        assert line.sock is not None
        line.since = self._seconds()
        try:
            sent = line.sock.send(line.request)
        except OSError:
            sent = -1
        if sent != len(line.request):
            # A few hundred bytes that a connection at rest doesn't take: it is none any more.
            self._broke(line)

    def _broke(self, line: Line) -> None:
        """The connection has ended. One that was used before may have been closed while nobody looked: another is made."""
        if line.fresh or line.filled:
            self._lose(line)
        else:
            line.addresses = []
            self._dial(line)

    # Receiving

    def _ready(self, line: Line) -> None:
        if line.told is None:
            # Nothing was asked: the server has closed, or says what nobody wants to know.
            line.server.idle.remove(line)
            self._idle -= 1
            self._drop(line)
        elif line.connecting:
            self._connected(line)
        else:
            self._receive(line)

    def _receive(self, line: Line) -> None:
        assert line.sock is not None
        try:
            count = line.sock.recv_into(line.view[line.filled :])
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self._broke(line)
            return
        line.filled += count
        line.since = self._seconds()
        if line.head is None and not self._read_head(line, count):
            return
        if line.filled >= line.end:
            assert line.head is not None
            keep = line.head.keep_alive and line.filled == line.end
            self._tell(line, line.head, line.view[line.begin : line.end], keep)

    def _read_head(self, line: Line, count: int) -> bool:
        """Whether the head is here, and a body that is taken."""
        stop = line.buffer.find(b"\r\n\r\n", max(0, line.filled - count - 3), line.filled)
        if stop < 0:
            if line.filled == len(line.buffer):
                self._lose(line)
            return False
        try:
            head = parse_reply(bytes(line.view[: stop + 4]), "GET", FIELDS)
        except InvalidRequest:
            self._lose(line)
            return False
        if head.status < 200:
            self._lose(line)
            return False
        if head.length is None or head.length > line.largest:
            self._tell(line, head, None)
            return False
        line.head, line.begin, line.end = head, stop + 4, stop + 4 + head.length
        if line.end > len(line.buffer):
            line.grow(line.end)
        return True

    # Telling

    def _tell(self, line: Line, head: ReplyHead | None, body: memoryview | None, keep: bool = False) -> None:
        told, line.told = line.told, None
        self.busy -= 1
        if keep and self._idle < MOST_IDLE:
            line.fresh = False
            self._idle += 1
            line.server.idle.append(line)
        else:
            self._drop(line)
        assert told is not None
        told(head, body)

    def _lose(self, line: Line) -> None:
        """There is no answer; it is told in the next turn, for whoever asks may be asking just now."""
        self._drop(line)
        self._lost.append(line)

    def _drop(self, line: Line) -> None:
        sock, line.sock = line.sock, None
        if sock is not None:
            self._lines.pop(sock.fileno(), None)
            sock.close()

    def _look(self) -> None:
        """Give up who has been silent for too long."""
        self._looked = self._seconds()
        for line in list(self._lines.values()):
            if line.told is not None and self._looked - line.since > PATIENCE:
                self._lose(line)
