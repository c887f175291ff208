"""Who the SSH door lets in, and what it leaves a record of."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.protocols.ssh_door import PortalGate, Visitor
from ecpds.ssh.certificates import offered_key
from ecpds.ssh.trust import Offered, Trust
from tests.doubles import make_portal
from tests.ssh.support import AT_ONCE, key_blob, key_line
from tests.ssh.test_certificates import AUTHORITY, DRAFT, HERE, KEY, STRANGER

BARE = offered_key(key_blob(KEY))


class Gates(SynchronousTestCase):
    def setUp(self) -> None:
        self.portal = make_portal("ann")
        self.authorities = Path(self.mktemp())
        self.authorities.write_text(key_line(AUTHORITY))
        self.authorities.chmod(0o600)

    def gate(self, authorities: Path | None) -> PortalGate:
        return PortalGate(self.portal, "node-1", Trust(authorities, None, AT_ONCE, lambda: 1500.0))

    def knows(self, offered: Offered, user: str = "ann") -> bool:
        return self.successResultOf(ensureDeferred(self.gate(self.authorities).knows(user, offered, HERE)))

    def enter(self, offered: Offered, user: str = "ann", authorities: Path | None = None) -> Visitor | None:
        gate = self.gate(authorities or self.authorities)
        return self.successResultOf(ensureDeferred(gate.with_key(user, offered, HERE)))

    def messages(self) -> list[str]:
        return [record["Message"] for record in self.portal.sink.of("DEA")]

    def test_a_certificate(self) -> None:
        certificate = offered_key(DRAFT.blob())
        self.assertTrue(self.knows(certificate))
        visitor = self.enter(certificate)
        assert visitor is not None
        self.assertEqual((visitor.who, self.messages()), (f"ann at {HERE}", []))

    def test_a_certificate_that_will_not_do(self) -> None:
        certificate = offered_key(DRAFT.but(kind=2).blob())
        self.assertFalse(self.knows(certificate))
        self.assertIsNone(self.enter(certificate))
        self.assertEqual([message.endswith("it is not of a user") for message in self.messages()], [True, True])

    def test_a_certificate_of_somebody_that_there_is_not(self) -> None:
        certificate = offered_key(DRAFT.blob())
        self.assertTrue(self.knows(certificate, "bob"))
        self.assertIsNone(self.enter(certificate, "bob"))
        self.assertEqual(self.messages(), ["Not found"])

    def test_a_certificate_of_a_stranger_s(self) -> None:
        self.assertIsNone(self.enter(offered_key(DRAFT.but(authority=STRANGER).blob())))
        self.assertTrue(self.messages()[0].endswith("its authority is not trusted"))

    def test_the_key_of_a_certificate_is_not_listed_by_that(self) -> None:
        self.assertTrue(self.knows(BARE))
        self.assertIsNone(self.enter(BARE))
        self.portal.keys["ann"] = {BARE.blob}
        self.assertIsNotNone(self.enter(BARE))
