"""A run in memory: the twin's servers, a clock that tests turn, and a folder."""

from __future__ import annotations

from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import mkdtemp

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.datasources import Candidate
from ecpds.sources.fetch.job import Job
from ecpds.sources.fetch.outcomes import Outcome, Silent, Task
from ecpds.sources.fetch.pace import Paces
from ecpds.sources.fetch.parts import Tools
from ecpds.sources.fetch.settings import Settings
from ecpds.sources.fetch.sidecars import Sidecars
from ecpds.sources.fetch.wanted import Wanted
from ecpds.threads import InlineThreads
from ecpds.transports.buffers import BufferPool
from tests.doubles.mechanisms import MemoryMechanism

MIB = 1 << 20


class FetchCase(SynchronousTestCase):
    """`servers` are the twin's; URLs are `http://A/name`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.servers = MemoryMechanism(self.clock)
        self.folder = Path(mkdtemp(prefix="ecpds-fetch-"))
        self.addCleanup(rmtree, self.folder, True)
        self.pool = BufferPool(64 * MIB)
        self.tools = self.make_tools(Settings())

    def make_tools(self, settings: Settings) -> Tools:
        paces = Paces(self.clock.seconds)
        return Tools({"http": self.servers}, {}, paces, InlineThreads(), self.pool, self.clock, Random(1), settings)

    def task(self, name: str, *hosts: str, **wanted: object) -> Task:
        candidates = tuple(Candidate(f"http://{host}/{name}", "http") for host in hosts)
        return Task(candidates[-1].url, self.folder / name, Wanted(**wanted), candidates)  # type: ignore[arg-type]

    def begin(self, task: Task) -> Deferred[Outcome]:
        job = Job(self.tools, task, Sidecars(self.tools.native, self.clock), Silent())
        return Deferred.fromCoroutine(job.run())

    def turn(self, seconds: float, step: float = 0.05) -> None:
        for _ in range(int(seconds / step)):
            self.clock.advance(step)

    def fetch(self, task: Task, patience: float = 600.0) -> Outcome:
        """Fetch a file to its end, however long the clock must run."""
        running = self.begin(task)
        for _ in range(int(patience / 0.05)):
            if running.called:
                break
            self.clock.advance(0.05)
        outcome = self.successResultOf(running)
        self.assertEqual(self.servers.connections, 0, "a stream was left open")
        self.assertEqual(self.pool.lent, 0, "a buffer was not given back")
        return outcome

    def left_over(self) -> list[str]:
        """What stands in the folder."""
        return sorted(path.name for path in self.folder.iterdir())
