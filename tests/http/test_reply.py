"""What a client reads: framing, headers, bodies that fail; and that no short reply ever looks whole."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ecpds.errors import ConnectionLost, Corrupt, Incomplete, Stalled, Unavailable
from ecpds.http.message import Request, Response
from ecpds.http.reply import JOINED, BodySink, Reply, Terms
from ecpds.interfaces import IByteSink, IRelaySink
from tests.doubles import MemoryChannel, MemoryRelayChannel, MemorySource
from tests.http.support import Answer, Bench, Client, FileSpan, Pieces, head


def bench(response: Response, then: Response | None = None) -> Bench:
    """A server that gives this answer, and after it another."""
    answers = [response, then or Response(200)]

    async def give(request: Request) -> Response:
        return answers.pop(0)

    return Bench(give)


def give(response: Response, line: str = "GET / HTTP/1.1", *fields: str) -> Client:
    return bench(response).say(head(line, *fields))


def ask(response: Response, line: str = "GET / HTTP/1.1") -> Answer:
    return bench(response).ask(head(line), head_only=line.startswith("HEAD"))


class Heads(SynchronousTestCase):
    def test_bytes(self) -> None:
        client = give(Response(200, [("Content-Type", "text/plain"), ("ETag", '"7"')], b"hello"))
        self.assertEqual(
            client.channel.all_written,
            b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: ecpds\r\n"
            b'Content-Type: text/plain\r\nETag: "7"\r\nContent-Length: 5\r\n\r\nhello',
        )

    def test_the_date_follows_the_clock(self) -> None:
        server = bench(Response(200))
        client = server.say(head())
        server.wait(3)
        client.channel.feed(head())
        self.assertEqual([a.headers.get("date", "")[-6:] for a in client.answers()], ["00 GMT", "03 GMT"])

    def test_a_short_reply_is_one_write(self) -> None:
        writes: list[bytes] = []

        class Counting(MemoryChannel):
            async def write(self, data: bytes | memoryview) -> None:
                writes.append(bytes(data))
                await super().write(data)

        for response in (Response(200, body=b"hello"), Response(200, body=Pieces(b"hello", length=5))):
            channel = Counting()
            bench(response).server.serve(channel)
            channel.feed(head())
            self.assertEqual([data.endswith(b"\r\n\r\nhello") for data in writes], [True])
            del writes[:]

    def test_what_a_handler_may_not_say(self) -> None:
        bad = [
            [("X", "a\r\nY: b")],
            [("X", "a\nb")],
            [("X", "a\rb")],
            [("X", "a\0")],
            [("X\r\nY", "a")],
            [("X y", "a")],
            [("", "a")],
            [("X: b\r\nY", "a")],
            [("X: b", "a")],
            [("X", "\u20ac")],
            [("Content-Length", "5")],
            [("transfer-encoding", "chunked")],
            [("Connection", "close")],
            [("Date", "now")],
        ]
        for headers in bad:
            body = Pieces(b"a")
            for response in (Response(200, headers), Response(200, headers, body)):
                self.assertEqual(ask(response).status, 500, headers)
                self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
            self.assertEqual([type(failure) for failure in body.closed], [ValueError])

    def test_a_status_that_is_none(self) -> None:
        for status in (0, 100, 199, 600):
            self.assertEqual(ask(Response(status)).status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 4)

    def test_head_says_what_get_says(self) -> None:
        for body in (b"hello", Pieces(b"hello", length=5), Pieces(b"hello")):
            got, asked = (ask(Response(200, [("ETag", '"7"')], body), f"{method} / HTTP/1.1") for method in ("GET", "HEAD"))
            self.assertEqual((got.body, asked.body), (b"hello", b""))
            self.assertEqual(list(got.headers.items()), list(asked.headers.items()))
            if isinstance(body, Pieces):
                self.assertEqual(body.closed, [None, None])

    def test_head_is_followed_by_the_next_answer(self) -> None:
        client = bench(Response(200, body=b"hello"), Response(200, body=b"world")).say(head("HEAD / HTTP/1.1") + head())
        self.assertEqual([answer.body for answer in client.answers("HEAD")], [b"", b"world"])

    def test_statuses_without_body(self) -> None:
        for status in (204, 304):
            body = Pieces(b"hello")
            for given_body in (b"", b"hello", body):
                client = bench(Response(status, body=given_body), Response(200, body=b"next")).say(head() + head())
                first, second = client.answers()
                self.assertEqual((first.status, second.body), (status, b"next"))
                self.assertNotIn("content-length", first.headers)
                self.assertNotIn("transfer-encoding", first.headers)
            self.assertEqual(body.closed, [None])


class Bodies(SynchronousTestCase):
    def test_length_known(self) -> None:
        body = Pieces(b"hel", b"", b"lo", length=5)
        answer = ask(Response(200, body=body))
        self.assertEqual((answer.body, answer.headers.get("content-length"), body.closed), (b"hello", "5", [None]))

    def test_empty(self) -> None:
        for body, length in ((Pieces(length=0), "0"), (Pieces(b""), None)):
            client = bench(Response(200, body=body), Response(200, body=b"next")).say(head() + head())
            first, second = client.answers()
            self.assertEqual((first.body, first.headers.get("content-length"), second.body), (b"", length, b"next"))

    def test_length_unknown(self) -> None:
        client = bench(Response(200, body=Pieces(b"hel", b"", b"lo")), Response(200, body=b"next")).say(head() + head())
        first, second = client.answers()
        self.assertEqual((first.body, first.headers.get("transfer-encoding"), second.body), (b"hello", "chunked", b"next"))
        self.assertNotIn("content-length", first.headers)

    def test_length_unknown_to_an_old_client(self) -> None:
        client = give(Response(200, body=Pieces(b"hel", b"lo")), "GET / HTTP/1.0", "Connection: keep-alive")
        (answer,) = client.answers()
        self.assertEqual((answer.body, answer.headers.get("connection")), (b"hello", "close"))
        self.assertNotIn("transfer-encoding", answer.headers)
        self.assertTrue(client.channel.finished)

    @given(st.lists(st.integers(0, JOINED * 2), max_size=4), st.booleans())
    def test_any_pieces(self, sizes: list[int], known: bool) -> None:
        pieces = [bytes([65 + i]) * size for i, size in enumerate(sizes)]
        whole = b"".join(pieces)
        answer = ask(Response(200, body=Pieces(*pieces, length=len(whole) if known else None)))
        self.assertEqual(answer.body, whole)
        self.assertEqual(ask(Response(200, body=whole)).body, whole)

    def test_files(self) -> None:
        path = self.mktemp()
        with open(path, "wb+") as file:
            file.write(b"hello world")
            file.flush()
            for length in (5, None):
                answer = ask(Response(200, body=FileSpan(file.fileno(), 6, length, 5)))
                self.assertEqual(answer.body, b"world")
            answer = ask(Response(200, body=FileSpan(file.fileno(), 6, 0, 0)))
            self.assertEqual(answer.body, b"")
        self.assertTrue(os.path.exists(path))

    def test_the_sink(self) -> None:
        channel = MemoryChannel()
        verifyObject(IByteSink, BodySink(Reply(channel, Terms("", True)), channel, b"", None, False))

    def test_bytes_that_come_straight_from_another_channel(self) -> None:
        """Behind the head, and counted; the rest may come as any."""
        channel, source = MemoryRelayChannel(4), MemorySource(b"0123456789")
        sink = BodySink(Reply(channel, Terms("", True)), channel, b"head", 10, False)
        verifyObject(IRelaySink, sink)
        self.assertEqual([self.carry(sink, source, length) for length in (11, 10, 6)], [0, 4, 4])
        self.failureResultOf(ensureDeferred(sink.end()), Incomplete)
        self.successResultOf(ensureDeferred(sink.write(b"89")))
        self.successResultOf(ensureDeferred(sink.end()))
        self.assertEqual(channel.all_written, b"head0123456789")

    def test_not_where_pieces_are_framed_or_the_channel_can_not(self) -> None:
        for channel, length, chunked in ((MemoryRelayChannel(4), None, True), (MemoryChannel(), 10, False)):
            sink = BodySink(Reply(channel, Terms("", True)), channel, b"head", length, chunked)
            self.assertEqual(self.carry(sink, MemorySource(b"0123456789"), 10), 0)
            self.assertEqual(channel.all_written, b"")

    def carry(self, sink: BodySink, source: MemorySource, length: int) -> int:
        return self.successResultOf(ensureDeferred(sink.carry(source, length)))

    def test_back_pressure(self) -> None:
        body = Pieces(*[b"x" * 1000] * 10, length=10_000)
        client = bench(Response(200, body=body)).connect(window=2000)
        client.channel.feed(head())
        self.assertEqual((len(client.channel.written), body.closed), (2000, []))
        while client.channel.writing:
            client.channel.take()
        self.assertEqual((client.answers()[0].body, body.closed), (b"x" * 10_000, [None]))


class Failing(SynchronousTestCase):
    def test_before_the_first_byte_it_is_an_honest_answer(self) -> None:
        for failure, status in ((Unavailable(), 503), (Corrupt(), 500), (Stalled(), 408)):
            for length in (5, None):
                body = Pieces(failure, length=length)
                client = bench(Response(200, [("ETag", '"7"')], body), Response(200)).say(head() + head())
                self.assertEqual([answer.status for answer in client.answers()], [status, 200])
                self.assertNotIn("etag", client.answers()[0].headers)
                self.assertEqual(body.closed, [failure])

    def test_midway_it_breaks_the_connection(self) -> None:
        for failure in (Unavailable(), Corrupt(), ConnectionLost()):
            for length in (10, None):
                body = Pieces(b"hello", failure, length=length)
                client = give(Response(200, body=body))
                self.assertEqual((client.channel.aborted, client.channel.finished), (True, False))
                self.assertTrue(client.channel.all_written.endswith(b"hello"), "no last chunk may say that this was all")
                self.assertEqual((body.closed, client.ended), ([failure], [None]))

    def test_midway_to_an_old_client(self) -> None:
        client = give(Response(200, body=Pieces(b"hello", Corrupt())), "GET / HTTP/1.0")
        self.assertEqual((client.channel.aborted, client.channel.finished), (True, False))

    def test_the_unexpected_is_logged(self) -> None:
        body = Pieces(b"hello", RuntimeError(), length=10)
        client = give(Response(200, body=body))
        self.assertTrue(client.channel.aborted)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(ask(Response(200, body=Pieces(RuntimeError(), length=10))).status, 500)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_a_handler_that_answers_nonsense(self) -> None:
        async def nothing(request: Request) -> Response:
            return None  # type: ignore[return-value]

        self.assertEqual(Bench(nothing).ask(head()).status, 500)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)

    def test_too_short(self) -> None:
        body = Pieces(b"hello", length=6)
        client = give(Response(200, body=body))
        self.assertEqual((client.channel.aborted, len(body.closed)), (True, 1))
        self.assertIsNotNone(body.closed[0])

    def test_too_long(self) -> None:
        body = Pieces(b"hell", b"o", length=4)
        client = give(Response(200, body=body))
        self.assertTrue(client.channel.aborted)
        self.assertTrue(client.channel.all_written.endswith(b"hell"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_a_client_that_goes_away(self) -> None:
        body = Pieces(b"x" * 1000, length=1000)
        client = bench(Response(200, body=body)).connect(window=100)
        client.channel.feed(head())
        client.channel.feed_loss()
        self.assertEqual([type(failure) for failure in body.closed], [ConnectionLost])
        self.assertEqual(client.ended, [None])
