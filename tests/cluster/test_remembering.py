"""What a node remembers of S3's logins: for how long, and what it does not."""

from __future__ import annotations

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ecpds.cluster.calls import handlers
from ecpds.cluster.remembering import RememberingMaster
from ecpds.cluster.remote import RemoteMaster
from ecpds.errors import LoginFailed
from ecpds.master_interfaces import IMaster
from ecpds.model import Identity, Origin
from tests.cluster.pb import PbLink
from tests.portal.house import House

ORIGIN = Origin("s3", "192.0.2.1", "node-2")


class Remembering(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(self)
        self.house.add_destination("d")
        self.house.add_user("ann", ("d",))
        self.key, _ = self.house.now(self.house.operations.add_access_key("ann", None, None, None))
        self.link = PbLink(handlers(RemoteMaster, self.house.master))
        self.clock = Clock()
        self.master = RememberingMaster(self.link, self.clock.seconds, 5.0)

    def login(self, key: str = "", region: str = "r") -> tuple[Identity, bytes]:
        work = ensureDeferred(self.master.login_with_signature(key or self.key.id, "20261122", region, "s3", ORIGIN))
        found: tuple[Identity, bytes] = self.successResultOf(work)
        return found

    def crossed(self) -> bool:
        """Whether the last login was asked for over the link."""
        before = self.link.bytes_crossed
        self.login()
        return self.link.bytes_crossed > before

    def test_it_is_a_master(self) -> None:
        verifyObject(IMaster, self.master)

    def test_who_comes_again_is_known_for_a_while(self) -> None:
        first = self.login()
        self.assertEqual(first[0].login, "ann")
        self.clock.advance(4.9)
        self.assertFalse(self.crossed())
        self.assertIs(self.login()[0], first[0])
        self.assertNotEqual(self.login(region="other")[1], first[1], "the key of another scope")
        self.clock.advance(0.2)
        self.assertTrue(self.crossed())

    def test_a_key_that_was_taken_away_is_so_after_a_while(self) -> None:
        self.login()
        self.house.now(self.house.operations.remove_access_key("ann", self.key.id))
        self.login()
        self.clock.advance(5.0)
        for _ in range(2):
            work = ensureDeferred(self.master.login_with_signature(self.key.id, "20261122", "r", "s3", ORIGIN))
            self.failureResultOf(work, LoginFailed)
