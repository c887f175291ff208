"""The data door before any file is touched: methods, logging in, paths."""

from __future__ import annotations

import base64

from twisted.internet.defer import Deferred

from ecpds.errors import TooManyConnections
from ecpds.http.message import Headers, HttpError, Request, Response
from ecpds.protocols.data import ALLOWED, METHODS, REFUSED, home
from tests.doubles import MemorySource
from tests.protocols.data_support import DoorTestCase


class MethodTests(DoorTestCase):
    def test_known_but_not_allowed(self) -> None:
        for method in REFUSED:
            with self.subTest(method=method):
                seen = self.ask(method, "/data/demo/f")
                self.assertEqual((seen.status, seen.headers.get("allow")), (405, ", ".join(ALLOWED)))

    def test_unknown(self) -> None:
        for method in ("BREW", "get", "PROPPATCHES"):
            self.assertEqual(self.ask(method, "/data/demo/f").status, 501)

    def test_options(self) -> None:
        seen = self.ask("OPTIONS", "/data/demo/f", login=None)
        self.assertEqual((seen.status, seen.headers.get("allow")), (204, ", ".join(ALLOWED)))
        self.assertNotIn("access-control-allow-origin", seen.headers)

    def test_methods_are_named_once(self) -> None:
        self.assertEqual(len(set(METHODS)), len(METHODS))


class LoginTests(DoorTestCase):
    def test_no_method_goes_without(self) -> None:
        self.tree.put("/demo/f", b"content")
        for method in set(ALLOWED) - {"OPTIONS"}:
            for target in ("/data", "/data/", "/data/demo/", "/data/demo/f", "/data/demo/none", "/data/%ff"):
                with self.subTest(method=method, target=target):
                    seen = self.ask(method, target, login=None)
                    self.assertEqual(seen.status, 401)
                    self.assertEqual(
                        seen.headers.get("www-authenticate"), 'Basic realm="ecpds", charset="UTF-8", Bearer realm="ecpds"'
                    )
        self.assertEqual(self.tree.read("/demo/f"), b"content")
        self.assertEqual(self.denials(), [], "asking for a password is no refusal")

    def test_wrong_password_and_unknown_user_look_the_same(self) -> None:
        replies = []
        for credentials in (b"alice:wrong", b"nobody:secret"):
            field = "Basic " + base64.b64encode(credentials).decode()
            seen = self.ask("GET", "/data/", {"Authorization": field}, login=None)
            replies.append((seen.status, dict(seen.headers.items()), seen.body))
        self.assertEqual(replies[0], replies[1])
        self.assertEqual(replies[0][0], 401)
        self.assertEqual(len(self.denials()), 2)

    def test_malformed_credentials_leave_one_record_each(self) -> None:
        for field in ("Bearer x", "Basic", "Basic ?", "Basic " + base64.b64encode(b"\xff:x").decode()):
            with self.subTest(field=field):
                self.portal.sink.events.clear()
                seen = self.ask("GET", "/data/", {"Authorization": field}, login=None)
                self.assertEqual(seen.status, 401)
                self.assertIn("www-authenticate", seen.headers)
                self.assertEqual(len(self.denials()), 1)

    def test_two_credentials_are_none(self) -> None:
        request = self.request("GET", "/data/")
        request.headers.add("Authorization", request.headers.get_all("authorization")[0])
        self.assertEqual(self.finish(self.start(request)).status, 401)

    def test_utf_8(self) -> None:
        self.portal.users["jürgen"] = self.portal.users["alice"]
        self.assertEqual(self.ask("GET", "/data/", login="jürgen").status, 200)

    def test_busy(self) -> None:
        self.portal.broken = TooManyConnections()
        seen = self.ask("GET", "/data/")
        self.assertEqual(seen.status, 503)
        self.assertIn("retry-after", seen.headers)

    def test_records_name_the_way_the_client_came(self) -> None:
        for secure, protocol in ((True, "https"), (False, "http")):
            self.portal.sink.events.clear()
            self.ask("GET", "/data/demo/none", secure=secure)
            (record,) = self.portal.sink.of("DEA")
            self.assertEqual((record["TransferProtocol"], record["HostAddress"]), (protocol, "192.0.2.1"))
            self.assertIn("DataMover=node-1", record["Context"])

    def test_body_is_not_read_before_all_is_checked(self) -> None:
        cases = [
            ("wrong password", "/data/demo/f", {"Authorization": "Basic eDp5"}, None, 401),
            ("no right", "/data/demo/f", {}, "bob", 403),
            ("not visible", "/data/elsewhere/f", {}, "alice", 404),
            ("bad name", "/data/demo//f", {}, "alice", 400),
            ("hidden slash", "/data/demo/a%2Fb", {}, "alice", 400),
            ("directory", "/data/demo/f/", {}, "alice", 409),
            ("destination", "/data/demo", {}, "alice", 409),
            ("exists already", "/data/demo/there", {"If-None-Match": "*"}, "alice", 412),
            ("does not exist", "/data/demo/f", {"If-Match": "*"}, "alice", 412),
            ("malformed tags", "/data/demo/f", {"If-Match": "seven"}, "alice", 400),
            ("part of a file", "/data/demo/f", {"Content-Range": "bytes 0-1/2"}, "alice", 400),
            ("coded", "/data/demo/f", {"Content-Encoding": "gzip"}, "alice", 415),
            ("malformed digest", "/data/demo/f", {"Repr-Digest": "sha-256=abc"}, "alice", 400),
            (
                "contradicting digests",
                "/data/demo/f",
                {"Digest": "md5=" + "A" * 22, "Content-MD5": "B" * 21 + "A"},
                "alice",
                400,
            ),
        ]
        self.tree.put("/demo/there", b"content")
        for case, target, fields, login, status in cases:
            with self.subTest(case=case):
                self.portal.sink.events.clear()
                body = MemorySource(b"new content")
                seen = self.ask("PUT", target, fields, body, login=login)
                self.assertEqual((seen.status, body.read), (status, 0), seen.body)
                self.assertEqual(len(self.denials()), 1, "one record")
        self.assertEqual(list(self.tree.files), [("demo", "there")])
        self.assertEqual(self.tree.read("/demo/there"), b"content")


class HomeTests(DoorTestCase):
    def at_home(self, path: str) -> Deferred[Response]:
        request = Request("GET", path.encode(), path, "", Headers(), "1.1", "192.0.2.1", True, 0, MemorySource())
        return Deferred.fromCoroutine(home(request))

    def test_home_leads_to_the_data(self) -> None:
        response = self.successResultOf(self.at_home("/"))
        self.assertEqual((response.status, Headers(response.headers).get("location")), (302, "/data/"))

    def test_elsewhere_is_nothing(self) -> None:
        for path in ("//", "/x", "/dat", "//evil.example/"):
            self.assertEqual(self.failureResultOf(self.at_home(path), HttpError).value.status, 404)

    def test_data_without_a_slash(self) -> None:
        seen = self.ask("GET", "/data")
        self.assertEqual((seen.status, seen.headers.get("location")), (301, "/data/"))
