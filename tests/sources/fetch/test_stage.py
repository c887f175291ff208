"""A tiny file waits in memory until it gets its name, and is there all the same for whoever wants to read it again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import Refusal
from ecpds.sources.fetch.stage import TINY, Stage
from ecpds.threads import InlineThreads


class TinyFiles(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(mkdtemp(prefix="ecpds-stage-"))
        self.addCleanup(rmtree, self.folder, True)
        self.stage = Stage(InlineThreads(), self.folder / "below" / "file")

    def begun(self, content: bytes) -> None:
        async def begin() -> None:
            self.assertIsNone(await self.stage.begin())
            await self.stage.write_whole(memoryview(content))

        self.successResultOf(Deferred.fromCoroutine(begin()))

    def left_over(self) -> list[str]:
        return sorted(path.name for path in self.stage.target.parent.iterdir())

    def test_every_size_gets_its_name(self) -> None:
        for size in (0, 1, TINY, TINY + 1):
            content = b"x" * size
            self.begun(content)
            digests = self.successResultOf(Deferred.fromCoroutine(self.stage.digests(size)))
            self.assertEqual(digests["sha256"], hashlib.sha256(content).hexdigest())
            self.successResultOf(Deferred.fromCoroutine(self.stage.publish(size, 1e9)))
            self.assertEqual(self.stage.target.read_bytes(), content)
            self.assertEqual(self.stage.target.stat().st_mtime, 1e9)
            self.assertEqual(self.left_over(), ["file"])
            self.stage = Stage(InlineThreads(), self.stage.target)

    def test_it_is_read_again_before_it_has_its_name(self) -> None:
        self.begun(b"tiny")
        digest = self.successResultOf(Deferred.fromCoroutine(self.stage.digest("md5", 4)))
        self.assertEqual(digest, hashlib.md5(b"tiny").hexdigest())
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(self.stage.read(1, 2))), b"in")

    def test_what_is_fetched_anew_has_nothing_of_before(self) -> None:
        self.begun(b"something wrong")
        self.successResultOf(Deferred.fromCoroutine(self.stage.clear()))
        self.successResultOf(Deferred.fromCoroutine(self.stage.write_whole(memoryview(b"right"))))
        self.successResultOf(Deferred.fromCoroutine(self.stage.publish(5)))
        self.assertEqual(self.stage.target.read_bytes(), b"right")

    def test_a_name_that_is_taken_by_a_folder(self) -> None:
        """Nothing stays behind when it can't get its name."""
        self.begun(b"tiny")
        (self.stage.target / "inside").mkdir(parents=True)
        self.failureResultOf(Deferred.fromCoroutine(self.stage.publish(4)), Refusal)
        self.successResultOf(Deferred.fromCoroutine(self.stage.discard()))
        self.assertEqual(self.left_over(), ["file"])
