"""Clients at every door of a fleet while its movers are killed, stopped, restarted and drained, and what must hold of it.

Every content says what it is (see `kills`): its name, its version, a SHA-256 of the rest. Each name is one worker's, who
puts a version again until it is acknowledged, and then perhaps the next. So what may be found of a name is what was
acknowledged last, or what was tried since, or a version of which a try had failed: such a try may still come to its end.
"""

from __future__ import annotations

import random
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from attrs import define, field

from tests.real.balanced_clients import BROKEN, Client
from tests.real.fleet import Fleet
from tests.real.kills import content, identify

SIZES = (0, 1, 1000, 65_536, 65_537, 300_000, 300_000, 2_000_000, 8_000_000)

NOTHING = 0
"""The version of a name that is not there."""


class HalfSeen(AssertionError):
    """What was found is not what an acknowledged put, or one under way, could have left."""


@define
class Name:
    """One name. `tried` is the latest version that a put has begun of, `failed` are those of which a try had failed."""

    name: str
    sizes: tuple[int, ...]
    acknowledged: int = NOTHING
    tried: int = NOTHING
    failed: set[int] = field(factory=set)
    seen: int = 0

    def check(self, found: bytes | None, acknowledged: int) -> int:
        """Which version was found, by who began to look when `acknowledged` was. Raises `HalfSeen`."""
        version = NOTHING
        if found is not None:
            try:
                named, version = identify(found)
            except ValueError as error:
                raise HalfSeen(f"{self.name}: {error}") from error
            if named != self.name or len(found) != len(self.content(version)):
                raise HalfSeen(f"{self.name} is {named}, {len(found)} bytes")
        if not (acknowledged <= version <= self.tried or version in self.failed):
            raise HalfSeen(f"{self.name} is of version {version}; {acknowledged} was acknowledged, {self.tried} tried")
        return version

    def content(self, version: int) -> bytes:
        """What is put as a version."""
        return content(self.name, version, self.sizes[version % len(self.sizes)])


