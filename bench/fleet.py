"""One large file through a fleet: stored on the mover that the client is connected to, and on another.

A Master and two movers, each a process, in memory, sync off. The client is curl, always at the first mover. What is relayed
goes through that one to or from the second; the Master has control bytes only. `plain` and `tls` are the stream between
the movers; `http`, `https`, `ftp` and `ssh` (SFTP) the client's door. Local and relayed take turns in every round; CPU is
each process's own, and the client's stands beside it: all of them share the machine, so that what they spend together,
divided by the cores, is the least time that a transfer can take there. Once for each case the content is compared by SHA-256,
outside of the timed part. `--only` chooses of plain, tls, put and get.
"""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field, frozen
from rich.console import Console

from bench.cpu import CpuMeter
from bench.options import Options
from bench.roundtrip import PIECE, make_source
from bench.tables import ratio, show, spread
from tests.real.fleet import Fleet
from tests.real.harness import DESTINATION, LOGIN, PASSWORD, Node
from tests.real.harness import Options as Sections

NEAR, FAR, MASTER = "mover-near", "mover-far", "master"
NODES = (NEAR, FAR, MASTER)
CLIENT = "client"
PORTS = {"ftp": "ftp", "http": "https_plain", "https": "https", "ssh": "ssh"}
STREAMS, DIRECTIONS = ("plain", "tls"), ("put", "get")
COLUMNS = ("door", "what", "MB/s", "/local", "near CPU s/GiB", "far", "Master", "client", "all/cores")


@define
class Samples:
    """One value a round: seconds, and seconds of CPU by node and of the client."""

    wall: list[float] = field(factory=list)
    cpu: dict[str, list[float]] = field(factory=lambda: {name: [] for name in (*NODES, CLIENT)})


@frozen
class Case:
    """A direction at a door, to or from the mover `target`."""

    door: str
    direction: str
    target: str


class Measured:
    """A fleet and the meters of its processes."""

    def __init__(self, held: Fleet, meters: dict[str, CpuMeter]) -> None:
        self._fleet = held
        self._meters = meters
        self._drained: set[str] = set()

    @property
    def near(self) -> Node:
        return self._fleet.members[NEAR]

    def store_on(self, mover: str) -> None:
        """What is put from now on goes there."""
        for name in NODES:
            word = "undrain" if name == mover else "drain"
            if (word == "drain") != (name in self._drained):
                self._fleet.master.ecpds("mover", word, name)
                (self._drained.add if word == "drain" else self._drained.discard)(name)

    def curl(self, door: str, *words: str) -> list[str]:
        *options, file = words
        return ["curl", "-sSfk", "--user", f"{LOGIN}:{PASSWORD}", *options, self.near.url(PORTS[door], file)]

    def put(self, door: str, source: Path, name: str) -> None:
        subprocess.run(self.curl(door, "-T", str(source), name), check=True, stdout=subprocess.DEVNULL)

    def get(self, door: str, name: str) -> None:
        subprocess.run(self.curl(door, "-o", os.devnull, name), check=True)

    def remove(self, name: str) -> None:
        subprocess.run(self.curl("https", "-o", os.devnull, "-X", "DELETE", name), check=True)

    def holder(self, name: str) -> str:
        shown = self._fleet.master.json("file", "show", f"/{DESTINATION}/{name}")
        mover: str = shown["copies"][0]["mover"]
        return mover

    def settled(self) -> dict[str, float]:
        """The seconds of CPU of each node, when it has nothing left to do, and of the clients that have ended."""
        for meter in self._meters.values():
            meter.settled(5.0)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        client = ended.ru_utime + ended.ru_stime
        return {**{name: meter.seconds() for name, meter in self._meters.items()}, CLIENT: client}


def run(options: Options, console: Console) -> None:
    doors = [door for door in options.doors if door in PORTS]
    directions = chosen(DIRECTIONS, options.only)
    with tempfile.TemporaryDirectory(prefix="ecpds-bench-", dir=options.volume) as name:
        folder = Path(name)
        source, digest = make_source(folder, options.size)
        for stream in chosen(STREAMS, options.only):
            with running(folder / stream, stream == "plain") as measured:
                for door in doors:
                    check(measured, door, source, digest)
                results = measure(measured, doors, directions, source, options.rounds)
            title = f"fleet, {stream} stream: {options.size / (1 << 20):,.0f} MiB, n={options.rounds}"
            show(console, title, COLUMNS, rows(results, options.size), [f"load average {os.getloadavg()[0]:.1f}"])


