"""Small files that are put at once over HTTPS, and that nobody can tell: both ways beside each other, to the byte."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from itertools import cycle
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import Unavailable
from ecpds.http.routing import Routes
from ecpds.http.server import HttpServer
from ecpds.limits import Limits
from ecpds.model import PERMISSIONS, DestinationChange
from ecpds.people import UserChange
from ecpds.protocols.data import DataDoor
from ecpds.protocols.data_headers import STRICT, strict_transport
from ecpds.timeouts import Timeouts
from tests.doubles import MemoryChannel
from tests.http.support import Answer, parse_answer
from tests.portal.house import NODE
from tests.portal.test_whole import Node
from tests.protocols.data_support import basic

LIMITS = Limits(login_failures=1_000_000)


def repr_digest(data: bytes) -> str:
    return f"Repr-Digest: sha-256=:{b64encode(hashlib.sha256(data).digest()).decode()}:\r\n"


class Web:
    """A node behind its data door, and a connection to it; `at_once`: whether requests may be answered where they are read.

    `alone` is asked whether a file that is put there has its commit for itself.
    """

    def __init__(self, test: SynchronousTestCase, at_once: bool = True, alone: Callable[[], bool] | None = None) -> None:
        self.node = Node(test, LIMITS, at_once=at_once)
        house = self.node.house
        house.now(house.operations.set_password("alice", "secret"))
        house.add_user("bob", ("demo",), password="secret", permissions=("get", "dir"))
        seconds = house.clock.seconds
        threads, random = house.master.reader._threads, house.master.random
        self.door = DataDoor(house.portal, NODE, LIMITS, seconds, threads, random, always=(STRICT,), alone=alone or self.alone)
        routes = Routes()
        self.door.add_to(routes)
        answer = self.door.at_once.answer if at_once else None
        self.server = HttpServer(strict_transport(routes), LIMITS, Timeouts(house.clock), seconds, at_once=answer)
        self.channels: dict[str, MemoryChannel] = {}

    def alone(self) -> bool:
        return self.server.is_alone

    def ask(self, method: str, path: str, body: bytes, login: str, fields: str = "", secure: bool = True) -> list[Answer]:
        """The answers; a connection for each set of fields, so that the second such request is one that may come at once."""
        head = f"Host: node\r\nAuthorization: {basic(login, 'secret')}\r\n{fields}"
        channel = self.channels.get(f"{secure}{head}")
        if channel is None or channel.closed:
            channel = self.channels[f"{secure}{head}"] = MemoryChannel(secure=secure)
            self.server.serve(channel)
        length = f"Content-Length: {len(body)}\r\n" if method == "PUT" else ""
        channel.feed(f"{method} /data{path} HTTP/1.1\r\n{head}{length}\r\n".encode() + body)
        answer, rest = parse_answer(channel.take(), method)
        assert not rest
        return [answer]

    def change(self, step: tuple[Any, ...]) -> None:
        """Something that an operator does meanwhile."""
        operations = self.node.house.operations
        if step[0] == "user":
            self.node.house.now(operations.change_user("alice", UserChange(**step[1])))
        else:
            self.node.house.now(operations.change_destination("demo", DestinationChange(**step[1])))

    def take(self, step: tuple[Any, ...]) -> Any:
        self.node.house.clock.advance(1.0)
        if step[0] in ("user", "destination"):
            self.change(step)
            return None
        return [(each.status, sorted(each.headers.items()), each.body) for each in self.ask(*step)]


BODIES = st.sampled_from([b"", b"hello", b"hello", b"x" * 1024, b"y" * 4000, b"x" * 16383, b"x" * 16384, b"x" * 20000])
PATHS = st.one_of(
    st.sampled_from(["/demo/a", "/demo/a", "/demo/b.txt", "/demo/%C3%A9%20x", "/demo/d/a", "/demo/d", "/demo/d/", "/demo/a/b"]),
    st.sampled_from(["/demo", "/no/a", "/demo/..", "/demo//a", "/demo/%00", "/demo/%ff", "/demo/%2e%2e", ""]),
)
FIELDS = st.one_of(
    st.just(""),
    st.sampled_from(["If-None-Match: *\r\n", "If-Match: *\r\n", 'If-Match: "1", "2", "3"\r\n', 'If-None-Match: "2"\r\n']),
    st.sampled_from(["If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "If-Match: bad\r\n", repr_digest(b"hello")]),
    st.sampled_from(["Content-MD5: XUFAKrxLKna5cZ2REBfFkg==\r\n", "Digest: sha-256=bad\r\n", "Want-Repr-Digest: md5=3\r\n"]),
    st.sampled_from(["Content-Range: bytes 0-4/10\r\n", "Content-Encoding: gzip\r\n", "Content-Encoding: identity\r\n"]),
    st.sampled_from(["Want-Digest: md5\r\n", "Tus-Resumable: 1.0.0\r\n", "Range: bytes=0-1\r\n", "X-Other: 1\r\n"]),
)
STEPS = st.one_of(
    st.tuples(st.just("PUT"), PATHS, BODIES, st.sampled_from(["alice", "alice", "alice", "bob"]), FIELDS, st.booleans()),
    st.tuples(st.just("PUT"), PATHS, BODIES, st.just("alice"), st.just(""), st.just(True)),
    st.tuples(st.sampled_from(["GET", "DELETE"]), PATHS, st.just(b""), st.just("alice"), st.just(""), st.just(True)),
    st.tuples(st.just("MKCOL"), st.just("/demo/d"), st.just(b""), st.just("alice"), st.just(""), st.just(True)),
    st.tuples(
        st.just("destination"),
        st.sampled_from(
            [{"digests": ("sha256", "md5")}, {"digests": ("sha256",)}, {"digest_when": "after"}, {"digest_when": "inline"}]
        ),
    ),
    st.tuples(st.just("user"), st.sampled_from([{"permissions": ("get", "put")}, {"permissions": PERMISSIONS}])),
)


class SameAnswerTests(SynchronousTestCase):
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(STEPS, min_size=2, max_size=14))
    def test_whatever_is_asked(self, steps: list[tuple[Any, ...]]) -> None:
        """Answers, rows, bytes and records."""
        short, long = self.webs()
        begin = ("destination", {"digests": ("sha256",), "digest_when": "inline"}), ("user", {"permissions": PERMISSIONS})
        for step in [*begin, *steps]:
            self.assertEqual(short.take(step), long.take(step), step)
            self.assertEqual(short.node.rows(), long.node.rows(), step)
        self.assertEqual(short.node.contents(), long.node.contents())
        self.assertEqual(short.node.records(), long.node.records())

    def webs(self) -> tuple[Web, Web]:
        """Two that are used by all examples: where both begin the same they go on the same."""
        if not hasattr(self, "_webs"):
            turns = cycle((True, False, False))
            self._webs = Web(self, alone=lambda: next(turns)), Web(self, at_once=False)
        return self._webs


class AtOnceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web(self)
        self.status("/demo/first", b"first")

    def status(self, path: str, body: bytes, fields: str = "", secure: bool = True) -> int:
        (answer,) = self.web.ask("PUT", path, body, "alice", fields, secure)
        return answer.status

    def at_once(self, *args: Any) -> int | None:
        """The status of a PUT that was answered at once."""
        before = self.web.server.answered_at_once
        status = self.status(*args)
        return status if self.web.server.answered_at_once > before else None

    def test_a_new_file_and_one_that_replaces_it(self) -> None:
        self.assertEqual([self.at_once("/demo/a", body) for body in (b"hello", b"other", b"")], [201, 204, 204])
        (answer,) = self.web.ask("GET", "/demo/a", b"", "alice")
        self.assertEqual((answer.status, answer.body), (200, b""))

    def test_a_name_that_must_be_free(self) -> None:
        fields = "If-None-Match: *\r\n"
        self.assertEqual(self.status("/demo/z", b"hello", fields), 201)
        self.assertEqual(self.at_once("/demo/a", b"hello", fields), 201)
        self.assertIsNone(self.at_once("/demo/a", b"other", fields))
        self.assertEqual(self.status("/demo/a", b"other", fields), 412)

    def test_a_digest_that_is_right_and_one_that_is_wrong(self) -> None:
        fields = repr_digest(b"hello")
        self.status("/demo/z", b"hello", fields)
        self.assertEqual(self.at_once("/demo/a", b"hello", fields), 201)
        self.assertIsNone(self.at_once("/demo/a", b"other", fields))
        self.assertEqual(self.web.ask("GET", "/demo/a", b"", "alice")[0].body, b"hello")

    def test_a_quota(self) -> None:
        self.web.change(("destination", {"options": {"incoming.maxUploadBytes": "1K"}}))
        self.assertIsNone(self.at_once("/demo/a", b"hello"))
        self.assertEqual(self.status("/demo/a", b"x" * 1024), 507)

    def test_another_password(self) -> None:
        house = self.web.node.house
        house.now(house.operations.set_password("alice", "other"))
        self.assertEqual((self.at_once("/demo/a", b"hello"), self.status("/demo/a", b"hello")), (None, 401))

    def test_a_right_taken(self) -> None:
        self.web.change(("user", {"permissions": ("get",)}))
        self.assertEqual((self.at_once("/demo/a", b"hello"), self.status("/demo/a", b"hello")), (None, 403))

    def test_disabled(self) -> None:
        self.web.change(("user", {"enabled": False}))
        self.assertEqual((self.at_once("/demo/a", b"hello"), self.status("/demo/a", b"hello")), (None, 403))

    def test_a_put_and_a_get_behind_it_see_each_other(self) -> None:
        """In one piece, on one connection."""
        (channel,) = self.web.channels.values()
        head = f"Host: node\r\nAuthorization: {basic('alice', 'secret')}\r\n"
        put = f"PUT /data/demo/a HTTP/1.1\r\n{head}Content-Length: 5\r\n\r\nhello"
        get = f"GET /data/demo/a HTTP/1.1\r\n{head}\r\n"
        channel.feed(f"{put}{get}{put.replace('hello', 'other')}{get}".encode())
        data, found = channel.take(), []
        for method in ("PUT", "GET", "PUT", "GET"):
            answer, data = parse_answer(data, method)
            found.append((answer.status, answer.body))
        self.assertEqual(found, [(201, b""), (200, b"hello"), (204, b""), (200, b"other")])

    def test_who_is_alone_waits_for_no_others(self) -> None:
        """And where another connection is open, or the catalogue is not free, for the end of the turn."""
        writer, ways = self.web.node.house.master.writer, []
        for name in ("run_now", "by_turn"):
            way = getattr(writer, name)
            self.patch(writer, name, lambda operation, name=name, way=way: (ways.append(name), way(operation))[1])
        self.assertEqual(self.at_once("/demo/a", b"hello"), 201)
        self.patch(type(writer), "is_free", False)
        self.assertEqual(self.at_once("/demo/b", b"hello"), 201)
        self.assertEqual(ways, ["run_now", "by_turn"])
        self.patch(type(writer), "is_free", True)
        self.assertEqual(self.status("/demo/a", b"hello", "X-Other: 1\r\n"), 204)
        ways.clear()
        self.assertEqual(self.at_once("/demo/c", b"hello"), 201)
        self.assertEqual(ways, ["by_turn"])

    def no_storage(self, operation: object) -> None:
        raise Unavailable

    def test_a_catalogue_that_fails_at_the_end(self) -> None:
        self.patch(self.web.node.house.master.writer, "by_turn", lambda operation: fail(Unavailable()))
        self.patch(self.web.node.house.master.writer, "run_now", self.no_storage)
        for others in (False, True):
            self.patch(HttpServer, "is_alone", not others)
            self.assertEqual(self.at_once("/demo/a", b"hello"), 503)
            self.assertEqual(self.web.node.records()[-1][2]["Status"], "failed")
            self.assertEqual(self.web.ask("GET", "/demo/a", b"", "alice")[0].status, 404)
