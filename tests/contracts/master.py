"""What every `IMaster` keeps to, whatever its catalogue is on and however far away it is.

A maker's test case mixes this in with one that gives it `master`, `operations`, `mover` and `clock`, and `now`,
`refused` and `begun`, as `tests.master.support` does.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError
from zope.interface.verify import verifyObject

from ecpds.errors import (
    AlreadyExists,
    Corrupt,
    DigestMismatch,
    DirectoryNotEmpty,
    Incomplete,
    InvalidName,
    InvalidRequest,
    IsADirectory,
    LoginFailed,
    NoSpace,
    NotADirectory,
    NotFound,
    NotPermitted,
    PreconditionFailed,
    Unavailable,
)
from ecpds.master_interfaces import IMaster
from ecpds.model import (
    ANYTHING,
    PERMISSIONS,
    Allocation,
    Condition,
    Copy,
    Destination,
    DestinationChange,
    Entry,
    Origin,
    Receipt,
    StoredSegment,
    VolumeUse,
)
from ecpds.options import MAKES_BUCKETS
from ecpds.people import NewUser, UserChange
from ecpds.releases import NEVER
from ecpds.terms import IF_ABSENT, AllocationRequest, Terms

ORIGIN = Origin("ftp", "192.0.2.1", "node")
SHA = {"crc64nvme": "0011223344556677", "sha256": "ab" * 32}


class Uploading:
    """How a test puts a file."""

    def populate(self) -> None:
        self.now(self.operations.add_destination(Destination(0, "demo")))
        self.now(self.operations.add_destination(Destination(0, "other")))
        self.user = self.now(self.operations.add_user(NewUser("joe", "secret", destinations=("demo",)))).id

    def request(self, path: str, **more: Any) -> AllocationRequest:
        more.setdefault("user_id", self.user)
        return AllocationRequest(destination="demo", path=path, origin=ORIGIN, **more)

    def receipt(self, allocation: Allocation, size: int = 5, digests: Any = SHA) -> Receipt:
        where = allocation.placements[0]
        return Receipt(allocation.id, where.mover, where.volume, size, digests)

    async def put(self, path: str, size: int = 5, **more: Any) -> Entry:
        allocation = await self.master.allocate(self.request(path, **more))
        await self.master.stored(self.receipt(allocation, size))
        entry: Entry = await self.master.finish(allocation.id)
        return entry

    def names(self, path: str = "") -> list[str]:
        return [entry.name for entry in self.now(self.master.list("demo", path, None, 1000)).entries]


class MasterContract(Uploading):
    """The tests."""

    def test_room(self) -> None:
        self.mover.uses = (VolumeUse(0, "/v", 1 << 40, 1 << 39),)
        for names in (["demo"], ["demo", "other", "none"]):
            found = self.now(self.master.room(names))
            self.assertEqual(found.total, 1 << 40, names)
            self.assertTrue(0 < (1 << 39) - found.free <= 1 << 30, found)
        self.refused(NotFound, self.master.room(["none"]))
        self.refused(NotFound, self.master.room([]))

    def test_usage(self) -> None:
        self.assertEqual(self.now(self.master.usage("other")).files, 0)
        self.now(self.put("a", 5))
        self.now(self.put("b/c", 6))
        found = self.now(self.master.usage("demo"))
        self.assertEqual((found.files, found.size), (2, 11))
        self.refused(NotFound, self.master.usage("none"))

    def test_interface(self) -> None:
        verifyObject(IMaster, self.master)

    def test_what_waits_is_there_for_who_asks_so(self) -> None:
        self.now(self.operations.change_destination("demo", DestinationChange(options={"incoming.delay": "1h"})))
        entry = self.now(self.put("a"))
        self.assertEqual(entry.waits, entry.file.created + 3600.0)
        self.refused(NotFound, self.master.resolve("demo", "a"))
        self.assertEqual(self.now(self.master.resolve("demo", "a", True)), entry)
        self.assertEqual(self.names(), [])
        (listed,) = self.now(self.master.list("demo", "", None, 10, True)).entries
        (key,) = self.now(self.master.keys("demo", "", "", "", 10, True)).entries
        self.assertEqual((listed.waits, key.waits), (entry.waits, entry.waits))
        self.now(self.master.annotate(self.user, "demo", "a", {"k": "v"}, ANYTHING, True))
        self.now(self.master.set_mtime(self.user, "demo", "a", 5.0, True))
        renamed = self.now(self.master.rename(self.user, "demo", "a", "b", True, True))
        self.assertEqual((renamed.mtime, dict(renamed.file.metadata), renamed.waits), (5.0, {"k": "v"}, entry.waits))
        self.refused(NotPermitted, self.master.set_released(self.user, "demo", "b", True))
        self.now(self.operations.change_user("joe", UserChange(options={"portal.releases": "true"})))
        self.assertIsNone(self.now(self.master.set_released(self.user, "demo", "b", True)).waits)
        self.assertEqual(self.now(self.master.set_released(self.user, "demo", "b", False)).waits, NEVER)
        self.assertEqual(self.now(self.master.release_folder(self.user, "demo", "")), 1)
        self.assertEqual(self.now(self.master.release_folder(self.user, "demo", "")), 0)
        self.assertEqual(self.now(self.master.set_released(self.user, "demo", "b", False)).waits, NEVER)
        self.refused(NotFound, self.master.delete(self.user, "demo", "b", ANYTHING))
        self.now(self.master.delete(self.user, "demo", "b", ANYTHING, True))
        self.refused(NotFound, self.master.resolve("demo", "b", True))

    # Pushing

    def test_nothing_is_there_before_the_last_receipt(self) -> None:
        allocation = self.now(self.master.allocate(self.request("a")))
        waiting = self.begun(self.master.finish(allocation.id))
        self.refused(NotFound, self.master.resolve("demo", "a"))
        self.assertEqual(self.names(), [])
        self.now(self.master.stored(self.receipt(allocation)))
        entry = self.successResultOf(waiting)
        self.assertEqual(self.now(self.master.resolve("demo", "a")), entry)
        self.assertEqual((entry.size, dict(entry.file.digests), entry.path), (5, SHA, "a"))

    def test_the_entry_says_where_the_bytes_are(self) -> None:
        entry = self.now(self.put("a"))
        (segment,) = entry.file.segments
        self.assertEqual((segment.id, segment.length), (entry.file.id, 5))
        self.assertEqual(segment.copies, (Copy(self.mover.name, 0),))

    def test_a_file_is_the_same_after_a_restart(self) -> None:
        entry = self.now(self.put("a/b", terms=Terms(metadata={"k": "ü"}), mtime=12.5))
        self.restart()
        self.assertEqual(self.now(self.master.resolve("demo", "a/b")), entry)
        self.assertEqual((entry.mtime, dict(entry.file.metadata)), (12.5, {"k": "ü"}))

    def test_ids_are_never_used_again(self) -> None:
        first = [self.now(self.put(f"a{n}")).file.id for n in range(3)]
        self.restart()
        second = [self.now(self.put(f"b{n}")).file.id for n in range(3)]
        self.assertEqual(len({*first, *second}), 6)
        self.assertGreater(min(second), max(first))

    def test_digests_asked_for(self) -> None:
        self.now(self.operations.add_destination(Destination(0, "md5", digests=("md5",))))
        self.user = self.now(self.operations.add_user(NewUser("ann", destinations=("md5",)))).id
        request = AllocationRequest(self.user, "md5", "a", ORIGIN, terms=Terms(expected={"sha512": "00"}))
        self.assertEqual(set(self.now(self.master.allocate(request)).digests), {"crc64nvme", "md5", "sha512"})

    def test_an_unknown_digest_is_refused(self) -> None:
        self.refused(InvalidRequest, self.master.allocate(self.request("a", terms=Terms(expected={"md4": "00"}))))

    def test_finish_may_be_repeated(self) -> None:
        entry = self.now(self.put("a"))
        self.assertEqual(self.now(self.master.finish(entry.file.id)), entry)

    def test_several_wait_for_one_commit_and_one_goes_away(self) -> None:
        allocation = self.now(self.master.allocate(self.request("a")))
        one, two = self.begun(self.master.finish(allocation.id)), self.begun(self.master.finish(allocation.id))
        one.cancel()
        self.failureResultOf(one, CancelledError)
        self.now(self.master.stored(self.receipt(allocation)))
        self.assertEqual(self.successResultOf(two).path, "a")

    def test_finish_of_an_unknown_upload(self) -> None:
        self.refused(Unavailable, self.master.finish(123456))

    def test_a_receipt_that_comes_twice(self) -> None:
        allocation = self.now(self.master.allocate(self.request("a")))
        for _ in range(2):
            self.now(self.master.stored(self.receipt(allocation)))
        self.clock.advance(10)
        self.assertEqual(self.mover.deleted, [])
        self.assertEqual(self.now(self.master.finish(allocation.id)).path, "a")

    def test_a_receipt_for_a_copy_nobody_asked_for(self) -> None:
        allocation = self.now(self.master.allocate(self.request("a")))
        self.refused(InvalidRequest, self.master.stored(Receipt(allocation.id, "elsewhere", 0, 5, SHA)))
        self.begun(self.master.finish(allocation.id))

    def test_a_wrong_size_is_incomplete(self) -> None:
        allocation = self.now(self.master.allocate(self.request("a", size=6)))
        self.now(self.master.stored(self.receipt(allocation, 5)))
        self.refused(Incomplete, self.master.finish(allocation.id))
        self.assert_given_back(allocation)

    def test_a_wrong_digest_is_refused(self) -> None:
        allocation = self.now(self.master.allocate(self.request("a", terms=Terms(expected={"sha256": "cd" * 32}))))
        self.now(self.master.stored(self.receipt(allocation)))
        for _ in range(2):
            self.refused(DigestMismatch, self.master.finish(allocation.id))
        self.assert_given_back(allocation)

    def test_the_announced_digest_may_be_upper_case(self) -> None:
        self.assertEqual(self.now(self.put("a", terms=Terms(expected={"sha256": "AB" * 32}))).path, "a")

    def test_a_digest_that_was_not_computed_is_no_match(self) -> None:
        allocation = self.now(self.master.allocate(self.request("a", terms=Terms(expected={"md5": "00"}))))
        self.now(self.master.stored(self.receipt(allocation)))
        self.refused(DigestMismatch, self.master.finish(allocation.id))

    def assert_given_back(self, allocation: Allocation) -> None:
        self.refused(NotFound, self.master.resolve("demo", "a"))
        self.clock.advance(1)
        self.assertEqual(self.mover.deleted, [allocation.id])

    def test_an_abandoned_upload_is_given_back(self) -> None:
        allocation = self.now(self.master.allocate(self.request("a")))
        waiting = self.begun(self.master.finish(allocation.id))
        for _ in range(2):
            self.now(self.master.abandon(allocation.id))
        self.failureResultOf(waiting, Unavailable)
        self.assert_given_back(allocation)

    def test_a_receipt_after_abandoning_is_refused_and_its_bytes_go(self) -> None:
        allocation = self.now(self.master.allocate(self.request("a")))
        self.now(self.master.abandon(allocation.id))
        self.clock.advance(1)
        self.mover.deleted.clear()
        self.refused(Unavailable, self.master.stored(self.receipt(allocation)))
        self.assert_given_back(allocation)

    def test_abandoning_what_is_committed_does_nothing(self) -> None:
        entry = self.now(self.put("a"))
        self.now(self.master.abandon(entry.file.id))
        self.clock.advance(10)
        self.assertEqual((self.mover.deleted, self.now(self.master.resolve("demo", "a"))), ([], entry))

    def test_abandoning_nothing(self) -> None:
        self.now(self.master.abandon(123456))

    # Replacing

    def test_replacing(self) -> None:
        old, new = self.now(self.put("a")), self.now(self.put("a", 7))
        self.assertEqual(self.now(self.master.resolve("demo", "a")), new)
        self.assertNotEqual(old.file.id, new.file.id)
        self.assertEqual(self.names(), ["a"])

    def test_only_the_commit_says_that_a_file_was_replaced(self) -> None:
        self.assertEqual([self.now(self.put("a")).replaced for _ in range(2)], [False, True])
        self.assertFalse(self.now(self.master.resolve("demo", "a")).replaced)

    def test_what_is_replaced_goes_after_the_longest_ticket(self) -> None:
        old = self.now(self.put("a"))
        self.now(self.put("a"))
        self.clock.pump([1.0] * int(self.limits.ticket_life - 2))
        self.assertEqual(self.mover.deleted, [])
        self.clock.pump([1.0] * 4)
        self.assertEqual(self.mover.deleted, [old.file.id])

    def test_only_if_absent(self) -> None:
        condition = Condition(absent=True)
        self.now(self.put("a", terms=Terms(condition)))
        self.refused(PreconditionFailed, self.master.allocate(self.request("a", terms=Terms(condition))))

    def test_only_if_match(self) -> None:
        old = self.now(self.put("a"))
        match = Condition(match=frozenset({old.file.id}))
        self.now(self.put("a", terms=Terms(match)))
        self.refused(PreconditionFailed, self.master.allocate(self.request("a", terms=Terms(match))))
        self.refused(PreconditionFailed, self.master.allocate(self.request("new", terms=Terms(match))))

    def test_of_two_only_if_absent_one_wins(self) -> None:
        condition = Condition(absent=True)
        one, two = (self.now(self.master.allocate(self.request("a", terms=Terms(condition)))) for _ in range(2))
        self.now(self.master.stored(self.receipt(two)))
        self.now(self.master.stored(self.receipt(one)))
        winner = self.now(self.master.finish(two.id))
        self.refused(PreconditionFailed, self.master.finish(one.id))
        self.clock.advance(1)
        self.assertEqual(self.mover.deleted, [one.id])
        self.assertEqual(self.now(self.master.resolve("demo", "a")), winner)

    # What is in the way

    def test_a_directory_is_in_the_way(self) -> None:
        self.now(self.put("a/b"))
        for path in ("a", ""):
            self.refused(IsADirectory, self.master.allocate(self.request(path)))

    def test_a_file_is_in_the_way(self) -> None:
        self.now(self.put("a"))
        for path in ("a/b", "a/b/c"):
            self.refused(NotADirectory, self.master.allocate(self.request(path)))

    def test_a_directory_that_came_after_the_allocation(self) -> None:
        allocation = self.now(self.master.allocate(self.request("a")))
        self.now(self.master.make_directory(self.user, "demo", "a"))
        self.now(self.master.stored(self.receipt(allocation)))
        self.refused(IsADirectory, self.master.finish(allocation.id))

    def test_a_file_that_came_after_the_allocation(self) -> None:
        allocation = self.now(self.master.allocate(self.request("a/b/c")))
        self.now(self.put("a"))
        self.now(self.master.stored(self.receipt(allocation)))
        self.refused(NotADirectory, self.master.finish(allocation.id))
        self.assertEqual(self.names(), ["a"])

    # Who may

    def user_with(self, *permissions: str, destinations: tuple[str, ...] = ("demo",)) -> int:
        new = NewUser("limited", permissions=permissions, destinations=destinations)
        id_: int = self.now(self.operations.add_user(new)).id
        return id_

    def test_put_needs_put(self) -> None:
        self.refused(NotPermitted, self.master.allocate(self.request("a", user_id=self.user_with("get", "mkdir"))))

    def test_a_new_directory_needs_mkdir(self) -> None:
        user = self.user_with("put")
        self.refused(NotPermitted, self.master.allocate(self.request("a/b", user_id=user)))
        self.now(self.put("a/x"))
        self.now(self.master.allocate(self.request("a/b", user_id=user)))

    def test_each_change_needs_its_permission(self) -> None:
        self.now(self.put("a/b"))
        user = self.user_with("get", "put", "dir")
        self.refused(NotPermitted, self.master.make_directory(user, "demo", "c"))
        self.refused(NotPermitted, self.master.remove_directory(user, "demo", "a"))
        self.refused(NotPermitted, self.master.delete(user, "demo", "a/b", ANYTHING))
        self.refused(NotPermitted, self.master.rename(user, "demo", "a/b", "c"))

    def test_elsewhere_is_not_permitted_whether_it_exists_or_not(self) -> None:
        for destination in ("other", "nowhere"):
            request = AllocationRequest(self.user, destination, "a", ORIGIN)
            self.refused(NotPermitted, self.master.allocate(request))
            self.refused(NotPermitted, self.master.make_directory(self.user, destination, "a"))

    def test_an_unknown_user(self) -> None:
        self.refused(NotPermitted, self.master.allocate(self.request("a", user_id=99)))

    def test_login(self) -> None:
        identity = self.now(self.master.login("joe", "secret", ORIGIN))
        self.assertEqual((identity.user_id, identity.login, identity.destinations), (self.user, "joe", ("demo",)))
        self.assertTrue(identity.may("put", "demo"))
        self.assertFalse(identity.may("put", "other"))

    def test_login_refused_alike(self) -> None:
        sentences = {
            self.refused(LoginFailed, self.master.login(login, "wrong", ORIGIN)).sentence
            for login in ("joe", "nobody", "", "\udc80", "x" * 10_000)
        }
        self.assertEqual(len(sentences), 1)

    def test_login_without_destinations(self) -> None:
        self.now(self.operations.add_user(NewUser("ann", "secret")))
        refusal = self.refused(NotPermitted, self.master.login("ann", "secret", ORIGIN))
        self.assertEqual(refusal.detail, "No associated Destinations")

    def test_who_makes_destinations_comes_in_to_make_the_first(self) -> None:
        self.now(self.operations.add_user(NewUser("max", "secret", options={MAKES_BUCKETS: "true"})))
        identity = self.now(self.master.login("max", "secret", ORIGIN))
        self.assertEqual((identity.destinations, identity.permissions), ((), frozenset(PERMISSIONS)))
        self.now(self.master.create_bucket(identity, "first", {}))
        identity = self.now(self.master.login("max", "secret", ORIGIN))
        self.assertEqual(identity.destinations, ("first",))
        self.now(self.master.remove_bucket(identity, "first"))
        self.assertEqual(self.now(self.master.login("max", "secret", ORIGIN)).destinations, ())

    # Where

    def test_a_full_volume_is_left_out(self) -> None:
        self.mover.uses = (VolumeUse(0, "/a", 100, 0), VolumeUse(1, "/b", 1 << 40, 1 << 30), VolumeUse(2, "/c", 1 << 40, 0))
        placed = [self.now(self.master.allocate(self.request(f"a{n}"))).placements[0].volume for n in range(20)]
        self.assertEqual(set(placed), {1})

    def test_no_space(self) -> None:
        self.mover.uses = (VolumeUse(0, "/a", 1 << 40, 1 << 30, "broken"),)
        self.refused(NoSpace, self.master.allocate(self.request("a")))
        self.mover.uses = (VolumeUse(0, "/a", 1 << 40, 1 << 30),)
        self.refused(NoSpace, self.master.allocate(self.request("a", size=1 << 31)))
        self.now(self.master.allocate(self.request("a", size=1 << 20)))

    # Looking

    def test_resolving_a_directory(self) -> None:
        self.now(self.put("a/b/c"))
        for path in ("", "a", "a/b"):
            entry = self.now(self.master.resolve("demo", path))
            self.assertEqual((entry.path, entry.is_directory), (path, True))

    def test_resolving_nothing(self) -> None:
        self.now(self.put("a"))
        for path in ("b", "a/b", "a/b/c", "A", "a "):
            self.refused(NotFound, self.master.resolve("demo", path))
        self.refused(NotFound, self.master.resolve("nowhere", "a"))

    def test_a_listing_is_in_byte_order(self) -> None:
        names = ["Z", "a", "a b", "a-b", "a0", "ab", "b%", "b\\", "b_", "é", "\uffff", "\U0001f600"]
        for name in names[::2]:
            self.now(self.put(name))
        for name in names[1::2]:
            self.now(self.master.make_directory(self.user, "demo", name))
        self.assertEqual(self.names(), sorted(names, key=str.encode))

    def test_a_listing_is_of_one_directory(self) -> None:
        for path in ("a/x", "a/b/y", "a-b/z", "a0/z"):
            self.now(self.put(path))
        self.assertEqual((self.names(), self.names("a")), (["a", "a-b", "a0"], ["b", "x"]))
        page = self.now(self.master.list("demo", "a", None, 10))
        self.assertEqual([(entry.path, entry.is_directory) for entry in page.entries], [("a/b", True), ("a/x", False)])

    def test_pages_join_up(self) -> None:
        names = [f"{n:03d}" for n in range(25)]
        for name in names:
            self.now(self.put(name if int(name) % 3 else f"{name}/file"))
        found, after = [], None
        while True:
            page = self.now(self.master.list("demo", "", after, 4))
            self.assertLessEqual(len(page.entries), 4)
            found += [entry.name for entry in page.entries]
            if page.after is None:
                break
            after = page.after
        self.assertEqual(found, names)

    def test_the_last_page_says_so(self) -> None:
        for name in "abcd":
            self.now(self.put(name))
        self.assertEqual(self.now(self.master.list("demo", "", None, 4)).after, None)
        self.assertEqual(self.now(self.master.list("demo", "", None, 3)).after, "c")

    def test_a_listing_of_no_directory(self) -> None:
        self.now(self.put("a"))
        self.refused(NotADirectory, self.master.list("demo", "a", None, 10))
        self.refused(NotFound, self.master.list("demo", "b", None, 10))
        self.refused(NotFound, self.master.list("nowhere", "", None, 10))

    # Directories

    def test_make_directory(self) -> None:
        self.now(self.master.make_directory(self.user, "demo", "a"))
        self.now(self.master.make_directory(self.user, "demo", "a/b"))
        self.assertTrue(self.now(self.master.resolve("demo", "a/b")).is_directory)

    def test_make_directory_refused(self) -> None:
        self.now(self.put("d/f"))
        for path in ("d", "d/f", ""):
            self.refused(AlreadyExists, self.master.make_directory(self.user, "demo", path))
        self.refused(NotFound, self.master.make_directory(self.user, "demo", "x/y"))
        self.refused(NotADirectory, self.master.make_directory(self.user, "demo", "d/f/x"))

    def test_remove_directory(self) -> None:
        self.now(self.master.make_directory(self.user, "demo", "a"))
        self.now(self.master.remove_directory(self.user, "demo", "a"))
        self.assertEqual(self.names(), [])

    def test_remove_directory_refused(self) -> None:
        self.now(self.put("d/e/f"))
        for path in ("d", "d/e"):
            self.refused(DirectoryNotEmpty, self.master.remove_directory(self.user, "demo", path))
        self.refused(NotADirectory, self.master.remove_directory(self.user, "demo", "d/e/f"))
        self.refused(NotFound, self.master.remove_directory(self.user, "demo", "x"))
        self.refused(NotPermitted, self.master.remove_directory(self.user, "demo", ""))

    def test_an_implicit_directory_goes_when_it_is_empty(self) -> None:
        self.now(self.master.make_directory(self.user, "demo", "kept"))
        self.now(self.put("kept/a/b/c"))
        self.now(self.master.delete(self.user, "demo", "kept/a/b/c", ANYTHING))
        self.assertEqual((self.names(), self.names("kept")), (["kept"], []))

    # Deleting

    def test_delete(self) -> None:
        entry = self.now(self.put("a"))
        self.now(self.master.resolve("demo", "a"))
        self.assertEqual(self.now(self.master.delete(self.user, "demo", "a", ANYTHING)), entry)
        self.refused(NotFound, self.master.resolve("demo", "a"))
        self.clock.pump([1.0] * (int(self.limits.ticket_life) + 2))
        self.assertEqual(self.mover.deleted, [entry.file.id])

    def test_delete_refused(self) -> None:
        self.now(self.put("d/f"))
        for path in ("d", ""):
            self.refused(IsADirectory, self.master.delete(self.user, "demo", path, ANYTHING))
        for path in ("x", "d/f/x", "x/y"):
            self.refused(NotFound, self.master.delete(self.user, "demo", path, ANYTHING))
        wrong = Condition(match=frozenset({999}))
        self.refused(PreconditionFailed, self.master.delete(self.user, "demo", "d/f", wrong))
        self.refused(PreconditionFailed, self.master.delete(self.user, "demo", "x", wrong))

    # Renaming

    def test_rename_a_file(self) -> None:
        entry = self.now(self.put("a"))
        renamed = self.now(self.master.rename(self.user, "demo", "a", "b"))
        self.assertEqual((renamed.path, renamed.file), ("b", entry.file))
        self.refused(NotFound, self.master.resolve("demo", "a"))
        self.assertEqual(self.now(self.master.resolve("demo", "b")), renamed)

    def test_rename_replaces_a_file(self) -> None:
        entry, old = self.now(self.put("a")), self.now(self.put("b"))
        self.now(self.master.resolve("demo", "b"))
        self.now(self.master.rename(self.user, "demo", "a", "b"))
        self.assertEqual(self.now(self.master.resolve("demo", "b")).file, entry.file)
        self.clock.pump([1.0] * (int(self.limits.ticket_life) + 2))
        self.assertEqual(self.mover.deleted, [old.file.id])

    def test_rename_to_a_free_name_alone(self) -> None:
        """Of two that find a name free, one gets it."""
        a, b = self.now(self.put("a")), self.now(self.put("b"))
        self.refused(NotFound, self.master.resolve("demo", "c"))
        self.assertEqual(self.now(self.master.rename(self.user, "demo", "a", "c", False)).file, a.file)
        self.refused(AlreadyExists, self.master.rename(self.user, "demo", "b", "c", False))
        self.refused(AlreadyExists, self.master.rename(self.user, "demo", "b", "b", False))
        self.assertEqual(self.now(self.master.resolve("demo", "c")).file, a.file)
        self.assertEqual(self.now(self.master.resolve("demo", "b")), b)

    def test_rename_a_directory(self) -> None:
        inside = ["x", "b/y", "b/c/z"]
        entries = {path: self.now(self.put(f"a/{path}")) for path in inside}
        beside = {path: self.now(self.put(path)) for path in ("a-b/f", "a0/f", "ab/f", "b/c/f")}
        for path in inside:
            self.now(self.master.resolve("demo", f"a/{path}"))
        self.assertTrue(self.now(self.master.rename(self.user, "demo", "a", "b/new")).is_directory)
        for path, entry in entries.items():
            self.refused(NotFound, self.master.resolve("demo", f"a/{path}"))
            self.assertEqual(self.now(self.master.resolve("demo", f"b/new/{path}")).file, entry.file)
        for path, entry in beside.items():
            self.assertEqual(self.now(self.master.resolve("demo", path)), entry)
        self.assertEqual(self.names(), ["a-b", "a0", "ab", "b"])

    def test_rename_refused(self) -> None:
        for path in ("f", "d/f", "e/f"):
            self.now(self.put(path))
        rename = self.master.rename
        self.refused(NotFound, rename(self.user, "demo", "x", "y"))
        self.refused(AlreadyExists, rename(self.user, "demo", "f", "d"))
        self.refused(AlreadyExists, rename(self.user, "demo", "d", "e"))
        self.refused(AlreadyExists, rename(self.user, "demo", "d", "f"))
        self.refused(NotFound, rename(self.user, "demo", "f", "x/y"))
        self.refused(NotADirectory, rename(self.user, "demo", "d", "f/x"))
        self.refused(NotADirectory, rename(self.user, "demo", "f", "f/x"))
        for target in ("d/x", "d/x/y", "d/f/x"):
            self.refused(InvalidName, rename(self.user, "demo", "d", target))
        for source, target in (("", "x"), ("d", "")):
            self.refused(NotPermitted, rename(self.user, "demo", source, target))
        self.assertEqual((self.names(), self.names("d")), (["d", "e", "f"], ["f"]))

    def test_rename_to_itself(self) -> None:
        entry = self.now(self.put("a/b"))
        self.assertEqual(self.now(self.master.rename(self.user, "demo", "a/b", "a/b")), entry)

    def test_rename_leaves_an_implicit_directory(self) -> None:
        self.now(self.put("a/b/c"))
        self.now(self.master.rename(self.user, "demo", "a/b/c", "c"))
        self.assertEqual(self.names(), ["c"])

    def test_rename_that_makes_a_path_too_long(self) -> None:
        deep = "/".join(["d" * 200] * 4)
        self.now(self.put(f"a/{deep}/{'f' * 200}"))
        self.refused(InvalidName, self.master.rename(self.user, "demo", "a", "n" * 30))
        self.now(self.master.rename(self.user, "demo", "a", "n" * 19))

    # Sweeping

    def found(self, *segments: int) -> list[StoredSegment]:
        return [StoredSegment(segment, 0) for segment in segments]

    def test_a_sweep_takes_what_nobody_has(self) -> None:
        kept = self.now(self.put("a")).file.id
        under_way = self.now(self.master.allocate(self.request("b"))).id
        self.assertEqual(set(self.now(self.master.mark_dead("m", self.found(kept, under_way, 5000, 6000)))), {5000, 6000})
        self.assertEqual(set(self.now(self.master.mark_dead("m", self.found(5000)))), {5000})

    def test_what_is_under_way_can_be_committed_after_a_sweep(self) -> None:
        allocation = self.now(self.master.allocate(self.request("a")))
        self.assertEqual(list(self.now(self.master.mark_dead("m", self.found(allocation.id)))), [])
        self.now(self.master.stored(self.receipt(allocation)))
        self.now(self.master.finish(allocation.id))

    def test_an_id_that_a_sweep_met_is_not_handed_out(self) -> None:
        first = self.now(self.master.allocate(self.request("a"))).id
        self.now(self.master.mark_dead("m", self.found(*range(first + 1, first + 4))))
        self.assertEqual(self.now(self.put("b")).file.id, first + 4)

    def test_a_sweep_leaves_what_may_still_be_read(self) -> None:
        old = self.now(self.put("a")).file.id
        self.now(self.put("a"))
        self.assertEqual(list(self.now(self.master.mark_dead("m", self.found(old)))), [])
        self.restart()
        self.assertEqual(list(self.now(self.master.mark_dead("m", self.found(old)))), [old])

    # Uploads of an earlier Master

    def begun_before(self, path: str = "a", **more: Any) -> tuple[AllocationRequest, Allocation, Receipt]:
        """An upload whose Master was started anew before it had heard of the bytes, which its mover has."""
        request = self.request(path, **more)
        allocation = self.now(self.master.allocate(request))
        self.restart()
        self.mover.digests_of = SHA
        return request, allocation, self.receipt(allocation)

    def test_an_upload_goes_on_under_the_next_Master(self) -> None:
        request, allocation, receipt = self.begun_before(terms=Terms(metadata={"k": "v"}), mtime=12.5)
        self.now(self.master.stored(receipt))
        self.refused(Unavailable, self.master.finish(allocation.id))
        entry = self.now(self.master.readmit(request, allocation, [receipt]))
        self.assertEqual(self.now(self.master.resolve("demo", "a")), entry)
        self.assertEqual((entry.file.id, dict(entry.file.metadata), entry.mtime), (allocation.id, {"k": "v"}, 12.5))
        self.assertEqual(self.now(self.master.finish(allocation.id)), entry)
        self.assertEqual(self.now(self.master.readmit(request, allocation, [receipt])), entry)

    def test_what_an_earlier_Master_committed_counts_once(self) -> None:
        request, allocation = self.request("a"), self.now(self.master.allocate(self.request("a")))
        receipt = self.receipt(allocation)
        self.now(self.master.stored(receipt))
        entry = self.now(self.master.finish(allocation.id))
        self.now(self.put("b"))
        self.restart()
        again = self.now(self.master.readmit(request, allocation, [receipt]))
        self.assertEqual((again.file.id, again.path), (entry.file.id, "a"))
        self.assertEqual(self.now(self.master.resolve("demo", "a")), entry)
        self.assertEqual(self.names(), ["a", "b"])

    def test_what_broke_off_is_kept_under_the_next_Master(self) -> None:
        """Of a file that was announced as larger, with a digest of the whole; and it is kept once, whoever says it again."""
        more: Any = {"size": 9, "terms": Terms(expected={"sha256": "cd" * 32})}
        request, allocation, receipt = self.begun_before(**more)
        for _ in range(2):
            self.now(self.master.keep(allocation.id))
        self.now(self.master.stored(receipt))
        self.refused(Unavailable, self.master.finish(allocation.id))
        for _ in range(2):
            self.now(self.master.readmit(request, allocation, [receipt], True))
        kept = self.now(self.master.kept(self.user, "demo", "a"))
        self.assertEqual((kept.size, [segment.id for segment in kept.segments]), (5, [allocation.id]))
        self.restart()
        self.now(self.master.readmit(request, allocation, [receipt], True))
        self.assertEqual(self.now(self.master.kept(self.user, "demo", "a")).size, 5)
        self.assertEqual(self.names(), [])
        self.clock.advance(70)
        self.assertEqual(self.mover.deleted, [])

    def test_a_Master_that_ends_between_the_word_and_the_bytes(self) -> None:
        """That it is to be a part was said to the earlier one, which had not heard of the bytes: it is kept once."""
        request, allocation = self.request("a"), self.now(self.master.allocate(self.request("a")))
        self.now(self.master.keep(allocation.id))
        self.restart()
        self.mover.digests_of = SHA
        self.now(self.master.readmit(request, allocation, [self.receipt(allocation)], True))
        kept = self.now(self.master.kept(self.user, "demo", "a"))
        self.assertEqual((kept.size, len(kept.parts)), (5, 1))

    def test_it_goes_on_where_it_was_a_part_already(self) -> None:
        upload = self.now(self.master.begin_partial(self.request("a")))
        request, allocation, receipt = self.begun_before(part=(upload, 3))
        self.now(self.master.readmit(request, allocation, [receipt], True))
        kept = self.now(self.master.kept(self.user, "demo", "a", upload))
        self.assertEqual([part.number for part in kept.parts], [3])

    def test_what_this_Master_gave_up_is_not_kept(self) -> None:
        request, allocation = self.request("a"), self.now(self.master.allocate(self.request("a")))
        self.now(self.master.abandon(allocation.id))
        self.refused(Unavailable, self.master.keep(allocation.id))
        self.refused(Unavailable, self.master.readmit(request, allocation, [self.receipt(allocation)], True))
        self.refused(NotFound, self.master.kept(self.user, "demo", "a"))

    def test_its_conditions_hold_again(self) -> None:
        request, allocation, receipt = self.begun_before(terms=IF_ABSENT)
        self.now(self.put("a"))
        self.refused(PreconditionFailed, self.master.readmit(request, allocation, [receipt]))
        self.clock.advance(10)
        self.assertIn(allocation.id, self.mover.deleted)

    def test_nobody_is_believed_who_has_not_the_bytes(self) -> None:
        request, allocation, receipt = self.begun_before()
        self.mover.digests_of = {**SHA, "crc64nvme": "ff" * 8}
        self.refused(Corrupt, self.master.readmit(request, allocation, [receipt]))
        self.refused(NotFound, self.master.resolve("demo", "a"))
        self.clock.advance(10)
        self.assertEqual(self.mover.deleted, [allocation.id])

    def test_receipts_of_something_else(self) -> None:
        request, allocation, receipt = self.begun_before()
        for receipts in ([], [evolve(receipt, segment=allocation.id + 1)], [evolve(receipt, volume=7)]):
            self.refused(InvalidRequest, self.master.readmit(request, allocation, receipts))
        for id_ in (10**12, 0, -1):
            unknown = evolve(allocation, id=id_)
            self.refused(Unavailable, self.master.readmit(request, unknown, [evolve(receipt, segment=id_)]))
        self.assertEqual(self.names(), [])

    def test_bytes_that_nobody_asks_for_are_given_back_in_the_end(self) -> None:
        _, allocation, receipt = self.begun_before()
        for _ in range(2):
            self.now(self.master.stored(receipt))
        self.assertEqual(set(self.now(self.master.mark_dead(receipt.mover, [StoredSegment(allocation.id, 0)]))), set())
        self.clock.advance(59)
        self.assertEqual(self.mover.deleted, [])
        self.clock.advance(2)
        self.clock.advance(2)
        self.assertEqual(self.mover.deleted, [allocation.id])

    def test_what_a_sweep_took_does_not_come_back(self) -> None:
        """Not under the next Master either: the mover may unlink it at any time."""
        request, allocation, receipt = self.begun_before()
        self.assertEqual(
            set(self.now(self.master.mark_dead(receipt.mover, [StoredSegment(allocation.id, 0)]))), {allocation.id}
        )
        self.restart()
        self.refused(Unavailable, self.master.readmit(request, allocation, [receipt]))
        self.refused(NotFound, self.master.resolve("demo", "a"))

    def test_what_was_replaced_does_not_come_back(self) -> None:
        """The answer to its commit was lost, and meanwhile another took its name and its bytes are to be deleted."""
        request, allocation = self.request("a"), self.now(self.master.allocate(self.request("a")))
        receipt = self.receipt(allocation)
        self.now(self.master.stored(receipt))
        newer = self.now(self.put("a"))
        self.restart()
        self.mover.digests_of = SHA
        self.refused(Unavailable, self.master.readmit(request, allocation, [receipt]))
        self.assertEqual(self.now(self.master.resolve("demo", "a")).file.id, newer.file.id)

    def test_who_may_not_put_any_more(self) -> None:
        request, allocation, receipt = self.begun_before()
        self.now(self.operations.change_user("joe", UserChange(enabled=False)))
        self.refused(NotPermitted, self.master.readmit(request, allocation, [receipt]))
