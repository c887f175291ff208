"""The API over a real Master: answers, lists, refusals, and what is not understood."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ecpds.admin.api import BLOCK, Api, Lines, line, read_all
from ecpds.admin.verb import ARGUMENTS
from ecpds.admin.verbs import VERBS
from ecpds.errors import ConnectionLost, TooLarge
from ecpds.http.message import Headers, IBody, Request, Response
from ecpds.http.server import HttpServer
from ecpds.limits import Limits
from ecpds.timeouts import Timeouts
from tests.doubles import MemoryChannel, MemorySink, MemorySource
from tests.portal.house import House


def make_request(path: str, body: bytes, kind: str | None = "application/json") -> Request:
    return Request(
        method="POST",
        target=path.encode(),
        path=path,
        query="",
        headers=Headers([] if kind is None else [("Content-Type", kind)]),
        version="1.1",
        peer="",
        secure=False,
        length=len(body),
        body=MemorySource(body, piece=100),
    )


class ApiTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(self)
        self.api = Api(self.house.operator)

    def post(self, verb: str, arguments: Any = None, **named: Any) -> tuple[int, list[Any]]:
        """Status and the objects of the answer."""
        body = json.dumps({} if arguments is None else arguments).encode()
        return self.read(self.answer(make_request(f"/api/v1/{verb}", body, **named)))

    def answer(self, request: Request) -> Response:
        response: Response = self.successResultOf(ensureDeferred(self.api.handle(request)))
        return response

    def read(self, response: Response) -> tuple[int, list[Any]]:
        body = response.body
        if not isinstance(body, bytes):
            sink = MemorySink()
            sending = ensureDeferred(body.send(sink))
            while self.house.clock.getDelayedCalls() and not sending.called:
                self.house.clock.advance(0)
            self.successResultOf(sending)
            body.close()
            body = sink.value
        return response.status, [json.loads(each) for each in body.splitlines()]

    def refused(self, found: tuple[int, list[Any]], status: int, *words: str) -> None:
        self.assertEqual(found[0], status, found)
        (answer,) = found[1]
        self.assertEqual(list(answer), ["error"])
        for word in words:
            self.assertIn(word, answer["error"])

    def test_an_object_is_answered(self) -> None:
        status, (added,) = self.post("destination/add", {"name": "demo", "options": {"digests": "md5"}})
        self.assertEqual((status, added["name"], added["digests"]), (200, "demo", ["md5"]))

    def test_a_list_is_answered_as_lines(self) -> None:
        self.assertEqual(self.post("destination/list"), (200, []))
        for name in ("a", "b"):
            self.post("destination/add", {"name": name})
        request = make_request("/api/v1/destination/list", b"{}")
        response = self.answer(request)
        self.assertEqual(dict(response.headers)["Content-Type"], "application/jsonl")
        self.assertEqual([each["name"] for each in self.read(response)[1]], ["a", "b"])

    def test_refusals_have_the_doors_statuses(self) -> None:
        self.post("destination/add", {"name": "demo"})
        self.refused(self.post("destination/add", {"name": "demo"}), 409, "already")
        self.refused(self.post("destination/show", {"name": "x"}), 404)
        self.refused(self.post("file/ls", {"path": "/x/"}), 404)
        self.refused(self.post("file/show", {"path": "/demo/../x"}), 400, "name")

    def test_every_verb_refuses_what_it_does_not_know(self) -> None:
        for verb in VERBS:
            self.refused(self.post("/".join(verb.words), {"colour": 1}), 400, "colour", verb.name)

    def test_what_is_not_understood(self) -> None:
        for body in (b"", b"{", b"[]", b"1", b"\xff", b"[" * 60000):
            request = make_request("/api/v1/status", body)
            self.refused(self.read(self.answer(request)), 400, "JSON")
        for kind in (None, "text/plain", "application/x-www-form-urlencoded"):
            self.refused(self.post("status", kind=kind), 400, "application/json")
        self.assertEqual(self.post("status", kind="Application/JSON; charset=utf-8")[0], 200)
        for path in ("/api/v1/nothing", "/api/v1/", "/api/v1/user", "status", "/api/v1//status"):
            self.refused(self.read(self.answer(make_request(path, b"{}"))), 404)

    def test_a_large_body_is_not_read(self) -> None:
        request = make_request("/api/v1/status", b" " * (ARGUMENTS + 1))
        self.refused(self.read(self.answer(request)), 413)
        self.assertEqual(request.body.read, 0)  # type: ignore[attr-defined]
        unknown = read_all(MemorySource(b" " * (ARGUMENTS + 1)), None)
        self.failureResultOf(ensureDeferred(unknown), TooLarge)

    def test_a_failure_says_nothing_of_the_inside(self) -> None:
        async def fails() -> Any:
            raise RuntimeError("inside")

        self.patch(self.house.operator, "status", fails)
        found = self.post("status")
        self.refused(found, 500)
        self.assertNotIn("inside", str(found))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_a_password_is_set(self) -> None:
        self.post("destination/add", {"name": "demo"})
        status, (user,) = self.post("user/add", {"login": "a", "password": "s", "destinations": ["demo"]})
        self.assertEqual((status, user["has_password"]), (200, True))


class ServedTests(SynchronousTestCase):
    def test_over_the_real_http_layer(self) -> None:
        house = House(self)
        server = HttpServer(Api(house.operator).handle, Limits(), Timeouts(house.clock), house.clock.seconds)
        channel = MemoryChannel()
        server.serve(channel)
        kind = "Content-Type: application/json"
        questions = {"destination/add": b'{"name": "demo"}', "destination/list": b"{}", "user/show": b'{"login": "x"}'}
        for verb, body in questions.items():
            head = f"POST /api/v1/{verb} HTTP/1.1\r\nHost: x\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
            channel.feed(head.encode() + body)
            house.clock.advance(0)
        written = channel.take()
        self.assertEqual(written.count(b"HTTP/1.1 200 OK\r\n"), 2)
        self.assertEqual(written.count(b'"name": "demo"'), 2)
        self.assertIn(b"Transfer-Encoding: chunked\r\n", written)
        self.assertIn(b"HTTP/1.1 404 Not Found\r\n", written)
        self.assertIn(b'{"error": "', written)


class LinesTests(SynchronousTestCase):
    def test_a_long_list_is_written_in_blocks(self) -> None:
        async def numbers() -> Any:
            for number in range(5000):
                yield {"number": number}

        sink = MemorySink()
        body = Lines({"number": -1}, numbers())
        self.assertTrue(verifyObject(IBody, body))
        self.successResultOf(ensureDeferred(body.send(sink)))
        self.assertEqual([json.loads(each)["number"] for each in sink.value.splitlines()], list(range(-1, 5000)))
        small = Lines({}, numbers())
        self.failureResultOf(ensureDeferred(small.send(MemorySink(BLOCK // 2))), ConnectionLost)

    def test_lines_are_ascii(self) -> None:
        self.assertEqual(line({"a": "\x9b é"}), b'{"a": "\\u009b \\u00e9"}\n')