def chosen(known: Sequence[str], only: Sequence[str]) -> Sequence[str]:
    """Those that are asked for; all where none is."""
    return [word for word in known if word in only] or known


@contextmanager
def running(folder: Path, plain: bool) -> Iterator[Measured]:
    """A fleet whose streams are plain or not."""
    options: Sections = {"mover": {"sync": False}, "limits": {"ticket_life": 1.0}, "cluster": {"plain_stream": plain}}
    meters = {name: CpuMeter(f"fleet-{name}") for name in NODES}
    own: dict[str, Sections] = {NEAR: {"node": {"roles": ["mover", "ftp", "https", "ssh"]}, "ssh": {"port": 0}}}
    held = Fleet(folder, (NEAR, FAR), options, {name: meter.wrap for name, meter in meters.items()}, own)
    try:
        held.start()
        held.master.populate()
        for name, meter in meters.items():
            meter.watch((held.master if name == MASTER else held.members[name]).pid)
        yield Measured(held, meters)
    finally:
        held.end()
        for meter in meters.values():
            meter.close()


def check(measured: Measured, door: str, source: Path, digest: str) -> None:
    """Put the files that the gets will fetch, and compare what comes back. Raises `ValueError`."""
    for target in (NEAR, FAR):
        measured.store_on(target)
        name = f"kept-{door}-{target}"
        measured.put(door, source, name)
        if measured.holder(name) != target:
            raise ValueError(f"{name} is not on {target}")
        with subprocess.Popen(measured.curl(door, name), stdout=subprocess.PIPE) as fetched:
            assert fetched.stdout is not None
            found = hashlib.sha256()
            while piece := fetched.stdout.read(PIECE):
                found.update(piece)
        if fetched.returncode or found.hexdigest() != digest:
            raise ValueError(f"{name} came back as something else")


def measure(
    measured: Measured, doors: Sequence[str], directions: Sequence[str], source: Path, rounds: int
) -> dict[Case, Samples]:
    """Samples by case; local before relayed."""
    cases = [Case(door, direction, target) for door in doors for direction in directions for target in (NEAR, FAR)]
    results = {case: Samples() for case in cases}
    for _ in range(rounds):
        for case, samples in results.items():
            transfer(measured, case, source, samples)
    return results


def transfer(measured: Measured, case: Case, source: Path, samples: Samples) -> None:
    """Time one transfer."""
    if case.direction == "put":
        measured.store_on(case.target)
    before, start = measured.settled(), time.perf_counter()
    if case.direction == "put":
        measured.put(case.door, source, "put")
    else:
        measured.get(case.door, f"kept-{case.door}-{case.target}")
    samples.wall.append(time.perf_counter() - start)
    after = measured.settled()
    for name in (*NODES, CLIENT):
        samples.cpu[name].append(after[name] - before[name])
    if case.direction == "put":
        measured.remove("put")


def rows(results: dict[Case, Samples], size: int) -> list[list[str]]:
    """One line for each case; the relayed with their ratio to the local one."""
    gibibytes = size / (1 << 30)
    found = []
    for case, samples in results.items():
        local = results[Case(case.door, case.direction, NEAR)]
        peer = [size / wall for wall in local.wall] if case.target == FAR else None
        cost = [spread([value / gibibytes for value in samples.cpu[name]], 2) for name in (*NODES, CLIENT)]
        together = [sum(values) / gibibytes / (os.cpu_count() or 1) for values in zip(*samples.cpu.values(), strict=True)]
        what = f"{case.direction}, {'relayed' if case.target == FAR else 'local'}"
        speed = [size / wall for wall in samples.wall]
        found.append(
            [case.door, what, spread([value / 1e6 for value in speed]), ratio(speed, peer), *cost, spread(together, 2)]
        )
    return found
