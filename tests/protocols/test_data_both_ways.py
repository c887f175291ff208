"""Two data doors beside each other, one of which answers nothing at once: whatever is said to both, in whatever pieces, and
whatever is changed meanwhile, nobody can tell them apart by a byte, nor by a record."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ecpds.http.familiar import Familiar
from ecpds.http.routing import Routes
from ecpds.http.server import HttpServer
from ecpds.limits import Limits
from ecpds.master import passwords
from ecpds.model import PERMISSIONS, DestinationChange
from ecpds.people import UserChange
from ecpds.protocols.data import DataDoor
from ecpds.protocols.data_headers import STRICT, strict_transport
from ecpds.timeouts import Timeouts
from tests.doubles import MemoryChannel
from tests.portal.house import NODE
from tests.portal.test_whole import Node
from tests.protocols.data_support import basic

LIMITS = Limits(login_failures=1_000_000, keep_alive=1e6)

COLON = "se:cr\u00e9t"
"""A password with a colon, which ends a login, and a letter that is two bytes."""

Step = tuple[Any, ...]


HEAD = re.compile(rb"(?s)(HTTP/1\.1 [^\n]*\n)(.*?)\r\n\r\n")


def in_order(head: re.Match[bytes]) -> bytes:
    """The order of fields says nothing."""
    return head[1] + b"\r\n".join(sorted(head[2].split(b"\r\n"))) + b"\r\n\r\n"


class Web:
    """A node behind its data door, and a client with one connection that it keeps and others that it doesn't."""

    def __init__(self, test: SynchronousTestCase, at_once: bool) -> None:
        self.node = Node(test, LIMITS, at_once=at_once)
        house = self.house = self.node.house
        house.now(house.operations.set_password("alice", "secret"))
        house.add_user("bob", ("demo",), password=COLON, permissions=("get", "dir"))
        seconds, random = house.clock.seconds, house.master.random
        self.door = DataDoor(house.portal, NODE, LIMITS, seconds, house.master.reader._threads, random, always=(STRICT,))
        routes = Routes()
        self.door.add_to(routes)
        familiar = Familiar(b"k" * 32, LIMITS.kept_fields, LIMITS.credential_life, seconds) if at_once else None
        answer = self.door.at_once.answer if at_once else None
        timeouts = Timeouts(house.clock)
        self.server = HttpServer(strict_transport(routes), LIMITS, timeouts, seconds, at_once=answer, familiar=familiar)
        self.kept: dict[bool, MemoryChannel] = {}

    def channel(self, fresh: bool, secure: bool) -> MemoryChannel:
        found = self.kept.get(secure)
        if fresh or found is None or found.closed:
            found = MemoryChannel(secure=secure)
            self.server.serve(found)
            if not fresh:
                self.kept[secure] = found
        return found

    def say(self, data: bytes, cuts: list[int], fresh: bool, secure: bool) -> tuple[bytes, bool]:
        """What comes back of what is said in these pieces, and whether the connection is kept."""
        channel = self.channel(fresh, secure)
        for cut in cuts:
            channel.feed(data[:cut])
            data = data[cut:]
        channel.feed(data)
        answers, closed = channel.take(), channel.closed
        if fresh and not closed:
            channel.feed_end()
        return HEAD.sub(in_order, answers), closed

    def do(self, what: str, *with_: Any) -> str:
        """What operators and other clients do meanwhile: what came of it."""
        operations, files = self.house.operations, self.node.files
        work = {
            "user": lambda login, change: operations.change_user(login, UserChange(**change)),
            "password": operations.set_password,
            "destination": lambda change: operations.change_destination("demo", DestinationChange(**change)),
            "rename": files.rename,
            "delete": files.delete,
            "mtime": files.set_mtime,
            "released": files.set_released,
            "rmdir": files.remove_directory,
        }[what]
        outcome: list[Any] = []
        ensureDeferred(work(*with_)).addBoth(outcome.append)  # type: ignore[operator]
        return type(outcome[0].value).__name__ if isinstance(outcome[0], Failure) else "done"

    def take(self, step: Step) -> Any:
        if step[0] == "later":
            self.house.clock.advance(step[1])
            return None
        self.house.clock.advance(1.0)
        return self.say(*step[1:]) if step[0] == "say" else self.do(*step)


