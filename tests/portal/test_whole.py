"""Files that are put in one step: that they are, that nothing tells them from others, and what goes the long way instead."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from typing import Any

from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred, fail
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import NoSpace, Refusal, Unavailable
from ecpds.limits import Limits
from ecpds.master.ids import BLOCK
from ecpds.master.sql import Session
from ecpds.model import ANYTHING, Condition, DestinationChange, Entry, Identity, Placement
from ecpds.mover import staging, volumes
from ecpds.mover.store import LocalStore
from ecpds.people import NewShare, UserChange
from ecpds.portal.filesystem import FileSystem
from ecpds.portal.whole import BytesSource
from ecpds.terms import IF_ABSENT, NO_TERMS, Terms
from tests.portal.house import NODE, ORIGIN, House

TABLES = ("directory", "entry", "data_file", "segment", "copy", "reclaim", "owed", "dead")
DESTINATIONS: tuple[dict[str, Any], ...] = (
    {},
    {"digests": ("sha256", "md5", "crc64nvme")},
    {"digests": ("sha256", "md5"), "digest_when": "after"},
    {"digests": ()},
)


class Node:
    """A house whose volume is in memory, as far as it can tell, and a user of it."""

    def __init__(self, test: SynchronousTestCase, limits: Limits | None = None, at_once: bool = True, **named: Any) -> None:
        test.patch(volumes, "file_system_type", lambda device: "tmpfs")
        self.house = House(test, limits=limits)
        self.house.add_destination("demo", **named)
        self.user = self.house.add_user("alice", ("demo",))
        self.house.now(self.house.master.movers._look.run())
        self.house.now(self.house.master.ids._more.run())
        if not at_once:
            self.house.master.put_now = self.house.master.put_by_turn = lambda request, store: None  # type: ignore[method-assign]
        self.files = self.login()

    def add_destination(self, name: str, **named: Any) -> None:
        """One more that the user has."""
        self.house.clock.advance(1.0)
        self.house.add_destination(name, **named)
        known = self.house.now(self.house.operations.user("alice"))
        self.house.now(self.house.operations.change_user("alice", UserChange(destinations=(*known.destinations, name))))
        self.files = self.login()

    def login(self) -> FileSystem:
        """As who has logged in before."""
        identity = Identity(self.user.id, "alice", frozenset(self.user.permissions), ("demo",))
        return FileSystem(self.house.backing, self.house.now(self.house.master.renew(identity)), ORIGIN)

    def put(self, path: str, data: bytes | memoryview, terms: Terms = NO_TERMS) -> Any:
        """What came of it: an entry, or the name of a refusal."""
        outcome: list[Any] = []
        ensureDeferred(self.files.write_whole(path, data, terms)).addBoth(outcome.append)
        if isinstance(outcome[0], Entry):
            return outcome[0]
        outcome[0].trap(Refusal)
        return type(outcome[0].value).__name__, str(outcome[0].value)

    def begun(self, path: str, data: bytes | memoryview, terms: Terms = NO_TERMS) -> Deferred[Entry]:
        """A put in one step that is not at its end."""
        found = self.files.put_by_turn(path, data, terms)
        assert found is not None
        return found

    def put_now(self, path: str, data: bytes | memoryview, terms: Terms = NO_TERMS) -> Entry | None:
        """What a put in one step came to; None where it was not done so."""
        found = self.files.put_by_turn(path, data, terms)
        entry: Entry | None = None if found is None else self.house.now(found)
        return entry

    def rows(self) -> dict[str, list[Any]]:
        connection = sqlite3.connect(self.house.home / "catalogue.sqlite")
        try:
            return {table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall()) for table in TABLES}
        finally:
            connection.close()

    def contents(self) -> dict[str, bytes]:
        return {str(path.relative_to(self.house.volume)): path.read_bytes() for path in self.house.stored()}

    def records(self) -> list[Any]:
        return [(event.type, event.time, dict(event.fields)) for event in self.house.sink.events]  # type: ignore[attr-defined]


LIMITS = Limits(file_size=2 * 16384)
PATHS = st.sampled_from(
    ["/demo/a", "/demo/b", "/demo/d/a", "/demo/d/é", "/demo/a/x", "/demo/d", "/demo/d/", "/demo", "/no/a", "/demo//"]
)
CONDITIONS = st.sampled_from(
    [ANYTHING, ANYTHING, Condition(absent=True), Condition(exists=True), Condition(match=frozenset((1, 2, 3)))]
)
DIGESTS = st.sampled_from(
    [{}, {}, {"md5": "5d41402abc4b2a76b9719d911017c592"}, {"sha256": "00" * 32}, {"crc64nvme": "0" * 16}, {"no": ""}]
)
PUTS = st.tuples(
    PATHS,
    st.sampled_from([b"", b"hello", b"x" * 1024, b"x" * 16383, b"x" * 16384]),
    st.builds(Terms, CONDITIONS, DIGESTS, st.sampled_from([{}, {"key": "é"}]), st.sampled_from([(), ("sha1", "md5")])),
)


class SameTests(SynchronousTestCase):
    """Both ways beside each other: the same outcome, rows, bytes and records."""

    def setUp(self) -> None:
        self.short, self.long = Node(self, LIMITS), Node(self, LIMITS, at_once=False)
        self.examples = 0

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.sampled_from(DESTINATIONS), st.lists(PUTS, min_size=1, max_size=12))
    def test_whatever_is_put(self, named: dict[str, Any], puts: list[tuple[Any, ...]]) -> None:
        self.examples += 1
        place = f"/d{self.examples}"
        for node in (self.short, self.long):
            node.add_destination(place[1:], **named)
        for path, data, terms in puts:
            there = path.replace("/demo", place)
            self.assertEqual(self.short.put(there, data, terms), self.long.put(there, data, terms), (path, terms))
            self.assertEqual(self.short.rows(), self.long.rows(), (path, terms))
        self.assertEqual(self.short.contents(), self.long.contents())
        self.assertEqual(self.short.records(), self.long.records())

    def test_it_is_done_at_once(self) -> None:
        node = Node(self)
        for data, replaced in ((b"hello", False), (b"other", True), (b"", True), (b"x" * 16383, True)):
            entry = node.put_now("/demo/a", data)
            assert entry is not None
            self.assertEqual((entry.path, entry.size, entry.replaced), ("/demo/a", len(data), replaced))
            self.assertEqual(node.house.now(node.files.stat("/demo/a")).file, entry.file)


class KeptTests(SynchronousTestCase):
    """What was put is got from memory, whichever way it came, and never after something else was put."""

    def got(self, node: Node) -> bytes:
        async def read() -> bytes:
            download = await node.files.open_read("/demo/a")
            data = download.held(0, download.entry.size)
            download.close()
            assert data is not None
            return bytes(data)

        content: bytes = node.house.now(read())
        return content

    def test_the_first_get_needs_no_disk(self) -> None:
        for at_once in (True, False):
            node = Node(self, at_once=at_once)
            for data in (b"hello", b"other", b"x" * 16000):
                node.put("/demo/a", data)
                hits = node.house.backing.kept.hits
                self.assertEqual((self.got(node), node.house.backing.kept.hits), (data, hits + 1))

    def test_it_is_a_copy(self) -> None:
        node = Node(self)
        data = bytearray(b"hello")
        node.put("/demo/a", memoryview(data))
        data[:] = b"other"
        self.assertEqual(self.got(node), b"hello")

    def test_what_another_door_puts_over_it_counts(self) -> None:
        node = Node(self)
        node.put("/demo/a", b"hello")

        async def put() -> None:
            upload = await node.files.open_write("/demo/a")
            await upload.receive(BytesSource(b"other"))
            await upload.commit()

        node.house.now(put())
        self.assertEqual(self.got(node), b"other")

    def test_what_was_refused_is_not_kept(self) -> None:
        node = Node(self)
        node.put("/demo/a", b"hello", Terms(expected={"sha256": "00" * 32}))
        self.assertEqual(node.house.backing.kept.size, 0)


class RecordTests(SynchronousTestCase):
    def test_the_record_may_come_when_the_answer_is_on_its_way(self) -> None:
        node, later = Node(self), list[Callable[[], None]]()
        node.house.backing = evolve(node.house.backing, soon=later.append)
        node.files = node.login()
        self.assertIsNotNone(node.put_now("/demo/a", b"hello"))
        self.assertEqual(node.records(), [])
        for work in later:
            work()
        (record,) = node.records()
        self.assertEqual((record[2]["FileName"], record[2]["BytesSent"], record[2]["Status"]), ("a", 5, "done"))

    def test_so_may_that_of_a_small_file_that_was_read(self) -> None:
        node, later = Node(self), list[Callable[[], None]]()
        node.put("/demo/a", b"hello")
        node.house.backing = evolve(node.house.backing, soon=later.append)
        node.files = node.login()
        download = node.files.read_again("/demo/a")
        assert download is not None
        download.close()
        download.close(ValueError("too late"))
        before = len(node.records())
        for work in later:
            work()
        (record,) = node.records()[before:]
        self.assertEqual((record[2]["Action"], record[2]["Status"], record[2]["Duration"]), ("download", "done", 0))

    def test_ids_are_reserved_behind_each_others_back(self) -> None:
        node = Node(self)
        ids = [entry.file.id for _ in range(2 * BLOCK) if (entry := node.put_now("/demo/a", b"")) and entry.file]
        self.assertEqual(ids, list(range(ids[0], ids[0] + 2 * BLOCK)))


class LongWayTests(SynchronousTestCase):
    """What can't be done at once is left alone: no row, no byte, no record, no id."""

    def setUp(self) -> None:
        self.node = Node(self)
        self.house = self.node.house
        self.assertIsNotNone(self.node.put_now("/demo/first", b"first"))
        for _ in range(2):  # so that the folder is worth to be known
            self.house.now(self.house.now(self.node.files.open_write("/demo/second")).abort())
        self.assertTrue(self.node.files.takes_now("/demo/a"))

    def left(self, path: str = "/demo/a", data: bytes = b"hello", terms: Terms = NO_TERMS) -> None:
        before = self.state()
        if terms is NO_TERMS and data == b"hello":
            self.assertFalse(self.node.files.takes_now(path))
        self.assertIsNone(self.node.put_now(path, data, terms))
        self.assertEqual(self.state(), before)

    def state(self) -> tuple[Any, ...]:
        placed = sum(self.house.master.movers._placer._placed.values())
        return self.node.rows(), self.node.contents(), self.node.records(), self.house.master.ids.peek(), placed

    def change(self, **named: Any) -> None:
        self.house.now(self.house.operations.change_destination("demo", DestinationChange(**named)))

    def test_a_folder_that_is_missing(self) -> None:
        self.left("/demo/d/a")

    def test_a_folder_in_the_way(self) -> None:
        self.house.now(self.node.files.make_directory("/demo/d"))
        self.left("/demo/d")

    def test_a_file_in_the_way(self) -> None:
        self.left("/demo/first/a")

    def test_a_condition_that_is_not_met(self) -> None:
        self.left("/demo/first", terms=IF_ABSENT)
        self.left(terms=Terms(Condition(exists=True)))

    def test_another_name_than_may_be(self) -> None:
        for path in ("/demo/..", "/demo/", "/demo", "/other/a", "a"):
            self.left(path)

    def test_more_bytes_than_are_digested_at_once(self) -> None:
        self.left(data=b"x" * 16384)

    def test_more_copies_than_one(self) -> None:
        self.change(copies=2)
        self.node.files = self.node.login()
        self.left()

    def test_a_right_that_was_taken(self) -> None:
        self.house.now(self.house.operations.change_user("alice", UserChange(permissions=("get",))))
        self.left()
        self.node.files = self.node.login()
        self.left()

    def test_a_user_who_is_disabled(self) -> None:
        self.house.now(self.house.operations.change_user("alice", UserChange(enabled=False)))
        self.left()

    def test_quotas(self) -> None:
        self.change(options={"incoming.maxUploadBytes": "1G"})
        self.node.files = self.node.login()
        self.left()

    def test_who_has_a_bandwidth(self) -> None:
        self.patch(self.house.backing.paces, "of", lambda *_: object())
        self.left()

    def test_who_comes_by_a_link(self) -> None:
        _, token = self.house.now(self.node.files.add_share("/demo", NewShare("", "", ("put",), None, 2, None)))
        self.node.files = self.house.now(self.house.portal.login_with_share(token, "", ORIGIN))
        self.left("/a")

    def test_a_login_that_is_old(self) -> None:
        self.house.clock.advance(self.house.limits.credential_life)
        self.left()

    def test_a_visitor(self) -> None:
        identity = Identity(self.node.user.id + 1, "bob", frozenset(("put",)), ("demo",), visits=True)
        self.node.files = FileSystem(self.house.backing, identity, ORIGIN)
        self.left()

    def test_a_digest_that_is_wrong(self) -> None:
        before = self.node.rows(), self.node.contents(), self.node.records()
        self.assertIsNone(self.node.put_now("/demo/a", b"hello", terms=Terms(expected={"sha256": "0" * 64})))
        self.assertEqual((self.node.rows(), self.node.contents(), self.node.records()), before)

    def test_two_movers_that_take_turns(self) -> None:
        self.house.master.movers.register(type("Other", (), {"name": "node-2"})())
        self.left()

    def test_another_node_s_mover(self) -> None:
        self.patch(self.house.master.movers, "place_now", lambda *_: Placement("elsewhere", 0))
        before = self.node.rows(), self.node.contents(), self.node.records()
        self.assertIsNone(self.node.put_now("/demo/a", b"hello"))
        self.assertEqual((self.node.rows(), self.node.contents(), self.node.records()), before)

    def test_a_volume_that_waits(self) -> None:
        self.house.store.volumes[0].waits = True
        self.assertFalse(self.node.files.takes_now("/demo/a"))
        before = self.node.rows(), self.node.contents(), self.node.records()
        self.assertIsNone(self.node.put_now("/demo/a", b"hello"))
        self.assertEqual((self.node.rows(), self.node.contents(), self.node.records()), before)

    def test_a_catalogue_that_waits(self) -> None:
        self.patch(type(self.house.master.writer), "at_once", False)
        self.assertFalse(self.node.files.takes_now("/demo/a"))

    def test_a_store_that_promises_nothing(self) -> None:
        self.house.stores.pop(NODE)
        self.left()

    def test_no_id_at_hand(self) -> None:
        self.house.master.ids._blocks.clear()
        self.assertIsNone(self.node.put_now("/demo/a", b"hello"))
        self.assertEqual(len(self.node.contents()), 1)


