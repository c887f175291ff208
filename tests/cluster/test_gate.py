"""A link that says nothing behind its TLS is not waited for, and strangers are not let in without end."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from ecpds.admission import Admission
from ecpds.cluster import post
from ecpds.cluster.authority import MEMBER, Peer
from ecpds.cluster.post import GREETING, Gate


class Handle:
    """A connection of OpenSSL's whose other end has shown no certificate."""

    def get_peer_certificate(self) -> None:
        return None


class Secured(StringTransport):
    cut = False

    def abortConnection(self) -> None:
        self.cut = True

    def getHandle(self) -> Any:
        return Handle()


class Crowds(SynchronousTestCase):
    def setUp(self) -> None:
        self.strangers = Admission(10, 2)

    def come(self) -> tuple[Gate, Secured]:
        gate, transport = Gate(Clock(), lambda peer: Protocol(), self.strangers), Secured()
        gate.makeConnection(transport)
        return gate, transport

    def test_strangers_are_as_many_as_may_be_until_they_go(self) -> None:
        """With TLS agreed on, too: who has shown no certificate may only ask to join."""
        (first, _), (_, second), (turned_away, third) = self.come(), self.come(), self.come()
        self.assertEqual((second.cut, third.cut), (False, True))
        turned_away.connectionLost()
        first.handshakeCompleted()
        self.assertTrue(self.come()[1].cut)
        first.connectionLost()
        first.connectionLost()
        self.assertEqual(self.strangers.total, 1)
        self.assertFalse(self.come()[1].cut)

    def test_members_are_none(self) -> None:
        peer = Peer("mover-1", MEMBER)
        self.patch(post, "connected_peer", lambda handle: peer)
        for _ in range(9):
            gate, transport = self.come()
            gate.handshakeCompleted()
            self.assertEqual((transport.cut, self.strangers.total), (False, 0))


class Silent(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.inner = Protocol()
        self.gate = Gate(self.clock, lambda peer: self.inner)
        self.transport = Secured()
        self.gate.makeConnection(self.transport)

    def test_before_tls_is_agreed_on(self) -> None:
        self.clock.advance(GREETING)
        self.assertTrue(self.transport.cut)

    def test_behind_tls(self) -> None:
        """Its host may have gone in just that moment: no heartbeat is sent yet that would find it out."""
        self.clock.advance(GREETING - 1)
        self.gate.handshakeCompleted()
        self.clock.advance(GREETING - 1)
        self.assertFalse(self.transport.cut)
        self.clock.advance(1)
        self.assertTrue(self.transport.cut)

    def test_who_says_something_is_the_next_one_s_to_watch(self) -> None:
        self.gate.handshakeCompleted()
        self.gate.dataReceived(b"x")
        self.gate.dataReceived(b"x")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_goes_leaves_no_timer(self) -> None:
        self.gate.handshakeCompleted()
        self.gate.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])
