"""Which handler answers, and how a path is read."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.http.message import Handler, HttpError, Request, Response
from ecpds.http.routing import Routes, decode_path
from tests.http.support import Answer, Bench, head


def naming(name: str) -> Handler:
    async def answer(request: Request) -> Response:
        return Response(200, body=name.encode())

    return answer


class Routing(SynchronousTestCase):
    def setUp(self) -> None:
        self.routes = Routes()
        self.routes.add(("GET", "HEAD"), "/data/", naming("data"))
        self.routes.add(("PUT",), "/data/", naming("put"))
        self.routes.add(("GET",), "/data/special", naming("special"))
        self.routes.add(("GET",), "/api/v1", naming("api"))

    def ask(self, method: str, path: str) -> Answer:
        return Bench(self.routes).ask(head(f"{method} {path} HTTP/1.1"))

    def test_the_longest_prefix(self) -> None:
        for path, name in (
            ("/data/", b"data"),
            ("/data/x/y", b"data"),
            ("/data/special", b"special"),
            ("/data/special/x?y", b"special"),
            ("/data/specials", b"data"),
            ("/api/v1", b"api"),
            ("/api/v1/x", b"api"),
        ):
            self.assertEqual(self.ask("GET", path).body, name)
        self.assertEqual(self.ask("PUT", "/data/x").body, b"put")

    def test_not_found(self) -> None:
        for path in ("/", "/data", "/api/v10", "/api", "/%64ata/x", "//data/"):
            self.assertEqual(self.ask("GET", path).status, 404, path)

    def test_not_allowed(self) -> None:
        answer = self.ask("PUT", "/api/v1")
        self.assertEqual((answer.status, answer.headers.get("allow")), (405, "GET"))
        self.assertEqual(self.ask("PUT", "/data/special").headers.get("allow"), "GET")

    def test_not_implemented(self) -> None:
        self.assertEqual(self.ask("PATCH", "/data/x").status, 501)

    def test_twice(self) -> None:
        self.assertRaises(ValueError, self.routes.add, ("PUT",), "/data/", naming("again"))


class Paths(SynchronousTestCase):
    def test_decoded_once(self) -> None:
        for raw, path in (("/a%20b", "/a b"), ("/%2525", "/%25"), ("/a+b", "/a+b"), ("/%C3%a9", "/é"), ("/a//b/", "/a//b/")):
            self.assertEqual(decode_path(raw), path)

    def test_refused(self) -> None:
        for raw in ("/%", "/%4", "/%zz", "/%u0041", "/a%", "/%00", "/a%2fb", "/a%2Fb", "/%ff", "/%c0%af", "/%ed%a0%80", "/é"):
            with self.assertRaises(HttpError, msg=raw) as caught:
                decode_path(raw)
            self.assertEqual(caught.exception.status, 400)

    @given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"])))
    def test_round_trip(self, name: str) -> None:
        self.assertEqual(decode_path("/" + quote(name, safe="")), "/" + name)

    @given(st.text(st.characters(max_codepoint=255)))
    def test_garbage(self, raw: str) -> None:
        try:
            path = decode_path(raw)
        except HttpError as error:
            self.assertEqual(error.status, 400)
        else:
            self.assertEqual((path.count("/"), path.count("\0")), (raw.count("/"), raw.count("\0")))