class FailureTests(SynchronousTestCase):
    """What fails in the middle leaves nothing, and is told."""

    def setUp(self) -> None:
        self.node = Node(self)
        self.house = self.node.house
        self.assertIsNotNone(self.node.put_now("/demo/a", b"old"))

    def unchanged(self) -> None:
        self.assertEqual(list(self.node.contents().values()), [b"old"])
        self.assertEqual(self.house.now(self.node.files.stat("/demo/a")).size, 3)

    def test_a_disk_that_is_full(self) -> None:
        def full(*_: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        self.patch(staging.os, "pwrite", full)
        self.assertIsNone(self.node.put_now("/demo/a", b"newer"))
        self.unchanged()
        self.assertEqual(self.node.put("/demo/a", b"newer")[0], "NoSpace")
        self.unchanged()
        self.assertEqual(self.node.records()[-1][2]["Status"], "failed")

    def test_a_disk_that_is_as_full_as_it_may_be(self) -> None:
        self.house.store.volumes[0]._free = 0
        self.assertIsNone(self.node.put_now("/demo/a", b"newer"))
        self.unchanged()

    def test_a_file_that_stands_there(self) -> None:
        id_ = self.house.master.ids.peek()
        assert id_ is not None
        path = self.house.store.volumes[0].path(id_)
        with open(path, "wb") as file:
            file.write(b"another's")
        self.assertIsNone(self.node.put_now("/demo/a", b"newer"))
        self.assertIn(b"another's", self.node.contents().values())
        self.assertEqual(self.node.put("/demo/a", b"newer")[0], "AlreadyExists")
        self.assertEqual(self.node.put("/demo/a", b"newer").size, 5)

    def test_a_commit_that_fails(self) -> None:
        real = Session.command

        def fails(session: Session, text: str) -> None:
            if text == "COMMIT":
                raise sqlite3.OperationalError("no commit today")
            real(session, text)

        self.patch(Session, "command", fails)
        self.failureResultOf(self.node.begun("/demo/a", b"newer"), Unavailable)
        self.assertEqual((self.node.records()[-1][2]["Status"], self.node.records()[-1][2]["BytesSent"]), ("failed", 5))
        self.patch(Session, "command", real)
        self.house.now(self.house.master._reclaim._work.begin())
        self.unchanged()
        self.assertEqual(self.node.put("/demo/a", b"newer").size, 5)

    def test_a_commit_whose_outcome_is_told_wrong(self) -> None:
        """The catalogue has it, and says that it failed: the bytes stay."""
        real = Session.command

        def fails(session: Session, text: str) -> None:
            real(session, text)
            if text == "COMMIT":
                raise sqlite3.OperationalError("disk I/O error")

        self.patch(Session, "command", fails)
        self.failureResultOf(self.node.begun("/demo/a", b"newer"), Unavailable)
        self.patch(Session, "command", real)
        self.house.now(self.house.master._reclaim._work.begin())
        self.assertEqual(self.house.now(self.node.files.stat("/demo/a")).size, 5)
        self.assertIn(b"newer", self.node.contents().values())

    def test_a_catalogue_that_is_full(self) -> None:
        self.patch(self.house.master.writer, "by_turn", lambda operation: fail(NoSpace()))
        self.failureResultOf(self.node.begun("/demo/a", b"newer"), NoSpace)
        self.house.now(self.house.master._reclaim._work.begin())
        self.unchanged()

    def test_who_reads_keeps_the_old(self) -> None:
        reading = self.house.now(self.node.files.open_read("/demo/a"))
        self.assertIsNotNone(self.node.put_now("/demo/a", b"newer"))
        self.assertEqual(bytes(reading.held(0, 3)), b"old")
        reading.close()

    def test_an_upload_under_way_and_a_put_at_once(self) -> None:
        """Two puts of one name: the one that commits last is there."""
        upload = self.house.now(self.node.files.open_write("/demo/a", terms=Terms(Condition(match=frozenset((1,))))))
        self.assertIsNotNone(self.node.put_now("/demo/a", b"newer"))
        self.failureResultOf(ensureDeferred(upload.commit()), Refusal)
        self.assertEqual(self.house.now(self.node.files.stat("/demo/a")).size, 5)

    def test_digests_that_are_owed_are_computed(self) -> None:
        self.house.now(
            self.house.operations.change_destination("demo", DestinationChange(digests=("sha256",), digest_when="after"))
        )
        self.node.files = self.node.login()
        entry = self.node.put_now("/demo/b", b"hello")
        assert entry is not None and entry.file is not None
        self.assertEqual(list(entry.file.digests), ["sha256", "crc64nvme"])

    def test_now_by_itself(self) -> None:
        """`IFileSystem.put_now`: all of it before it returns, or nothing."""
        entry = self.node.files.put_now("/demo/a", b"newer")
        assert entry is not None
        self.assertEqual((entry.path, entry.size, entry.replaced), ("/demo/a", 5, True))
        self.assertEqual(self.node.records()[-1][2]["Status"], "done")
        self.patch(type(self.house.master.writer), "is_free", False)
        before = self.node.rows(), self.node.contents(), self.node.records(), self.house.master.ids.peek()
        self.assertIsNone(self.node.files.put_now("/demo/a", b"newest"))
        self.assertEqual((self.node.rows(), self.node.contents(), self.node.records(), self.house.master.ids.peek()), before)

    def test_now_by_itself_behind_somebody_after_all(self) -> None:
        """Another process holds the catalogue: its bytes go, and it is put as always."""
        self.patch(self.house.master.writer, "run_now", lambda operation: None)
        self.assertIsNone(self.node.files.put_now("/demo/a", b"newer"))
        self.house.now(self.house.master._reclaim._work.begin())
        self.unchanged()

    def test_now_by_itself_and_the_commit_fails(self) -> None:
        def fails(operation: Any) -> Any:
            raise NoSpace

        self.patch(self.house.master.writer, "run_now", fails)
        self.assertRaises(NoSpace, self.node.files.put_now, "/demo/a", b"newer")
        self.assertEqual((self.node.records()[-1][2]["Status"], self.node.records()[-1][2]["BytesSent"]), ("failed", 5))
        self.house.now(self.house.master._reclaim._work.begin())
        self.unchanged()


class StoreTests(SynchronousTestCase):
    """`IPromptStore.write_now`."""

    def setUp(self) -> None:
        self.node = Node(self)
        self.store: LocalStore = self.node.house.store

    def test_a_volume_that_there_is_not(self) -> None:
        self.assertIsNone(self.store.write_now(5, 1, (), memoryview(b"a")))

    def test_a_segment_that_is_being_written(self) -> None:
        handle = self.node.house.now(self.store.write(5, 0, ()))
        self.assertIsNone(self.store.write_now(5, 0, (), memoryview(b"a")))
        self.node.house.now(handle.abort())
        self.assertIsNotNone(self.store.write_now(5, 0, (), memoryview(b"a")))
        self.assertIsNone(self.store.write_now(5, 0, (), memoryview(b"a")))

    def test_what_was_set_aside_is_given_back(self) -> None:
        self.store.write_now(5, 0, ("sha256",), memoryview(b"a"))
        self.store.write_now(5, 0, ("sha256",), memoryview(b"a"))
        self.store.write_now(6, 0, ("sha256",), memoryview(b"a"), {"sha256": ""})
        self.assertEqual(self.store.volumes[0]._reserved, 0)
        self.assertEqual(len(self.node.contents()), 1)
