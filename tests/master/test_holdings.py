"""Quotas of what is held: counted whatever happens to files, and looked at where a file gets its name."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred

from ecpds.errors import Refusal, StorageQuotaExceeded
from ecpds.master import usage
from ecpds.master.moving import move
from ecpds.model import ANYTHING, Completion, Destination, DestinationChange, QuotaUse
from ecpds.people import UserChange
from tests.contracts.master import Uploading
from tests.master.support import MasterCase


class HoldingsCase(Uploading, MasterCase):
    """`demo` may hold 100 bytes and 4 files."""

    def setUp(self) -> None:
        super().setUp()
        self.populate()
        self.options({"incoming.maxHeldBytes": "100", "incoming.maxHeldFiles": "4"})
        self.addCleanup(lambda: self.assertEqual(self.orphans(), []))

    def options(self, options: dict[str, str], *unset: str) -> None:
        self.now(self.operations.change_destination("demo", DestinationChange(options=options, unset=unset)))

    def used(self, login: str | None = None) -> list[tuple[int, int]]:
        found: list[QuotaUse] = self.now(self.operations.quotas(login, None if login else "demo"))
        return [(each.used, each.most) for each in found if each.of.startswith("held")]

    def truth(self) -> tuple[int, int]:
        session = self.engine.session()
        files, size = usage.held(session, self.now(self.operations.destination("demo")).id)
        session.close()
        return size, files

    def assert_held(self, size: int, files: int) -> None:
        self.assertEqual(self.used(), [(size, 100), (files, 4)])
        self.assertEqual(self.truth(), (size, files))


class HoldingsTests(HoldingsCase):
    def test_bytes(self) -> None:
        self.now(self.put("a", 60))
        for announced in (None, 41):
            refusal = self.refused(StorageQuotaExceeded, self.put_said("b", 41, announced))
            self.assertIn("40 of 100 bytes of this destination are left", refusal.sentence)
        self.assert_held(60, 1)
        self.now(self.put("b", 40))
        self.assert_held(100, 2)
        self.refused(StorageQuotaExceeded, self.put_said("c", 1))
        self.now(self.put_said("empty", 0, 0))
        self.clock.advance(self.limits.ticket_life + 10)
        self.assertEqual(len(self.mover.deleted), 1, "the one that was refused at the end")

    async def put_said(self, path: str, size: int, announced: int | None = None) -> None:
        """`announced` is what the client says of the size before."""
        allocation = await self.master.allocate(self.request(path, size=announced))
        await self.master.stored(self.receipt(allocation, size))
        await self.master.finish(allocation.id)

    def test_files(self) -> None:
        for name in "abcd":
            self.now(self.put(name, 1))
        self.refused(StorageQuotaExceeded, self.put("e", 1))
        self.now(self.put("a", 2))
        self.now(self.master.delete(self.user, "demo", "b", ANYTHING))
        self.now(self.put("e", 1))
        self.assert_held(5, 4)

    def test_an_overwrite_counts_what_it_adds(self) -> None:
        self.now(self.put("a", 90))
        self.now(self.put_said("a", 100, 100))
        self.now(self.put("a", 20))
        self.refused(StorageQuotaExceeded, self.put_said("a", 101))
        self.assert_held(20, 1)

    def test_of_two_that_end_together_one_fits(self) -> None:
        both = [self.now(self.master.allocate(self.request(name, size=60))) for name in "ab"]
        outcomes = [self.begun(self.master.finish(each.id)) for each in both]
        for each in both:
            self.now(self.master.stored(self.receipt(each, 60)))
        self.assertEqual(self.successResultOf(outcomes[0]).path, "a")
        self.failureResultOf(outcomes[1], StorageQuotaExceeded)
        self.assert_held(60, 1)

    def test_a_lower_quota_leaves_what_is_there(self) -> None:
        self.now(self.put("a", 60))
        self.options({"incoming.maxHeldBytes": "50"})
        self.now(self.put("a", 55))
        self.refused(StorageQuotaExceeded, self.put("b", 1))
        self.now(self.master.rename(self.user, "demo", "a", "c"))
        self.assertEqual(self.truth(), (55, 1))

    def test_what_was_there_before_counts(self) -> None:
        self.options({}, "incoming.maxHeldBytes", "incoming.maxHeldFiles")
        self.now(self.put("a", 90))
        self.options({"incoming.maxHeldBytes": "100", "incoming.maxHeldFiles": "4"})
        self.assert_held(90, 1)
        self.refused(StorageQuotaExceeded, self.put("b", 11))
        self.restart()
        self.refused(StorageQuotaExceeded, self.put("b", 11))
        self.now(self.put("b", 10))
        self.assert_held(100, 2)

    def test_a_lifetime_gives_room(self) -> None:
        self.now(self.operations.change_destination("demo", DestinationChange(lifetime=60.0)))
        self.now(self.put("a", 100))
        self.clock.pump([self.limits.lifetime_look] * 4)
        self.assert_held(0, 0)

    def test_what_waits_counts_beside_what_is_seen(self) -> None:
        self.now(self.put("a", 50))
        self.options({"incoming.standby": "true"})
        self.now(self.put("a", 50))
        self.assert_held(100, 2)
        self.refused(StorageQuotaExceeded, self.put("a", 51))
        self.now(self.operations.release_file("demo", "a"))
        self.assert_held(50, 1)
        self.now(self.operations.hold_file("demo", "a"))
        self.assert_held(50, 1)

    def test_parts(self) -> None:
        upload = self.now(self.master.create_upload(self.request("a")))
        for number in (1, 2):
            allocation = self.now(self.master.allocate(self.request("a", part=(upload, number))))
            self.now(self.master.stored(self.receipt(allocation, 60)))
            self.now(self.master.finish(allocation.id))
        parts = tuple(self.now(self.master.parts("demo", "a", upload, 0, 10)))
        work = self.master.complete_upload(self.user, "demo", "a", upload, Completion(parts), ANYTHING)
        self.refused(StorageQuotaExceeded, work)
        for _ in range(2):
            self.now(self.master.complete_upload(self.user, "demo", "a", upload, Completion(parts[:1]), ANYTHING))
            self.assert_held(60, 1)

    def test_the_room_is_what_is_left(self) -> None:
        self.now(self.put("a", 60))
        room = self.now(self.master.room(["demo"]))
        self.assertEqual((room.total, room.free), (100, 40))
        self.assertGreater(self.now(self.master.room(["demo", "other"])).free, 100)

    def test_a_folder_that_moves_changes_nothing(self) -> None:
        self.now(self.put("d/a", 60))
        self.now(self.master.rename(self.user, "demo", "d", "e"))
        self.assert_held(60, 1)
        self.now(self.master.delete(self.user, "demo", "e/a", ANYTHING))
        self.assert_held(0, 0)

    def test_a_catalogue_that_was_moved_counts_anew(self) -> None:
        self.now(self.put("a", 60))
        self.stop()
        old, self.path = self.engine, self.folder / "other.sqlite"
        move(old, self.make_engine())
        self.start()
        self.assert_held(60, 1)
        self.refused(StorageQuotaExceeded, self.put("b", 41))


class UserHoldingsTests(HoldingsCase):
    def setUp(self) -> None:
        super().setUp()
        self.options({}, "incoming.maxHeldBytes", "incoming.maxHeldFiles")
        self.now(self.put("before", 1000))
        self.user_quota("100")

    def user_quota(self, size: str) -> None:
        self.now(self.operations.change_user("joe", UserChange(options={"portal.maxHeldBytes": size})))

    def test_a_user_holds_what_it_has_put(self) -> None:
        self.now(self.put("a", 60))
        self.now(self.put("b", 40))
        self.refused(StorageQuotaExceeded, self.put("c", 1))
        self.assertEqual(self.used("joe"), [(100, 100)])
        self.now(self.put("a", 50))
        self.now(self.master.rename(self.user, "demo", "a", "b"))
        self.assertEqual(self.used("joe"), [(50, 100)])
        self.now(self.operations.remove_file("demo", "b"))
        self.now(self.master.delete(self.user, "demo", "before", ANYTHING))
        self.assertEqual(self.used("joe"), [(0, 100)])
        self.restart()
        self.refused(StorageQuotaExceeded, self.put("c", 101))

    def test_in_all_destinations_together(self) -> None:
        self.now(self.operations.add_destination(Destination(0, "third")))
        self.now(self.operations.change_user("joe", UserChange(destinations=("demo", "third"))))
        self.now(self.put("a", 60))
        self.now(self.operations.remove_destination("demo", True))
        self.assertEqual(self.used("joe"), [(0, 100)])


class ModelTests(HoldingsCase):
    """Whatever is done, what is counted is what a scan finds."""

    ACTIONS = st.lists(
        st.tuples(
            st.sampled_from(("put", "wait", "release", "hold", "delete", "rename", "folder")),
            st.sampled_from(("a", "b", "d/a", "d/b")),
            st.sampled_from(("a", "b", "d/a", "e")),
            st.integers(0, 70),
        ),
        max_size=10,
    )

    @settings(max_examples=40, deadline=None)
    @given(ACTIONS)
    def test_counts(self, actions: list[tuple[str, str, str, int]]) -> None:
        self.now(self.operations.remove_destination("demo", True))
        self.now(self.operations.add_destination(Destination(0, "demo")))
        self.now(self.operations.change_user("joe", UserChange(destinations=("demo",))))
        self.options({"incoming.maxHeldBytes": "100", "incoming.maxHeldFiles": "4"})
        for action, name, other, size in actions:
            self.begun_or_refused(self.act(action, name, other, size))
            held, files = self.truth()
            self.assertEqual(self.used(), [(held, 100), (files, 4)])
            self.assertTrue(held <= 100 and files <= 4)

    async def act(self, action: str, name: str, other: str, size: int) -> None:
        if action in ("put", "wait"):
            standby = {"incoming.standby": "true" if action == "wait" else "false"}
            await self.operations.change_destination("demo", DestinationChange(options=standby))
            await self.put(name, size)
        elif action == "release":
            await self.operations.release_file("demo", name)
        elif action == "hold":
            await self.operations.hold_file("demo", name)
        elif action == "delete":
            await self.master.delete(self.user, "demo", name, ANYTHING, size % 2 == 0)
        else:
            source = "d" if action == "folder" else name
            await self.master.rename(self.user, "demo", source, other, True, size % 2 == 0)

    def begun_or_refused(self, work: Any) -> None:
        done: list[Any] = []
        ensureDeferred(work).addErrback(lambda failure: failure.trap(Refusal)).addCallback(done.append)
        self.assertEqual(len(done), 1)
