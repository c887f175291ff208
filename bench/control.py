"""Calls over the control link: a node asks a Master, each a process, over mutual TLS and Perspective Broker as in a fleet.

The Master answers at once, without a catalogue: it signs a ticket for each allocation, and that is all. A pair is an
`allocate` and, after its answer, a `finish`. First as many as go with so many clients at once; then so many a second, each
begun at its time whatever became of those before, with the time that each took from when it should have begun.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from random import Random
from statistics import median
from typing import Any

from rich.console import Console
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.task import deferLater

from bench.options import Options
from bench.tables import show
from ecpds.cluster.authority import master_credentials, open_authority
from ecpds.cluster.calls import Remote, call, handlers
from ecpds.cluster.codec import VERSION
from ecpds.cluster.fleet import NodeState
from ecpds.cluster.joining import Gatekeeper, join
from ecpds.cluster.master_end import MasterEnd
from ecpds.cluster.node_end import NodeEnd
from ecpds.cluster.post import Hello
from ecpds.cluster.remote import RemoteMaster
from ecpds.cluster.tickets import TicketOffice, ticket_key
from ecpds.config import Config, Node
from ecpds.events import Event
from ecpds.keys import utc_now
from ecpds.model import Allocation, Copy, DataFile, Entry, Origin, Placement, Segment
from ecpds.node.means import SWITCH_INTERVAL
from ecpds.terms import AllocationRequest
from tests.real.harness import environment, not_without_us

reactor: Any = global_reactor

SECRET = b"s" * 43
PAIRS = 30_000
CLIENTS = 256
PACED = (1000, 2500)
SECONDS = 6.0
COLUMNS = ("load", "what", "pairs/s", "p50 ms", "p99 ms", "node CPU µs/pair", "Master CPU µs/pair")

ORIGIN = Origin("ftp", "192.0.2.1", "node")
DIGESTS = {"crc64nvme": "0011223344556677", "sha256": "ab" * 32}


class InstantMaster:
    """Allocates and finishes, and knows nothing."""

    def __init__(self) -> None:
        self._next = 0

    async def allocate(self, request: AllocationRequest) -> Allocation:
        self._next += 1
        return Allocation(self._next, (Placement("master", 0),), ("crc64nvme", "sha256"))

    async def finish(self, allocation: int) -> Entry:
        segment = Segment(allocation, 1000, (Copy("master", 0),))
        return Entry("some/folder/file.grib", 1.0, DataFile(allocation, 1000, 1.0, 1.0, DIGESTS, {}, (segment,)))

    def record(self, event: Event) -> None:
        """Nobody reads them."""

    def __getattr__(self, name: str) -> Any:
        """What handlers want to be there; nothing else is asked."""
        return None if not name.startswith("_") else object.__getattribute__(self, name)


class Clock(Remote):
    """How much processor time the Master has used."""

    prefix = "bench."

    @call(repeatable=True)
    async def used(self) -> float:  # type: ignore[empty-body]
        """Seconds."""


class MasterClock:
    """Answers the `Clock`."""

    async def used(self) -> float:
        return time.process_time()


def serve(home: str) -> None:
    """The Master's process: says its port, and serves until its input ends."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    config = Config(node=Node(name="master", home=home))
    authority = open_authority(config, utc_now())
    credentials = master_credentials(config, authority, utc_now())
    office = TicketOffice(ticket_key(config), time.time, 60.0)
    master: Any = InstantMaster()
    end = MasterEnd("master", os.urandom(4).hex(), master, master, office, ("127.0.0.1", 1), reactor, lambda *_: None)
    end.more = lambda member: handlers(Clock, MasterClock())
    gatekeeper = Gatekeeper(SECRET, authority, {}, utc_now, end.may_join)
    listening = reactor.listenTCP(0, end.factory(credentials, gatekeeper), interface="127.0.0.1")
    end.start()
    sys.stdout.write(f"{listening.getHost().port}\n")
    sys.stdout.flush()
    reactor.callInThread(lambda: (sys.stdin.read(), reactor.callFromThread(reactor.stop)))
    reactor.run()


