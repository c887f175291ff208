"""Who the SSH door lets in, and what it leaves a record of."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.admission import Admission
from ecpds.errors import ConnectionLost
from ecpds.limits import Limits
from ecpds.model import Origin
from ecpds.protocols.sessions import UserSessions
from ecpds.protocols.sftp import SftpMeans
from ecpds.protocols.ssh_door import PortalGate, SshDoor, Visitor
from ecpds.ssh.certificates import offered_key
from ecpds.ssh.streams import Asked
from ecpds.ssh.trust import Offered, Trust
from ecpds.timeouts import Timeouts
from ecpds.transports.buffers import BufferPool
from tests.doubles import make_portal
from tests.doubles.streams import MemoryStream
from tests.protocols.test_sftp import never
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


class Channels(SynchronousTestCase):
    """Each channel that is used is a session of its user's."""

    def setUp(self) -> None:
        self.portal = make_portal("ann")
        _, identity = self.portal.users["ann"]
        files = self.successResultOf(ensureDeferred(self.portal.login("ann", "secret", Origin("sftp", HERE, "node-1"))))
        self.visitor = Visitor(files)
        files.identity = evolve(identity, options={"portal.maxConnections": "2"})
        clock, limits = Clock(), Limits()
        means = SftpMeans(limits, Random(1), clock.seconds, never, BufferPool(1 << 20), AT_ONCE)
        trust = Trust(None, None, AT_ONCE, clock.seconds)
        self.users = UserSessions(clock.seconds)
        self.door = SshDoor([], self.portal, "node-1", trust, means, Timeouts(clock), clock, Admission(0, 0), self.users)

    def begin(self, kind: str = "subsystem", text: str = "sftp") -> tuple[MemoryStream, Deferred[int]] | None:
        """The stream and the end of what was asked for; None where it was refused."""
        stream: Any = MemoryStream()
        work = self.door._serve(self.visitor, Asked(kind, text), stream)
        return None if work is None else (stream, Deferred.fromCoroutine(work))

    def test_one_more_is_refused_and_on_record_until_one_has_ended(self) -> None:
        first, second = self.begin(), self.begin()
        assert first is not None and second is not None
        self.assertIsNone(self.begin())
        self.assertIsNone(self.begin("exec", "df /"))
        self.assertEqual(
            [record["Message"] for record in self.portal.sink.of("DEA")], ["ann may have 2 sessions at this time"] * 2
        )
        stream, done = first
        stream.ended = True
        stream.arrive()
        self.successResultOf(done)
        self.assertIsNotNone(self.begin("exec", "df /"))
        self.assertEqual(self.users.total, 1, "a command's session ends with it")
        second[0].lost = True
        second[0].arrive()
        self.failureResultOf(second[1], ConnectionLost)
        self.assertEqual(self.users.total, 0)

    def test_what_is_not_there_is_no_session(self) -> None:
        self.assertIsNone(self.begin("subsystem", "netconf"))
        self.assertEqual((self.users.total, self.portal.sink.of("DEA")), (0, []))
