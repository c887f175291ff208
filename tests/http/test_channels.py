"""The server on real channels, plain and TLS, over socket pairs: large bodies both ways, and replies that arrive."""

from __future__ import annotations

import hashlib
import os
import tempfile
from typing import Any

from twisted.internet.defer import Deferred

from ecpds.errors import ConnectionLost, NotPermitted
from ecpds.http.message import Request, Response
from ecpds.http.server import HttpServer
from ecpds.transports.channel import Channel
from ecpds.transports.farewell import LINGER_BYTES
from tests.http.support import FileSpan, head, parse_answer
from tests.transports.pump import ChannelCase

CONTENT = os.urandom(3_000_007)
DIGEST = hashlib.sha256(CONTENT).hexdigest().encode()


class Both:
    """What plain and TLS have in common."""

    def setUp(self: Any) -> None:
        super().setUp()
        self.file = tempfile.TemporaryFile()
        self.addCleanup(self.file.close)
        self.file.write(CONTENT)
        self.file.flush()
        self.server = HttpServer(self.answer, self.around.limits, self.around.timeouts, self.reactor.seconds)

    async def answer(self: Any, request: Request) -> Response:
        if request.path == "/no":
            raise NotPermitted
        if request.method == "GET":
            length = None if request.query else len(CONTENT)
            return Response(200, body=FileSpan(self.file.fileno(), 0, length, len(CONTENT)))
        digest = hashlib.sha256()
        with memoryview(bytearray(1 << 18)) as view:
            while count := await request.body.read_into(view):
                digest.update(view[:count])
        return Response(201, body=digest.hexdigest().encode())

    def ask(self: Any, *pieces: bytes) -> list[tuple[int, bytes]]:
        """What the client reads that sends these, and then waits for the server's end."""
        here, there = self.channels()
        serving = self.server.serve(here)
        reading = self.begin(self.read_all(there))
        for piece in pieces:
            self.finish(there.write(piece))
        data = self.finish(reading)
        found = []
        while data:
            answer, data = parse_answer(data)
            found.append((answer.status, answer.body))
        self.finish(there.finish())
        self.finish(serving)
        return found

    def test_uploads_and_downloads(self: Any) -> None:
        half = len(CONTENT) // 2
        found = self.ask(
            head("PUT /a HTTP/1.1", f"Content-Length: {len(CONTENT)}") + CONTENT,
            head("PUT /a HTTP/1.1", "Transfer-Encoding: chunked"),
            b"%x\r\n%s\r\n" % (half, CONTENT[:half]),
            b"%x\r\n%s\r\n0\r\n\r\n" % (len(CONTENT) - half, CONTENT[half:]),
            head("GET /a HTTP/1.1"),
            head("GET /a?chunked HTTP/1.1", "Connection: close"),
        )
        self.assertEqual([status for status, _ in found], [201, 201, 200, 200])
        self.assertEqual([body == DIGEST for _, body in found[:2]], [True, True])
        self.assertEqual([body == CONTENT for _, body in found[2:]], [True, True])

    def test_a_refusal_reaches_a_client_that_sends_first(self: Any) -> None:
        here, there = self.channels()
        serving = self.server.serve(here)
        size = 2 * LINGER_BYTES
        self.finish(there.write(head("PUT /no HTTP/1.1", f"Content-Length: {size}")))
        for _ in range(size // (1 << 20)):
            self.finish(there.write(b"x" * (1 << 20)))
        answer, _ = parse_answer(self.finish(self.read_some(there)))
        self.assertEqual((answer.status, answer.headers.get("connection")), (403, "close"))
        self.finish(there.finish())
        self.finish(serving)

    async def read_some(self: Any, channel: Channel) -> bytes:
        view = memoryview(bytearray(65536))
        return bytes(view[: await channel.read_into(view)])

    def test_a_client_that_vanishes(self: Any) -> None:
        here, there = self.channels()
        serving: Deferred[None] = self.server.serve(here)
        self.finish(there.write(head("PUT /a HTTP/1.1", f"Content-Length: {len(CONTENT)}") + CONTENT[:-1]))
        there.abort()
        self.finish(serving)
        self.refuse(there.write(b"x"), ConnectionLost)

    def test_the_end_of_the_server(self: Any) -> None:
        here, there = self.channels()
        serving = self.server.serve(here)
        reading = self.begin(self.read_all(there))
        drained = self.begin(self.server.drain())
        self.assertEqual(self.finish(reading), b"")
        self.finish(there.finish())
        self.finish(drained)
        self.finish(serving)


class Plain(Both, ChannelCase):
    pass


class Tls(Both, ChannelCase):
    tls = True