class Load:
    """The node's clients."""

    def __init__(self, node: NodeEnd) -> None:
        self._master = RemoteMaster(node)
        self._clock = Clock(node)
        self._random = Random(1)

    async def pair(self) -> None:
        path = f"some/folder/{self._random.getrandbits(64):016x}.grib"
        allocation = await self._master.allocate(AllocationRequest(7, "archive", path, ORIGIN, 1000))
        await self._master.finish(allocation.id)

    async def as_many_as_go(self, count: int) -> list[float]:
        numbers, took = iter(range(count)), []

        async def client() -> None:
            for _ in numbers:
                before = time.perf_counter()
                await self.pair()
                took.append(time.perf_counter() - before)

        await gatherResults([ensureDeferred(client()) for _ in range(CLIENTS)])
        return took

    async def paced(self, rate: int) -> list[float]:
        """Each begun at its time; late is counted as having taken long."""
        took: list[float] = []
        waiting: list[Deferred[None]] = []
        start = time.perf_counter()

        async def one(due: float) -> None:
            await self.pair()
            took.append(time.perf_counter() - due)

        for number in range(int(rate * SECONDS)):
            due = start + number / rate
            if (early := due - time.perf_counter()) > 0:
                await deferLater(reactor, early, lambda: None)
            waiting.append(ensureDeferred(one(due)))
        await gatherResults(waiting)
        return took

    async def row(self, label: str, work: Coroutine[Any, Any, list[float]]) -> list[str]:
        master, node, start = await self._clock.used(), time.process_time(), time.perf_counter()
        took = sorted(await work)
        wall = time.perf_counter() - start
        node, master = time.process_time() - node, await self._clock.used() - master
        figures = (len(took) / wall, median(took) * 1e3, took[len(took) * 99 // 100] * 1e3)
        costs = (node / len(took) * 1e6, master / len(took) * 1e6)
        return [
            label,
            "pairs",
            f"{figures[0]:,.0f}",
            f"{figures[1]:.1f}",
            f"{figures[2]:.1f}",
            *(f"{cost:.0f}" for cost in costs),
        ]

    async def rows(self) -> list[list[str]]:
        await self.as_many_as_go(PAIRS // 10)
        found = [await self.row(f"{CLIENTS} clients", self.as_many_as_go(PAIRS))]
        found += [await self.row(f"{rate:,} a second", self.paced(rate)) for rate in PACED]
        return found


def ask(port: str) -> None:
    """The node's process: prints the rows."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    credentials, _ = join(("127.0.0.1", int(port)), SECRET, "node")

    async def state() -> NodeState:
        return NodeState((), {}, 0)

    hello = Hello(VERSION, "node", "1", ["ftp"], "default", "127.0.0.1", 9)
    node = NodeEnd((("127.0.0.1", int(port)),), hello, {}, state, reactor, Random(1), 10.0)

    async def work() -> None:
        node.start(credentials)
        await node.met
        sys.stdout.write(json.dumps(await Load(node).rows()))

    failed: list[Any] = []

    def ended(result: Any) -> None:
        if result is not None:
            failed.append(result)
        node.stop()
        reactor.callLater(0.1, reactor.stop)

    reactor.callWhenRunning(lambda: ensureDeferred(work()).addBoth(ended))
    reactor.run()
    if failed:
        failed[0].raiseException()


def run(options: Options, console: Console) -> None:
    with tempfile.TemporaryDirectory(prefix="ecpds-bench-") as home, _process("master", home) as master:
        assert master.stdout is not None
        port = master.stdout.readline().decode().strip()
        with _process("node", port) as node:
            assert node.stdout is not None
            rows = json.loads(node.stdout.read() or "[]")
    title = "The control link: pairs of allocate and finish"
    show(console, title, COLUMNS, rows, [f"load average {os.getloadavg()[0]:.1f}"])


@contextmanager
def _process(part: str, argument: str) -> Iterator[subprocess.Popen[bytes]]:
    """One of the two, ended when it isn't needed any more."""
    command = not_without_us([sys.executable, "-m", "bench.control", part, argument])
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
    try:
        yield process
    finally:
        process.communicate(timeout=60)


if __name__ == "__main__":
    {"master": serve, "node": ask}[sys.argv[1]](sys.argv[2])
