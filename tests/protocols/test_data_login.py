"""Who a request is from: forms and their cookies, tokens, and what each of them must not let in."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from attrs import evolve
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from twisted.internet.defer import Deferred

from ecpds.errors import CodeNeeded
from ecpds.http.message import HttpError, Request, Response
from ecpds.options import ALLOW_ORIGIN
from ecpds.protocols.data_sessions import COOKIE
from tests.doubles import make_identity
from tests.protocols.certificates import certificate_of, wire_form
from tests.protocols.data_support import PASSWORD, DoorTestCase, Seen, basic

FORM = "application/x-www-form-urlencoded"
BROWSER = {"Accept": "text/html,*/*;q=0.8"}
KEY, SECRET = "AKIDEXAMPLE0000000AA", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


class GateTestCase(DoorTestCase):
    def send(self, handler: Callable[[Request], Awaitable[Response]], request: Request) -> Seen:
        async def call() -> Response:
            return await handler(request)

        return self.finish(Deferred.fromCoroutine(call()))

    def log_in(self, password: str = PASSWORD, to: str = "", secure: bool = True, code: str = "", **fields: str) -> Seen:
        body = urlencode({"login": "alice", "password": password, "code": code, "to": to}).encode()
        fields = {"Content-Type": FORM, "Host": "portal", **{name.replace("_", "-"): value for name, value in fields.items()}}
        return self.send(self.door.gate.login, self.request("POST", "/login", fields, body, login=None, secure=secure))

    def cookie(self) -> str:
        """The Cookie field of somebody who has logged in."""
        return str(self.log_in().headers.get("set-cookie")).partition(";")[0]

    def visit(self, cookie: str, method: str = "GET", target: str = "/data/demo/", secure: bool = True, **fields: str) -> Seen:
        fields = {"Cookie": cookie, **{name.replace("_", "-"): value for name, value in fields.items()}}
        return self.ask(method, target, fields, login=None, secure=secure)

    def token(self, cookie: str) -> str:
        found = re.search(r'data-token="([^"]+)"', self.visit(cookie, target="/data/demo/?format=html").text)
        assert found is not None
        return found[1]


class FormTests(GateTestCase):
    def test_a_browser_is_led_to_the_form_and_back(self) -> None:
        led = self.ask("GET", "/data/demo/?limit=2", BROWSER, login=None)
        self.assertEqual((led.status, led.headers.get("location")), (303, "/login?to=%2Fdata%2Fdemo%2F%3Flimit%3D2"))
        form = self.send(self.door.gate.login, self.request("GET", str(led.headers.get("location")), login=None))
        self.assertIn('value="/data/demo/?limit=2"', form.text)
        self.assertEqual(self.log_in(to="/data/demo/?limit=2").headers.get("location"), "/data/demo/?limit=2")
        self.assertEqual(self.portal.sink.events, [], "nobody was refused")

    def test_a_one_time_code_stands_behind_the_password(self) -> None:
        form = self.send(self.door.gate.login, self.request("GET", "/login", login=None))
        self.assertIn('autocomplete="one-time-code"', form.text)
        self.portal.users["alice"] = ("secret123456", self.portal.users["alice"][1])
        for code, status in (("", 403), ("123457", 403), (" 123456 ", 303)):
            self.assertEqual(self.log_in("secret", code=code).status, status)

    def test_it_is_told_that_a_code_is_missing(self) -> None:
        self.portal.broken = CodeNeeded()
        self.assertIn(CodeNeeded().sentence, self.log_in().text)
        self.portal.broken = CodeNeeded()
        seen = self.ask("GET", "/data/demo/")
        self.assertEqual((seen.status, CodeNeeded().sentence in seen.text), (401, True))

    def test_programs_and_plain_connections_are_asked_for_a_password(self) -> None:
        self.assertEqual(self.ask("GET", "/data/demo/", {"Accept": "*/*"}, login=None).status, 401)
        self.assertEqual(self.ask("GET", "/data/demo/", BROWSER, login=None, secure=False).status, 401)
        self.assertEqual(self.ask("PUT", "/data/demo/f", BROWSER, login=None).status, 401)

    def test_the_cookie_is_kept_from_scripts_and_other_sites(self) -> None:
        field = str(self.log_in().headers.get("set-cookie"))
        self.assertTrue(field.startswith(f"{COOKIE}="))
        self.assertEqual(set(field.split("; ")[1:]), {"Path=/", "Secure", "HttpOnly", "SameSite=Strict"})

    def test_no_login_leads_elsewhere(self) -> None:
        for to in (
            "//[",
            "//evil",
            "https://evil/",
            "/\\evil",
            "/data/\\evil",
            "/other",
            "/data/\r\nX: y",
            "/data/ü",
            "javascript:x",
        ):
            with self.subTest(to=to):
                self.assertEqual(self.log_in(to=to).headers.get("location"), "/data/")

    def test_a_wrong_password(self) -> None:
        seen = self.log_in("wrong", to='/data/"><b>')
        self.assertEqual(seen.status, 403)
        self.assertIn("The user name or the password is wrong.", seen.text)
        self.assertNotIn("<b>", seen.text)
        self.assertNotIn("set-cookie", seen.headers)
        self.assertEqual(len(self.denials()), 1)

    def test_not_without_tls_and_not_from_other_sites(self) -> None:
        self.assertEqual(self.log_in(secure=False).status, 403)
        self.assertEqual(self.log_in(Origin="https://evil").status, 403)
        self.assertEqual(self.log_in(Origin="null").status, 403)
        self.assertEqual(self.log_in(Sec_Fetch_Site="cross-site").status, 403)
        self.assertEqual(self.denials(), ["POST /login: The request was sent by another site."] * 3)
        self.assertEqual(self.log_in(Origin="https://portal", Sec_Fetch_Site="same-origin").status, 303)

    def test_forms_that_are_none(self) -> None:
        for kind, body, status in (
            ("text/plain", b"login=alice", 415),
            (FORM, b"a" * 8193, 413),
            (FORM, b"=\xff", 400),
            (FORM, b"&".join(b"a=b" for _ in range(17)), 400),
        ):
            request = self.request("POST", "/login", {"Content-Type": kind}, body, login=None)
            self.assertEqual(self.send(self.door.gate.login, request).status, status)


class SessionTests(GateTestCase):
    def test_a_session_is_its_user(self) -> None:
        self.assertEqual(self.visit(self.cookie()).status, 200)
        self.assertEqual(self.visit("other=1; " + self.cookie()).status, 200)

    def test_other_cookies_are_not(self) -> None:
        cookie = self.cookie()
        for wrong in (cookie[:-1] + "!", cookie + "A", "x" + cookie, f"{COOKIE}=", cookie.replace("=", "=A", 1), ""):
            with self.subTest(cookie=wrong):
                self.assertEqual(self.visit(wrong).status, 401)
        self.assertEqual(self.visit(cookie, secure=False).status, 401)

    def test_it_ends_when_it_is_not_used_and_at_its_age(self) -> None:
        cookie = self.cookie()
        for _ in range(11):
            self.clock.advance(3600)
            self.assertEqual(self.visit(cookie).status, 200)
        self.clock.advance(3601)
        self.assertEqual(self.visit(cookie).status, 401)
        cookie = self.cookie()
        for _ in range(12):
            self.clock.advance(3600)
            self.visit(cookie)
        self.clock.advance(1)
        self.assertEqual(self.visit(cookie).status, 401)

    def test_it_ends_with_its_user(self) -> None:
        cookie = self.cookie()
        del self.portal.users["alice"]
        self.assertEqual(self.visit(cookie).status, 403)
        self.assertEqual(self.visit(cookie).status, 401)

    def test_no_change_without_the_token(self) -> None:
        cookie = self.cookie()
        for method in ("PUT", "DELETE", "MKCOL", "MOVE"):
            for wrong in ({}, {"X_Csrf_Token": "x"}, {"X_Csrf_Token": ""}):
                self.assertEqual(self.visit(cookie, method, "/data/demo/new", **wrong).status, 403)
        self.assertNotIn(("demo", "new"), self.tree.files)
        self.assertEqual(self.visit(cookie, "PUT", "/data/demo/new", X_Csrf_Token=self.token(cookie)).status, 201)

    def test_no_upload_begins_without_the_token(self) -> None:
        """A form may bring the token later; what is no form, but says so, may not."""
        cookie = self.cookie()
        kind = {"Content_Type": "multipart/form-data; boundary=x", "Tus_Resumable": "1.0.0", "Upload_Length": "3"}
        self.assertEqual(self.visit(cookie, "POST", "/data/demo/new", **kind).status, 403)
        self.assertEqual(self.visit(cookie, "POST", "/data/demo/new", X_Csrf_Token=self.token(cookie), **kind).status, 201)

    def test_a_page_whose_session_has_ended_is_told_so(self) -> None:
        """In words that the page shows; a challenge would have the browser ask, and keep the password."""
        seen = self.visit("", "PUT", "/data/demo/new", X_Csrf_Token="x")
        self.assertEqual((seen.status, seen.headers.get("www-authenticate")), (403, None))
        self.assertIn("session has ended", seen.text)

    def test_another_sessions_token(self) -> None:
        one, other = self.cookie(), self.cookie()
        self.assertEqual(self.visit(one, "PUT", "/data/demo/new", X_Csrf_Token=self.token(other)).status, 403)

    def test_logging_out(self) -> None:
        cookie = self.cookie()
        for token, status, after in (("wrong", 403, 200), (self.token(cookie), 303, 401)):
            body = urlencode({"token": token}).encode()
            fields = {"Content-Type": FORM, "Cookie": cookie}
            seen = self.send(self.door.gate.logout, self.request("POST", "/logout", fields, body, login=None))
            self.assertEqual((seen.status, self.visit(cookie).status), (status, after))


class AmbientTests(GateTestCase):
    """A password that a browser knows, and sends by itself with whatever page's form."""

    def form(self, secure: bool = True, target: str = "/data/demo/", **fields: str) -> int:
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="new"\r\n\r\n'
        fields = {"Content-Type": "multipart/form-data; boundary=x", "Host": "portal", **fields}
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        return self.ask("POST", target, fields, head + b"bytes\r\n--x--\r\n", secure=secure).status

    def test_forms_of_other_sites_store_nothing(self) -> None:
        for secure in (True, False):
            for fields in ({"Origin": "http://evil"}, {"Origin": "null"}, {"Sec_Fetch_Site": "same-site"}):
                self.assertEqual(self.form(secure, **fields), 403)
        self.assertEqual(self.form(Content_Type="text/plain", Origin="http://evil", target="/data/demo/new"), 403)
        self.assertEqual(self.form(Origin="http://portal"), 403, "the same name without TLS is anybody's")
        self.assertEqual(self.tree.files, {})

    def test_forms_of_our_own_and_of_programs_do(self) -> None:
        self.assertEqual(self.form(), 201)
        for secure, origin in ((True, "https://portal"), (False, "http://portal"), (False, "https://portal")):
            self.assertEqual(self.form(secure, Origin=origin), 201)

    def test_sites_that_may_read_send_what_their_browser_asked_about(self) -> None:
        """What needs no preflight comes from whatever page, with the browser's own password, and stores nothing."""
        password, identity = self.portal.users["alice"]
        to, octets = "/data/demo/new", "application/octet-stream"
        for options, sites in (
            ({ALLOW_ORIGIN: "*"}, {}),
            ({ALLOW_ORIGIN: "https://friend"}, {}),
            ({}, {"demo": "*"}),
        ):
            self.portal.users["alice"] = (password, evolve(identity, options=options, sites=sites))
            for kind in ("multipart/form-data; boundary=x", "text/plain", " Text/Plain;x", ""):
                target = "/data/demo/" if "multipart" in kind else to
                for origin in ("https://friend", "null"):
                    refused = self.form(target=target, Content_Type=kind, Origin=origin, Sec_Fetch_Site="cross-site")
                    self.assertEqual(refused, 403, (options, sites, kind, origin))
            self.assertEqual(self.tree.files, {})
            self.assertEqual(self.form(target=to, Content_Type=octets, Origin="https://friend"), 201)
            pieces = {"Content_Type": "", "Tus_Resumable": "1.0.0", "Upload_Length": "3", "Origin": "https://friend"}
            self.assertEqual(self.form(target="/data/demo/pieces", **pieces), 201)
            self.tree.files.clear()
        self.portal.users["alice"] = (password, evolve(identity, options={ALLOW_ORIGIN: "https://friend"}))
        self.assertEqual(self.form(target=to, Content_Type=octets, Origin="https://evil"), 403)

    def test_they_have_no_say_where_they_may_not_read(self) -> None:
        """The same gate lets into the repository and to the links, which might be called like destinations."""
        password, identity = self.portal.users["alice"]
        alice = evolve(identity, options={ALLOW_ORIGIN: "*"}, sites={"repository": "*", "shares": "*"})
        self.portal.users["alice"] = (password, alice)
        fields = {"Content-Type": "application/json", "Host": "portal", "Origin": "https://friend"}
        for target in ("/repository/data_sources/1/delete", "/shares/1"):
            request = self.request("POST", target, fields)
            self.failureResultOf(Deferred.fromCoroutine(self.door.gate.enter(request)), HttpError)

    def test_a_refusal_is_on_record(self) -> None:
        self.assertEqual(self.form(Origin="https://evil"), 403)
        self.assertEqual(self.denials(), ["POST /data/demo/: The request was sent by another site."])


