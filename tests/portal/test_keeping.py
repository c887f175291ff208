"""What is kept of uploads that break off: for how long, and what it costs; and digests that are computed once."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import ConnectionLost
from ecpds.limits import Limits
from ecpds.mover.sweep import Sweep
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