LOGINS = {
    "alice": f"Authorization: {basic('alice', 'secret')}\r\n",
    "bob": f"Authorization: {basic('bob', COLON)}\r\n",
    "wrong": f"Authorization: {basic('alice', 'Secret')}\r\n",
    "empty": f"Authorization: {basic('alice', '')}\r\n",
    "nobody": "",
    "small letters": f"authorization:{basic('alice', 'secret')}\r\n",
    "both": f"Authorization: {basic('alice', 'secret')}\r\nAuthorization: {basic('bob', COLON)}\r\n",
}
FIELDS = (
    "If-None-Match: *\r\n",
    'If-None-Match: "1", "2", "3", "4", "5"\r\n',
    'if-none-match: "2"\r\n',
    "If-Match: *\r\n",
    'If-Match: "3"\r\n',
    "If-Match: nonsense\r\n",
    "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n",
    "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    "Range: bytes=1-2\r\n",
    "Range: bytes=9999-\r\n",
    'Range: bytes=0-1\r\nIf-Range: "1"\r\n',
    "Want-Repr-Digest: md5=3\r\n",
    "want-content-digest: sha-256=1\r\n",
    "Want-Digest: md5\r\n",
    "Accept: application/metalink4+xml\r\n",
    "Accept: text/html\r\n",
    "Accept: text/html\r\nAccept: application/metalink4+xml\r\n",
    "Tus-Resumable: 1.0.0\r\n",
    "Content-Length: 0\r\n",
    "Cookie: session=none\r\n",
    "Origin: https://elsewhere.example\r\n",
    "Expect: 100-continue\r\n",
    "Expect: nonsense\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Content-MD5: XUFAKrxLKna5cZ2REBfFkg==\r\n",
    "Repr-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\r\n",
    "Content-Encoding: gzip\r\n",
    f"X-Long: {'a' * 3000}\r\n",
    "X-Odd: \t \r\n",
)
HOST = f"Host: node\r\n{LOGINS['alice']}"
FILES = ("/demo/a", "/demo/b.txt", "/demo/d/a")
PATHS = (
    *3 * FILES,
    *("/demo/d/e/a", "/demo/%C3%A9%20x", "/demo/d", "/demo/d/", "/demo", "/demo/%61", "/demo//a", "/demo/a/", "/demo/./a"),
    *("/demo/a?x=1", "/no/a"),
)
BODIES = (b"", b"hello", b"other", b"x" * 1000, b"y" * 9000, b"z" * 16383, b"z" * 16384, b"z" * 17000)


CHANGES = (
    ("user", "alice", {"permissions": ("get", "put")}),
    ("user", "alice", {"permissions": ("put", "dir")}),
    ("user", "alice", {"permissions": PERMISSIONS}),
    ("user", "alice", {"enabled": False}),
    ("user", "alice", {"enabled": True}),
    ("user", "bob", {"permissions": ("dir",)}),
    ("user", "alice", {"options": {"portal.corsAllowOrigin": "https://elsewhere.example"}}),
    ("user", "alice", {"unset": ("portal.corsAllowOrigin",)}),
    ("user", "alice", {"options": {"portal.getPathPermRegex": "/demo/d/.*"}}),
    ("user", "alice", {"unset": ("portal.getPathPermRegex",)}),
    ("password", "alice", "Secret"),
    ("password", "alice", "secret"),
    ("destination", {"options": {"incoming.standby": "true"}}),
    ("destination", {"unset": ("incoming.standby",)}),
    ("destination", {"digests": ("sha256", "md5")}),
    ("destination", {"digests": ("sha256",)}),
    ("destination", {"options": {"incoming.maxHeldFiles": "2"}}),
    ("destination", {"unset": ("incoming.maxHeldFiles",)}),
    ("rename", "/demo/a", "/demo/b.txt"),
    ("rename", "/demo/d", "/demo/c"),
    ("delete", "/demo/a"),
    ("rmdir", "/demo/d"),
    ("mtime", "/demo/a", 1_000_000_000.0),
    ("released", "/demo/a", True),
    ("released", "/demo/a", False),
    ("later", 30.0),
    ("later", 61.0),
    ("later", 3700.0),
)
METHODS = ("GET", "GET", "GET", "HEAD", "PUT", "PUT", "DELETE")


