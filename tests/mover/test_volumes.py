"""Paths from ids, folders, free space, and failures of a volume."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import NoSpace, Unavailable
from ecpds.mover import volumes
from ecpds.mover.volumes import FRESH, REMEMBERED, Volume, segment_of, segment_path


class PathTests(SynchronousTestCase):
    def test_known(self) -> None:
        self.assertEqual(segment_path(0), "0/000/0")
        self.assertEqual(segment_path(1023), "0/000/3ff")
        self.assertEqual(segment_path(1024), "0/001/400")
        self.assertEqual(segment_path((1 << 63) - 1), "7ffffffffff/3ff/7fffffffffffffff")

    @given(st.integers(0, (1 << 63) - 1))
    def test_there_and_back(self, segment: int) -> None:
        self.assertEqual(segment_of(segment_path(segment)), segment)

    @given(st.integers(0, (1 << 63) - 1), st.integers(0, (1 << 63) - 1))
    def test_one_path_each(self, one: int, other: int) -> None:
        self.assertEqual(segment_path(one) == segment_path(other), one == other)

    @given(st.text("0123456789abcdefABF/_+-. x", max_size=20))
    def test_nothing_else_is_a_segment(self, path: str) -> None:
        segment = segment_of(path)
        self.assertTrue(segment is None or segment_path(segment) == path)

    def test_look_alikes(self) -> None:
        for path in ("0/000/01", "0/000/0x1", "0/000/ 1", "0/000/1_0", "0/001/1", "1", "0/000/-1", "0/000/A", "0/000/1.part"):
            self.assertIsNone(segment_of(path), path)


class VolumeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.root = Path(self.mktemp()).absolute() / "deep" / "0"
        self.volume = Volume(0, self.root, True, 1000, self.clock)
        self.volume.prepare()

    def test_made_when_missing(self) -> None:
        self.assertTrue(self.root.is_dir())
        self.assertIsNone(self.volume.failed)

    def test_use(self) -> None:
        use = self.volume.use()
        self.assertEqual((use.index, use.path, use.failed), (0, str(self.root), None))
        self.assertTrue(0 < use.free <= use.total)

    def test_gone(self) -> None:
        self.root.rmdir()
        use = self.volume.use()
        self.assertEqual((use.total, use.failed), (0, "No such file or directory"))
        with self.assertRaises(Unavailable):
            self.volume.reserve(1)

    def test_is_looked_at_again_after_a_while(self) -> None:
        self.assertFalse(self.volume.stale)
        self.clock.advance(FRESH + 0.1)
        self.assertTrue(self.volume.stale)
        self.volume.look()
        self.assertFalse(self.volume.stale)

    def test_some_is_never_used(self) -> None:
        self.volume._free = 1500
        self.volume.reserve(500)
        with self.assertRaises(NoSpace):
            self.volume.reserve(1)
        self.volume.give_back(1)
        self.volume.reserve(1)

    def test_the_first_failure_is_the_one_that_is_told(self) -> None:
        self.volume.fail(OSError(errno.EIO, "Input/output error"))
        self.assertEqual(self.volume.use().failed, "Input/output error")

    def test_what_is_remembered_is_bounded(self) -> None:
        self.volume._durable = {str(number) for number in range(REMEMBERED)}
        self.volume.make_folder(str(self.root / "0" / "000"))
        self.assertEqual(len(self.volume._durable), 1)

    def test_a_folder_that_another_process_made_is_made_durable(self) -> None:
        folder = self.root / "0" / "000"
        folder.mkdir(parents=True)
        synced: list[Any] = []
        self.patch(volumes, "sync_folder", synced.append)
        self.volume.make_folder(str(folder))
        self.assertEqual(synced, [folder.parent, self.root])

    def test_folders_and_what_is_none(self) -> None:
        for name in ("0/000", "a1/3ff", "lost+found", "0/400", "0/00", "A/000", "01/000", "0/zzz"):
            (self.root / name).mkdir(parents=True)
        (self.root / "0" / "001").write_text("a file")
        os.symlink(self.root, self.root / "b")
        folders, foreign = self.volume.folders()
        self.assertEqual([os.path.relpath(each, self.root) for each in folders], ["0/000", "a1/3ff"])
        self.assertEqual(
            sorted(os.path.relpath(each, self.root) for each in foreign),
            ["0/00", "0/001", "0/400", "0/zzz", "01", "A", "b", "lost+found"],
        )
