"""A server with a clock that the test moves, and clients that live in memory."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from ecpds.http.message import Handler, Headers, IBody, Request, Response
from ecpds.http.server import HttpServer
from ecpds.interfaces import IByteSink
from ecpds.limits import Limits
from ecpds.timeouts import Timeouts
from tests.doubles import MemoryChannel

LIMITS = Limits(
    login_time=30.0, header_time=10.0, keep_alive=20.0, linger=2.0, header_bytes=16384, request_line=1000, headers=20
)


async def read_all(request: Request, piece: int = 64) -> bytes:
    """A body, pulled in pieces."""
    buffer = memoryview(bytearray(piece))
    data = bytearray()
    while count := await request.body.read_into(buffer):
        data += buffer[:count]
    return bytes(data)


async def echo(request: Request) -> Response:
    """Says what was asked for and what came with it."""
    body = await read_all(request)
    return Response(200, [("X-Asked", f"{request.method} {request.path}?{request.query}")], body)


class Bench:
    """A server, what it was told of refusals, and its clock."""

    def __init__(self, handler: Handler = echo, **limits: Any) -> None:
        self.clock = Clock()
        self.refused: list[tuple[str, str]] = []
        self.server = HttpServer(
            handler,
            evolve(LIMITS, **limits),
            Timeouts(self.clock),
            self.clock.seconds,
            on_refused=lambda peer, message: self.refused.append((peer, message)),
        )

    def connect(self, window: int | None = None) -> Client:
        return Client(self, MemoryChannel(peer="192.0.2.7", window=window))

    def say(self, data: bytes) -> Client:
        """A client that says this, and no more."""
        client = self.connect()
        client.channel.feed(data)
        return client

    def ask(self, data: bytes, head_only: bool = False) -> Answer:
        """The one answer to this."""
        (answer,) = self.say(data).answers(*(["HEAD"] if head_only else []))
        return answer

    def wait(self, seconds: float) -> None:
        """Time passes, in steps that no timer falls between."""
        self.clock.pump([0.25] * round(seconds * 4))


class Client:
    """One connection to the server, and what came of it."""

    def __init__(self, bench: Bench, channel: MemoryChannel) -> None:
        self.channel = channel
        self.ended: list[object] = []
        self.serving: Deferred[None] = bench.server.serve(channel)
        self.serving.addBoth(self.ended.append)

    def answers(self, *methods: str) -> list[Answer]:
        """The answers so far, to requests of these methods (GET where not said)."""
        data = self.channel.all_written
        found = []
        while data:
            answer, data = parse_answer(data, methods[len(found)] if len(found) < len(methods) else "GET")
            found.append(answer)
        return found


class Answer:
    """One reply as a client reads it."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


def parse_answer(data: bytes, method: str = "GET") -> tuple[Answer, bytes]:
    """The first answer in `data`, and what follows it. Fails on one that is not whole."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    assert blank, data
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, _ = first.split(" ", 2)
    assert version == "HTTP/1.1", first
    headers = Headers(tuple(line.split(": ", 1)) for line in lines)
    if method == "HEAD" or int(status) in (100, 204, 304):
        return Answer(int(status), headers, b""), rest
    if headers.get("transfer-encoding") == "chunked":
        body, rest = parse_chunks(rest)
        return Answer(int(status), headers, body), rest
    length = int(headers.get("content-length", str(len(rest))) or 0)
    assert len(rest) >= length, (rest, length)
    return Answer(int(status), headers, rest[:length]), rest[length:]


def parse_chunks(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        assert data[length : length + 2] == b"\r\n", data
        body, data = body + data[:length], data[length + 2 :]
        if not length:
            return body, data


@implementer(IBody)
class Pieces:
    """A body in pieces; an exception among them is raised in its place."""

    def __init__(self, *pieces: bytes | BaseException, length: int | None = None) -> None:
        self.length = length
        self.pieces = pieces
        self.closed: list[BaseException | None] = []

    async def send(self, sink: IByteSink) -> None:
        for piece in self.pieces:
            if isinstance(piece, BaseException):
                raise piece
            await sink.write(piece)

    def close(self, failure: BaseException | None = None) -> None:
        self.closed.append(failure)


@implementer(IBody)
class FileSpan:
    """A span of an open file."""

    def __init__(self, fd: int, offset: int, length: int | None, sent: int) -> None:
        self.length = length
        self._span = (fd, offset, sent)
        self.closed: list[BaseException | None] = []

    async def send(self, sink: IByteSink) -> None:
        await sink.send_file(*self._span)

    def close(self, failure: BaseException | None = None) -> None:
        self.closed.append(failure)


def head(line: str = "GET / HTTP/1.1", *fields: str, host: str = "Host: a") -> bytes:
    """A request's head, with a Host unless it is said to have none."""
    return "\r\n".join([line, *([host] if host else []), *fields, "", ""]).encode("latin-1")