REPAIRS: tuple[Step, ...] = (
    ("user", "alice", {"permissions": PERMISSIONS, "enabled": True}),
    ("user", "alice", {"unset": ("portal.getPathPermRegex",)}),
    ("password", "alice", "secret"),
)


def conversation(random: Random) -> Iterator[Step]:
    """Requests with the same fields, as one client sends them, and what is changed between them.

    Mostly one after the other and each in one piece, as most clients do; else some together, or in pieces.
    """
    login = random.choice((*["alice"] * 20, *LOGINS))
    fields = LOGINS[login] + "".join(random.sample(FIELDS, random.choice((0, 0, 0, 1, 1, 2))))
    yield from random.choice((REPAIRS, REPAIRS, ()))
    where = random.choice((False, False, True)), random.choice((True, True, False))
    for _ in range(random.randint(3, 9)):
        if random.random() < 0.25:
            yield random.choice(CHANGES)
        said = b"".join(request(random, fields) for _ in range(random.choice((*[1] * 8, 2, 3))))
        cuts = [random.randint(1, 400) for _ in range(random.choice((0, 0, 0, 0, 0, 0, 1, 3)))]
        yield "say", said, cuts, *where


def request(random: Random, fields: str) -> bytes:
    method = random.choice(METHODS)
    body = random.choice(BODIES) if method == "PUT" else b""
    length = f"Content-Length: {len(body)}\r\n" if method == "PUT" else ""
    return f"{method} /data{random.choice(PATHS)} HTTP/1.1\r\nHost: node\r\n{fields}{length}\r\n".encode() + body


USUAL: tuple[Step, ...] = (
    *REPAIRS,
    *(("user", "alice", {"unset": (name,)}) for name in ("portal.corsAllowOrigin",)),
    ("user", "bob", {"permissions": ("get", "dir")}),
    *(("destination", {"unset": (name,)}) for name in ("incoming.standby", "incoming.maxHeldFiles")),
    ("destination", {"digests": ("sha256",)}),
    ("released", "/demo/a", True),
    ("delete", "/demo/c/a"),
    ("later", 61.0),
    *(("say", f"PUT /data{path} HTTP/1.1\r\n{HOST}Content-Length: 5\r\n\r\nfirst".encode(), [], True, True) for path in FILES),
)


class SameAnswers(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(passwords, "MEMORY", 64)
        self.short, self.long = Web(self, True), Web(self, False)

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 1 << 32))
    def test_whatever_is_said(self, seed: int) -> None:
        """By dice: what Hypothesis would choose itself is seldom the same twice with something else in between."""
        random = Random(seed)
        for step in chain(USUAL, *(conversation(random) for _ in range(4))):
            self.assertEqual(self.short.take(step), self.long.take(step), step)
        self.assertEqual(self.short.node.rows(), self.long.node.rows())
        self.assertEqual(self.short.node.contents(), self.long.node.contents())
        self.assertEqual(self.short.node.records(), self.long.node.records())

    def test_much_of_it_is_answered_at_once(self) -> None:
        """Over kept connections and new ones: so the test above looks at what it is about."""
        for fresh in (False, True):
            head = f"/data/demo/a HTTP/1.1\r\n{HOST}".encode()
            said = [b"PUT " + head + b"Content-Length: 5\r\n\r\nhello", *[b"GET " + head + b"\r\n"] * 3]
            before = self.short.server.answered_at_once
            for data in [*said, *said]:
                self.short.say(data, [], fresh, True)
            self.assertEqual(self.short.server.answered_at_once - before, 6, fresh)
