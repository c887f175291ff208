"""Logging in, and the records of those who may not."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import LoginFailed, NotPermitted
from ecpds.people import UserChange
from ecpds.portal_interfaces import IPortal
from tests.contracts import portal
from tests.doubles import RecordingSink, make_portal
from tests.portal.house import ORIGIN, House


class Maker(portal.PortalContract):
    def make(self) -> IPortal:
        self.sink = RecordingSink()
        house = House(self, self.sink)
        house.add_destination("demo")
        house.add_user("alice", ("demo",), password="secret")
        return house.portal


class RealLogin(Maker, portal.Login):
    pass


class TwinMaker(portal.PortalContract):
    def make(self) -> IPortal:
        twin = make_portal()
        self.sink = twin.sink
        return twin


class TwinLogin(TwinMaker, portal.Login):
    pass


class PortalTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sink = RecordingSink()
        self.house = House(self, self.sink)
        self.house.add_destination("demo")
        self.house.add_user("alice", ("demo",), password="secret")
        self.house.add_user("keys-only", ("demo",))
        self.house.add_user("nowhere", (), password="secret")
        self.house.add_user("nothing", ("demo",), password="secret", permissions=())

    def test_refusals_are_recorded_in_the_ancestors_words(self) -> None:
        for login, password, refusal, message in (
            ("alice", "wrong", LoginFailed, "Password authentication failed"),
            ("nobody", "secret", LoginFailed, "Not found"),
            ("keys-only", "secret", LoginFailed, "Password not set"),
            ("nowhere", "secret", NotPermitted, "No associated Destinations"),
            ("nothing", "secret", NotPermitted, "No associated Permissions"),
        ):
            before = len(self.sink.events)
            self.failureResultOf(ensureDeferred(self.house.portal.login(login, password, ORIGIN)), refusal)
            (event,) = self.sink.events[before:]
            fields = event.fields
            self.assertEqual((event.type, fields["UserId"], fields["Message"]), ("DEA", login, message))
            self.assertEqual(fields["Context"], f"Using ftp on DataMover=node-1 from {login}@192.0.2.1")

    def test_users_can_not_tell_an_unknown_name_from_a_wrong_password(self) -> None:
        answers = {
            str(self.failureResultOf(ensureDeferred(self.house.portal.login(login, "wrong", ORIGIN))).value)
            for login in ("alice", "nobody", "keys-only")
        }
        self.assertEqual(answers, {LoginFailed().sentence})

    def test_what_a_client_claims_can_not_spoil_a_record(self) -> None:
        self.house.portal.refused("\ud800" + "x" * 10_000, "line too long " + "y" * 10_000, ORIGIN)
        (record,) = self.sink.of("DEA")
        self.assertLess(len(str(record)), 5000)
        str(record).encode("utf-8")


class CredentialTests(SynchronousTestCase):
    """What a session came in with, and what becomes of the session when that is no longer the user's."""

    def setUp(self) -> None:
        self.sink = RecordingSink()
        self.house = House(self, self.sink)
        self.house.add_destination("demo")
        self.house.add_user("alice", ("demo",), password="secret")
        self.files = self.house.now(self.house.portal.login("alice", "secret", ORIGIN))

    def goes_on(self) -> None:
        self.files = self.house.now(self.house.portal.resume(self.files.identity, ORIGIN))

    def is_over(self) -> None:
        """The browser's session at once, and a connection when it is looked at next; each with one record."""
        before = len(self.sink.events)
        self.failureResultOf(ensureDeferred(self.house.portal.resume(self.files.identity, ORIGIN)), NotPermitted)
        self.house.clock.advance(self.house.limits.credential_life)
        self.failureResultOf(ensureDeferred(self.files.list("/demo")), NotPermitted)
        self.assertEqual(len(self.sink.events), before + 2)

    def test_a_password_that_stays(self) -> None:
        self.house.now(self.house.operations.change_user("alice", UserChange(comment="new")))
        for _ in range(3):
            self.goes_on()
            self.house.clock.advance(self.house.limits.credential_life)
            self.house.now(self.files.list("/demo"))

    def test_a_new_password_ends_the_sessions(self) -> None:
        self.goes_on()
        self.house.now(self.house.operations.set_password("alice", "another"))
        self.is_over()
        self.failureResultOf(ensureDeferred(self.house.portal.login("alice", "secret", ORIGIN)), LoginFailed)
        self.files = self.house.now(self.house.portal.login("alice", "another", ORIGIN))
        self.goes_on()

    def test_the_same_password_set_anew_ends_them_too(self) -> None:
        self.house.now(self.house.operations.set_password("alice", "secret"))
        self.is_over()

    def test_a_password_that_is_taken_away(self) -> None:
        self.house.now(self.house.operations.change_user("alice", UserChange(unset=("password",))))
        self.is_over()

    def test_a_key_that_is_taken_away(self) -> None:
        key = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
        line = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        self.house.now(self.house.operations.add_key("alice", line.decode()))
        blob = base64.b64decode(line.split()[1])
        self.files = self.house.now(self.house.portal.login_with_key("alice", blob, ORIGIN))
        self.house.now(self.house.operations.set_password("alice", "another"))
        self.goes_on()
        self.house.now(self.house.operations.remove_key("alice", line.decode()))
        self.is_over()
