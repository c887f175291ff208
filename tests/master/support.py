"""A Master on a catalogue of its own, with no thread and no disk behind its mover."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Coroutine, Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ecpds.interfaces import IMoverControl
from ecpds.keys import Vault
from ecpds.limits import Limits
from ecpds.master.engine import Engine
from ecpds.master.operations import Operations
from ecpds.master.service import Master
from ecpds.master.sql import Session
from ecpds.master.sqlite import SqliteEngine
from ecpds.master.writer import InlineWriter, Writer
from ecpds.model import Copy, Receipt, StoredSegment, VolumeUse
from ecpds.scrubbing import HeldCopy, ScrubState, Verdict
from ecpds.threads import InlineThreads

NOW = 1_800_000_000.0
VAULT = Vault(b"k" * 32, Random(2))


@implementer(IMoverControl)
class MemoryMover:
    """A mover of which a test says how full it is and what it can't do, and which says what it was asked to delete."""

    def __init__(self, name: str = "mover-1", uses: Sequence[VolumeUse] = (VolumeUse(0, "/v0", 1 << 40, 1 << 39),)) -> None:
        self.name = name
        self.uses = uses
        self.deleted: list[int] = []
        self.failure: Exception | None = None
        self.deleting: Deferred[None] | None = None
        self.asked = 0
        self.digested: list[list[int]] = []
        self.digests_of = {"crc64nvme": "0011223344556677"}
        self.digesting: Deferred[None] | None = None
        self.digest_failure: Exception | None = None
        self.copied: list[tuple[StoredSegment, Copy]] = []
        self.copying: list[Deferred[None]] | None = None
        """Where it is a list, each copy waits for a Deferred of its own in it."""
        self.copy_failure: Exception | None = None
        self.checked: list[HeldCopy] = []
        self.damage: dict[int, str] = {}
        """What is wrong with copies of segments."""
        self.orders: list[str] = []

    async def delete(self, segments: Sequence[StoredSegment]) -> None:
        if self.failure is not None:
            raise self.failure
        self.deleted.extend(each.segment for each in segments)
        if self.deleting is not None:
            await self.deleting

    async def digests(self, segments: Sequence[StoredSegment], names: Sequence[str]) -> Mapping[str, str]:
        self.digested.append([each.segment for each in segments])
        if self.digesting is not None:
            await self.digesting
        if self.digest_failure is not None:
            raise self.digest_failure
        return {name: self.digests_of.get(name, f"{name} of {segments[0].segment}") for name in names}

    async def copy(self, segment: StoredSegment, source: Copy) -> Receipt:
        self.copied.append((segment, source))
        if self.copying is not None:
            self.copying.append(Deferred())
            await self.copying[-1]
        if self.copy_failure is not None:
            raise self.copy_failure
        return Receipt(segment.segment, self.name, segment.volume, segment.size, self.digests_of)

    async def check(self, copy: HeldCopy) -> Verdict:
        self.checked.append(copy)
        if self.failure is not None:
            raise self.failure
        return Verdict(copy.segment, copy.volume, self.damage.get(copy.segment))

    async def scrub(self, order: str) -> ScrubState:
        if self.failure is not None:
            raise self.failure
        self.orders.append(order)
        return ScrubState(self.name, "running", NOW, None, None, 7, 3, 300, 1, 0)

    async def volumes(self) -> Sequence[VolumeUse]:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.uses


@cache
def _template() -> Path:
    """A new catalogue, made by the migrations once a run."""
    path = Path(tempfile.mkdtemp(prefix="catalogue-")) / "catalogue.sqlite"
    engine = SqliteEngine(path, sync=False)
    engine.open()
    engine.close()
    return path


