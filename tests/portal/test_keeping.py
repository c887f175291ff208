"""What is kept of uploads that break off: for how long, and what it costs; and digests that are computed once."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import ConnectionLost, TooLarge
from ecpds.limits import Limits
from ecpds.mover.sweep import Sweep
from ecpds.portal.filesystem import FileSystem
from tests.doubles import MemorySource
from tests.portal.house import House


class Kept(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(self, limits=Limits(partial_life=1000.0, ticket_life=1.0))
        self.house.add_destination("demo")
        self.files = self.house.files_of(self.house.add_user("joe", ("demo",)))

    def stored(self) -> list[Path]:
        return [path for path in self.house.volume.rglob("*") if path.is_file()]

    def break_off(self, path: str, data: bytes) -> None:
        upload = self.house.now(self.files.open_write(path))
        lost = ConnectionLost()
        self.failureResultOf(ensureDeferred(upload.receive(MemorySource(data, failure=lost))), ConnectionLost)
        self.house.now(upload.keep(lost))

    def test_for_a_while(self) -> None:
        self.break_off("/demo/a", b"half")
        self.house.clock.pump([60.0] * 15)
        self.assertEqual((self.house.now(self.files.kept("/demo/a")), len(self.stored())), (4, 1))
        self.house.clock.pump([60.0] * 5)
        self.assertEqual((self.house.now(self.files.kept("/demo/a")), self.stored()), (0, []))

    def test_a_sweep_leaves_it(self) -> None:
        self.break_off("/demo/a", b"half")
        self.house.now(Sweep(self.house.store, self.house.master).run())
        self.assertEqual(len(self.stored()), 1)

    def test_nothing_is_left_of_a_partial_that_was_replaced(self) -> None:
        for data in (b"one", b"two", b"three"):
            self.break_off("/demo/a", data)
            self.house.clock.pump([2.0, 2.0])
            self.assertEqual([path.stat().st_size for path in self.stored()], [len(data)])

    def test_a_deleted_file_of_several_segments_leaves_nothing(self) -> None:
        self.break_off("/demo/a", b"half")
        upload = self.house.now(self.files.resume_write("/demo/a", 4))
        self.house.now(upload.receive(MemorySource(b"rest")))
        self.house.now(upload.commit())
        self.assertEqual(len(self.stored()), 2)
        self.house.now(self.files.delete("/demo/a"))
        self.house.clock.pump([2.0, 2.0])
        self.assertEqual(self.stored(), [])

    def test_all_pieces_together_are_no_larger_than_a_file_may_be(self) -> None:
        self.house = House(self, limits=Limits(file_size=10))
        self.house.add_destination("demo")
        self.files = self.house.files_of(self.house.add_user("joe", ("demo",)))
        self.break_off("/demo/a", b"1234")
        for fits, last in ((0, None), (0, 7), (3, 4), (6, None), (6, 1)):
            upload, source = self.house.now(self.files.resume_write("/demo/a", 4)), MemorySource(b"567890!")
            self.assertEqual(self.house.now(upload.receive(source, fits)), fits)
            refusal = self.failureResultOf(ensureDeferred(upload.receive(source, last)), TooLarge).value
            self.assertLessEqual(sum(path.stat().st_size for path in self.stored()), 10)
            self.house.now(upload.abort(refusal))
            self.assertEqual([path.stat().st_size for path in self.stored()], [4])
            self.assertEqual(self.house.now(self.files.kept("/demo/a")), 4)
        upload = self.house.now(self.files.resume_write("/demo/a", 4))
        self.house.now(upload.receive(MemorySource(b"567890")))
        self.assertEqual(self.house.now(upload.commit()).size, 10)

    def test_nothing_comes_behind_what_is_too_large_by_now(self) -> None:
        self.break_off("/demo/a", b"1234")
        backing = evolve(self.house.backing, limits=Limits(file_size=3))
        files = FileSystem(backing, self.files.identity, self.files.origin)
        self.failureResultOf(ensureDeferred(files.resume_write("/demo/a", 4)), TooLarge)
        self.assertEqual(self.house.now(self.files.kept("/demo/a")), 4)

    def test_a_digest_is_computed_once(self) -> None:
        upload = self.house.now(self.files.open_write("/demo/a"))
        self.house.now(upload.receive(MemorySource(b"content")))
        self.house.now(upload.commit())
        first = self.house.now(self.files.digest("/demo/a", "sha512"))
        for path in self.stored():
            path.unlink()
        self.assertEqual(self.house.now(self.files.digest("/demo/a", "sha512")), first)
        entry = self.house.now(self.files.stat("/demo/a"))
        self.assertEqual(set(entry.file.digests), {"crc64nvme", "sha256", "sha512"})
