"""Who answers when, in an SFTP session."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.protocols.sftp_answers import OneAtATime


class Turns(SynchronousTestCase):
    def setUp(self) -> None:
        self.lock = OneAtATime()
        self.happened: list[str] = []

    async def say(self, name: str, until: Deferred[None] | None = None) -> None:
        async with self.lock:
            self.happened.append(f"{name} begins")
            if until is not None:
                await until
            self.happened.append(f"{name} ends")

    def begin(self, name: str, until: Deferred[None] | None = None) -> Deferred[None]:
        return Deferred.fromCoroutine(self.say(name, until))

    def test_in_the_order_of_who_asks(self) -> None:
        first: Deferred[None] = Deferred()
        second: Deferred[None] = Deferred()
        told = [self.begin("a", first), self.begin("b", second), self.begin("c")]
        self.assertEqual(self.happened, ["a begins"])
        first.callback(None)
        told.append(self.begin("d"))
        self.assertEqual(self.happened[1:], ["a ends", "b begins"])
        second.callback(None)
        self.assertEqual(self.happened[3:], ["b ends", "c begins", "c ends", "d begins", "d ends"])
        for each in told:
            self.successResultOf(each)
        self.successResultOf(self.begin("e"))

    def test_a_failure_gives_the_turn_away(self) -> None:
        lost: Deferred[None] = Deferred()
        first, second = self.begin("a", lost), self.begin("b")
        lost.errback(ValueError())
        self.failureResultOf(first, ValueError)
        self.successResultOf(second)
        self.assertEqual(self.happened, ["a begins", "b begins", "b ends"])

    def test_very_many(self) -> None:
        """More than calls may be in each other; and who asks again on the way does not come before those."""
        first: Deferred[None] = Deferred()
        told = [self.begin("first", first), *(self.begin(str(number)) for number in range(1000))]
        told[1].addCallback(lambda _: told.append(self.begin("again")))
        first.callback(None)
        for each in told:
            self.successResultOf(each)
        self.assertEqual(self.happened[-2:], ["again begins", "again ends"])
        self.assertTrue(self.lock.free)
