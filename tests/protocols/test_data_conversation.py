"""The data door behind the real HTTP layer, byte by byte: who waits for whom, and what a cut leaves."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.http.routing import Routes
from ecpds.http.server import HttpServer
from ecpds.limits import Limits
from ecpds.protocols.data import METHODS, DataDoor, home
from ecpds.threads import InlineThreads
from ecpds.timeouts import Timeouts
from tests.doubles import MemoryChannel, make_portal
from tests.protocols.data_support import basic

LOGIN = f"Host: node\r\nAuthorization: {basic('alice')}\r\n"


class ConversationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.portal = make_portal()
        self.tree = self.portal.tree
        clock = Clock()
        limits = Limits(listing_page=2)
        routes = Routes()
        routes.add(("GET", "HEAD"), "/", home)
        routes.add(METHODS, "/data", DataDoor(self.portal, "node", limits, Clock().seconds, InlineThreads()).handle)
        self.server = HttpServer(routes, limits, Timeouts(clock), clock.seconds)
        self.channel = MemoryChannel(secure=True)
        self.ended = self.server.serve(self.channel)

    def say(self, line: str, fields: str = LOGIN, body: bytes = b"") -> bytes:
        """Send a request, and take what comes at once."""
        self.channel.feed(f"{line} HTTP/1.1\r\n{fields}\r\n".encode() + body)
        return self.channel.take()

    def test_continue_comes_only_after_login_rights_and_conditions(self) -> None:
        self.tree.put("/demo/there", b"x")
        wrong = LOGIN.replace(basic("alice"), basic("alice", "wrong"))
        rows = [
            ("no login", "/data/demo/f", "Host: node\r\n", b"401"),
            ("wrong password", "/data/demo/f", wrong, b"401"),
            ("not visible", "/data/none/f", LOGIN, b"404"),
            ("condition", "/data/demo/there", LOGIN + "If-None-Match: *\r\n", b"412"),
            ("part", "/data/demo/f", LOGIN + "Content-Range: bytes 0-1/9\r\n", b"400"),
        ]
        for case, path, fields, status in rows:
            with self.subTest(case=case):
                self.channel = MemoryChannel()
                self.server.serve(self.channel)
                reply = self.say(f"PUT {path}", fields + "Content-Length: 100000\r\nExpect: 100-continue\r\n")
                self.assertEqual(reply.split(b" ", 2)[:2], [b"HTTP/1.1", status])
        self.assertEqual(len(self.tree.files), 1)

    def test_put_with_continue(self) -> None:
        reply = self.say("PUT /data/demo/f", LOGIN + "Content-Length: 5\r\nExpect: 100-continue\r\n")
        self.assertEqual(reply, b"HTTP/1.1 100 Continue\r\n\r\n")
        self.channel.feed(b"hello")
        self.assertTrue(self.channel.take().startswith(b"HTTP/1.1 201 Created\r\n"))
        self.assertEqual(self.tree.read("/demo/f"), b"hello")

    def test_no_more_than_the_declared_bytes_are_taken(self) -> None:
        reply = self.say(
            "PUT /data/demo/f", LOGIN + "Content-Length: 5\r\n", b"helloOPTIONS /data/ HTTP/1.1\r\nHost: n\r\n\r\n"
        )
        self.assertEqual(self.tree.read("/demo/f"), b"hello")
        self.assertEqual([part[:3] for part in reply.split(b"HTTP/1.1 ")[1:]], [b"201", b"204"])

    def test_cut_before_the_end_publishes_nothing(self) -> None:
        self.tree.put("/demo/f", b"old")
        for framing, part in (("Content-Length: 9\r\n", b"new"), ("Transfer-Encoding: chunked\r\n", b"3\r\nnew\r\n")):
            for end in (MemoryChannel.feed_end, MemoryChannel.feed_loss):
                with self.subTest(framing=framing, end=end.__name__):
                    self.channel = MemoryChannel()
                    self.server.serve(self.channel)
                    self.say("PUT /data/demo/f", LOGIN + framing, part)
                    self.assertEqual(len(self.tree.uploads), 1)
                    end(self.channel)
                    self.assertEqual(self.tree.uploads, [])
                    self.assertEqual(self.tree.read("/demo/f"), b"old")
        statuses = {fields["Status"] for fields in self.portal.sink.of("INH")}
        self.assertEqual(statuses, {"failed"})

    def test_chunked_put(self) -> None:
        reply = self.say("PUT /data/demo/f", LOGIN + "Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n")
        self.assertTrue(reply.startswith(b"HTTP/1.1 201 "))
        self.assertEqual(self.tree.read("/demo/f"), b"hello")

    def test_head_is_the_head_of_get(self) -> None:
        for number in range(5):
            self.tree.put(f"/demo/{number}", b"content")
        for path in ("/data/demo/1", "/data/demo/", "/data/demo/?format=html", "/data/demo", "/data/", "/data/demo/none", "/"):
            with self.subTest(path=path):
                get, head = self.say(f"GET {path}"), self.say(f"HEAD {path}")
                self.assertEqual(head, get[: get.index(b"\r\n\r\n") + 4])

    def test_long_listing_is_chunked_and_whole(self) -> None:
        for number in range(5):
            self.tree.put(f"/demo/{number}", b"")
        reply = self.say("GET /data/demo/?format=text")
        self.assertIn(b"Transfer-Encoding: chunked\r\n", reply)
        self.assertTrue(reply.endswith(b"0\r\n\r\n"))
        self.assertEqual([reply.count(b" %d\n" % number) for number in range(5)], [1] * 5)

    def test_one_connection_serves_many(self) -> None:
        for number in range(20):
            self.say(f"PUT /data/demo/{number}", LOGIN + "Content-Length: 1\r\n", b"x")
        self.assertNoResult(self.ended)
        self.assertEqual(len(self.tree.files), 20)
