"""The Master keeps to the contract, and to what is its own, on SQLite; tests/real/test_postgresql.py has it on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from functools import partial
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from zope.interface.verify import verifyObject

from ecpds.errors import InvalidRequest, NotFound, TooLarge, Unavailable
from ecpds.events import EARLIEST, LATEST
from ecpds.interfaces import IEventSink, IMoverControl
from ecpds.limits import Limits
from ecpds.master import files, reclaim, sqlite
from ecpds.master.at_once import AtOnce
from ecpds.master.companion_writer import CompanionWriter
from ecpds.master.engine import Engine
from ecpds.master.sql import Session
from ecpds.master.writer import InlineWriter, Writer
from ecpds.model import ANYTHING, Copy, Destination
from ecpds.operator_interfaces import IOperations
from ecpds.wire.conditions import last_modified
from ecpds.wire.listings import csv_line, json_line, mlsd_facts, text_line, unix_line
from tests.contracts.master import MasterContract
from tests.doubles.companion import InlineCompanion
from tests.master.support import MasterCase, MemoryMover


class OnAnyEngine(MasterContract):
    """The contract, and what is the Master's own."""

    def test_the_others_it_makes(self) -> None:
        verifyObject(IOperations, self.operations)
        verifyObject(IEventSink, self.master.history)
        verifyObject(IMoverControl, self.mover)

    def test_a_listing_goes_on_behind_any_text(self) -> None:
        for name in ("a", "b", "c"):
            self.now(self.put(name))
        for waiting in (False, True):
            for after, names in (("\0", ["a", "b", "c"]), ("a\0", ["b", "c"]), ("b\0z", ["c"]), ("\U0010ffff", [])):
                page = self.now(self.master.list("demo", "", after, 10, waiting))
                self.assertEqual([entry.name for entry in page.entries], names)

    def test_keys_go_on_behind_any_text(self) -> None:
        for name in ("a", "b/c"):
            self.now(self.put(name))
        behind = (("\0", ["a", "b/c"]), ("a\0", ["b/c"]), ("a\0z", ["b/c"]), ("b/c\0", []), ("b/\0", ["b/c"]), ("a", ["b/c"]))
        for waiting in (False, True):
            for after, names in behind:
                page = self.now(self.master.keys("demo", "", after, "", 10, waiting))
                self.assertEqual([entry.path for entry in page.entries], names, repr(after))
            for prefix in ("\0", "a\0", "b/\0"):
                page = self.now(self.master.keys("demo", prefix, "", "/", 10, waiting))
                self.assertEqual((page.entries, page.prefixes), ((), ()))
            self.now(self.master.keys("demo", "", "", "\0", 10, waiting))

    def test_uploads_go_on_behind_any_text(self) -> None:
        for name in ("a", "b"):
            self.now(self.master.create_upload(self.request(name)))
        for after, names in (("\0", ["a", "b"]), ("a\0", ["b"]), ("b\0z", [])):
            found = self.now(self.master.multipart_uploads("demo", "", after, 0, 10))
            self.assertEqual([upload.path for upload in found], names, repr(after))
        self.assertEqual(list(self.now(self.master.multipart_uploads("demo", "a\0", "", 0, 10))), [])

    def test_a_file_has_a_time_that_every_door_can_tell(self) -> None:
        """One that none can would break the listings of its folder."""
        self.now(self.put("a"))
        for wrong in (EARLIEST - 1, LATEST + 1, 1e12, float("nan"), float("inf")):
            self.refused(InvalidRequest, self.master.set_mtime(self.user, "demo", "a", wrong))
            self.refused(InvalidRequest, self.master.allocate(evolve(self.request("b"), mtime=wrong)))
        for right in (EARLIEST, LATEST):
            entry = self.now(self.master.set_mtime(self.user, "demo", "a", right))
            self.assertTrue(entry.file is not None and json_line(entry) and text_line(entry) and csv_line(entry))
            self.assertTrue(unix_line(entry, 0.0, "x") and mlsd_facts(entry) and last_modified(entry.file))

    def test_a_time_that_no_door_can_tell_is_shown_as_the_nearest(self) -> None:
        """A catalogue of before such times were refused may have some."""
        id_ = self.now(self.put("a")).file.id
        for kept, shown in ((-1e12, EARLIEST), (1e12, LATEST), (float("inf"), LATEST), (17.5, 17.5)):
            self.now(self.master.writer.run(partial(files.set_mtime, file=id_, mtime=kept)))
            self.master.resolved.clear()
            entries = [
                self.now(self.master.resolve("demo", "a")),
                *self.now(self.master.list("demo", "", None, 10)).entries,
                *self.now(self.master.keys("demo", "", "", "", 10)).entries,
            ]
            for entry in entries:
                self.assertEqual((entry.mtime, entry.file.mtime), (shown, shown))

    def test_everything_to_reclaim_is_due_after_a_restart(self) -> None:
        old = self.now(self.put("a")).file.id
        self.now(self.put("a"))
        self.restart()
        self.clock.advance(1)
        self.assertEqual(self.mover.deleted, [old])

    def test_a_mover_that_can_not_delete_is_asked_again(self) -> None:
        allocation = self.now(self.master.allocate(self.request("a")))
        self.mover.failure = Unavailable()
        self.now(self.master.abandon(allocation.id))
        self.clock.advance(1)
        self.assertEqual(self.sql("SELECT segment FROM reclaim"), [(allocation.id,)])
        self.mover.failure = None
        self.clock.pump([1.0] * int(reclaim.AGAIN))
        self.assertEqual((self.mover.deleted, self.sql("SELECT * FROM reclaim")), ([allocation.id], []))

    def test_a_mover_that_fails_to_delete_leaves_the_others_alone(self) -> None:
        allocation = self.now(self.master.allocate(self.request("a")))
        self.mover.failure = RuntimeError("broken")
        self.now(self.master.abandon(allocation.id))
        self.clock.advance(1)
        self.assertEqual(self.sql("SELECT segment FROM reclaim"), [(allocation.id,)])
        self.assertGreaterEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.mover.failure = None

    def test_a_mover_that_does_not_answer_holds_up_no_other(self) -> None:
        quick = MemoryMover("mover-2", ())
        self.master.register_mover(quick)
        self.mover.deleting = Deferred()
        self.now(self.writer.run(partial(reclaim.discard, segment=7, copies=[Copy("mover-1", 0), Copy("mover-2", 0)])))
        self.clock.advance(1)
        self.assertEqual((self.mover.deleted, quick.deleted), ([7], [7]))
        self.assertEqual(self.sql("SELECT mover FROM reclaim"), [("mover-1",)])
        self.mover.deleting.callback(None)
        self.assertEqual(self.sql("SELECT mover FROM reclaim"), [])

    def test_an_allocation_that_failed_leaves_no_mover_busier(self) -> None:
        async def none_left() -> int:
            raise Unavailable("the catalogue's disk is full")

        for name in ("mover-2", "mover-3"):
            self.master.register_mover(MemoryMover(name))
        self.patch(self.master.ids, "take", none_left)
        for _ in range(10):
            self.refused(Unavailable, self.master.allocate(self.request("a")))
        self.assertEqual(sum(self.master.movers._placer._placed.values()), 0)

    def test_a_dead_segment_is_not_committed(self) -> None:
        allocation = self.now(self.master.allocate(self.request("a")))
        self.now(self.writer.run(lambda session: session.command(f"INSERT INTO dead VALUES ({allocation.id})")))
        self.now(self.master.stored(self.receipt(allocation)))
        self.refused(Unavailable, self.master.finish(allocation.id))
        self.assertEqual(self.names(), [])

    def fail_after_commit(self) -> None:
        """The next change is made, and said to have failed."""
        run = self.writer.run

        async def fails(operation: Callable[[Session], Any]) -> Any:
            self.writer.run = run  # type: ignore[method-assign]
            await run(operation)
            raise Unavailable("the disk went away at the last moment")

        self.writer.run = fails  # type: ignore[method-assign]

    def test_a_commit_that_was_made_after_all_keeps_its_bytes(self) -> None:
        old = self.now(self.put("a"))
        allocation = self.now(self.master.allocate(self.request("a")))
        self.now(self.master.resolve("demo", "a"))
        self.fail_after_commit()
        self.now(self.master.stored(self.receipt(allocation)))
        self.refused(Unavailable, self.master.finish(allocation.id))
        self.clock.pump([1.0] * (int(self.limits.ticket_life) + 2))
        self.assertEqual(self.now(self.master.resolve("demo", "a")).file.id, allocation.id)
        self.assertEqual(self.mover.deleted, [old.file.id])

    def hold(self) -> Deferred[None]:
        """The next change waits for the Deferred, then is made."""
        run, held = self.writer.run, Deferred[None]()

        async def waits(operation: Callable[[Session], Any]) -> Any:
            self.writer.run = run  # type: ignore[method-assign]
            await held
            return await run(operation)

        self.writer.run = waits  # type: ignore[method-assign]
        return held

    def goes_away(self, work: Coroutine[Any, Any, Any]) -> None:
        """The change that `work` asks for is made when the one who asked has gone."""
        held = self.hold()
        waiting = self.begun(work)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        held.callback(None)

    def test_who_asks_for_a_delete_and_goes_away(self) -> None:
        self.now(self.put("a"))
        self.goes_away(self.master.delete(self.user, "demo", "a", ANYTHING))
        self.refused(NotFound, self.master.resolve("demo", "a"))

    def test_who_asks_for_a_rename_and_goes_away(self) -> None:
        self.now(self.put("d/a"))
        self.goes_away(self.master.rename(self.user, "demo", "d", "e"))
        self.refused(NotFound, self.master.resolve("demo", "d/a"))
        self.now(self.master.resolve("demo", "e/a"))

    def test_who_asks_for_a_destination_and_goes_away(self) -> None:
        self.goes_away(self.operations.add_destination(Destination(0, "late")))
        self.assertEqual(self.now(self.operations.destination("late")).name, "late")

    def test_sizes_and_times_that_are_none(self) -> None:
        for bad in ({"size": -1}, {"mtime": float("nan")}, {"mtime": float("inf")}):
            self.refused(InvalidRequest, self.master.allocate(self.request("a", **bad)))

    def test_a_size_that_is_not_allowed(self) -> None:
        self.limits = Limits(file_size=100)
        self.restart()
        self.refused(TooLarge, self.master.allocate(self.request("a", size=101)))
        self.now(self.master.allocate(self.request("a", size=100)))

    def test_a_path_deep_down_is_one_look_up(self) -> None:
        self.now(self.put("/".join("abcdefghij")))
        self.assertEqual(self.sql("SELECT count(*) FROM directory WHERE destination = 1"), [(10,)])
        self.assertEqual(self.now(self.master.resolve("demo", "/".join("abcdefghij"))).size, 5)


class SqliteMasterTests(OnAnyEngine, MasterCase):
    """In line, on a file."""

    def setUp(self) -> None:
        super().setUp()
        self.populate()
        self.addCleanup(lambda: self.assertEqual(self.orphans(), []))


class CompanionMasterTests(OnAnyEngine, MasterCase):
    """The same, where what is frequent is committed by a companion."""

    def setUp(self) -> None:
        super().setUp()
        self.populate()
        self.addCleanup(lambda: self.assertEqual(self.orphans(), []))

    def make_writer(self) -> Writer:
        return CompanionWriter(InlineCompanion(self.engine), InlineWriter(self.engine), lambda _, call: call(), overlapping=0)


class AtOnceMasterTests(CompanionMasterTests):
    """The same, where a commit waits for nothing."""

    def make_engine(self) -> Engine:
        self.patch(sqlite, "file_system_type", lambda device: "tmpfs")
        return super().make_engine()

    def make_writer(self) -> Writer:
        here = InlineWriter(self.engine)
        at_once = AtOnce(self.engine, lambda _: nullcontext(), lambda: None)
        return CompanionWriter(InlineCompanion(self.engine), here, lambda _, call: call(), overlapping=0, at_once=at_once)
