"""PUTs whose answers come behind a commit: each is sent when it comes, in order, and no connection is cut off meanwhile."""

from __future__ import annotations

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import ConnectionLost
from ecpds.http.message import Ready, Request, Response
from ecpds.http.reply import unfinished_head
from tests.http.support import Bench, Client, parse_answer
from tests.http.test_put_lane import read


class LaterTests(SynchronousTestCase):
    """Answers that come by themselves, behind a commit."""

    def setUp(self) -> None:
        self.coming: list[Deferred[Ready]] = []
        self.ended: list[BaseException | None] = []
        self.bench = Bench(self.handle, header_bytes=8192, keep_alive=60.0)
        self.bench.server.at_once = self.at_once

    async def handle(self, request: Request) -> Response:
        await read(request.body)
        request.memory = "me"
        return Response(201, [("X-Way", "long")], b"")

    def at_once(self, method: str, path: str, like: Request, body: memoryview) -> Deferred[Ready]:
        self.coming.append(Deferred())
        return self.coming[-1]

    def put(self, path: str, body: bytes = b"one") -> bytes:
        return f"PUT {path} HTTP/1.1\r\nHost: node\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    def begun(self, window: int | None = None) -> Client:
        """A connection on which an answer is to come."""
        client = self.bench.connect(window)
        client.channel.feed(self.put("/first"))
        self.taken(client)
        client.channel.feed(self.put("/a"))
        return client

    def taken(self, client: Client) -> bytes:
        """What a client takes that takes all."""
        data = b""
        while piece := client.channel.take():
            data += piece
        return data

    def come(self, body: bytes = b"short") -> None:
        head = unfinished_head(Response(201, [("X-Way", "short")], body))
        self.coming.pop(0).callback(Ready(head, body, self.ended.append))

    def answers(self, client: Client) -> list[tuple[str | None, bytes]]:
        data, found = self.taken(client), []
        while data:
            answer, data = parse_answer(data, "PUT")
            found.append((answer.headers.get("x-way"), answer.body))
        return found

    def test_it_is_sent_when_it_comes(self) -> None:
        client = self.begun()
        self.assertEqual(self.answers(client), [])
        self.come()
        self.assertEqual((self.answers(client), self.ended), ([("short", b"short")], [None]))
        client.channel.feed(self.put("/b"))
        self.come(b"next")
        self.assertEqual(self.answers(client), [("short", b"next")])

    def test_what_comes_before_it_waits_and_is_answered_behind_it(self) -> None:
        client = self.begun()
        client.channel.feed(self.put("/b"))
        client.channel.feed(self.put("/c"))
        self.assertEqual((self.answers(client), len(self.coming)), ([], 1))
        self.come()
        self.assertEqual(self.answers(client)[0], ("short", b"short"))
        while self.coming:
            self.come(b"next")
        client.channel.feed(self.put("/d"))
        self.come(b"last")
        self.assertEqual(self.answers(client)[-1], ("short", b"last"))

    def test_a_client_that_takes_it_slowly(self) -> None:
        for early in (False, True):
            client = self.begun(window=40)
            if early:
                client.channel.feed(self.put("/b"))
            self.come(b"x" * 1000)
            answer, rest = parse_answer(self.taken(client), "PUT")
            self.assertEqual((answer.body, rest, self.ended.pop()), (b"x" * 1000, b"", None))
            if early:
                self.come(b"next")
                self.assertEqual(self.answers(client), [("short", b"next")])

    def test_a_client_that_has_gone(self) -> None:
        client = self.begun()
        client.channel.feed_loss()
        self.come()
        self.assertIsInstance(self.ended[0], ConnectionLost)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_client_that_goes_behind_a_second_request(self) -> None:
        client = self.begun()
        client.channel.feed(self.put("/b"))
        client.channel.feed_loss()
        self.come()
        self.assertTrue(client.channel.closed)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_none_that_comes(self) -> None:
        for early in (False, True):
            client = self.begun()
            if early:
                client.channel.feed(self.put("/b"))
            self.coming.pop(0).errback(ValueError("a bug"))
            self.assertTrue(client.channel.closed)
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_the_daemon_that_ends_waits_for_it(self) -> None:
        client = self.begun()
        draining = ensureDeferred(self.bench.server.drain())
        self.assertNoResult(draining)
        self.come()
        self.assertEqual(self.answers(client), [("short", b"short")])
        self.successResultOf(draining)

    def test_it_may_take_longer_than_a_connection_may_be_quiet(self) -> None:
        client = self.begun()
        self.bench.clock.pump([30.0] * 4)
        self.come()
        self.assertEqual(self.answers(client), [("short", b"short")])
        self.bench.clock.pump([30.0] * 4)
        self.assertTrue(client.channel.closed or client.channel.finished)
