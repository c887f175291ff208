"""Folders that are durable when they were made."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ecpds import folders
from ecpds.folders import make_folder, sync_folder


class Folders(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = Path(self.mktemp())
        self.root.mkdir()
        self.synced: list[Path] = []
        self.patch(folders, "sync_folder", self.synced.append)

    def test_every_folder_that_was_missing_is_synced_into_the_one_above(self) -> None:
        make_folder(self.root / "a" / "b" / "c", 0o700)
        self.assertEqual(self.synced, [self.root / "a" / "b", self.root / "a", self.root])
        self.assertEqual((self.root / "a" / "b" / "c").stat().st_mode & 0o777, 0o700)

    def test_one_that_is_there_may_not_be_durable_yet(self) -> None:
        make_folder(self.root)
        self.assertEqual(self.synced, [self.root.parent])

    def test_a_parent_that_may_not_be_read(self) -> None:
        def refuse(folder: Path) -> None:
            raise PermissionError(13, "Permission denied")

        self.patch(folders, "sync_folder", refuse)
        make_folder(self.root / "a")
        self.assertTrue((self.root / "a").is_dir())

    def test_what_is_no_folder_can_not_be_synced(self) -> None:
        (self.root / "file").touch()
        self.assertRaises(NotADirectoryError, sync_folder, self.root / "file")
