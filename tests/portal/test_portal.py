"""Logging in, and the records of those who may not."""

from __future__ import annotations

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import LoginFailed, NotPermitted
from ecpds.interfaces import IPortal
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
