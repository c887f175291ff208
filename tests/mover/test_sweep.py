"""What the Master asks of a mover, and the sweep that leaves no orphan and takes nothing else."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from hashlib import sha256
from typing import Any
from zlib import crc32

from twisted.internet.defer import Deferred
from zope.interface import implementer
from zope.interface.verify import verifyClass, verifyObject

from ecpds.errors import AlreadyExists, Corrupt, Unavailable
from ecpds.interfaces import IMoverControl, IStore
from ecpds.model import Copy, Receipt, StoredSegment
from ecpds.mover import control, volumes
from ecpds.mover.control import LocalControl
from ecpds.mover.store import LocalStore
from ecpds.mover.sweep import Sweep, Swept
from tests.doubles import MemorySource
from tests.doubles_store import JudgingMaster
from tests.mover.test_store import LocalCase


class MoverCase(LocalCase):
    sync = False

    def setUp(self) -> None:
        self.store = self.make_local(self.stored)

    async def stored(self, receipt: Receipt) -> None:
        pass

    def now(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def refused(self, refusal: type[Exception], work: Coroutine[Any, Any, Any]) -> None:
        self.failureResultOf(Deferred.fromCoroutine(work), refusal)

    def put(self, segment: int, data: bytes = b"data", volume: int = 0) -> None:
        handle = self.begin(segment, data, volume)
        self.now(handle.finish())

    def begin(self, segment: int, data: bytes = b"data", volume: int = 0) -> Any:
        handle = self.now(self.store.write(segment, volume, ()))
        self.now(handle.receive(MemorySource(data)))
        return handle


class ControlTests(MoverCase):
    def setUp(self) -> None:
        super().setUp()
        self.control = LocalControl(self.store)

    def test_provides(self) -> None:
        verifyObject(IMoverControl, self.control)
        self.assertEqual(self.control.name, "mover-1")

    def fill(self, name: str, data: bytes) -> LocalStore:
        """Another mover, with a segment 7."""
        other = self.make_local(self.stored)
        other.name = name
        handle = self.now(other.write(7, 1, ()))
        self.now(handle.receive(MemorySource(data)))
        self.now(handle.finish())
        return other

    def test_a_copy_of_what_another_has(self) -> None:
        for data in (b"", b"small", os.urandom(3_000_001)):
            self.setUp()
            mine = self.roots
            self.control.sources = {"mover-2": self.fill("mover-2", data)}
            receipt = self.now(self.control.copy(StoredSegment(7, 0, len(data)), Copy("mover-2", 1)))
            self.roots = mine
            self.assertEqual((receipt.size, receipt.volume, receipt.mover), (len(data), 0, "mover-1"))
            self.assertEqual(receipt.digests, self.now(self.control.digests([StoredSegment(7, 0, len(data))], ["crc64nvme"])))
            self.assertEqual(len(self.files()), 1)

    def test_a_copy_that_does_not_come_leaves_nothing(self) -> None:
        mine = self.roots
        self.control.sources = {"mover-2": self.fill("mover-2", b"short")}
        self.roots = mine
        self.refused(Corrupt, self.control.copy(StoredSegment(7, 0, 6), Copy("mover-2", 1)))
        self.refused(Unavailable, self.control.copy(StoredSegment(8, 0, 6), Copy("mover-2", 1)))
        self.refused(Unavailable, self.control.copy(StoredSegment(7, 0, 5), Copy("mover-3", 1)))
        self.assertEqual(self.files(), [])

    def test_a_copy_where_something_stands_leaves_that(self) -> None:
        self.put(7, b"mine")
        mine = self.roots
        self.control.sources = {"mover-2": self.fill("mover-2", b"yours")}
        self.roots = mine
        self.refused(AlreadyExists, self.control.copy(StoredSegment(7, 0, 5), Copy("mover-2", 1)))
        self.assertEqual(len(self.files()), 1)

    def test_what_is_on_its_way_is_deleted_when_it_has_come(self) -> None:
        """A Master that was started anew gives up what an earlier one had asked for."""
        mine, opening = self.roots, Deferred[None]()
        other = self.fill("mover-2", b"data")
        self.roots = mine

        @implementer(IStore)
        class Late:
            name = "mover-2"
            write = other.write

            async def read(self, segment: int, copy: Copy, length: int) -> Any:
                await opening
                return await other.read(segment, copy, length)

        verifyClass(IStore, Late)
        self.control.sources = {"mover-2": Late()}
        wanted = StoredSegment(7, 0, 4)
        copying = Deferred.fromCoroutine(self.control.copy(wanted, Copy("mover-2", 1)))
        self.refused(AlreadyExists, self.control.copy(wanted, Copy("mover-2", 1)))
        self.refused(Unavailable, self.control.delete([wanted]))
        opening.callback(None)
        self.assertEqual(self.successResultOf(copying).size, 4)
        self.now(self.control.delete([wanted]))
        self.assertEqual(self.files(), [])

    def test_digests_of_what_lies_there(self) -> None:
        self.put(1, b"one and ")
        self.put(2, b"", volume=1)
        self.put(3, b"three", volume=1)
        segments = [StoredSegment(1, 0, 8), StoredSegment(2, 1, 0), StoredSegment(3, 1, 5)]
        self.patch(control, "PIECE", 3)
        found = self.now(self.control.digests(segments, ("sha256", "crc32")))
        whole = b"one and three"
        self.assertEqual(found, {"sha256": sha256(whole).hexdigest(), "crc32": f"{crc32(whole):08x}"})

    def test_no_digests_of_what_is_not_there_or_is_shorter(self) -> None:
        self.put(1, b"one")
        for refusal, segment in ((Unavailable, StoredSegment(2, 0, 3)), (Corrupt, StoredSegment(1, 0, 4))):
            self.failureResultOf(Deferred.fromCoroutine(self.control.digests([segment], ("sha256",))), refusal)

    def test_delete(self) -> None:
        for volume in (0, 1):
            self.put(1, volume=volume)
        self.now(self.control.delete([StoredSegment(1, 0), StoredSegment(99, 1)]))
        self.assertEqual(self.files(), ["0/000/1"])
        self.assertTrue(self.roots[1].joinpath("0/000/1").exists())

    def test_what_can_not_be_unlinked_stops_nothing_else(self) -> None:
        self.put(2)
        self.roots[0].joinpath("0/000/1").mkdir()
        failing = Deferred.fromCoroutine(self.control.delete([StoredSegment(1, 0), StoredSegment(2, 0)]))
        self.failureResultOf(failing, Unavailable)
        self.assertEqual(self.files(), [])

    def test_volumes(self) -> None:
        uses = self.now(self.control.volumes())
        self.assertEqual(
            [(use.index, use.path, use.failed) for use in uses], [(0, str(self.roots[0]), None), (1, str(self.roots[1]), None)]
        )


class SweepTests(MoverCase):
    def sweep(self, master: JudgingMaster) -> Swept:
        swept: Swept = self.now(Sweep(self.store, master).run())
        return swept

    def test_takes_what_is_nobodys(self) -> None:
        for segment in (1, 2, 5000, 1 << 40):
            self.put(segment)
            self.put(segment, volume=1)
        self.assertEqual(self.sweep(JudgingMaster(2, 1 << 40)), Swept(8, 4, 16, 0))
        self.assertEqual(self.files(), sorted(["0/000/2", "100000/000/10000000000"] * 2))

    def test_nothing_to_ask(self) -> None:
        master = JudgingMaster()
        self.assertEqual(self.sweep(master), Swept())
        self.assertEqual(master.asked, [])

    def test_never_what_is_being_written(self) -> None:
        handle = self.begin(1, bytes(2_000_000))
        self.put(2)
        self.assertEqual(self.files(), ["0/000/1", "0/000/2"])
        master = JudgingMaster()
        self.sweep(master)
        self.assertEqual(master.asked, [[2]])
        self.now(handle.finish())
        self.assertEqual(self.files(), ["0/000/1"])

    def test_not_what_was_begun_while_the_master_thought(self) -> None:
        self.put(1)
        master = JudgingMaster()
        master.when_asked = lambda: self.store._writing.add(1)
        self.sweep(master)
        self.assertEqual(self.files(), ["0/000/1"])

    def test_what_is_not_ours_is_left(self) -> None:
        self.put(1)
        foreign = [self.roots[0] / name for name in ("README", "0/notes", "0/000/1.bak", "0/000/999", "0/000/01")]
        for path in foreign:
            path.write_text("precious")
        os.symlink(foreign[0], self.roots[0] / "0/000/2")
        self.roots[0].joinpath("lost+found").mkdir(mode=0)
        self.roots[0].joinpath("0/000/3").mkdir()
        self.assertEqual(self.sweep(JudgingMaster()), Swept(1, 1, 4, 8))
        for path in foreign:
            self.assertEqual(path.read_text(), "precious")

    def test_by_pages(self) -> None:
        self.patch(volumes, "PAGE", 3)
        for segment in range(8):
            self.put(segment)
        master = JudgingMaster(*range(8))
        self.assertEqual(self.sweep(master).looked, 8)
        self.assertEqual(sorted(len(page) for page in master.asked), [2, 3, 3])

    def test_a_volume_that_is_gone_does_not_stop_the_others(self) -> None:
        self.put(1, volume=1)
        self.roots[0].rmdir()
        self.assertEqual(self.sweep(JudgingMaster()).unlinked, 1)

    def test_deleted_while_it_was_looked_at(self) -> None:
        self.put(1)
        volume = self.store.volumes[0]

        class Gone:
            name, path = "1", str(self.roots[0] / "0/000/1")

            def is_file(self, follow_symlinks: bool) -> bool:
                return True

            def stat(self, follow_symlinks: bool) -> Any:
                raise FileNotFoundError

        self.assertEqual(volume._sort_out([Gone()]), ([], []))  # type: ignore[list-item]

    def test_a_master_that_does_not_answer_loses_nothing(self) -> None:
        self.put(1)
        master = JudgingMaster()

        def fail() -> None:
            raise Unavailable

        master.when_asked = fail
        self.failureResultOf(Deferred.fromCoroutine(Sweep(self.store, master).run()), Unavailable)
        self.assertEqual(self.files(), ["0/000/1"])