class MasterCase(SynchronousTestCase):
    """A test with a Master, its operations, a mover and a clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.limits = Limits()
        self.mover = MemoryMover()
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)
        self.path = self.folder / "catalogue.sqlite"
        self.new_catalogue()
        self.start()
        self.addCleanup(self.stop)

    def new_catalogue(self) -> None:
        """An empty one, in place of what there was."""
        for file in self.folder.iterdir():
            file.unlink()
        shutil.copy(_template(), self.path)

    def start(self) -> None:
        self.engine = self.make_engine()
        self.engine.open()
        self.writer: Writer = self.make_writer()
        threads = InlineThreads()
        self.master = Master(self.engine, self.writer, threads, threads, self.limits, self.clock, Random(1), VAULT)
        self.operations = Operations(self.master)
        self.now(self.master.start())
        self.master.register_mover(self.mover)

    def make_engine(self) -> Engine:
        return SqliteEngine(self.path, sync=False)

    def make_writer(self) -> Writer:
        return InlineWriter(self.engine)

    def stop(self) -> None:
        self.now(self.master.stop())
        self.engine.close()

    def restart(self) -> None:
        """As after a crash: a new Master on the same catalogue."""
        self.stop()
        self.start()

    def now(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What `work` returns, without waiting."""
        return self.successResultOf(ensureDeferred(work))

    def refused(self, refusal: type[Exception], work: Coroutine[Any, Any, Any]) -> Any:
        """The refusal that `work` raises."""
        return self.failureResultOf(ensureDeferred(work), refusal).value

    def begun(self, work: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        """`work`, which has to wait for something."""
        waiting = ensureDeferred(work)
        self.assertNoResult(waiting)
        return waiting

    def sql(self, text: str) -> list[Any]:
        """Ask the catalogue itself."""
        session: Session = self.engine.session()
        try:
            return session.connection.execute(text).fetchall()
        finally:
            session.close()

    def orphans(self) -> list[str]:
        """What the tables hold that nothing points at, or that points at nothing."""
        checks = {
            "data file without a name": "SELECT id FROM data_file WHERE id NOT IN (SELECT data_file FROM entry)"
            " AND id NOT IN (SELECT data_file FROM standby)",
            "segment without a file": "SELECT id FROM segment WHERE data_file IS NULL"
            " AND id NOT IN (SELECT segment FROM upload_part)",
            "copy without a segment": "SELECT segment FROM copy WHERE segment NOT IN (SELECT id FROM segment)",
            "file without a segment": "SELECT id FROM data_file WHERE id NOT IN (SELECT data_file FROM segment)",
            "copy that is in use and to be deleted": "SELECT segment FROM reclaim JOIN copy USING (segment, mover, volume)",
            "directory that is empty and implicit": "SELECT path FROM directory d WHERE implicit AND path != ''"
            " AND NOT EXISTS (SELECT 1 FROM directory WHERE parent = d.id)"
            " AND NOT EXISTS (SELECT 1 FROM entry WHERE directory = d.id)"
            " AND NOT EXISTS (SELECT 1 FROM standby WHERE directory = d.id)",
            "directory whose path is not its parent's and its name": "SELECT d.path FROM directory d LEFT JOIN directory p"
            " ON p.id = d.parent AND p.destination = d.destination WHERE d.path != ''"
            " AND d.path IS DISTINCT FROM (CASE WHEN p.path = '' THEN '' ELSE p.path || '/' END) || d.name",
            "name that is both a file and a directory": "SELECT e.name FROM entry e JOIN directory d"
            " ON d.parent = e.directory AND d.name = e.name",
            "name that waits and is a directory": "SELECT s.name FROM standby s JOIN directory d"
            " ON d.parent = s.directory AND d.name = s.name",
            "file that waits in another destination than its directory": "SELECT s.name FROM standby s JOIN directory d"
            " ON d.id = s.directory WHERE d.destination != s.destination",
            "file that waits and is seen": "SELECT data_file FROM standby JOIN entry USING (data_file)",
        }
        if self.engine.is_near:
            checks["foreign key"] = "PRAGMA foreign_key_check"
        session: Session = self.engine.session()
        try:
            return [f"{what}: {row}" for what, text in checks.items() for row in session.connection.execute(text).fetchall()]
        finally:
            session.close()
