"""PUTs that are answered where they are read: which they are, and that no byte of a body is lost or taken for anything else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.held import SMALL_FILE
from ecpds.http.inbox import SMALL
from ecpds.http.message import Ready, Request, Response
from ecpds.http.reply import unfinished_head
from ecpds.interfaces import IByteSource, IWholeSource
from tests.http.support import Bench, Client

FIELDS = "Host: node\r\nX-Who: me\r\n"


async def read(source: IByteSource) -> bytes:
    found, view = b"", memoryview(bytearray(1000))
    while count := await source.read_into(view):
        found += view[:count]
    return found


class PutLaneTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.got: list[tuple[str, str, bytes]] = []
        self.willing = True
        self.bench = Bench(self.handle, header_bytes=8192)
        self.bench.server.at_once = self.at_once

    async def handle(self, request: Request) -> Response:
        request.memory = request.headers.get("x-who")
        self.got.append(("long", request.path, await read(request.body)))
        return Response(201, [("X-Way", "long")], b"")

    def at_once(self, method: str, path: str, like: Request, body: memoryview) -> Ready | None:
        if not self.willing:
            return None
        assert (like.memory, like.method) == ("me", method)
        self.got.append(("short", path, bytes(body)))
        return Ready(unfinished_head(Response(201, [("X-Way", "short")], b"")), b"", lambda _: None)

    def put(self, path: str, body: bytes, fields: str = FIELDS, length: str | None = None) -> bytes:
        announced = f"Content-Length: {len(body) if length is None else length}\r\n"
        return f"PUT {path} HTTP/1.1\r\n{announced}{fields}\r\n".encode() + body

    def begun(self, window: int | None = None) -> Client:
        """A connection on which one file was put."""
        self.got.clear()
        client = self.bench.connect(window)
        client.channel.feed(self.put("/first", b"first"))
        return client

    def ways(self, client: Client) -> list[str | None]:
        return [answer.headers.get("x-way") for answer in client.answers()]

    def test_the_same_fields_again_and_any_short_length(self) -> None:
        client = self.begun()
        bodies = (b"a", b"other", b"x" * 1024, b"", b"x" * SMALL, b"\r\n\r\nPUT /", b"x" * SMALL_FILE)
        for number, body in enumerate(bodies):
            client.channel.feed(self.put(f"/{number}", body))
        self.assertEqual(self.got[1:], [("short", f"/{number}", body) for number, body in enumerate(bodies)])
        self.assertEqual(self.ways(client), ["long", *["short"] * len(bodies)])
        self.assertEqual(self.bench.server.answered_at_once, len(bodies))

    def test_a_body_that_is_longer(self) -> None:
        client = self.begun()
        body = b"x" * (SMALL_FILE + 1)
        client.channel.feed(self.put("/a", body))
        self.assertEqual(self.got[1:], [("long", "/a", body)])

    def test_every_cut(self) -> None:
        whole = self.put("/a", b"0123456789")
        for cut in range(1, len(whole)):
            client = self.begun()
            client.channel.feed(whole[:cut])
            client.channel.feed(whole[cut:])
            self.assertEqual(self.got[1:], [("long", "/a", b"0123456789")], cut)
            client.channel.feed(self.put("/b", b"next"))
            self.assertEqual(self.got[2:], [("short", "/b", b"next")], cut)

    def test_a_second_request_behind_the_first(self) -> None:
        for second in (b"GET /b HTTP/1.1\r\n" + FIELDS.encode() + b"\r\n", self.put("/b", b"two")):
            client = self.begun()
            client.channel.feed(self.put("/a", b"one") + second)
            self.assertEqual([(way, path) for way, path, _ in self.got[1:]], [("long", "/a"), ("long", "/b")])
            self.assertEqual(self.got[1][2], b"one")
            self.assertEqual(len(client.answers()), 3)

    def test_other_fields_go_the_long_way(self) -> None:
        for request in (
            self.put("/a", b"one", FIELDS + "X-More: 1\r\n"),
            self.put("/a", b"one", FIELDS.replace("me", "us")),
            self.put("/a", b"one", "Expect: 100-continue\r\n" + FIELDS),
            self.put("/a", b"one", FIELDS + "Content-Length: 3\r\n"),
            self.put("/a?b", b"one"),
            self.put("/a", b"one", length="+3"),
            self.put("/a", b"one", length="0x3"),
            self.put("/a", b"one", length="3, 3"),
            self.put("/a", b"one", length="9999999"),
            self.put("/a", b"one").replace(b"1.1", b"1.0"),
            self.put("/a", b"one").replace(b"PUT", b"POST"),
        ):
            client = self.begun()
            client.channel.feed(request)
            self.assertNotIn("short", [way for way, _, _ in self.got], request)
            client.channel.abort()

    def test_what_is_not_ready_is_read_again(self) -> None:
        client = self.begun()
        self.willing = False
        for body in (b"one", b"x" * SMALL_FILE):
            client.channel.feed(self.put("/a", body))
        self.assertEqual(self.got[1:], [("long", "/a", b"one"), ("long", "/a", b"x" * SMALL_FILE)])

    def test_fields_that_can_not_be_remembered(self) -> None:
        for fields in ("Host: node\r\n", FIELDS + "Connection: close\r\n", FIELDS + f"X-Long: {'a' * SMALL}\r\n"):
            client = self.bench.connect()
            self.got.clear()
            for _ in range(2):
                if not client.channel.closed:
                    client.channel.feed(self.put("/a", b"one", fields))
            self.assertNotIn("short", [way for way, _, _ in self.got], fields)

    def test_fields_of_a_get_and_of_a_put_are_remembered_beside_each_other(self) -> None:
        client = self.begun()
        get = f"GET /a HTTP/1.1\r\n{FIELDS}\r\n".encode()
        for request in (get, self.put("/a", b"one"), get, self.put("/a", b"two")):
            client.channel.feed(request)
        self.assertEqual(self.ways(client), ["long", "long", "short", "short", "short"])

    @given(st.lists(st.binary(max_size=6000), max_size=5), st.lists(st.integers(1, 3000), max_size=12))
    def test_whatever_comes_in_whatever_pieces(self, bodies: list[bytes], cuts: list[int]) -> None:
        client = self.begun()
        data = b"".join(self.put(f"/{number}", body) for number, body in enumerate(bodies))
        for cut in cuts:
            client.channel.feed(data[:cut])
            data = data[cut:]
        client.channel.feed(data)
        found = [(path, body) for _, path, body in self.got[1:]]
        self.assertEqual(found, [(f"/{number}", body) for number, body in enumerate(bodies)])
        self.assertEqual(len(client.answers()), len(bodies) + 1)


class WholeTests(SynchronousTestCase):
    """`IWholeSource`: what of a body is there when the handler asks."""

    def setUp(self) -> None:
        self.got: list[bytes | None] = []
        self.most = SMALL_FILE
        self.bench = Bench(self.handle, header_bytes=8192)

    async def handle(self, request: Request) -> Response:
        short = IWholeSource(request.body)
        data = short.whole(self.most)
        self.got.append(None if data is None else bytes(data))
        rest = await read(request.body)
        return Response(200, [], rest if data is None else bytes(data) + rest)

    def put(self, body: bytes, cut: int, fields: str = "") -> tuple[bytes | None, bytes]:
        """What was there at once, when so much of the body came with the head, and what came in all."""
        client = self.bench.connect()
        head = f"PUT /a HTTP/1.1\r\nHost: node\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode()
        client.channel.feed(head + body[:cut])
        client.channel.feed(body[cut:])
        answers = client.answers()
        return self.got.pop(), answers[-1].body

    def test_all_of_it(self) -> None:
        for body in (b"a", b"x" * SMALL, b"x" * SMALL_FILE):
            self.assertEqual(self.put(body, len(body)), (body, body))

    def test_a_part_of_it_is_left_where_it_is(self) -> None:
        for cut in (0, 1, 4000, 9999):
            self.assertEqual(self.put(b"0123456789" * 1000, cut), (None, b"0123456789" * 1000))

    def test_more_than_is_wanted(self) -> None:
        self.most = 3
        self.assertEqual(self.put(b"abcd", 4), (None, b"abcd"))

    def test_who_waits_for_leave_is_asked_to_go_on_first(self) -> None:
        self.assertEqual(self.put(b"abcd", 4, "Expect: 100-continue\r\n"), (None, b"abcd"))

    def test_what_comes_behind_it_is_the_next_request(self) -> None:
        client = self.bench.connect()
        request = b"PUT /a HTTP/1.1\r\nHost: node\r\nContent-Length: 3\r\n\r\n"
        client.channel.feed(request + b"one" + request + b"two")
        self.assertEqual((self.got, [each.body for each in client.answers()]), ([b"one", b"two"], [b"one", b"two"]))
