"""How many files the Master can take a second, and how fast it answers, whatever the catalogue holds already.

A whole Master in this process, on the real reactor, with its writer as a node has it, its catalogue on a disk and every commit
synced. 64 clients ask it, each for one pair after the other: allocate a DataFileID for a new name (rights, what is
there, placement), hand in the receipt of the one copy, and wait until the commit says that the name exists. The clients
leave the reactor no rest, and a steady load of look-ups of other names is answered meanwhile. Then look-ups alone, and
pages of a listing, each from a name drawn at random.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random, SystemRandom
from statistics import median
from typing import Any

from attrs import define, field
from rich.console import Console
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.task import LoopingCall

from bench.filling import fill, name
from bench.options import Options
from bench.tables import show
from ecpds.keys import Vault
from ecpds.limits import Limits
from ecpds.master.companion_writer import writer_of
from ecpds.master.engine import Engine
from ecpds.master.operations import Operations
from ecpds.master.postgresql import PostgresqlEngine
from ecpds.master.service import Master
from ecpds.master.sqlite import SqliteEngine
from ecpds.model import Destination, Origin, Receipt
from ecpds.node.means import SWITCH_INTERVAL
from ecpds.people import NewUser
from ecpds.terms import AllocationRequest
from ecpds.threads import PoolThreads
from tests.master.support import MemoryMover
from tests.real.postgresql import Server

IN_FLIGHT = 64
LOOK_UPS = 1000
"""Look-ups of files a second that are answered while pairs are measured."""
SIZES = (1000, 100_000, 1_000_000)
PAGES = 50
ORIGIN = Origin("ftp", "192.0.2.1", "bench")
DIGESTS = {"crc64nvme": "0011223344556677", "sha256": "ab" * 32}
COLUMNS = ("engine", "entries", "pairs/s", "CPU us", "p50 ms", "p99 ms", "stat/s", "p50 us", "p99 us", "page of 1000, ms")


@define
class Figures:
    """What was seen: seconds each took, and how many a second there were."""

    pairs: list[float] = field(factory=list)
    pair_rate: float = 0.0
    pair_cpu: float = 0.0
    stats: list[float] = field(factory=list)
    stat_rate: float = 0.0
    pages: list[float] = field(factory=list)

    def row(self, engine: str, entries: int) -> list[str]:
        pairs, stats = sorted(self.pairs), sorted(self.stats)
        return [
            engine,
            f"{entries:,}",
            f"{self.pair_rate:,.0f}",
            f"{self.pair_cpu * 1e6:.0f}",
            f"{median(pairs) * 1e3:.1f}",
            f"{pairs[len(pairs) * 99 // 100] * 1e3:.1f}",
            f"{self.stat_rate:,.0f}",
            f"{median(stats) * 1e6:.0f}",
            f"{stats[len(stats) * 99 // 100] * 1e6:.0f}",
            f"{median(self.pages) * 1e3:.1f}",
        ]


class Load:
    """The clients of one Master, whose destination has so many entries."""

    def __init__(self, master: Master, user: int, entries: int, pairs: int) -> None:
        self._master = master
        self._user = user
        self._entries = entries
        self._count = pairs
        self._random = Random(1)
        self.figures = Figures()

    async def measure(self) -> Figures:
        background = LoopingCall.withCount(self._look_up)
        background.start(0.005, now=False)
        await self._clients(self._pair, self._count // 10, [])
        cpu = time.process_time()
        self.figures.pair_rate = await self._clients(self._pair, self._count, self.figures.pairs)
        self.figures.pair_cpu = (time.process_time() - cpu) / self._count
        background.stop()
        self.figures.stat_rate = await self._clients(self._stat, self._count, self.figures.stats, in_flight=16)
        await self._clients(self._page, PAGES, self.figures.pages, in_flight=1)
        return self.figures

    async def _clients(
        self, work: Callable[[int], Coroutine[Any, Any, None]], count: int, times: list[float], in_flight: int = IN_FLIGHT
    ) -> float:
        """Let clients do `count` in all; how many they did a second."""
        numbers = iter(range(count))

        async def client() -> None:
            for number in numbers:
                before = time.perf_counter()
                await work(number)
                times.append(time.perf_counter() - before)

        start = time.perf_counter()
        clients: list[Deferred[None]] = [ensureDeferred(client()) for _ in range(in_flight)]
        await gatherResults(clients, consumeErrors=True)
        return count / (time.perf_counter() - start)

    async def _pair(self, _: int) -> None:
        path = f"{self._random.getrandbits(64):016x}"
        allocation = await self._master.allocate(AllocationRequest(self._user, "bench", path, ORIGIN, 1000))
        where = allocation.placements[0]
        await self._master.stored(Receipt(allocation.id, where.mover, where.volume, 1000, DIGESTS))
        await self._master.finish(allocation.id)

    async def _stat(self, _: int) -> None:
        await self._master.resolve("bench", name(self._random.randrange(1, self._entries + 1)))

    async def _page(self, _: int) -> None:
        await self._master.list("bench", "", name(self._random.randrange(1, self._entries + 1)), 1000)

    def _look_up(self, ticks: int) -> None:
        for _ in range(min(ticks, 20) * LOOK_UPS // 200):
            ensureDeferred(self._stat(0))


async def measured(engine: Engine, entries: int, pairs: int, reactor: Any) -> Figures:
    """One Master on an empty catalogue, which is filled first."""
    engine.open()
    threads = [PoolThreads(reactor, "catalogue", Limits().catalogue_threads), PoolThreads(reactor, "login", 1)]
    for pool in threads:
        pool.start()
    random = SystemRandom()
    master = Master(
        engine, writer_of(engine, reactor), *threads, Limits(), reactor, random, Vault(random.randbytes(32), random)
    )
    await master.start()
    master.register_mover(MemoryMover())
    operations = Operations(master)
    await operations.add_destination(Destination(0, "bench"))
    user = await operations.add_user(NewUser("bench", destinations=("bench",)))
    await master.writer.run(lambda session: fill(session, engine.is_near, entries))
    settle(engine)
    try:
        return await Load(master, user.id, entries, pairs).measure()
    finally:
        await master.stop()
        engine.close()
        for pool in threads:
            pool.stop()


def settle(engine: Engine) -> None:
    """Let nothing of the filling be left to be done."""
    session = engine.session()
    session.command("PRAGMA wal_checkpoint(TRUNCATE)" if engine.is_near else "CHECKPOINT")
    session.close()


@contextmanager
def engines(folder: Path) -> Iterator[dict[str, Callable[[str], Engine]]]:
    """How to make an engine on an empty catalogue, by what to call it; synced, both."""
    server = Server({"fsync": "on", "shared_buffers": "256MB", "max_wal_size": "4GB"})
    server.start()
    try:
        yield {
            "SQLite": lambda name: SqliteEngine(folder / f"{name}.sqlite"),
            "PostgreSQL": lambda name: PostgresqlEngine(server.make(name)),
        }
    finally:
        server.remove()


async def rows(folder: Path, pairs: int, reactor: Any) -> list[list[str]]:
    found = []
    with engines(folder) as makers:
        for (called, make), entries in itertools.product(makers.items(), SIZES):
            figures = await measured(make(f"bench_{entries}"), entries, pairs, reactor)
            found.append(figures.row(called, entries))
    return found


def run(options: Options, console: Console) -> None:
    """Prints one table."""
    from twisted.internet import reactor

    sys.setswitchinterval(SWITCH_INTERVAL)
    folder = Path(tempfile.mkdtemp(prefix="bench-catalogue-", dir=options.disk))
    ended: list[Any] = []

    def begin() -> None:
        work = ensureDeferred(rows(folder, options.files * 10, reactor))
        work.addBoth(ended.append).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    try:
        reactor.run()
    finally:
        shutil.rmtree(folder)
    if not isinstance(ended[0], list):
        ended[0].raiseException()
    show(console, f"Catalogue: {IN_FLIGHT} in flight, commits synced, {LOOK_UPS} look-ups/s meanwhile", COLUMNS, ended[0])
