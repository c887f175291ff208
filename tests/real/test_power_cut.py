"""A cut of the power, at any moment: what was acknowledged is there, wholly, and nothing half is.

strace writes down what a real node asks of its disk while clients put, overwrite, delete and rename; the node is killed.
Then, for many moments, the disk is laid out as it may be found when the power went at that moment (see `disk`), another
node is started on it, and asked for everything. The same with the syncs of one kind left out must find a loss, else these
tests would prove nothing.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from http.client import HTTPException
from pathlib import Path
from typing import ClassVar
from unittest import SkipTest

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.real.changes import Changers
from tests.real.clients import missing
from tests.real.disk import NONE, Disk
from tests.real.harness import DaemonFailed, Node, Options, until
from tests.real.strace import Call, calls, has_ended, traced
from tests.real.strace import until as replay

SEED = int(os.environ.get("ECPDS_TEST_SEED", "20261121"))

SYNCS = {
    "contents": r"/volumes/0(/\w+){3}$",
    "the folders of contents": r"/volumes/0(/\w+){2}$",
    "the catalogue's log": r"/catalogue\.sqlite-wal$",
    "the names in the home": r"/home$",
    "the keys' folder": r"/home/keys$",
}
"""Paths that are synced, by what would be lost."""

LOST = (AssertionError, ValueError, OSError, HTTPException, DaemonFailed)
"""How a loss shows."""

OPTIONS: Options = {"limits": {"ticket_life": 1.0}}


def refused() -> str | None:
    """Why strace can't be used here, or None: some containers let nobody trace."""
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, text=True, timeout=60, check=False)
    return f"strace does not work here: {tried.stderr.strip()}" if tried.returncode else None


class PowerCuts(SynchronousTestCase):
    folder: ClassVar[Path]
    recorded: ClassVar[Node]
    changers: ClassVar[Changers]
    seen: ClassVar[list[Call]]

    @classmethod
    def setUpClass(cls) -> None:
        """One recording for all cuts, of a node's whole life."""
        if why := missing("strace") or refused():
            raise SkipTest(why)
        cls.folder = Path(tempfile.mkdtemp(prefix="ecpds-cut-")).resolve()
        trace = cls.folder / "trace"
        cls.recorded = Node(cls.folder / "node", OPTIONS, lambda command: [*traced(trace), *command])
        try:
            cls.recorded.start()
            cls.recorded.populate()
            cls.changers = Changers(SEED)
            cls.changers.until_killed(cls.recorded, 2.0, least=60)
            until(lambda: has_ended(trace), "strace to end")
            cls.seen = list(calls(trace))
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls) -> None:
        if cls.recorded.process is not None:
            cls.recorded.kill()
        shutil.rmtree(cls.folder, ignore_errors=True)

    def cut(self, moment: float, luck: float, chance: random.Random, deaf: str = NONE) -> None:
        """Find a node after a cut, and check it."""
        disk = Disk(str(self.recorded.folder), deaf)
        replay(self.seen, moment, disk)
        found = Node(Path(self.mktemp()).resolve(), OPTIONS)
        laid_out = found.folder / "disk"
        disk.cut(laid_out, luck, chance)
        shutil.move(laid_out / "home", found.home)
        try:
            for key in (self.recorded.home / "keys").iterdir():
                self.assertEqual((found.home / "keys" / key.name).read_bytes(), key.read_bytes())
            found.start()
            self.changers.check(found, moment)
        finally:
            if found.process is not None:
                found.kill()
                found.wait_until_left()
            # A companion that had only been started may still come, find nobody, and leave.
            shutil.rmtree(found.folder, ignore_errors=True)

    def cuts(self, count: int) -> None:
        """Every other one is right after an acknowledgement; in every other, nothing unsynced is found."""
        chance, moments = random.Random(SEED), self.changers.moments()
        for number in range(count):
            moment = chance.choice(moments) if number % 2 else chance.uniform(moments[0], moments[-1])
            luck = (0.0, chance.random(), 0.0, 1.0)[number % 4]
            try:
                self.cut(moment, luck, chance)
            except Exception as failure:
                failure.add_note(f"seed {SEED}, cut {number}, {moment - moments[0]:.6f} s after the first, luck {luck:.2f}")
                raise

    def test_six_cuts(self) -> None:
        self.cuts(6)

    @pytest.mark.long
    def test_a_hundred_cuts(self) -> None:
        self.cuts(100)

    def test_each_kind_of_sync_is_needed(self) -> None:
        last = self.changers.moments()[-1]
        self.cut(last, 0.0, random.Random(SEED))
        for kind, deaf in SYNCS.items():
            try:
                self.cut(last, 0.0, random.Random(SEED), deaf)
            except LOST as lost:
                print(f"without the syncs of {kind}: {str(lost)[:300]}")
            else:
                self.fail(f"nothing is lost without the syncs of {kind}")
