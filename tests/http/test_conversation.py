"""Whole connections: requests, bodies and answers in their order, whatever the pieces in which they arrive."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ecpds.errors import ConnectionLost, InvalidRequest, LoginFailed, NotFound, Stalled
from ecpds.http.body import ChunkedBody, LengthBody, NoBody
from ecpds.http.connection import DISCARDED
from ecpds.http.inbox import SMALL, Inbox
from ecpds.http.message import HttpError, IBody, Request, Response
from ecpds.interfaces import IByteSource
from tests.doubles import MemoryChannel
from tests.http.support import LIMITS, Bench, Pieces, echo, head, read_all

GET = head("GET /a HTTP/1.1")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def put(body: bytes, path: str = "/p", *fields: str) -> bytes:
    return head(f"PUT {path} HTTP/1.1", f"Content-Length: {len(body)}", *fields) + body


def put_chunked(*chunks: bytes, path: str = "/c") -> bytes:
    coded = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head(f"PUT {path} HTTP/1.1", "Transfer-Encoding: chunked") + coded + b"0\r\n\r\n"


class Requests(SynchronousTestCase):
    def test_request(self) -> None:
        seen: list[Request] = []

        async def keep(request: Request) -> Response:
            seen.append(request)
            return Response(200)

        Bench(keep).say(head("DELETE /a%2fb?c HTTP/1.1", "X: y"))
        (request,) = seen
        self.assertEqual((request.method, request.target, request.path), ("DELETE", b"/a%2fb?c", "/a%2fb"))
        self.assertEqual((request.query, request.version, request.peer), ("c", "1.1", "192.0.2.7"))
        self.assertEqual((request.secure, request.length), (False, 0))
        self.assertNotIn("y", repr(request.headers))

    def test_the_makers_of_bodies(self) -> None:
        inbox = Inbox(MemoryChannel(), 100, 100)
        for body in (NoBody(), LengthBody(inbox, False, 1), ChunkedBody(inbox, False)):
            verifyObject(IByteSource, body)
        verifyObject(IBody, Pieces())

    def test_pipelining(self) -> None:
        client = Bench().say(GET + put(b"hello") + put_chunked(b"wor", b"ld") + b"\r\n" + put(b"") + GET)
        answers = client.answers()
        self.assertEqual([answer.body for answer in answers], [b"", b"hello", b"world", b"", b""])
        self.assertEqual([answer.headers.get("x-asked") for answer in answers][:3], ["GET /a?", "PUT /p?", "PUT /c?"])
        client.channel.feed_end()
        self.assertTrue(client.channel.finished)
        self.assertEqual(client.ended, [None])

    def test_one_request_at_a_time(self) -> None:
        waiting: list[Deferred[None]] = []

        async def wait(request: Request) -> Response:
            waiting.append(Deferred())
            await waiting[-1]
            return Response(200, body=request.path.encode())

        client = Bench(wait).say(head("GET /1 HTTP/1.1") + head("GET /2 HTTP/1.1"))
        self.assertEqual(len(waiting), 1)
        waiting[0].callback(None)
        self.assertEqual([answer.body for answer in client.answers()], [b"/1"])
        waiting[1].callback(None)
        self.assertEqual([answer.body for answer in client.answers()], [b"/1", b"/2"])

    @settings(max_examples=150)
    @given(
        st.lists(
            st.sampled_from([GET, put(b""), put(b"hello"), put(b"x" * 200), put_chunked(b"a", b"bc" * 30), b"\r\n" + GET]),
            max_size=6,
        ),
        st.data(),
    )
    def test_any_split(self, requests: list[bytes], data: st.DataObject) -> None:
        stream = b"".join(requests)
        whole = Bench().say(stream).answers()
        self.assertEqual(len(whole), len(requests))
        client = Bench().connect()
        left = stream
        while left:
            count = data.draw(st.integers(1, len(left)))
            client.channel.feed(left[:count])
            left = left[count:]
        self.assertEqual([(a.status, a.body) for a in client.answers()], [(a.status, a.body) for a in whole])

    def test_byte_by_byte(self) -> None:
        client = Bench().connect()
        for byte in GET + put(b"hello") + put_chunked(b"w", b"orld") + b"\r\n" + GET:
            client.channel.feed(bytes([byte]))
        self.assertEqual([answer.body for answer in client.answers()], [b"", b"hello", b"world", b""])

    @settings(max_examples=300)
    @given(
        st.lists(
            st.binary(max_size=40)
            | st.sampled_from([b"GET / HTTP/1.1\r\n", b"Host: a\r\n", b"\r\n", b"Content-Length: 9\r\n"]),
            max_size=20,
        )
    )
    def test_garbage(self, pieces: list[bytes]) -> None:
        bench = Bench()
        client = bench.connect()
        for piece in pieces:
            client.channel.feed(piece)
        client.answers()
        client.channel.feed_end()
        bench.wait(60)
        self.assertEqual((client.ended, client.channel.closed), ([None], True))

    def test_short_heads_need_no_more_memory_however_many(self) -> None:
        channel = MemoryChannel()
        inbox = Inbox(channel, 16384, 1000)
        channel.feed(GET * 1000)
        for _ in range(1000):
            while (found := inbox.take_head()) is None:
                self.successResultOf(Deferred.fromCoroutine(inbox.fill()))
            self.assertEqual((found, len(inbox.unread.obj)), (GET, SMALL))

    def test_large_heads_take_memory_only_while_they_last(self) -> None:
        channel = MemoryChannel()
        inbox = Inbox(channel, 16384, 1000)
        channel.feed(b"GET / HTTP/1.1\r\nX: " + b"y" * 12000)
        while len(inbox) < 12000:
            self.successResultOf(Deferred.fromCoroutine(inbox.fill()))
            self.assertIsNone(inbox.take_head())
        channel.feed(b"\r\n\r\n")
        self.successResultOf(Deferred.fromCoroutine(inbox.fill()))
        self.assertGreater(len(inbox.take_head() or b""), 12000)
        channel.feed(b"G")
        self.successResultOf(Deferred.fromCoroutine(inbox.fill()))
        self.assertEqual(inbox.unread.obj, bytearray(b"G").ljust(SMALL, b"\0"))


class Connections(SynchronousTestCase):
    def test_close_and_keep_alive(self) -> None:
        for line, field, connection, closed in (
            ("GET / HTTP/1.1", "X: y", None, False),
            ("GET / HTTP/1.1", "Connection: close", "close", True),
            ("GET / HTTP/1.0", "X: y", "close", True),
            ("GET / HTTP/1.0", "Connection: keep-alive", "keep-alive", False),
        ):
            client = Bench().say(head(line, field))
            (answer,) = client.answers()
            self.assertEqual((answer.headers.get("connection"), client.channel.finished), (connection, closed))

    def test_end_inside_a_head_is_no_request(self) -> None:
        client = Bench().say(GET[:-1])
        client.channel.feed_end()
        self.assertEqual((client.channel.all_written, client.channel.finished), (b"", True))

    def test_loss(self) -> None:
        for cut in range(0, len(GET), 7):
            client = Bench().say(GET[:cut])
            client.channel.feed_loss()
            self.assertEqual((client.ended, client.channel.closed), ([None], True))


class Bodies(SynchronousTestCase):
    def cut_short(self, data: bytes) -> BaseException:
        """What a handler gets that reads a body which ends too early."""
        caught: list[BaseException] = []

        async def catch(request: Request) -> Response:
            for _ in range(2):
                try:
                    await read_all(request)
                except Exception as error:
                    caught.append(error)
            raise caught[0]

        client = Bench(catch).say(data)
        client.channel.feed_end()
        (answer,) = client.answers()
        self.assertEqual((answer.status, answer.headers.get("connection")), (400, "close"))
        self.assertIsInstance(caught[1], ConnectionLost, "a body that failed does not come to an end after all")
        return caught[0]

    def test_cut_short(self) -> None:
        for stream in (put(b"hello"), put_chunked(b"hello", b"world")):
            blank = stream.index(b"\r\n\r\n") + 4
            for cut in range(blank, len(stream)):
                self.assertIsInstance(self.cut_short(stream[:cut]), ConnectionLost)

    def test_bad_chunks(self) -> None:
        self.assertIsInstance(self.cut_short(put_chunked(b"hello")[:-5] + b"zz\r\n\r\n"), InvalidRequest)

    def test_stalled(self) -> None:
        client = Bench().say(put(b"hello")[:-2])
        client.channel.feed_failure(Stalled())
        self.assertEqual((client.ended, client.channel.closed), ([None], True))

    def test_data_go_straight_into_the_reader_s_buffer(self) -> None:
        asked: list[int] = []

        class Watched(MemoryChannel):
            async def read_into(self, view: memoryview) -> int:
                asked.append(len(view))
                return await super().read_into(view)

        channel = Watched()
        bench = Bench(lambda request: self.read_with(request, 100_000))
        bench.server.serve(channel)
        channel.feed(head("PUT /p HTTP/1.1", "Content-Length: 70000"))
        channel.feed(b"x" * 70000)
        self.assertIn(70000, asked)
        self.assertIn(b"\r\n\r\n70000", channel.all_written)
        del asked[:]
        channel.feed(head("PUT /p HTTP/1.1", "Transfer-Encoding: chunked") + b"11170\r\n")
        channel.feed(b"x" * 70000 + b"\r\n0\r\n\r\n")
        self.assertIn(70000, asked)

    async def read_with(self, request: Request, size: int) -> Response:
        return Response(200, body=str(len(await read_all(request, size))).encode())

    def test_small_chunks_do_not_come_one_a_call(self) -> None:
        counts: list[int] = []

        async def count(request: Request) -> Response:
            view = memoryview(bytearray(100))
            while got := await request.body.read_into(view):
                counts.append(got)
            return Response(200)

        Bench(count).say(put_chunked(*[b"x"] * 50))
        self.assertEqual(counts, [50])


class Continue(SynchronousTestCase):
    EXPECTING = head("PUT /p HTTP/1.1", "Content-Length: 5", "Expect: 100-continue")

    def test_sent_when_the_body_is_read(self) -> None:
        client = Bench().say(self.EXPECTING)
        self.assertEqual(client.channel.take(), CONTINUE)
        client.channel.feed(b"hello" + GET)
        self.assertEqual([answer.body for answer in client.answers("PUT")], [b"", b"hello", b""])

    def test_sent_once(self) -> None:
        client = Bench().say(head("PUT /p HTTP/1.1", "Transfer-Encoding: chunked", "Expect: 100-continue"))
        client.channel.feed(b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")
        self.assertEqual(client.channel.all_written.count(CONTINUE), 1)
        self.assertEqual(client.answers()[1].body, b"ab")

    def test_not_sent_when_the_handler_refuses(self) -> None:
        async def refuse(request: Request) -> Response:
            raise LoginFailed

        client = Bench(refuse).say(self.EXPECTING)
        (answer,) = client.answers()
        self.assertEqual((answer.status, answer.headers.get("connection")), (401, "close"))

    def test_not_sent_without_a_body_or_to_an_old_client(self) -> None:
        for data in (
            head("PUT /p HTTP/1.1", "Content-Length: 0", "Expect: 100-continue"),
            head("PUT /p HTTP/1.0", "Content-Length: 5", "Expect: 100-continue") + b"hello",
        ):
            self.assertEqual(Bench().ask(data).status, 200)


class Unread(SynchronousTestCase):
    async def refuse(self, request: Request) -> Response:
        raise NotFound

    def test_a_small_rest_is_read_away(self) -> None:
        client = Bench(self.refuse).say(put(b"x" * DISCARDED) + GET)
        self.assertEqual([answer.status for answer in client.answers()], [404, 404])

    def test_the_answer_does_not_wait_for_the_rest(self) -> None:
        client = Bench(self.refuse).say(put(b"hello")[:-3])
        self.assertEqual([answer.status for answer in client.answers()], [404])
        client.channel.feed(b"llo" + GET)
        self.assertEqual([answer.status for answer in client.answers()], [404, 404])

    def test_a_rest_that_does_not_come(self) -> None:
        bench = Bench(self.refuse)
        client = bench.say(put(b"hello")[:-3])
        bench.wait(LIMITS.header_time + 2)
        self.assertEqual(client.ended, [None])

    def test_a_large_rest_closes_but_the_answer_arrives(self) -> None:
        for data in (put(b"x" * (DISCARDED + 1)), put_chunked(b"hello")):
            client = Bench(self.refuse).say(data + GET)
            (answer,) = client.answers()
            self.assertEqual((answer.status, answer.headers.get("connection")), (404, "close"))
            self.assertFalse(client.channel.closed, "a close with bytes unread would reset the connection")
            client.channel.feed(b"x" * 100_000)
            client.channel.feed_end()
            self.assertEqual((client.channel.finished, client.channel.aborted), (True, False))
            self.assertEqual(len(client.answers()), 1)

    def test_lingering_ends_when_the_client_is_silent(self) -> None:
        bench = Bench(self.refuse)
        client = bench.say(put_chunked(b"hello"))
        bench.wait(LIMITS.linger + 2)
        self.assertEqual((client.ended, client.channel.finished), ([None], True))

    def test_lingering_ends_when_the_client_goes_on_and_on(self) -> None:
        bench = Bench(self.refuse)
        client = bench.say(put_chunked(b"hello"))
        for _ in range(round(LIMITS.header_time) * 2 + 4):
            self.assertTrue(not client.channel.closed or bench.clock.seconds() >= LIMITS.header_time)
            client.channel.feed(b"x" * 1000)
            bench.wait(0.5)
        self.assertEqual((client.ended, client.channel.finished), ([None], True))

    def test_a_handler_that_reads_in_part(self) -> None:
        async def part(request: Request) -> Response:
            await request.body.read_into(memoryview(bytearray(3)))
            return Response(200)

        client = Bench(part).say(put(b"hello") + GET)
        self.assertEqual([answer.status for answer in client.answers()], [200, 200])


class Failures(SynchronousTestCase):
    def test_an_http_error(self) -> None:
        async def refuse(request: Request) -> Response:
            raise HttpError(405, "Not here.", [("Allow", "GET")])

        bench = Bench(refuse)
        answer = bench.ask(GET)
        self.assertEqual((answer.status, answer.headers.get("allow"), answer.body), (405, "GET", b"Not here.\n"))
        self.assertEqual((answer.headers.get("connection"), bench.refused), (None, []))

    def test_a_refusal(self) -> None:
        async def refuse(request: Request) -> Response:
            raise NotFound("/x")

        answer = Bench(refuse).ask(GET)
        self.assertEqual((answer.status, answer.body), (404, b"There is no such file or directory: /x\n"))
        self.assertEqual(answer.headers.get("content-type"), "text/plain; charset=utf-8")

    def test_the_unexpected_is_logged_and_keeps_its_details(self) -> None:
        async def fail(request: Request) -> Response:
            raise RuntimeError("secret")

        client = Bench(fail).say(GET + GET)
        self.assertEqual([answer.status for answer in client.answers()], [500, 500])
        self.assertNotIn(b"secret", client.channel.all_written)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    def test_an_unexpected_failure_of_the_channel(self) -> None:
        class Broken(MemoryChannel):
            async def write(self, data: bytes | memoryview) -> None:
                raise RuntimeError

        channel = Broken()
        Bench(echo).server.serve(channel)
        channel.feed(GET)
        self.assertTrue(channel.aborted)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
