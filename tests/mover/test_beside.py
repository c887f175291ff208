"""Volumes of other movers on this host: what is read there, and what is not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.model import Copy
from ecpds.mover.beside import VolumesBeside
from ecpds.mover.volumes import segment_path
from ecpds.threads import InlineThreads

OTHER = "node-2"


class Beside(SynchronousTestCase):
    def setUp(self) -> None:
        self.roots = [Path(self.mktemp()) for _ in range(2)]
        for root in self.roots:
            root.mkdir()
        self.theirs = VolumesBeside(self.roots, InlineThreads())
        self.beside = VolumesBeside([], InlineThreads())
        self.now(self.beside.take(OTHER, self.now(self.theirs.folders())))

    def now(self, work: Any) -> Any:
        return self.successResultOf(ensureDeferred(work))

    def put(self, segment: int, volume: int, data: bytes) -> None:
        path = self.roots[volume] / segment_path(segment)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def read(self, segment: int, length: int, mover: str = OTHER, volume: int = 1) -> bytes | None:
        found = self.beside.read_now(segment, Copy(mover, volume), length)
        return None if found is None else bytes(found)

    def test_a_small_segment_is_read_on_its_own_volume(self) -> None:
        self.put(5, 1, b"content")
        self.assertEqual(self.read(5, 7), b"content")
        self.assertIsNone(self.read(5, 7, volume=0))

    def test_what_is_not_there_or_not_whole_is_no_answer(self) -> None:
        self.put(5, 1, b"content")
        for segment, length in ((6, 7), (5, 8), (5, 0), (5, -1)):
            self.assertIsNone(self.read(segment, length), (segment, length))
        for volume in (-1, 2):
            self.assertIsNone(self.read(5, 7, volume=volume))
        self.assertIsNone(self.read(5, 7, mover="node-3"))

    def test_a_folder_that_is_another_here_is_not_read(self) -> None:
        self.put(5, 1, b"content")
        path = os.fspath(self.roots[1].absolute())
        found = os.stat(path)
        others = [(path, found.st_dev, found.st_ino + 1), (path, found.st_dev + 1, found.st_ino), (path + "/none", 0, 0)]
        for folder in (*others, (os.fspath(self.roots[1]), found.st_dev, found.st_ino)):
            self.now(self.beside.take(OTHER, [folder]))
            self.assertIsNone(self.read(5, 7, volume=0), folder)
        self.now(self.beside.take(OTHER, [(path, found.st_dev, found.st_ino)]))
        self.assertEqual(self.read(5, 7, volume=0), b"content")
