"""What every `IPortal` keeps to."""

from __future__ import annotations

from unittest import SkipTest

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ecpds.errors import LoginFailed
from ecpds.model import Origin
from ecpds.portal_interfaces import IFileSystem, IPortal
from tests.doubles import RecordingSink

ORIGIN = Origin("ftp", "192.0.2.1", "node-1")


class PortalContract(SynchronousTestCase):
    """A subclass makes a portal with one user, `alice`, whose password is `secret` and who sees `demo`."""

    sink: RecordingSink

    def make(self) -> IPortal:
        """Its records go to `self.sink`."""
        raise SkipTest("only its subclasses make something")

    def setUp(self) -> None:
        self.portal = self.make()

    def refusal(self, login: str, password: str) -> str:
        found = self.failureResultOf(ensureDeferred(self.portal.login(login, password, ORIGIN)), LoginFailed)
        return str(found.value)


class Login(PortalContract):
    def test_interface(self) -> None:
        self.assertTrue(IPortal.providedBy(self.portal))
        self.assertTrue(verifyObject(IPortal, self.portal))

    def test_who_has_the_password_gets_a_file_system(self) -> None:
        files = self.successResultOf(ensureDeferred(self.portal.login("alice", "secret", ORIGIN)))
        self.assertTrue(verifyObject(IFileSystem, files))
        self.assertEqual((files.identity.login, files.origin), ("alice", ORIGIN))
        self.assertEqual([entry.path for entry in self.successResultOf(ensureDeferred(files.list("/"))).entries], ["/demo"])
        self.assertEqual(self.sink.events, [])

    def test_an_unknown_name_and_a_wrong_password_are_answered_alike_and_recorded_apart(self) -> None:
        self.assertEqual(self.refusal("alice", "wrong"), self.refusal("nobody", "secret"))
        self.assertEqual([record["Message"] for record in self.sink.of("DEA")], ["Password authentication failed", "Not found"])
        self.assertEqual([record["UserId"] for record in self.sink.of("DEA")], ["alice", "nobody"])

    def test_what_a_door_refuses_is_one_record(self) -> None:
        self.portal.refused("alice", "line too long", ORIGIN)
        (record,) = self.sink.of("DEA")
        self.assertEqual((record["UserId"], record["Message"]), ("alice", "line too long"))
        self.assertEqual(record["Context"], "Using ftp on DataMover=node-1 from alice@192.0.2.1")
        self.assertEqual((record["HostAddress"], record["TransferProtocol"]), ("192.0.2.1", "ftp"))
