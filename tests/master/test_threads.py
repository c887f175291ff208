"""The Master with its writer on a thread: many at once, a crash at any moment."""

from __future__ import annotations

import shutil
from collections.abc import Coroutine
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, gatherResults

from ecpds.master.sql import Session
from ecpds.master.sqlite import SqliteEngine
from ecpds.master.writer import ThreadWriter, Writer
from ecpds.model import Entry
from tests.contracts.master import Uploading
from tests.master.support import MasterCase
from tests.master.test_writer import QueueReactor

CLIENTS = 16
FILES = 300


class ThreadedMasterTests(Uploading, MasterCase):
    """As a node has it."""

    def setUp(self) -> None:
        self.reactor = QueueReactor()
        super().setUp()
        self.populate()

    def make_writer(self) -> Writer:
        return ThreadWriter(self.engine, self.reactor)

    def now(self, work: Coroutine[Any, Any, Any]) -> Any:
        waiting = ensureDeferred(work)
        while not waiting.called:
            self.reactor.pump()
        return self.successResultOf(waiting)

    async def clients(self, acknowledged: list[Entry]) -> None:
        numbers = iter(range(FILES))

        async def client() -> None:
            for number in numbers:
                acknowledged.append(await self.put(f"{number % 7}/{number}"))
                if len(acknowledged) == FILES // 2:
                    await self.writer.run(partial(self.crash, list(acknowledged)))

        waiting: list[Deferred[None]] = [ensureDeferred(client()) for _ in range(CLIENTS)]
        await gatherResults(waiting, consumeErrors=True)

    def crash(self, acknowledged: list[Entry], _: Session) -> None:
        """Keep what the disk holds now: no more is left when the process dies.

        On the writer's thread, for a copy of two files that are being written is not what a crash leaves.
        """
        self.promised = acknowledged
        self.left = self.folder / "after the crash"
        self.left.mkdir()
        for name in ("catalogue.sqlite", "catalogue.sqlite-wal"):
            shutil.copy(self.folder / name, self.left)

    def test_many_at_once_and_a_crash_among_them(self) -> None:
        acknowledged: list[Entry] = []
        self.now(self.clients(acknowledged))
        self.assertEqual(len(acknowledged), FILES)
        self.assertEqual(len(self.promised), FILES // 2)
        self.assertEqual(len({entry.file.id for entry in acknowledged}), FILES)
        self.stop()
        self.path = self.left / "catalogue.sqlite"
        self.engine = SqliteEngine(self.path, sync=False)
        self.start()
        for entry in self.promised:
            self.assertEqual(self.now(self.master.resolve("demo", entry.path)), entry)
        self.assertEqual(self.orphans(), [])
