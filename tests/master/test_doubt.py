"""What is in memory after a change of which nobody knows whether it was made, and after two changes at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from ecpds.errors import NotFound, NotPermitted, Unavailable
from ecpds.master import destinations
from ecpds.master.sql import Session
from ecpds.model import Destination, DestinationChange, Origin
from ecpds.options import BUCKET_ACL, BUCKET_TAGS, MAKES_BUCKETS
from ecpds.people import NewUser, Policy, UserChange
from tests.contracts.master import Uploading
from tests.master.support import MasterCase

ORIGIN = Origin("https", "192.0.2.1", "node")


class Doubtful(Uploading, MasterCase):
    """The storage takes a change, and fails before it has said so: a connection was lost in the middle of its COMMIT."""

    def setUp(self) -> None:
        super().setUp()
        self.populate()
        run = self.writer.run

        async def fails(operation: Callable[[Session], Any]) -> Any:
            outcome = await run(operation)
            if self.failing:
                self.failing = False
                raise Unavailable("the server went away at the last moment")
            return outcome

        self.failing = False
        self.writer.run = fails  # type: ignore[method-assign]

    def doubted(self, work: Any) -> None:
        self.failing = True
        self.refused(Unavailable, work)

    def test_who_may_not_any_more_is_out(self) -> None:
        identity = self.now(self.master.login("joe", "secret", ORIGIN))
        self.doubted(self.operations.change_user("joe", UserChange(enabled=False)))
        self.assertFalse(self.master.still(identity))
        self.refused(NotPermitted, self.master.renew(identity))
        self.refused(NotPermitted, self.master.allocate(self.request("a")))

    def test_a_policy_that_is_gone_gives_nothing(self) -> None:
        self.now(self.operations.add_policy(Policy(0, "p", True, ("put",), ("other",))))
        self.now(self.operations.add_user(NewUser("ann", "pw", policies=("p",))))
        identity = self.now(self.master.login("ann", "pw", ORIGIN))
        self.doubted(self.operations.remove_policy("p", True))
        self.refused(NotPermitted, self.master.renew(identity))

    def test_a_bucket_that_was_closed_is_closed(self) -> None:
        self.now(self.operations.change_destination("demo", DestinationChange(options={BUCKET_ACL: "public-read"})))
        self.now(self.master.visit("demo", ""))
        self.doubted(self.operations.change_destination("demo", DestinationChange(options={BUCKET_ACL: "private"})))
        self.refused(NotPermitted, self.master.visit("demo", ""))

    def test_a_destination_that_was_made_is_there(self) -> None:
        self.doubted(self.operations.add_destination(Destination(0, "new")))
        self.assertEqual(self.now(self.operations.destination("new")).name, "new")

    def test_one_that_was_removed_is_not(self) -> None:
        for name, force in (("demo", False), ("other", True)):
            self.doubted(self.operations.remove_destination(name, force))
            self.refused(NotFound, self.operations.destination(name))

    def test_it_is_looked_again_until_the_catalogue_answers(self) -> None:
        ask, self.answers = self.master.reader.ask, False

        async def asked(question: Callable[[Session], Any]) -> Any:
            if not self.answers:
                raise Unavailable("the server is not there yet")
            return await ask(question)

        self.master.reader.ask = asked  # type: ignore[method-assign]
        self.doubted(self.operations.add_destination(Destination(0, "new")))
        self.clock.advance(1)
        self.refused(NotFound, self.operations.destination("new"))
        self.answers = True
        self.clock.advance(1)
        self.now(self.operations.destination("new"))
        self.assertEqual([each for each in self.clock.getDelayedCalls() if each.getTime() <= self.clock.seconds() + 0.99], [])

    def test_of_several_failures_at_a_time_each_is_looked_after_once(self) -> None:
        """A batch that fails refuses many changes in one turn, while the destinations are being read already."""
        ask, held = self.master.reader.ask, list[Deferred[None]]()

        async def waits(question: Callable[[Session], Any]) -> Any:
            if question is destinations.every:
                held.append(Deferred())
                await held[-1]
            return await ask(question)

        self.patch(self.master.reader, "ask", waits)
        idle = len(self.clock.getDelayedCalls())
        self.master.doubt.begin()
        self.master.doubt.begin()
        held.pop().callback(None)
        self.assertEqual((len(held), len(self.clock.getDelayedCalls())), (0, idle + 1))
        self.clock.advance(1)
        held.pop().callback(None)
        self.assertEqual((len(held), len(self.clock.getDelayedCalls())), (0, idle))

    def test_nothing_is_looked_after_when_the_master_has_ended(self) -> None:
        self.master.doubt.stop()
        idle = len(self.clock.getDelayedCalls())
        self.patch(self.master.reader, "ask", lambda question: Deferred())
        self.master.doubt.begin()
        self.assertEqual((self.master.doubt._work.running, len(self.clock.getDelayedCalls())), (False, idle))


class AtATime(Uploading, MasterCase):
    """Changes that are asked for before another is answered."""

    def setUp(self) -> None:
        super().setUp()
        self.populate()
        run, self.held = self.writer.run, list[Deferred[None]]()

        async def waits(operation: Callable[[Session], Any]) -> Any:
            if self.holding:
                self.held.append(Deferred())
                await self.held[-1]
            return await run(operation)

        self.holding = False
        self.writer.run = waits  # type: ignore[method-assign]

    def go_on(self) -> None:
        held, self.held = self.held, []
        for each in held:
            each.callback(None)

    def test_two_of_a_destination_both_count(self) -> None:
        """That a bucket is closed is not undone by who changed something else of it meanwhile."""
        self.now(self.operations.change_destination("demo", DestinationChange(options={BUCKET_ACL: "public-read"})))
        self.holding = True
        first = self.begun(self.operations.change_destination("demo", DestinationChange(options={BUCKET_ACL: "private"})))
        second = self.begun(self.operations.change_destination("demo", DestinationChange(copies=2)))
        self.go_on()
        for each in (first, second):
            self.successResultOf(each)
        for _ in range(2):
            found = self.now(self.operations.destination("demo"))
            self.assertEqual((found.copies, found.options[BUCKET_ACL]), (2, "private"))
            self.holding = False
            self.restart()

    def test_two_of_a_bucket_both_count(self) -> None:
        self.now(self.operations.change_user("joe", UserChange(options={MAKES_BUCKETS: "true"})))
        identity = self.now(self.master.login("joe", "secret", ORIGIN))
        self.now(self.master.set_bucket(identity, "demo", {BUCKET_ACL: "public-read", BUCKET_TAGS: "a=b"}))
        self.holding = True
        first = self.begun(self.master.set_bucket(identity, "demo", {BUCKET_ACL: None, BUCKET_TAGS: None}))
        second = self.begun(self.master.set_bucket(identity, "demo", {BUCKET_TAGS: None}))
        self.go_on()
        for each in (first, second):
            self.successResultOf(each)
        self.assertEqual(dict(self.now(self.master.bucket(identity, "demo"))), {})

    def test_one_that_is_gone_is_not_changed(self) -> None:
        self.holding = True
        first = self.begun(self.operations.remove_destination("demo", False))
        second = self.begun(self.operations.change_destination("demo", DestinationChange(copies=2)))
        self.go_on()
        self.successResultOf(first)
        self.failureResultOf(second, NotFound)
        self.refused(NotFound, self.operations.destination("demo"))
