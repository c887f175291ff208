"""Files that come in parts, over the Master and a store: what is published, what is given back, and who may."""

from __future__ import annotations

import hashlib
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ecpds.errors import (
    DirectoryNotEmpty,
    InvalidRequest,
    IsADirectory,
    NotADirectory,
    NotFound,
    NotPermitted,
    PreconditionFailed,
    TooLarge,
)
from ecpds.limits import Limits
from ecpds.model import ANYTHING, Completion, Condition, Identity, Origin
from ecpds.portal import reaching
from ecpds.portal.objects import ObjectSpace
from ecpds.portal_interfaces import IFileSystem, IObjects
from tests.doubles import MemorySink, MemorySource
from tests.portal.house import NODE, House

PATH = "/d/in/parts"

RIGHTS = ("get", "put", "delete", "dir", "mkdir", "rmdir", "rename")


class Marks(SynchronousTestCase):
    """Keys that end in a slash and have bytes: the folder's, which only object stores' clients see."""

    def setUp(self) -> None:
        self.house = House(self)
        self.house.add_destination("d")
        user = self.house.add_user("ann", ("d",))
        identity = Identity(user.id, "ann", frozenset(RIGHTS), ("d",))
        self.objects = ObjectSpace(self.house.backing, identity, Origin("s3", "192.0.2.1", NODE))
        self.files = self.house.files_of(user)

    def put(self, path: str, data: bytes = b"bytes") -> None:
        async def store() -> None:
            upload = await self.objects.open_write(path)
            await upload.receive(MemorySource(data))
            await upload.commit()

        self.house.now(store())

    def keys(self) -> list[str]:
        return [each.path for each in self.house.now(self.objects.keys("d", "", "", "", 100)).entries]

    def refused(self, kind: type[Exception], work: Any) -> None:
        self.failureResultOf(ensureDeferred(work), kind)

    def test_other_doors_see_a_folder(self) -> None:
        self.put("/d/a/")
        self.assertEqual(self.keys(), ["a/"])
        self.assertEqual(self.house.now(self.objects.stat("/d/a/")).size, 5)
        for name in ("/d/a", "/d/a/"):
            self.assertTrue(self.house.now(self.files.stat(name)).is_directory)
        self.assertEqual(self.house.now(self.files.list("/d/a")).entries, ())
        self.refused(IsADirectory, self.files.open_read("/d/a/"))
        self.refused(IsADirectory, self.files.open_write("/d/a/"))

    def test_they_go_with_their_folder(self) -> None:
        self.put("/d/a/")
        self.put("/d/a/b", b"")
        self.refused(DirectoryNotEmpty, self.files.remove_directory("/d/a"))
        self.house.now(self.files.delete("/d/a/b"))
        self.assertEqual(self.keys(), ["a/"])
        self.house.now(self.files.remove_directory("/d/a"))
        self.assertEqual(self.keys(), [])
        self.refused(NotFound, self.objects.stat("/d/a/"))
        self.house.clock.advance(self.house.limits.ticket_life + 2)
        self.house.clock.advance(2.0)
        self.assertEqual(self.house.stored(), [])

    def test_they_move_with_their_folder(self) -> None:
        self.put("/d/a/")
        self.house.now(self.files.rename("/d/a", "/d/b"))
        self.assertEqual(self.keys(), ["b/"])
        self.refused(NotFound, self.objects.stat("/d/a/"))

    def test_the_last_of_them_takes_the_folder_away(self) -> None:
        self.put("/d/a/b/")
        self.house.now(self.objects.delete("/d/a/b/"))
        self.refused(NotFound, self.files.stat("/d/a"))

    def test_none_is_below_a_file_or_a_destination_s_own(self) -> None:
        self.put("/d/f", b"x")
        self.refused(NotADirectory, self.objects.open_write("/d/f/"))
        for path in ("/d", "/d/"):
            self.refused(IsADirectory, self.objects.open_write(path))


