"""One-time codes: those that RFC 6238 gives, and whom they let in, once."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import AlreadyExists, CodeNeeded, InvalidRequest, LoginFailed, NotFound, NotPermitted, TooManyFailures
from ecpds.limits import Limits
from ecpds.master import codes, credentials
from ecpds.master.codes import DIGITS, STEP, code_of, split, step_of
from ecpds.model import Origin
from ecpds.people import Policy, UserChange
from tests.contracts.master import Uploading
from tests.master.support import MasterCase
from tests.master.test_accounts import ORIGIN

SECRET = b"12345678901234567890"

VECTORS = ((59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037"))
"""RFC 6238, appendix B, the last six digits."""

WEB = Origin("https", "192.0.2.1", "node")
ELSEWHERE = Origin("https", "192.0.2.2", "node")


class CodeTests(SynchronousTestCase):
    def test_the_vectors_of_the_rfc(self) -> None:
        for now, code in VECTORS:
            self.assertEqual((code_of(SECRET, now // STEP), step_of(SECRET, code, now)), (code, now // STEP))

    def test_a_step_early_or_late(self) -> None:
        code = code_of(SECRET, 1000)
        found = [step_of(SECRET, code, 1000.0 * STEP + seconds) for seconds in (-31, -30, 0, 29.9, 59.9, 60)]
        self.assertEqual(found, [None, 1000, 1000, 1000, 1000, None])

    @given(st.text(max_size=20), st.text(alphabet="0123456789", min_size=DIGITS, max_size=DIGITS))
    def test_what_stands_behind_a_password(self, password: str, code: str) -> None:
        self.assertEqual(split(password + code), (password, code))

    @given(st.text(max_size=20))
    def test_no_text_breaks_it(self, text: str) -> None:
        password, code = split(text)
        self.assertEqual(password + code, text)
        self.assertTrue(code == "" or (len(code) == DIGITS and code.isascii() and code.isdigit()))

    def test_other_digits_are_none(self) -> None:
        for text in ("secret12345", "secret12345\u0664", "secret12345\u00b2", ""):
            self.assertEqual(split(text), (text, ""))


class Enrolled(Uploading, MasterCase):
    """Joe has a secret, and a password that ends with digits."""

    PASSWORD = "secret123456"

    def setUp(self) -> None:
        super().setUp()
        self.populate()
        self.now(self.operations.set_password("joe", self.PASSWORD))
        self.secret = self.enrol("joe")

    def enrol(self, login: str) -> bytes:
        uri = urlsplit(self.now(self.operations.enrol_totp(login)))
        asked = parse_qs(uri.query)
        self.assertEqual((uri.scheme, uri.netloc, uri.path), ("otpauth", "totp", f"/ecpds:{login}"))
        self.assertEqual((asked["issuer"], asked["digits"], asked["period"]), (["ecpds"], ["6"], ["30"]))
        return base64.b32decode(asked["secret"][0])

    def code(self, steps: int = 0) -> str:
        return code_of(self.secret, int(self.clock.seconds()) // STEP + steps)

    def wrong(self) -> str:
        right = {self.code(steps) for steps in (-1, 0, 1)}
        return next(code for code in map("{:06}".format, range(9)) if code not in right)

    def login(self, text: str, origin: Origin = ORIGIN) -> Any:
        return self.now(self.master.login("joe", text, origin))

    def refuse(self, kind: type[Exception], text: str, origin: Origin = ORIGIN) -> str:
        refusal = self.failureResultOf(ensureDeferred(self.master.login("joe", text, origin)), kind).value
        self.assertIs(type(refusal), kind)
        reason: str = refusal.reason or refusal.detail
        return reason

    def option(self, value: str) -> None:
        self.now(self.operations.change_user("joe", UserChange(options={"portal.totp": value})))

    def test_password_and_code(self) -> None:
        self.assertEqual(self.login(self.PASSWORD + self.code()).login, "joe")

    def test_a_code_is_taken_once(self) -> None:
        text = self.PASSWORD + self.code()
        self.login(text)
        for origin in (ORIGIN, WEB):
            self.assertEqual(self.refuse(LoginFailed, text, origin), "TOTP authentication failed")
        self.refuse(LoginFailed, self.PASSWORD + self.code(-1))
        self.login(self.PASSWORD + self.code(1))

    def test_nor_after_a_restart(self) -> None:
        text = self.PASSWORD + self.code()
        self.login(text)
        self.restart()
        self.refuse(LoginFailed, text)
        self.clock.advance(STEP)
        self.login(self.PASSWORD + self.code())

    def test_what_is_refused(self) -> None:
        self.assertEqual(self.refuse(CodeNeeded, self.PASSWORD), "TOTP passcode missing")
        self.assertEqual(self.refuse(LoginFailed, self.PASSWORD + self.wrong()), "TOTP authentication failed")
        for text in ("", "wrong", "wrong" + self.code(), self.code()):
            self.assertEqual(self.refuse(LoginFailed, text), "Password authentication failed")

    def test_over_http_it_is_taken_again_for_a_while(self) -> None:
        text = self.PASSWORD + self.code()
        for _ in range(3):
            self.login(text, WEB)
            self.clock.advance(100)
        self.refuse(LoginFailed, text, ELSEWHERE)
        self.refuse(LoginFailed, text)
        self.clock.advance(301)
        self.refuse(LoginFailed, text, WEB)

    def test_requests_that_come_together(self) -> None:
        text = self.PASSWORD + self.code()
        both = [ensureDeferred(self.master.login("joe", text, WEB)) for _ in range(2)]
        self.assertEqual([self.successResultOf(each).login for each in both], ["joe", "joe"])

    def test_what_http_brought_is_bounded(self) -> None:
        self.patch(credentials, "REMEMBERED", 1)
        first, second = self.PASSWORD + self.code(), self.PASSWORD + self.code(1)
        self.login(first, WEB)
        self.login(second, WEB)
        self.refuse(LoginFailed, first, WEB)
        self.login(second, WEB)

    def test_guesses_are_counted_by_user(self) -> None:
        """From as many addresses as they may come; a right one has to wait then, too."""
        for number in range(Limits().code_failures):
            self.refuse(LoginFailed, self.PASSWORD + self.wrong(), evolve(ORIGIN, address=f"192.0.2.{number}"))
        self.assertIn("TOTP", self.refuse(TooManyFailures, self.PASSWORD + self.code()))
        self.clock.advance(Limits().login_forgiven / Limits().code_failures)
        self.login(self.PASSWORD + self.code())

    def test_a_missing_code_is_no_guess(self) -> None:
        for _ in range(2 * Limits().login_failures):
            self.refuse(CodeNeeded, self.PASSWORD)
        self.login(self.PASSWORD + self.code())

    def test_removed(self) -> None:
        self.assertTrue(self.now(self.operations.user("joe")).totp)
        self.assertFalse(self.now(self.operations.remove_totp("joe")).totp)
        self.login(self.PASSWORD)
        self.refused(NotFound, self.operations.remove_totp("joe"))

    def test_enrolled_anew(self) -> None:
        self.refused(AlreadyExists, self.operations.enrol_totp("joe"))
        self.now(self.operations.remove_totp("joe"))
        old = self.code()
        self.secret = self.enrol("joe")
        self.refuse(LoginFailed, self.PASSWORD + old)
        self.login(self.PASSWORD + self.code())

    def test_a_code_of_an_old_secret_is_not_taken_again(self) -> None:
        text = self.PASSWORD + self.code()
        self.login(text, WEB)
        self.now(self.operations.remove_totp("joe"))
        self.secret = self.enrol("joe")
        self.refuse(LoginFailed, text, WEB)

    def test_who_can_t_be_enrolled(self) -> None:
        self.refused(NotFound, self.operations.enrol_totp("nobody"))
        self.now(self.operations.remove_totp("joe"))
        for mode in ("open", "self-service"):
            self.now(self.operations.change_user("joe", UserChange(mode=mode)))
            self.refused(InvalidRequest, self.operations.enrol_totp("joe"))

    def test_required_of_who_is_not_enrolled(self) -> None:
        self.option("required")
        self.login(self.PASSWORD + self.code())
        self.now(self.operations.remove_totp("joe"))
        self.assertEqual(self.refuse(NotPermitted, self.PASSWORD), "One-time codes are required, and none are enrolled")
        self.refuse(LoginFailed, "wrong")

    def test_required_by_a_policy(self) -> None:
        self.now(self.operations.remove_totp("joe"))
        self.now(self.operations.add_policy(Policy(0, "strict", options={"portal.totp": "required"})))
        self.now(self.operations.change_user("joe", UserChange(policies=("strict",))))
        self.refuse(NotPermitted, self.PASSWORD)

    def test_access_keys_and_certificates(self) -> None:
        key, _ = self.now(self.operations.add_access_key("joe", None, None, None))

        def by_key() -> Any:
            return self.master.login_with_signature(key.id, "20261122", "eu", "s3", ORIGIN)

        for value in (None, "required"):
            if value:
                self.option(value)
            self.assertEqual(self.now(by_key())[0].login, "joe")
            self.assertEqual(self.now(self.master.login_with_certificate("joe", ORIGIN)).login, "joe")
        self.option("only")
        for work in (
            by_key(),
            self.master.login_with_certificate("joe", ORIGIN),
            self.master.login_with_key("joe", b"k", ORIGIN),
        ):
            self.assertIn("TOTP", self.refused(LoginFailed, work).reason)
        self.login(self.PASSWORD + self.code())

    def test_the_secret_is_sealed_for_its_user(self) -> None:
        rows = self.now(self.master.reader.ask(lambda session: codes.users.named(session, "joe").totp))
        self.assertNotIn(self.secret, base64.b64decode(rows))
        self.assertEqual(self.master.vault.open(rows, codes.purpose(self.user)), self.secret)
        self.assertNotIn("totp", repr(self.now(self.operations.user("joe")).options))