class BearerTests(GateTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.portal.secrets[KEY] = ("bob", SECRET)
        self.portal.users["bob"] = (PASSWORD, make_identity("bob", ("demo",), ("dir",)))

    def bearer(self, token: str) -> Seen:
        return self.ask("GET", "/data/demo/", {"Authorization": f"Bearer {token}"}, login=None)

    def test_an_access_key_is_a_token(self) -> None:
        self.assertEqual(self.bearer(f"{KEY}.{SECRET}").status, 200)

    def test_others_are_not(self) -> None:
        for token in (f"{KEY}.{SECRET[:-1]}x", f"{'B' * 20}.{SECRET}", KEY, SECRET, f"{KEY}.", "", f"{KEY}.{'a' * 1000}"):
            with self.subTest(token=token):
                self.portal.sink.events.clear()
                self.assertEqual(self.bearer(token).status, 401)
                self.assertEqual(len(self.denials()), 1)


class FolderTests(DoorTestCase):
    def move(self, source: str, target: str, **fields: str) -> int:
        return self.ask("MOVE", f"/data{source}", {"Destination": target, "Host": "portal", **fields}).status

    def test_a_folder_is_made_once(self) -> None:
        self.assertEqual(self.ask("MKCOL", "/data/demo/new/").status, 201)
        self.assertIn(("demo", "new"), self.tree.directories)
        self.assertEqual(self.ask("MKCOL", "/data/demo/new").status, 405)
        self.assertEqual(self.ask("MKCOL", "/data/demo/other", body=b"<x/>").status, 415)
        self.assertEqual(self.ask("MKCOL", "/data/demo/no", login="bob").status, 403)

    def test_a_move(self) -> None:
        file = self.tree.put("/demo/a", b"1")
        self.assertEqual(self.move("/demo/a", "https://portal/data/demo/%C3%A4%20b"), 201)
        self.assertEqual(self.tree.files["demo", "ä b"].id, file.id)
        self.assertNotIn(("demo", "a"), self.tree.files)

    def test_a_move_onto_a_file(self) -> None:
        file, other = self.tree.put("/demo/a", b"1"), self.tree.put("/demo/b", b"2")
        self.assertEqual(self.move("/demo/a", "/data/demo/b", Overwrite="F"), 412)
        self.assertEqual(self.tree.files["demo", "b"].id, other.id)
        self.assertEqual(self.move("/demo/a", "/data/demo/b"), 204)
        self.assertEqual(self.tree.files["demo", "b"].id, file.id)

    def test_only_what_is_refused_is_on_record(self) -> None:
        self.tree.put("/demo/a", b"1")
        self.tree.put("/demo/b", b"2")
        self.assertEqual(self.move("/demo/a", "/data/demo/free"), 201)
        self.assertEqual(self.ask("PUT", "/data/demo/new", {"If-None-Match": '"x"'}, b"3").status, 201)
        self.assertEqual(self.ask("MKCOL", "/data/demo/folder").status, 201)
        self.assertEqual(self.denials(), [])
        for number, asked in enumerate(
            (
                lambda: self.move("/demo/free", "/data/demo/b", Overwrite="F"),
                lambda: self.move("/demo/free", "/data/demo/folder"),
                lambda: self.move("/demo/missing", "/data/demo/c"),
                lambda: self.ask("MKCOL", "/data/demo/folder").status,
                lambda: self.ask("PUT", "/data/demo/absent", {"If-Match": '"x"'}, b"3").status,
                lambda: self.ask("GET", "/data/demo/absent").status,
            ),
            1,
        ):
            self.assertIn(asked(), (404, 405, 412))
            self.assertEqual(len(self.denials()), number)

    def test_moves_to_nowhere(self) -> None:
        self.tree.put("/demo/a", b"1")
        for target, status in (
            ("", 400),
            ("/elsewhere/b", 400),
            ("/data/demo/b?x", 400),
            ("https://other/data/demo/b", 502),
            ("/data/demo/none/b", 404),
            ("/data/other/b", 409),
        ):
            with self.subTest(target=target):
                self.assertEqual(self.move("/demo/a", target), status)
        self.assertIn(("demo", "a"), self.tree.files)


class CertificateTests(GateTestCase):
    """Who has shown a certificate under TLS, which has proved that the client holds its key."""

    def setUp(self) -> None:
        super().setUp()
        self.key = ed25519.Ed25519PrivateKey.generate()
        self.portal.keys["alice"] = {wire_form(self.key)}

    def come(self, *names: str, key: Any = None, method: str = "GET", login: str | None = None, **fields: str) -> Seen:
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        body = b"bytes" if method == "PUT" else b""
        request = self.request(method, "/data/demo/" if method == "GET" else "/data/demo/f", named, body, login=login)
        return self.finish(self.start(evolve(request, certificate=certificate_of(key or self.key, *names))))

    def test_the_login_that_it_names(self) -> None:
        self.assertEqual(self.come("alice").status, 200)
        self.assertEqual(self.come("alice", method="PUT").status, 201)

    def test_the_login_that_basic_names_without_a_password(self) -> None:
        for names in ((), ("somebody",)):
            self.assertEqual(self.come(*names, Authorization=basic("alice", "")).status, 200)
        self.assertEqual(self.come("alice", Authorization=basic("bob", "")).status, 401)

    def test_a_password_comes_first(self) -> None:
        self.assertEqual(self.come("alice", login="bob").status, 200)
        self.assertEqual(self.come("alice", Authorization=basic("alice", "wrong")).status, 401)

    def test_another_s_key_and_another_s_name(self) -> None:
        for seen in (self.come("alice", key=ed25519.Ed25519PrivateKey.generate()), self.come("bob")):
            self.assertEqual((seen.status, "www-authenticate" in seen.headers), (401, True))
        self.assertEqual(len(self.denials()), 2)

    def test_a_browser_whose_certificate_is_not_enough_is_led_to_the_form(self) -> None:
        self.assertEqual(self.come("bob", **BROWSER).status, 303)

    def test_names_and_kinds_that_say_nothing(self) -> None:
        for seen in (self.come(), self.come("alice", "bob"), self.come("alice", key=ec.generate_private_key(ec.SECP256K1()))):
            self.assertEqual(seen.status, 401)

    def test_pages_of_other_sites_change_nothing_by_it(self) -> None:
        for fields in ({"Sec_Fetch_Site": "cross-site"}, {"Origin": "https://evil.example", "Host": "portal"}):
            self.assertEqual(self.come("alice", method="PUT", **fields).status, 403)
        self.assertEqual(self.denials(), ["PUT /data/demo/f: The request was sent by another site."] * 2)
        self.assertEqual(self.come("alice", method="PUT", Origin="https://portal", Host="portal").status, 201)
