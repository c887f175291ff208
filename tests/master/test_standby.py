"""Files that wait to be released: nobody sees one who may not put there, and what was seen before is seen until then."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred

from ecpds.errors import AlreadyExists, DirectoryNotEmpty, IsADirectory, NotADirectory, NotFound, PreconditionFailed
from ecpds.events import RELEASE, Event
from ecpds.master import files, releasing, standby
from ecpds.master.releasing import LOOK, QUIET, TOGETHER
from ecpds.model import ANYTHING, Completion, Condition, DestinationChange, Entry, Page, RecordFilter
from ecpds.releases import NEVER
from ecpds.terms import IF_ABSENT, Terms
from tests.contracts.master import SHA, Uploading
from tests.master.support import NOW, MasterCase

STANDBY = {"incoming.standby": "true"}
DELAYED = {"incoming.delay": "1h"}
DELAY = 3600.0


class StandbyCase(Uploading, MasterCase):
    """`demo`, where files that are put wait."""

    def setUp(self) -> None:
        super().setUp()
        self.populate()
        self.addCleanup(lambda: self.assertEqual(self.orphans(), []))

    def options(self, options: dict[str, str], *unset: str) -> None:
        self.now(self.operations.change_destination("demo", DestinationChange(options=options, unset=unset)))

    def seen(self, path: str, waiting: bool = False) -> int | None:
        """Which file is there."""
        found = ensureDeferred(self.master.resolve("demo", path, waiting))
        found.addCallbacks(lambda entry: entry.file.id, lambda failure: failure.trap(NotFound) and None)
        id_: int | None = self.successResultOf(found)
        return id_

    def listed(self, path: str = "", waiting: bool = True) -> list[tuple[str, bool]]:
        """Names, and whether each waits."""
        page = self.now(self.master.list("demo", path, None, 1000, waiting))
        return [(entry.name, entry.waits is not None) for entry in page.entries]

    def id_of(self, path: str, **more: Any) -> int:
        id_: int = self.now(self.put(path, **more)).file.id
        return id_

    def release(self, path: str) -> Entry:
        entry: Entry = self.now(self.operations.release_file("demo", path))
        return entry

    def records(self) -> list[Event]:
        found = self.now(self.operations.history(RecordFilter(type="INH"), 100, None))
        return [event for _, event in found if event.fields["Action"] == RELEASE]


class StandbyTests(StandbyCase):
    def setUp(self) -> None:
        super().setUp()
        self.options(STANDBY)

    def test_only_who_may_put_sees_it(self) -> None:
        entry = self.now(self.put("a/b"))
        self.assertEqual(entry.waits, NEVER)
        self.refused(NotFound, self.master.resolve("demo", "a/b"))
        self.assertEqual(self.now(self.master.resolve("demo", "a/b", True)), entry)
        self.assertEqual((self.listed("a", False), self.listed("a")), ([], [("b", True)]))
        self.assertIsNone(self.master.known("demo", "a/b"))
        self.assertEqual(self.now(self.master.keys("demo", "", "", "", 10)).entries, ())
        (key,) = self.now(self.master.keys("demo", "", "", "", 10, True)).entries
        self.assertEqual((key.path, key.waits), ("a/b", NEVER))

    def test_it_is_seen_when_it_is_released_and_after_a_restart(self) -> None:
        id_ = self.id_of("a")
        self.clock.advance(1e7)
        self.restart()
        self.assertEqual((self.seen("a"), self.seen("a", True)), (None, id_))
        entry = self.release("a")
        self.assertEqual((entry.waits, entry.file and entry.file.id), (None, id_))
        self.assertEqual((self.seen("a"), self.listed("", False)), (id_, [("a", False)]))
        self.restart()
        self.assertEqual(self.seen("a"), id_)

    def test_who_may_put_sees_nothing_older_while_a_release_ends(self) -> None:
        """It is committed, and the cache of resolved names has not been told yet."""
        self.id_of("a")
        self.release("a")
        old, place = self.seen("a"), self.master.destination("demo").id
        new = self.id_of("a")
        self.assertEqual((self.seen("a"), self.seen("a", True)), (old, new))
        self.now(self.master.writer.run(lambda session: standby.release(session, place, "a", NOW, NOW)))
        self.assertEqual((self.seen("a"), self.seen("a", True)), (old, new))
        self.now(self.master.writer.run(lambda session: standby.hold(session, place, "a")))
        self.assertEqual(self.seen("a", True), new)
        self.assertIsNone(self.seen("none", True))
        self.master.resolved.drop(place, "a")

    def test_a_list_shows_nothing_older_while_a_release_or_a_hold_ends(self) -> None:
        """Another session commits it right before what is seen is listed, or right after."""
        place, listed = self.master.destination("demo").id, files.page
        for change in (standby.release, standby.hold):
            for first in (True, False):
                self.now(self.put("a"))
                self.release("a")
                new = self.id_of("a") if change is standby.release else self.seen("a")

                def changing(*args: Any, change: Any = change, first: bool = first) -> Page:
                    found = None if first else listed(*args)
                    self.now(self.master.writer.run(lambda session: change(session, place, "a", *self.times(change))))
                    return found or listed(*args)

                self.patch(files, "page", changing)
                page = self.now(self.master.list("demo", "", None, 10, True))
                self.patch(files, "page", listed)
                self.assertEqual([entry.file.id for entry in page.entries], [new], (change, first))
                self.master.resolved.drop(place, "a")

    def times(self, change: object) -> tuple[float, ...]:
        return (NOW, NOW) if change is standby.release else ()

    def test_a_release_is_recorded_once(self) -> None:
        id_ = self.id_of("a")
        for _ in range(2):
            self.release("a")
        (event,) = self.records()
        self.assertEqual((event.fields["FileName"], event.fields["DataTransferId"]), ("a", id_))
        self.refused(NotFound, self.operations.release_file("demo", "none"))
        self.now(self.master.make_directory(self.user, "demo", "d"))
        self.refused(IsADirectory, self.operations.release_file("demo", "d"))

    def release_all(self, folder: str) -> int:
        count: int = self.now(self.operations.release_folder("demo", folder))
        return count

    def test_a_folder_is_released_with_all_below_it(self) -> None:
        for path in ("a/x", "a/b/y", "a/b/c/z", "ab", "a0/w"):
            self.now(self.put(path))
        self.assertEqual(self.release_all("a"), 3)
        self.assertEqual({event.fields["FileName"] for event in self.records()}, {"a/x", "a/b/y", "a/b/c/z"})
        for path, is_seen in (("a/x", True), ("a/b/c/z", True), ("ab", False), ("a0/w", False)):
            self.assertEqual(self.seen(path) is not None, is_seen, path)
        self.assertEqual((self.release_all("a"), self.release_all(""), self.release_all("")), (0, 2, 0))

    def test_a_big_folder_is_released_a_few_at_a_time(self) -> None:
        self.patch(releasing, "PAGE", 7)
        self.patch(releasing, "TOGETHER", 3)
        for number in range(20):
            self.now(self.put(f"{'in' if number % 2 else 'out'}/{number}"))
        self.assertEqual(self.release_all("in"), 10)
        self.assertEqual(self.listed("in", False), self.listed("in"))
        self.assertEqual(self.listed("out", False), [])

    def test_only_a_folder_is_released_so(self) -> None:
        self.now(self.put("a/x"))
        self.refused(NotADirectory, self.operations.release_folder("demo", "a/x"))
        self.refused(NotFound, self.operations.release_folder("demo", "none"))
        self.refused(NotFound, self.operations.release_folder("none", ""))

    def test_what_was_seen_is_seen_until_then_and_its_bytes_stay(self) -> None:
        self.options({}, "incoming.standby")
        old = self.id_of("a")
        self.assertEqual(self.seen("a"), old)
        self.options(STANDBY)
        entry = self.now(self.put("a"))
        new = entry.file.id
        self.assertTrue(entry.replaced)
        self.assertEqual((self.seen("a"), self.seen("a", True)), (old, new))
        self.assertEqual(self.listed("", False), [("a", False)])
        self.assertEqual(self.listed(), [("a", True)])
        self.clock.advance(self.limits.ticket_life + 10)
        self.assertEqual(self.mover.deleted, [])
        self.release("a")
        self.assertEqual((self.seen("a"), self.seen("a", True)), (new, new))
        self.clock.advance(self.limits.ticket_life + 10)
        self.assertEqual(self.mover.deleted, [old])

    def test_one_that_waits_is_replaced_by_the_next(self) -> None:
        first, second = self.id_of("a"), self.id_of("a")
        self.assertEqual(self.seen("a", True), second)
        self.clock.advance(self.limits.ticket_life + 10)
        self.assertEqual(self.mover.deleted, [first])

    def test_a_put_that_is_seen_at_once_replaces_what_waits(self) -> None:
        self.id_of("a")
        self.options({}, "incoming.standby")
        new = self.id_of("a")
        self.assertEqual((self.seen("a"), self.seen("a", True)), (new, new))
        self.assertEqual(self.release("a").file.id, new)  # type: ignore[union-attr]

    def test_conditions_are_of_what_who_may_put_sees(self) -> None:
        first = self.id_of("a")
        self.refused(PreconditionFailed, self.put("a", terms=IF_ABSENT))
        self.refused(PreconditionFailed, self.put("a", terms=Terms(Condition(match=frozenset((first + 1000,))))))
        second = self.now(self.put("a", terms=Terms(Condition(match=frozenset((first,))))))
        self.refused(PreconditionFailed, self.master.delete(self.user, "demo", "a", Condition(match=frozenset((first,))), True))
        self.now(self.master.delete(self.user, "demo", "a", Condition(match=frozenset((second.file.id,))), True))
        self.assertIsNone(self.seen("a", True))

    def test_to_delete_takes_away_what_is_seen_by_who_asks(self) -> None:
        self.options({}, "incoming.standby")
        old = self.id_of("a")
        self.options(STANDBY)
        self.id_of("a")
        self.now(self.master.delete(self.user, "demo", "a", ANYTHING, True))
        self.assertEqual((self.seen("a"), self.seen("a", True)), (old, old))
        new = self.id_of("a")
        self.now(self.master.delete(self.user, "demo", "a", ANYTHING))
        self.assertEqual((self.seen("a"), self.seen("a", True)), (None, new))
        self.now(self.operations.remove_file("demo", "a"))
        self.assertIsNone(self.seen("a", True))

    def test_a_folder_stays_while_something_waits_in_it(self) -> None:
        self.id_of("d/a")
        self.refused(DirectoryNotEmpty, self.master.remove_directory(self.user, "demo", "d"))
        self.now(self.master.delete(self.user, "demo", "d/a", ANYTHING, True))
        self.assertEqual(self.listed(), [])

    def test_names_are_files_or_folders(self) -> None:
        self.id_of("a")
        self.refused(AlreadyExists, self.master.make_directory(self.user, "demo", "a"))
        self.refused(NotADirectory, self.put("a/b"))
        self.options({}, "incoming.standby")
        self.refused(NotADirectory, self.put("a/b"))
        self.now(self.master.make_directory(self.user, "demo", "d"))
        self.refused(AlreadyExists, self.master.rename(self.user, "demo", "d", "a"))
        self.refused(AlreadyExists, self.master.rename(self.user, "demo", "a", "d", True, True))

    def test_it_waits_on_under_another_name(self) -> None:
        id_ = self.id_of("a")
        self.refused(NotFound, self.master.rename(self.user, "demo", "a", "b"))
        self.refused(NotFound, self.master.rename(self.user, "demo", "a", "none/b", True, True))
        entry = self.now(self.master.rename(self.user, "demo", "a", "b", True, True))
        self.assertEqual((entry.waits, entry.path), (NEVER, "b"))
        self.assertEqual((self.listed(), self.seen("b")), ([("b", True)], None))
        self.id_of("c")
        self.refused(AlreadyExists, self.master.rename(self.user, "demo", "b", "c", False, True))
        self.now(self.master.rename(self.user, "demo", "b", "c", True, True))
        self.assertEqual((self.seen("c", True), self.listed()), (id_, [("c", True)]))

    def test_what_is_seen_replaces_what_waits_where_it_is_renamed_to(self) -> None:
        self.options({}, "incoming.standby")
        seen = self.id_of("a")
        self.options(STANDBY)
        self.id_of("b")
        self.refused(AlreadyExists, self.master.rename(self.user, "demo", "a", "b", False, True))
        self.now(self.master.rename(self.user, "demo", "a", "b", True, True))
        self.assertEqual((self.seen("b"), self.seen("b", True)), (seen, seen))

    def test_a_folder_takes_what_waits_in_it_along(self) -> None:
        id_ = self.id_of("d/e/a")
        self.now(self.master.rename(self.user, "demo", "d", "f"))
        self.assertEqual((self.seen("f/e/a", True), self.seen("f/e/a")), (id_, None))
        self.release("f/e/a")
        self.assertEqual(self.seen("f/e/a"), id_)

    def test_what_is_noted_of_it(self) -> None:
        id_ = self.id_of("a")
        self.refused(NotFound, self.master.set_mtime(self.user, "demo", "a", 5.0))
        self.assertEqual(self.now(self.master.set_mtime(self.user, "demo", "a", 5.0, True)).mtime, 5.0)
        self.refused(NotFound, self.master.annotate(self.user, "demo", "a", {"k": "v"}, ANYTHING))
        self.now(self.master.annotate(self.user, "demo", "a", {"k": "v"}, ANYTHING, True))
        self.now(self.master.add_digests("demo", "a", id_, {"md5": "00"}))
        file = self.now(self.master.resolve("demo", "a", True)).file
        self.assertEqual((file.mtime, dict(file.metadata), file.digests["md5"]), (5.0, {"k": "v"}, "00"))
        self.assertEqual(self.now(self.master.settled("demo", "a", id_)), {**SHA, "md5": "00"})

    def test_digests_that_are_owed(self) -> None:
        self.now(self.operations.change_destination("demo", DestinationChange(digest_when="after", digests=("sha512",))))
        self.id_of("a")
        self.assertIn("sha512", self.now(self.master.resolve("demo", "a", True)).file.digests)

    def test_files_that_come_in_parts(self) -> None:
        upload = self.now(self.master.create_upload(self.request("a")))
        allocation = self.now(self.master.allocate(self.request("a", part=(upload, 1))))
        self.now(self.master.stored(self.receipt(allocation)))
        self.now(self.master.finish(allocation.id))
        completion = Completion(tuple(self.now(self.master.parts("demo", "a", upload, 0, 10))))
        for _ in range(2):
            entry = self.now(self.master.complete_upload(self.user, "demo", "a", upload, completion, ANYTHING))
            self.assertEqual((entry.waits, self.seen("a"), self.seen("a", True)), (NEVER, None, upload))

    def test_an_upload_that_broke_off_goes_on(self) -> None:
        allocation = self.now(self.master.allocate(self.request("a")))
        self.now(self.master.keep(allocation.id))
        self.now(self.master.stored(self.receipt(allocation, 3)))
        self.now(self.master.finish(allocation.id))
        kept = self.now(self.master.kept(self.user, "demo", "a"))
        self.assertEqual(kept.size, 3)
        entry = self.now(self.master.complete_upload(self.user, "demo", "a", kept.id, Completion(kept.parts), ANYTHING))
        self.assertEqual((entry.waits, self.seen("a")), (NEVER, None))

    def test_lifetimes_count_from_the_release(self) -> None:
        self.now(self.operations.change_destination("demo", DestinationChange(lifetime=DELAY)))
        id_ = self.id_of("a")
        self.clock.pump([self.limits.lifetime_look] * int(3 * DELAY / self.limits.lifetime_look))
        self.assertEqual(self.seen("a", True), id_)
        self.release("a")
        self.clock.pump([self.limits.lifetime_look] * int(DELAY / 2 / self.limits.lifetime_look))
        self.assertEqual(self.seen("a"), id_)
        self.clock.pump([self.limits.lifetime_look] * int(DELAY / self.limits.lifetime_look))
        self.assertIsNone(self.seen("a"))

    def test_hold_takes_a_file_out_of_sight(self) -> None:
        self.options({}, "incoming.standby")
        id_ = self.id_of("d/a")
        self.assertEqual(self.seen("d/a"), id_)
        entry = self.now(self.operations.hold_file("demo", "d/a"))
        self.assertEqual(entry.waits, NEVER)
        self.assertEqual((self.seen("d/a"), self.seen("d/a", True)), (None, id_))
        self.clock.advance(self.limits.ticket_life + 10)
        self.assertEqual(self.mover.deleted, [])
        self.release("d/a")
        self.assertEqual(self.seen("d/a"), id_)

    def test_a_destination_with_something_that_waits_is_not_empty(self) -> None:
        id_ = self.id_of("a")
        self.refused(DirectoryNotEmpty, self.operations.remove_destination("demo", False))
        self.now(self.operations.remove_destination("demo", True))
        self.clock.advance(self.limits.ticket_life + 10)
        self.assertEqual(self.mover.deleted, [id_])

    def test_what_waits_counts_as_held(self) -> None:
        self.id_of("a", size=7)
        found = self.now(self.master.usage("demo"))
        self.assertEqual((found.files, found.size), (1, 7))

    def test_pages_hold_what_is_asked_for(self) -> None:
        self.options({}, "incoming.standby")
        for name in "aceg":
            self.id_of(name)
        self.options(STANDBY)
        for name in "bcdh":
            self.id_of(name)
        for limit in range(1, 9):
            found: list[tuple[str, bool]] = []
            after: str | None = ""
            while after is not None:
                page = self.now(self.master.list("demo", "", after or None, limit, True))
                self.assertLessEqual(len(page.entries), limit)
                found += [(entry.name, entry.waits is not None) for entry in page.entries]
                after = page.after
            self.assertEqual(found, [(name, name in "bcdh") for name in "abcdegh"], limit)
            keys = self.now(self.master.keys("demo", "", "", "/", limit, True)).entries
            self.assertEqual([(each.path, each.waits is not None) for each in keys], found[:limit])
        self.assertEqual(self.listed("", False), [(name, False) for name in "aceg"])


class DelayTests(StandbyCase):
    def setUp(self) -> None:
        super().setUp()
        self.options(DELAYED)

    def test_it_is_released_on_time(self) -> None:
        id_ = self.id_of("a")
        self.clock.advance(DELAY / 2)
        other = self.id_of("b")
        self.clock.advance(DELAY / 2 - 1)
        self.assertEqual(self.seen("a"), None)
        self.clock.advance(1)
        self.assertEqual((self.seen("a"), self.seen("b"), self.seen("b", True)), (id_, None, other))
        self.clock.advance(DELAY / 2)
        self.assertEqual(self.seen("b"), other)
        self.assertEqual([event.fields["FileName"] for event in self.records()], ["b", "a"])

    def test_what_was_resolved_before_is_not_believed_any_more(self) -> None:
        self.options({}, "incoming.delay")
        old = self.id_of("a")
        self.options(DELAYED)
        new = self.id_of("a")
        self.assertEqual(self.seen("a"), old)
        self.assertIsNotNone(self.master.known("demo", "a"))
        self.clock.advance(DELAY)
        self.assertEqual(self.seen("a"), new)

    def test_after_a_restart_too_and_late_ones_at_once(self) -> None:
        id_ = self.id_of("a")
        self.restart()
        self.clock.advance(DELAY)
        self.assertEqual(self.seen("a"), id_)
        other = self.id_of("b")
        self.stop()
        self.clock.advance(10 * DELAY)
        self.start()
        self.assertEqual(self.seen("b"), other)

    def test_many_at_once(self) -> None:
        for number in range(TOGETHER + 5):
            self.id_of(f"a{number}")
        self.clock.advance(DELAY)
        self.assertEqual(len(self.names()), TOGETHER + 5)

    def test_a_release_by_hand_comes_before(self) -> None:
        id_ = self.id_of("a")
        self.release("a")
        self.assertEqual(self.seen("a"), id_)
        self.clock.advance(2 * DELAY)
        self.assertEqual(len(self.records()), 1)

    def test_a_hold_keeps_it(self) -> None:
        id_ = self.id_of("a")
        self.now(self.operations.hold_file("demo", "a"))
        self.clock.advance(100 * DELAY)
        self.assertEqual((self.seen("a"), self.seen("a", True)), (None, id_))

    def test_a_file_keeps_the_time_it_was_put_with(self) -> None:
        self.id_of("a")
        self.options({"incoming.delay": "30d"})
        self.clock.advance(DELAY)
        self.assertIsNotNone(self.seen("a"))

    def test_standby_counts_before_a_delay_and_none_is_none(self) -> None:
        self.options(STANDBY)
        self.assertEqual(self.now(self.put("a")).waits, NEVER)
        self.options({"incoming.delay": "0"}, "incoming.standby")
        self.assertIsNone(self.now(self.put("b")).waits)
        self.options({"incoming.delay": "999999999w"})
        self.assertEqual(self.now(self.put("c")).waits, NEVER)

    def test_a_destination_in_which_nothing_waits_any_more_is_asked_as_others(self) -> None:
        self.id_of("a")
        place = self.now(self.operations.destination("demo")).id
        self.options({}, "incoming.delay")
        self.clock.advance(DELAY)
        self.assertTrue(self.master.releases.concern(place))
        self.clock.pump([LOOK] * int(QUIET / LOOK + 2))
        self.assertFalse(self.master.releases.concern(place))
        self.assertIsNotNone(self.seen("a", True))


class NotReadyTests(StandbyCase):
    def setUp(self) -> None:
        super().setUp()
        self.options({"incoming.tmpDetect": "true"})

    def test_a_file_waits_until_its_name_says_that_it_is_ready(self) -> None:
        id_ = self.id_of("a.tmp")
        self.assertEqual((self.seen("a.tmp"), self.seen("a.tmp", True)), (None, id_))
        self.now(self.master.rename(self.user, "demo", "a.tmp", "b.part", True, True))
        self.assertIsNone(self.seen("b.part"))
        self.clock.advance(5)
        entry = self.now(self.master.rename(self.user, "demo", "b.part", "a", True, True))
        self.assertEqual((self.seen("a"), entry.waits, entry.file.created), (id_, None, NOW + 5))

    def test_others_are_seen_at_once(self) -> None:
        self.assertEqual(self.seen("tmp"), None)
        for name in ("tmp", "a.tmp.grib", ".tmp"):
            self.assertEqual(self.id_of(name), self.seen(name))

    def test_then_it_waits_as_others_do(self) -> None:
        self.options({"incoming.tmpPattern": "_.*", **DELAYED})
        self.id_of("_a")
        self.clock.advance(2 * DELAY)
        self.assertIsNone(self.seen("_a"))
        entry = self.now(self.master.rename(self.user, "demo", "_a", "a", True, True))
        self.assertEqual(entry.waits, NOW + 3 * DELAY)
        self.clock.advance(DELAY)
        self.assertIsNotNone(self.seen("a"))

    def test_it_replaces_what_was_seen_when_it_is_ready(self) -> None:
        old = self.id_of("a")
        self.assertEqual(self.seen("a"), old)
        new = self.id_of("a.tmp")
        self.now(self.master.rename(self.user, "demo", "a.tmp", "a", True, True))
        self.assertEqual(self.seen("a"), new)


class ModelTests(StandbyCase):
    """Whatever is done, both views are what a pair of dictionaries says."""

    ACTIONS = st.lists(
        st.tuples(
            st.sampled_from(("put", "hold put", "release", "delete", "unseen delete", "rename", "unseen rename", "hold")),
            st.sampled_from("abc"),
            st.sampled_from("abc"),
        ),
        max_size=12,
    )

    @settings(max_examples=60, deadline=None)
    @given(ACTIONS)
    def test_two_views(self, actions: list[tuple[str, str, str]]) -> None:
        self.now(self.operations.remove_destination("demo", True))
        self.now(self.operations.remove_user("joe"))
        self.now(self.operations.remove_destination("other", True))
        self.populate()
        seen: dict[str, int] = {}
        waits: dict[str, int] = {}
        for action, name, other in actions:
            self.step(action, name, other, seen, waits)
            for each in "abc":
                self.assertEqual(self.seen(each), seen.get(each))
                self.assertEqual(self.seen(each, True), waits.get(each, seen.get(each)))
            self.assertEqual(self.listed("", False), [(each, False) for each in sorted(seen)])
            self.assertEqual(self.listed(), [(each, each in waits) for each in sorted(seen | waits)])
        self.assertEqual(self.orphans(), [])

    def step(self, action: str, name: str, other: str, seen: dict[str, int], waits: dict[str, int]) -> None:
        if action == "put":
            self.options({"incoming.standby": "false"})
            seen[name] = self.id_of(name)
            waits.pop(name, None)
        elif action == "hold put":
            self.options(STANDBY)
            waits[name] = self.id_of(name)
        elif action in ("release", "hold"):
            change = self.operations.release_file if action == "release" else self.operations.hold_file
            if name not in seen | waits:
                self.refused(NotFound, change("demo", name))
                return
            self.now(change("demo", name))
            if action == "release" and name in waits:
                seen[name] = waits.pop(name)
            elif action == "hold" and name not in waits:
                waits[name] = seen.pop(name)
        elif action.endswith("delete"):
            waiting = action == "delete"
            of = waits if waiting and name in waits else seen
            work = self.master.delete(self.user, "demo", name, ANYTHING, waiting)
            if name in of:
                self.now(work)
                del of[name]
            else:
                self.refused(NotFound, work)
        else:
            self.renaming(name, other, action == "rename", seen, waits)

    def renaming(self, name: str, other: str, waiting: bool, seen: dict[str, int], waits: dict[str, int]) -> None:
        work = self.master.rename(self.user, "demo", name, other, True, waiting)
        if name not in seen and not (waiting and name in waits):
            self.refused(NotFound, work)
        elif name == other:
            self.now(work)
        elif waiting and name in waits:
            self.now(work)
            waits[other] = waits.pop(name)
        else:
            self.now(work)
            seen[other] = seen.pop(name)
            waits.pop(other, None)


class PlanTests(StandbyCase):
    def test_what_is_due_is_a_stretch_of_an_index(self) -> None:
        self.options(DELAYED)
        self.id_of("a")
        for statement in (standby._DUE, standby._NEXT):
            text, constants = statement.prepared(self.engine.dialect)
            session = self.engine.session()
            values = {"now": 0, "never": 0, "limit": 1, **constants}
            first = session.connection.execute(f"EXPLAIN QUERY PLAN {text}", values).fetchall()[0][3]
            session.close()
            self.assertIn("ix_standby_release", first)
