"""Tickets to read are kept for who asks again; those to write are not."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.cluster import tickets
from ecpds.cluster.tickets import READ, TicketCheck, TicketOffice

LIFE = 60.0


class Kept(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.office = TicketOffice(Ed25519PrivateKey.generate(), self.clock.seconds, LIFE)
        self.check = TicketCheck(self.office.public_key, "mover", self.clock.seconds)

    def read(self, segment: int = 1, mover: str = "mover", volume: int = 0, holder: str = "node", length: int = 9) -> bytes:
        return self.office.to_read(segment, mover, volume, holder, length)

    def test_who_asks_again_soon_is_given_the_same(self) -> None:
        first = self.read()
        self.clock.advance(LIFE / 2 - 1)
        self.assertEqual(self.read(), first)
        self.clock.advance(LIFE / 2)
        self.assertEqual(self.check.check(first, READ, "node").segment, 1)

    def test_half_of_its_life_is_always_left(self) -> None:
        first = self.read()
        self.clock.advance(LIFE / 2)
        second = self.read()
        self.assertNotEqual(second, first)
        self.clock.advance(LIFE)
        self.check.check(second, READ, "node")

    def test_another_question_is_another_ticket(self) -> None:
        found = {self.read(), self.read(segment=2), self.read(mover="b"), self.read(volume=1), self.read(holder="x")}
        self.assertEqual(len(found | {self.read(length=8)}), 6)

    def test_what_is_kept_is_bounded(self) -> None:
        self.patch(tickets, "KEPT", 10)
        for segment in range(100):
            self.read(segment)
            self.assertLessEqual(len(self.office._kept), 10)

    def test_of_too_many_only_the_oldest_are_forgotten(self) -> None:
        self.patch(tickets, "KEPT", 10)
        found = [self.read(segment) for segment in range(13)]
        self.assertEqual([self.read(segment) for segment in range(3, 13)], found[3:])

    def test_one_that_is_made_anew_is_no_longer_the_oldest(self) -> None:
        self.patch(tickets, "KEPT", 10)
        self.read(0)
        self.clock.advance(LIFE / 4)
        self.read(1)
        self.clock.advance(LIFE / 4)
        anew = self.read(0)
        for segment in range(2, 11):
            self.read(segment)
        self.assertEqual(self.read(0), anew)

    def test_what_is_not_given_again_takes_no_memory(self) -> None:
        for segment in range(100):
            self.read(segment)
        self.clock.advance(LIFE / 2)
        self.read(100)
        self.assertEqual(len(self.office._kept), 1)

    def test_they_are_forgotten_some_at_a_time(self) -> None:
        """The reactor waits meanwhile. One that is made anew before its turn holds none up."""
        self.patch(tickets, "FORGOTTEN", 3)
        for segment in range(10):
            self.read(segment)
        self.clock.advance(LIFE / 2)
        left = list[int]()
        for segment in (5, 11, 12, 13):
            self.read(segment)
            left.append(len(self.office._kept))
        self.assertEqual(left, [7, 5, 3, 4])

    def test_one_to_write_is_good_once(self) -> None:
        asked = (1, "mover", 0, "node", ("sha256",), None)
        self.assertNotEqual(self.office.to_write(*asked), self.office.to_write(*asked))
