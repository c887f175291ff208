"""What pages of other sites may do, by the option of the user whose credentials they have."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import Deferred

from ecpds.http.message import Handler, Headers, Request, Response
from ecpds.protocols.data_headers import strict_transport
from tests.protocols.data_support import DoorTestCase, Seen

SITE = "https://maps.example"


class CorsTests(DoorTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.tree.put("/demo/f", b"abc")

    def get(self, allowed: str | None, origin: str | None = SITE, target: str = "/data/demo/f") -> Seen:
        password, alice = self.portal.users["alice"]
        options = {} if allowed is None else {"portal.corsAllowOrigin": allowed}
        self.portal.users["alice"] = (password, evolve(alice, options=options))
        return self.ask("GET", target, {} if origin is None else {"Origin": origin})

    def test_who_may_read(self) -> None:
        for allowed, origin, expected in (
            (None, SITE, None),
            (SITE, SITE, SITE),
            ("*", SITE, SITE),
            (SITE, "https://evil.example", None),
            (SITE, f"{SITE}.evil", None),
            (SITE, "null", None),
            (SITE, None, None),
        ):
            with self.subTest(allowed=allowed, origin=origin):
                seen = self.get(allowed, origin)
                self.assertEqual((seen.status, seen.headers.get("access-control-allow-origin")), (200, expected))
                policy = "same-origin" if expected is None else "cross-origin"
                self.assertEqual(seen.headers.get_all("cross-origin-resource-policy"), [policy])
                self.assertNotIn("access-control-allow-credentials", seen.headers)
                self.assertEqual("Origin" in (seen.headers.get("vary") or ""), allowed is not None)

    def test_a_refusal_can_be_read_too(self) -> None:
        self.get(SITE)
        for target, status in (("/data/demo/none", 404), ("/data/demo/%zz", 400)):
            seen = self.ask("GET", target, {"Origin": SITE})
            self.assertEqual((seen.status, seen.headers.get("access-control-allow-origin")), (status, SITE))

    def test_a_page_may_bring_a_file_in_pieces(self) -> None:
        asked = self.ask("OPTIONS", "/data/demo/new", {"Origin": SITE, "Access-Control-Request-Method": "PATCH"}, login=None)
        accepted = (asked.headers.get("access-control-allow-headers") or "").split(", ")
        self.assertLessEqual(
            {"Tus-Resumable", "Upload-Length", "Upload-Offset", "Upload-Metadata", "Upload-Checksum"}, {*accepted}
        )
        exposed = (self.get(SITE).headers.get("access-control-expose-headers") or "").split(", ")
        self.assertLessEqual({"Location", "Tus-Resumable", "Upload-Expires", "Upload-Length", "Upload-Offset"}, {*exposed})

    def test_by_the_destination(self) -> None:
        self.tree.put("/other/f", b"abc")
        password, alice = self.portal.users["alice"]
        for options, sites, target, expected in (
            ({}, {"demo": SITE}, "/data/demo/f", SITE),
            ({}, {"demo": "*"}, "/data/demo/none", SITE),
            ({}, {"demo": "https://other.example"}, "/data/demo/f", None),
            ({}, {"demo": SITE}, "/data/other/f", None),
            ({}, {"demo": SITE}, "/data/", None),
            ({}, {"demo": SITE}, "/data/demo/%zz", None),
            ({}, {"demo": SITE}, "/data/demo/%01", None),
            ({}, {"private": "*"}, "/data/private/f", None),
            ({"portal.corsAllowOrigin": SITE}, {"demo": "https://other.example"}, "/data/demo/f", SITE),
            ({"portal.corsAllowOrigin": "https://other.example"}, {"demo": SITE}, "/data/demo/f", SITE),
            ({"portal.corsAllowOrigin": SITE}, {"demo": SITE}, "/data/other/f", SITE),
        ):
            with self.subTest(options=options, sites=sites, target=target):
                self.portal.users["alice"] = (password, evolve(alice, options=options, sites=sites))
                seen = self.ask("GET", target, {"Origin": SITE})
                self.assertEqual(seen.headers.get("access-control-allow-origin"), expected)

    def test_a_cache_is_told_where_the_origin_counts(self) -> None:
        password, alice = self.portal.users["alice"]
        self.portal.users["alice"] = (password, evolve(alice, sites={"demo": SITE}))
        for target, expected in (("/data/demo/f", True), ("/data/other/", False)):
            self.assertEqual("Origin" in (self.ask("GET", target).headers.get("vary") or ""), expected)

    def test_preflight_needs_no_login_and_gives_nothing(self) -> None:
        seen = self.ask("OPTIONS", "/data/demo/f", {"Origin": SITE, "Access-Control-Request-Method": "PUT"}, login=None)
        self.assertEqual((seen.status, seen.headers.get("access-control-allow-origin")), (204, SITE))
        self.assertIn("PUT", seen.headers.get("access-control-allow-methods") or "")
        self.assertNotIn("Cookie", seen.headers.get("access-control-allow-headers") or "")
        self.assertNotIn("X-Csrf-Token", seen.headers.get("access-control-allow-headers") or "")

    def test_other_options_are_as_ever(self) -> None:
        for fields in ({}, {"Origin": SITE}):
            seen = self.ask("OPTIONS", "/data/", fields, login=None)
            told = {name for name, _ in seen.headers.items() if not name.startswith("tus-")}
            self.assertEqual((seen.status, told), (204, {"allow", "content-length"}))


class StrictTransportTests(DoorTestCase):
    def test_over_tls_alone(self) -> None:
        handler = strict_transport(self.door.handle)
        for secure, expected in ((True, "max-age=31536000"), (False, None)):
            request = self.request("GET", "/data/demo/", secure=secure)
            answer = self.successResultOf(Deferred.fromCoroutine(call(handler, request)))
            self.assertEqual(Headers(answer.headers).get("strict-transport-security"), expected)


async def call(handler: Handler, request: Request) -> Response:
    return await handler(request)
