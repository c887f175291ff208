"""Who guesses passwords is slowed down, and nobody else is."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import LoginFailed, TooManyFailures, Unavailable
from ecpds.limits import Limits
from ecpds.master import defender
from ecpds.master.defender import Defender, network_of
from ecpds.model import Identity, Origin
from tests.contracts.master import Uploading
from tests.master.support import MasterCase
from tests.master.test_accounts import ORIGIN

HERE, THERE = "192.0.2.1", "192.0.2.2"


class Guarding(SynchronousTestCase):
    """Ten failures in 600 seconds."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.defender = Defender(self.clock, evolve(Limits(), login_failures=10, login_forgiven=600.0))
        self.asked = 0

    def enter(self, password: str = "wrong", address: str = HERE, login: str = "ann") -> str:
        """What comes of a login: `in`, or the name of the refusal."""

        async def account() -> Identity:
            self.asked += 1
            if password == "down":
                raise Unavailable
            if password != "right":
                raise LoginFailed
            return Identity(1, login, frozenset(), ())

        said: list[str] = []
        guarded = ensureDeferred(self.defender.guard(address, login, password, account))
        guarded.addCallbacks(lambda _: said.append("in"), lambda failure: said.append(failure.type.__name__))
        return said[0]

    def enters(self, count: int, **named: Any) -> list[str]:
        return [self.enter(**named) for _ in range(count)]

    def test_so_many_and_then_no_more_whatever_the_password(self) -> None:
        self.assertEqual(self.enters(12), ["LoginFailed"] * 10 + ["TooManyFailures"] * 2)
        self.assertEqual(self.enter("right"), "TooManyFailures")
        self.assertEqual(self.asked, 10, "nothing is asked for who is refused")

    def test_other_users_from_there_are_the_same_guesser(self) -> None:
        self.assertEqual([self.enter(login=f"user-{number}") for number in range(11)][-1], "TooManyFailures")

    def test_other_addresses_are_not(self) -> None:
        self.enters(11)
        self.assertEqual(self.enter("right", THERE), "in")

    def test_one_is_forgiven_after_its_share_of_the_time_and_all_after_the_whole(self) -> None:
        self.enters(10)
        self.clock.advance(59)
        self.assertEqual(self.enter(), "TooManyFailures")
        self.clock.advance(2)
        self.assertEqual(self.enters(2), ["LoginFailed", "TooManyFailures"])
        self.clock.advance(600)
        self.assertEqual(self.enters(11), ["LoginFailed"] * 10 + ["TooManyFailures"])

    def test_whom_a_place_knows_is_not_kept_out_by_others_there(self) -> None:
        self.assertEqual(self.enter("right"), "in")
        self.assertEqual(self.enters(11, login="bob")[-1], "TooManyFailures")
        self.assertEqual(self.enters(2, password="right"), ["in", "in"])
        self.assertEqual(self.enters(11)[-1], "TooManyFailures", "its own password may be guessed no oftener")

    def test_what_is_no_guess_does_not_count(self) -> None:
        self.assertEqual(self.enters(20, password=""), ["LoginFailed"] * 20)
        self.assertEqual(self.enters(20, password="down"), ["Unavailable"] * 20)
        self.assertEqual(self.enter("right"), "in")

    def test_zero_is_no_limit(self) -> None:
        self.defender = Defender(self.clock, evolve(Limits(), login_failures=0))
        self.assertEqual(self.enters(1000), ["LoginFailed"] * 1000)

    def test_one_failure_may_be_the_most(self) -> None:
        self.defender = Defender(self.clock, evolve(Limits(), login_failures=1))
        self.assertEqual(self.enters(2), ["LoginFailed", "TooManyFailures"])

    def test_the_memory_is_bounded(self) -> None:
        self.patch(defender, "REMEMBERED", 3)
        for number in range(10):
            self.enter(address=f"192.0.2.{number}")
            self.enter("right", address=f"192.0.2.{number}")
        self.assertEqual((len(self.defender._debts), len(self.defender._known)), (3, 3))

    def test_addresses_of_one_network_are_one(self) -> None:
        self.assertEqual(network_of("2001:db8::1"), network_of("2001:db8:0:0:ffff::9"))
        self.assertNotEqual(network_of("2001:db8::1"), network_of("2001:db8:0:1::1"))
        for address in ("192.0.2.1", "", "unix", "no:address"):
            self.assertEqual(network_of(address), address)


class AtTheMaster(Uploading, MasterCase):
    """Every door of every node asks the Master."""

    def setUp(self) -> None:
        super().setUp()
        self.limits = evolve(self.limits, login_failures=3)
        self.restart()
        self.populate()

    def test_doors_and_nodes_share_the_count(self) -> None:
        for door, node in (("ftp", "node-1"), ("https", "node-2"), ("ssh", "node-3")):
            self.refused(LoginFailed, self.master.login("joe", "guess", Origin(door, ORIGIN.address, node)))
        refusal = self.refused(TooManyFailures, self.master.login("joe", "secret", ORIGIN))
        self.assertEqual(refusal.reason, "Too many failed logins")

    def test_the_password_of_a_link_is_one_too(self) -> None:
        for _ in range(3):
            self.refused(LoginFailed, self.master.login_with_share("token", "guess", ORIGIN))
        self.refused(TooManyFailures, self.master.login_with_share("token", "guess", ORIGIN))
        self.refused(LoginFailed, self.master.login_with_share("token", "", ORIGIN))
