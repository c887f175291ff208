"""Requests that are answered where they are read: which they are, and that everything else goes the long way untouched."""

from __future__ import annotations

import gc
import weakref

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.http.message import Ready, Request, Response
from ecpds.http.reply import unfinished_head
from tests.http.support import Bench, Client

FIELDS = "Host: node\r\nX-Who: me\r\n"


class LaneTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.long: list[str] = []
        self.short: list[str] = []
        self.ended: list[BaseException | None] = []
        self.willing = True
        self.bench = Bench(self.handle, header_bytes=8192)
        self.bench.server.at_once = self.at_once

    async def handle(self, request: Request) -> Response:
        self.long.append(f"{request.method} {request.path}")
        request.memory = request.headers.get("x-who")
        return Response(200, [("X-Way", "long")], b"long")

    def at_once(self, method: str, path: str, like: Request, body: memoryview) -> Ready | None:
        if not self.willing:
            return None
        assert like.memory == "me"
        self.short.append(f"{method} {path}")
        head = unfinished_head(Response(200, [("X-Way", "short")], b"short"))
        return Ready(head, b"" if method == "HEAD" else b"short", self.ended.append)

    def say(self, client: Client, line: str, fields: str = FIELDS) -> None:
        client.channel.feed(f"{line}\r\n{fields}\r\n".encode())

    def begun(self, window: int | None = None) -> Client:
        """A connection on which one request was answered."""
        client = self.bench.connect(window)
        self.say(client, "GET /first HTTP/1.1")
        return client

    def ways(self, client: Client, *methods: str) -> list[str | None]:
        return [answer.headers.get("x-way") for answer in client.answers(*methods)]

    def test_the_same_fields_again(self) -> None:
        client = self.begun()
        for name in ("a", "b%20c"):
            self.say(client, f"GET /{name} HTTP/1.1")
        self.assertEqual(self.ways(client), ["long", "short", "short"])
        self.assertEqual((self.long, self.short), (["GET /first"], ["GET /a", "GET /b%20c"]))
        self.assertEqual((self.bench.server.answered_at_once, self.ended), (2, [None, None]))
        last = client.answers()[-1]
        self.assertEqual((last.body, last.headers.get("content-length"), last.headers.get("server")), (b"short", "5", "ecpds"))
        self.assertEqual(len(last.headers.get_all("date")), 1)

    def test_a_head(self) -> None:
        client = self.begun()
        self.say(client, "HEAD /a HTTP/1.1")
        self.say(client, "GET /b HTTP/1.1")
        self.assertEqual(self.ways(client, "GET", "HEAD", "GET"), ["long", "short", "short"])

    def test_other_fields_go_the_long_way_and_are_remembered_in_their_turn(self) -> None:
        client = self.begun()
        other = FIELDS.replace("X-Who", "X-More: 1\r\nX-Who")
        for fields in (other, other, FIELDS, FIELDS):
            self.say(client, "GET /a HTTP/1.1", fields)
        self.assertEqual(self.ways(client), ["long", "long", "short", "long", "short"])

    def test_fields_that_the_handler_lets_vary(self) -> None:
        told: list[str] = []

        async def handle(request: Request) -> Response:
            self.long.append(request.path)
            request.memory, request.varying = "me", {"x-who": request.headers.get("x-who") or ""}
            return Response(200, [("X-Way", "long")], b"long")

        def at_once(method: str, path: str, like: Request, body: memoryview) -> Ready | None:
            told.append(like.varying["x-who"])
            return self.at_once(method, path, like, body)

        self.bench.server.handler, self.bench.server.at_once = handle, at_once
        client = self.begun()
        for who in ("me", "us", "you", "we ", "I\t"):
            self.say(client, "GET /a HTTP/1.1", FIELDS.replace("me", who))
        self.assertEqual(self.ways(client), ["long", "short", "short", "long", "long", "long"])
        self.assertEqual(told, ["me", "us"])

    def test_what_is_no_plain_request_for_a_path_goes_the_long_way(self) -> None:
        for line in (
            "POST /a HTTP/1.1",
            "GET /a?b HTTP/1.1",
            "GET http://node/a HTTP/1.1",
            "GET /a HTTP/1.0",
            "GET /a#b HTTP/1.1",
            "get /a HTTP/1.1",
            "GET  /a HTTP/1.1",
            "GET /a HTTP/1.1 ",
            "GET /\x7f HTTP/1.1",
            "\r\nGET /a HTTP/1.1",
        ):
            client = self.begun()
            self.say(client, line)
            self.assertEqual(self.short, [], line)
            self.assertEqual(len(client.answers()), 2, line)

    def test_a_request_line_that_is_too_long(self) -> None:
        client = self.begun()
        self.say(client, f"GET /{'a' * 1000} HTTP/1.1")
        self.assertEqual([answer.status for answer in client.answers()], [200, 414])
        self.assertEqual(self.short, [])

    def test_two_requests_at_once_are_answered_in_their_order(self) -> None:
        client = self.begun()
        one = f"GET /a HTTP/1.1\r\n{FIELDS}\r\n".encode()
        client.channel.feed(one + one.replace(b"/a", b"/b"))
        self.say(client, "GET /c HTTP/1.1")
        self.assertEqual(self.ways(client), ["long", "long", "long", "short"])
        self.assertEqual(self.long, ["GET /first", "GET /a", "GET /b"])

    def test_a_head_that_comes_in_pieces(self) -> None:
        whole = f"GET /a HTTP/1.1\r\n{FIELDS}\r\n".encode()
        for cut in range(1, len(whole)):
            client = self.begun()
            client.channel.feed(whole[:cut])
            client.channel.feed(whole[cut:])
            self.assertEqual(self.ways(client), ["long", "long"], cut)
        self.assertEqual(self.short, [])

    def test_a_body_is_never_taken_for_a_request(self) -> None:
        client = self.begun()
        hidden = f"GET /hidden HTTP/1.1\r\n{FIELDS}\r\n"
        self.say(client, "PUT /a HTTP/1.1", f"{FIELDS}Content-Length: {len(hidden)}\r\n")
        client.channel.feed(hidden.encode())
        self.say(client, "GET /b HTTP/1.1")
        self.assertEqual((self.long, self.short), (["GET /first", "PUT /a"], ["GET /b"]))

    def test_fields_that_end_the_connection_are_never_remembered(self) -> None:
        for field in ("Connection: close", "Expect: 100-continue", "Content-Length: 0\r\nTransfer-Encoding: chunked"):
            client = self.bench.connect()
            for _ in range(2):
                if not client.channel.closed:
                    self.say(client, "GET /a HTTP/1.1", f"{FIELDS}{field}\r\n")
            self.assertEqual(self.short, [], field)

    def test_fields_that_are_long_are_not_remembered(self) -> None:
        client = self.bench.connect()
        fields = f"{FIELDS}X-Long: {'a' * 3900}\r\n"
        for size in (3900, 4096):
            for _ in range(2):
                self.say(client, "GET /a HTTP/1.1", fields.replace("a" * 3900, "a" * size))
        self.assertEqual(self.ways(client), ["long", "short", "long", "long"])

    def test_who_remembers_nothing_is_asked_as_always(self) -> None:
        client = self.bench.connect()
        for _ in range(3):
            self.say(client, "GET /a HTTP/1.1", "Host: node\r\n")
        self.assertEqual(self.ways(client), ["long"] * 3)

    def test_what_is_not_ready_goes_the_long_way(self) -> None:
        client = self.begun()
        self.willing = False
        self.say(client, "GET /a HTTP/1.1")
        self.willing = True
        self.say(client, "GET /b HTTP/1.1")
        self.assertEqual(self.ways(client), ["long", "long", "short"])

    def test_a_client_that_reads_slowly(self) -> None:
        client = self.begun(window=200)
        self.assertEqual(client.channel.take()[-4:], b"long")
        self.say(client, "GET /a HTTP/1.1")
        self.say(client, "GET /b HTTP/1.1")
        self.assertTrue(client.channel.writing)
        self.assertEqual(self.ended, [None])
        client.channel.take()
        client.channel.take()
        self.assertEqual(self.ways(client), ["long", "short", "short"])
        self.assertEqual(self.ended, [None, None])

    def test_a_server_that_is_to_end_while_an_answer_leaves(self) -> None:
        client = self.begun(window=150)
        self.say(client, "GET /a HTTP/1.1")
        self.assertTrue(client.channel.writing)
        ended = Deferred.fromCoroutine(self.bench.server.drain())
        self.assertFalse(client.channel.closed)
        client.channel.take()
        client.channel.take()
        self.successResultOf(ended)
        self.assertEqual((self.ways(client), self.ended), (["long", "short"], [None]))
        self.assertTrue(client.channel.finished)

    def test_who_is_sent_an_answer_is_not_idle(self) -> None:
        client = self.begun(window=150)
        self.say(client, "GET /a HTTP/1.1")
        self.bench.wait(30)
        self.assertFalse(client.channel.closed)
        client.channel.take()
        client.channel.take()
        self.assertEqual((self.ways(client), self.ended), (["long", "short"], [None]))
        self.bench.wait(19)
        self.assertFalse(client.channel.closed)
        self.bench.wait(2)
        self.assertTrue(client.ended)

    def test_a_client_that_goes_before_the_answer_has_left(self) -> None:
        client = self.begun(window=150)
        self.say(client, "GET /a HTTP/1.1")
        client.channel.feed_loss()
        self.assertEqual([type(each).__name__ for each in self.ended], ["ConnectionLost"])
        self.assertTrue(client.ended)

    def test_a_client_that_has_gone(self) -> None:
        for end in ("feed_end", "feed_loss"):
            client = self.begun()
            self.say(client, "GET /a HTTP/1.1")
            getattr(client.channel, end)()
            self.assertTrue(client.ended, end)

    def test_one_that_has_ended_leaves_nothing_for_the_collector(self) -> None:
        client = self.begun()
        (connection,) = self.bench.server._connections
        gone = weakref.ref(connection)
        del connection
        gc.disable()
        self.addCleanup(gc.enable)
        self.say(client, "GET /a HTTP/1.1")
        client.channel.feed_end()
        self.assertIsNone(gone())

    def test_a_failure_ends_the_connection(self) -> None:
        client = self.begun()
        self.at_once_fails()
        self.say(client, "GET /a HTTP/1.1")
        self.assertTrue(client.channel.aborted)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def at_once_fails(self) -> None:
        def fail(method: str, path: str, like: Request, body: memoryview) -> Ready | None:
            raise ZeroDivisionError

        self.bench.server.at_once = fail

    def test_an_answer_begins_the_wait_for_the_next_request_anew(self) -> None:
        client = self.begun()
        for _ in range(5):
            self.bench.wait(15)
            self.say(client, "GET /a HTTP/1.1")
        self.assertEqual(len(self.short), 5)
        self.bench.wait(30)
        self.assertTrue(client.ended)

    def test_a_server_that_is_to_end(self) -> None:
        client = self.begun()
        self.say(client, "GET /a HTTP/1.1")
        ended = Deferred.fromCoroutine(self.bench.server.drain())
        self.successResultOf(ended)
        self.say(client, "GET /b HTTP/1.1")
        self.assertEqual(self.short, ["GET /a"])
        self.assertTrue(client.ended)

    @given(st.lists(st.sampled_from(["GET /a", "HEAD /b", "GET /c?d", "PUT /e"]), max_size=6), st.lists(st.integers(1, 60)))
    def test_whatever_comes_in_whatever_pieces_is_answered_in_order(self, lines: list[str], cuts: list[int]) -> None:
        self.long.clear()
        self.short.clear()
        client = self.begun()
        data = "".join(f"{line} HTTP/1.1\r\n{FIELDS}\r\n" for line in lines).encode()
        for cut in cuts:
            client.channel.feed(data[:cut])
            data = data[cut:]
        client.channel.feed(data)
        self.assertEqual(len(client.answers("GET", *(line.split()[0] for line in lines))), len(lines) + 1)
        wanted = sorted(["GET /first", *(line.partition("?")[0] for line in lines)])
        self.assertEqual(sorted(self.long + self.short), wanted)