class Worker:
    """Puts its names at one door, each until it is acknowledged, or gets any."""

    def __init__(self, door: str, connect: Callable[[], Client], names: Sequence[Name]) -> None:
        self.door, self.names = door, names
        self.failures: Counter[str] = Counter()
        self._connect = connect
        self._client: Client | None = None

    def put_all(self, may_go_on: Callable[[], bool], deadline: float) -> None:
        """Put a first version of every name, and further ones while `may_go_on`."""
        for name in self.names:
            self._put(name, deadline)
        while may_go_on():
            for name in self.names:
                if not may_go_on():
                    break
                self._put(name, deadline)
        self._leave()

    def _put(self, name: Name, deadline: float) -> None:
        name.tried = version = name.acknowledged + 1
        data = name.content(version)
        while True:
            try:
                self._here().put(name.name, data)
            except BROKEN as failure:
                name.failed.add(version)
                self.failures[f"{self.door}: {failure!r:.150}"] += 1
                self._leave()
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self.door}: {name.name} could not be put: {failure!r}") from failure
                time.sleep(0.2)
            else:
                name.acknowledged = version
                return

    def get(self, name: Name) -> None:
        """Look at a name; a server that can't say is no news. Raises `HalfSeen`."""
        acknowledged = name.acknowledged
        try:
            found = self._here().get(name.name)
        except BROKEN:
            self._leave()
            time.sleep(0.1)
        else:
            try:
                name.check(found, acknowledged)
            except HalfSeen as failure:
                failure.add_note(f"at the door {self.door}")
                raise
            name.seen += 1

    def _here(self) -> Client:
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _leave(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


class Faults:
    """Hurts one mover after the other, at random, and heals it; `done` tells what was done."""

    def __init__(self, fleet: Fleet, chance: random.Random, frosts: Sequence[float]) -> None:
        self._fleet = fleet
        self._frosts = frosts
        self._chance = chance
        self.done: list[str] = []

    def run(self, may_go_on: Callable[[], bool]) -> None:
        while may_go_on():
            time.sleep(self._chance.uniform(0.1, 1.0))
            mover = self._chance.choice(self._fleet.names)
            fault = self._chance.choice((self._kill, self._kill, self._freeze, self._freeze, self._restart, self._drain))
            self.done.append(f"{time.strftime('%H:%M:%S')} {fault.__name__[1:]} {mover}")
            fault(mover)

    def _kill(self, mover: str) -> None:
        node = self._fleet.members[mover]
        node.kill()
        time.sleep(self._chance.uniform(0, 1.5))
        node.start()

    def _restart(self, mover: str) -> None:
        node = self._fleet.members[mover]
        node.stop()
        node.start()

    def _freeze(self, mover: str) -> None:
        """Long enough, at times, that the Master doubts it."""
        process = self._fleet.members[mover].process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(self._chance.choice(self._frosts))
        finally:
            process.send_signal(signal.SIGCONT)

    def _drain(self, mover: str) -> None:
        self._fleet.master.ecpds("mover", "drain", mover)
        time.sleep(self._chance.uniform(0, 2.0))
        self._fleet.master.ecpds("mover", "undrain", mover)


@define
class Plan:
    """How much of everything. `files` are shared out evenly over doors and `workers`; each content has one of `sizes`.

    A frozen mover is so for one of `frosts`, in seconds.
    """

    files: int
    workers: int
    faults: int
    seconds: float
    sizes: tuple[int, ...] = SIZES
    frosts: tuple[float, ...] = (0.3, 2.0, 8.0)


class Chaos:
    """One run: `names` are what was put, `found` what went wrong."""

    def __init__(self, fleet: Fleet, doors: Mapping[str, Callable[[], Client]], plan: Plan, seed: int) -> None:
        chance = random.Random(seed)
        self.names = [
            Name(f"file-{number}", tuple(chance.choice(plan.sizes) for _ in range(3))) for number in range(plan.files)
        ]
        self.faults = Faults(fleet, random.Random(chance.random()), plan.frosts)
        self._plan = plan
        self._doors = doors
        self._chance = chance
        order = sorted(doors)
        self.workers = [
            Worker(order[number % len(order)], doors[order[number % len(order)]], self.names[number :: plan.workers])
            for number in range(plan.workers)
        ]
        self._putting = threading.Event()
        self._hurt = threading.Event()

    def run(self) -> None:
        """Puts, looks and faults together, until every name is there and enough was hurt. Raises what any of them met."""
        deadline = time.monotonic() + self._plan.seconds
        self._putting.set()
        with ThreadPoolExecutor(len(self.workers) + 1 + len(self._doors)) as pool:
            puts = [pool.submit(worker.put_all, self._hurting, deadline) for worker in self.workers]
            others = [pool.submit(self._hurt_movers)]
            others += [pool.submit(self._look, door, self._chance.random()) for door in self._doors]
            failures = [failure for failure in (each.exception() for each in puts) if failure]
            self._putting.clear()
            failures += [failure for failure in (each.exception() for each in others) if failure]
        for failure in failures:
            traceback.print_exception(failure)
        if failures:
            raise failures[0]

    def _hurt_movers(self) -> None:
        """As long as there are puts; puts do not wait for what a fault that failed has left undone."""
        try:
            self.faults.run(self._putting.is_set)
        finally:
            self._hurt.set()

    def _hurting(self) -> bool:
        return len(self.faults.done) < self._plan.faults and not self._hurt.is_set()

    def _look(self, door: str, seed: float) -> None:
        """Get names that puts are under way of, as long as there are puts."""
        chance = random.Random(seed)
        reader = Worker(door, self._doors[door], self.names)
        while self._putting.is_set():
            name = chance.choice(self.names)
            if name.tried:
                reader.get(name)

    def summary(self) -> str:
        reasons = sum((worker.failures for worker in self.workers), Counter[str]())
        failures = reasons.total()
        looks = sum(name.seen for name in self.names)
        versions = sum(name.acknowledged for name in self.names)
        counts = f"{versions} puts acknowledged, {failures} tries failed, {looks} looks, {len(self.faults.done)} faults"
        return "\n".join([counts, *(f"{count} x {reason}" for reason, count in reasons.most_common(20))])
