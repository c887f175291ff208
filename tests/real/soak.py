"""Clients at every door of a fleet behind a balancer, at a modest rate for long, and what its processes hold meanwhile.

Each client puts and gets names of its own, over and over, compares what comes, and connects anew now and then. Names are
always the same, so what grows with time, but for the history, is lost.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import psutil
from attrs import define, field, frozen

from tests.real.balanced_clients import Client
from tests.real.fleet import Fleet
from tests.real.harness import Node
from tests.real.kills import content

SIZES = (0, 100, 1000, 20_000, 70_000, 300_000, 1_500_000)

NAMES = 12
"""Each client's."""

STAY = 25
"""Operations over one connection."""


@frozen
class Held:
    """What one daemon has: resident bytes of it and of the catalogue's companion, descriptors, threads."""

    memory: int
    companion: int
    descriptors: int
    threads: int

    @classmethod
    def by(cls, node: Node) -> Held:
        process = psutil.Process(node.pid)
        companion = sum(child.memory_info().rss for child in process.children())
        return cls(process.memory_info().rss, companion, process.num_fds(), process.num_threads())

    def __str__(self) -> str:
        mib = f"{self.memory / (1 << 20):.1f} + {self.companion / (1 << 20):.1f} MiB"
        return f"{mib}, {self.descriptors} descriptors, {self.threads} threads"


@define
class Visitor:
    """One client at one door. `pace` is how many operations a second it makes at most."""

    door: str
    connect: Callable[[], Client]
    pace: float
    chance: random.Random
    done: int = 0
    moved: int = 0
    _versions: dict[str, int] = field(factory=dict)
    _client: Client | None = None

    def run(self, seconds: float, going: threading.Event) -> None:
        """Raises what a client meets, and `AssertionError` for what is not what was put."""
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end and going.is_set():
                began = time.monotonic()
                self._operate()
                time.sleep(max(0.0, began + 1 / self.pace - time.monotonic()))
        except BaseException:
            going.clear()
            raise
        finally:
            self._leave()

    def _operate(self) -> None:
        if self._client is None:
            self._client = self.connect()
        name = f"{self.door}-{self.chance.randrange(NAMES)}"
        version = self._versions.get(name, 0)
        if not version or self.chance.random() < 0.5:
            self._versions[name] = version = version + 1
            self._client.put(name, self._content(name, version))
        else:
            found = self._client.get(name)
            assert found == self._content(name, version), f"{name}: not what was put"
        self.done += 1
        self.moved += len(self._content(name, version))
        if not self.done % STAY:
            self._leave()

    def _content(self, name: str, version: int) -> bytes:
        return content(name, version, SIZES[version % len(SIZES)])

    def _leave(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


class Soak:
    """Visitors, and what the nodes held between spells; `pace` is each visitor's."""

    def __init__(self, fleet: Fleet, doors: Mapping[str, Callable[[], Client]], pace: float, seed: int) -> None:
        self._nodes = {"master": fleet.master, **fleet.members}
        self.visitors = [Visitor(door, doors[door], pace, random.Random(seed + n)) for n, door in enumerate(sorted(doors))]
        self.held: list[dict[str, Held]] = []

    def spell(self, seconds: float) -> None:
        """Let them come and go for so long, and note what is held when they have gone."""
        going = threading.Event()
        going.set()
        with ThreadPoolExecutor(len(self.visitors)) as pool:
            running = [pool.submit(visitor.run, seconds, going) for visitor in self.visitors]
        for each in running:
            each.result()
        self.note()

    def note(self) -> None:
        self.held.append({name: Held.by(node) for name, node in self._nodes.items()})

    def growth(self, spells: Sequence[int]) -> dict[str, int]:
        """Bytes that each node's daemon grew by between two notes."""
        first, last = (self.held[n] for n in spells)
        return {name: last[name].memory - first[name].memory for name in first}

    def summary(self) -> str:
        done, moved = (sum(getattr(each, name) for each in self.visitors) for name in ("done", "moved"))
        lines = [f"{done} operations, {moved / 1e6:.0f} MB"]
        lines += [f"{name}: {'; '.join(str(each[name]) for each in self.held)}" for name in self._nodes]
        return "\n".join(lines)


def gauges(text: str) -> dict[str, float]:
    """The values of a page of metrics, by name and labels."""
    return {found[1]: float(found[2]) for found in re.finditer(r"^(ecpds_\S+) (\S+)$", text, re.MULTILINE)}