class InParts(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(self)
        self.house.add_destination("d")
        self.user = self.house.add_user("ann", ("d",))
        self.objects = self.view(("get", "put", "delete", "dir", "mkdir"))
        self.upload = self.house.now(self.objects.create_upload(PATH, {"content-type": "x"}))

    def view(self, permissions: tuple[str, ...]) -> ObjectSpace:
        identity = Identity(self.user.id, "ann", frozenset(permissions), ("d",))
        return ObjectSpace(self.house.backing, identity, Origin("s3", "192.0.2.1", NODE))

    def put(self, number: int, data: bytes, **expected: str) -> Any:
        async def part() -> Any:
            upload = await self.objects.open_part(PATH, self.upload, number, len(data), {}, ("md5",))
            await upload.receive(MemorySource(data))
            return await upload.commit(expected)

        return self.house.now(part())

    def parts(self) -> Any:
        return self.house.now(self.objects.parts(PATH, self.upload, 0, 100))

    def complete(self, condition: Condition = ANYTHING) -> Any:
        return ensureDeferred(self.objects.complete(PATH, self.upload, Completion(tuple(self.parts())), condition))

    def settle(self) -> None:
        """Let the Master delete what is to be deleted."""
        self.house.clock.advance(2.0)
        self.house.clock.advance(2.0)

    def test_provides(self) -> None:
        verifyObject(IObjects, self.objects)
        verifyObject(IFileSystem, self.objects)

    def test_a_file_is_its_parts_in_order_and_nobody_sees_it_before(self) -> None:
        self.put(2, b"second")
        self.put(1, b"first")
        self.failureResultOf(ensureDeferred(self.objects.stat(PATH)), NotFound)
        entry = self.successResultOf(self.complete())
        self.assertEqual((entry.path, entry.size, entry.file.id), (PATH, 11, self.upload))
        self.assertEqual([segment.length for segment in entry.file.segments], [5, 6])
        self.assertEqual(dict(entry.file.metadata), {"content-type": "x"})

    def test_one_of_very_many_parts_is_read_as_it_is_reached(self) -> None:
        """Also when it has been replaced meanwhile, and its digest is the whole's."""
        self.patch(reaching, "FEW_HERE", 3)
        for number in range(1, 10):
            self.put(number, bytes((number,)) * 20_000)
        self.successResultOf(self.complete())
        whole = b"".join(bytes((number,)) * 20_000 for number in range(1, 10))
        download = self.house.now(self.objects.open_read(PATH))
        self.assertEqual(self.house.now(self.objects.digest(PATH, "sha1")), hashlib.sha1(whole).hexdigest())
        self.house.clock.advance(45.0)
        self.upload = self.house.now(self.objects.create_upload(PATH, {}))
        self.put(1, b"another")
        self.successResultOf(self.complete())
        for offset, length in ((0, None), (30_000, 100_000), (170_000, 1)):
            sink = MemorySink()
            self.house.now(download.send(sink, offset, length))
            self.assertEqual(sink.value, whole[offset:][:length])
        download.close()

    def test_all_parts_together_are_no_larger_than_a_file_may_be(self) -> None:
        self.house.master.limits = Limits(file_size=10)
        for number, data in ((1, b"123456"), (2, b"78901")):
            self.put(number, data)
        self.failureResultOf(self.complete(), TooLarge)
        self.assertEqual(len(self.parts()), 2, "the parts are still there")
        self.put(2, b"7890")
        self.assertEqual(self.successResultOf(self.complete()).size, 10)

    def test_a_completion_that_is_repeated_is_answered_again(self) -> None:
        self.put(1, b"only")
        completion = Completion(tuple(self.parts()))
        first = self.house.now(self.objects.complete(PATH, self.upload, completion, Condition(absent=True)))
        again = self.house.now(self.objects.complete(PATH, self.upload, completion, Condition(absent=True)))
        self.assertEqual(first, again)

    def test_a_condition_holds_at_the_completion(self) -> None:
        self.put(1, b"only")

        async def other() -> None:
            upload = await self.objects.open_write(PATH)
            await upload.receive(MemorySource(b"other"))
            await upload.commit()

        self.house.now(other())
        self.failureResultOf(self.complete(Condition(absent=True)), PreconditionFailed)
        self.assertEqual(self.house.now(self.objects.stat(PATH)).size, 5)
        self.assertEqual(len(self.parts()), 1, "the parts are still there")

    def test_a_part_that_was_replaced_is_not_published_and_goes(self) -> None:
        self.put(1, b"old")
        completion = Completion(tuple(self.parts()))
        self.put(1, b"newer")
        refused = ensureDeferred(self.objects.complete(PATH, self.upload, completion, ANYTHING))
        self.failureResultOf(refused, InvalidRequest)
        self.settle()
        self.assertEqual([path.read_bytes() for path in self.house.stored()], [b"newer"])

    def test_parts_that_are_left_out_go(self) -> None:
        for number, data in ((1, b"one"), (2, b"two"), (3, b"three")):
            self.put(number, data)
        completion = Completion((self.parts()[0], self.parts()[2]))
        entry = self.house.now(self.objects.complete(PATH, self.upload, completion, ANYTHING))
        self.settle()
        self.assertEqual(entry.size, 8)
        self.assertEqual(sorted(path.read_bytes() for path in self.house.stored()), [b"one", b"three"])

    def test_a_digest_that_comes_after_the_bytes_is_checked(self) -> None:
        async def part() -> None:
            upload = await self.objects.open_part(PATH, self.upload, 1, 3, {}, ("crc32",))
            await upload.receive(MemorySource(b"abc"))
            await upload.commit({"crc32": "00000000"})

        self.assertIsNotNone(self.failureResultOf(ensureDeferred(part())))
        self.assertEqual((list(self.parts()), self.house.stored()), ([], []))

    def test_an_abort_gives_everything_back(self) -> None:
        self.put(1, b"x")
        self.house.now(self.objects.abort(PATH, self.upload))
        self.settle()
        self.assertEqual(self.house.stored(), [])
        self.failureResultOf(ensureDeferred(self.objects.upload(PATH, self.upload)), NotFound)
        self.failureResultOf(ensureDeferred(self.objects.abort(PATH, self.upload)), NotFound)

    def test_one_that_nobody_completes_goes_after_its_time(self) -> None:
        self.put(1, b"x")
        self.house.clock.advance(self.house.limits.multipart_life - 120)
        self.assertEqual(len(self.parts()), 1)
        self.house.clock.advance(240)
        self.settle()
        self.assertEqual(self.house.stored(), [])
        self.failureResultOf(ensureDeferred(self.objects.upload(PATH, self.upload)), NotFound)

    def test_an_upload_belongs_to_its_path(self) -> None:
        for path in ("/d/other", "/d/in"):
            self.failureResultOf(ensureDeferred(self.objects.upload(path, self.upload)), NotFound)
            self.failureResultOf(ensureDeferred(self.objects.abort(path, self.upload)), NotFound)

    def test_who_may_not_put(self) -> None:
        reader = self.view(("get", "dir"))
        for refused in (
            reader.create_upload(PATH, {}),
            reader.open_part(PATH, self.upload, 1, 1, {}, ()),
            reader.complete(PATH, self.upload, Completion(()), ANYTHING),
            reader.abort(PATH, self.upload),
            reader.parts(PATH, self.upload, 0, 10),
        ):
            self.failureResultOf(ensureDeferred(refused), NotPermitted)
