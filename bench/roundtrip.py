"""One large file in and out by curl, side by side with vsftpd (FTP) and nginx (HTTPS).

The servers take turns in every round, so that what else the machine does meets all of them. A put is of a new name each
time, which is deleted outside of the timed part. CPU is the server's, until it has nothing left to do. Once for each
server and direction, before anything is timed, the content is compared by SHA-256.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
import time
from pathlib import Path

from attrs import define, field
from rich.console import Console

from bench.options import Options
from bench.servers import Target, all_of_them
from bench.tables import ratio, show, spread

PIECE = 1 << 20
COLUMNS = ("server", "what", "MB/s", "/peer", "CPU s/GiB", "/peer", "of it later", "wall s")


@define
class Samples:
    """What was measured of one server, door and direction, one value a round."""

    wall: list[float] = field(factory=list)
    cpu: list[float] = field(factory=list)
    later: list[float] = field(factory=list)


def run(options: Options, console: Console) -> None:
    with tempfile.TemporaryDirectory(prefix="ecpds-bench-", dir=options.volume) as name:
        folder = Path(name)
        source, digest = make_source(folder, options.size)
        with all_of_them(folder, options) as doors:
            notes = [] if all(t.meter.is_whole for ts in doors.values() for t in ts) else ["CPU: of living processes only."]
            for door, targets in doors.items():
                results = measure(targets, source, digest, options.rounds)
                title = (
                    f"{door}: {options.size / (1 << 20):,.0f} MiB, n={options.rounds}, sync {'on' if options.sync else 'off'}"
                )
                show(console, title, COLUMNS, rows(results, options.size), notes)


def make_source(folder: Path, size: int) -> tuple[Path, str]:
    """A file of random bytes and its SHA-256.

    As much again for each server is written and removed first: on a virtual machine the first touch of memory is slow, and
    would be counted for whoever comes first.
    """
    source, digest = folder / "source", hashlib.sha256()
    with source.open("wb") as file:
        for start in range(0, size, PIECE):
            digest.update(piece := os.urandom(min(PIECE, size - start)))
            file.write(piece)
    with (folder / "touched").open("wb") as file:
        for _ in range(3):
            file.write(source.read_bytes())
    (folder / "touched").unlink()
    return source, digest.hexdigest()


def measure(targets: list[Target], source: Path, digest: str, rounds: int) -> dict[tuple[str, str], Samples]:
    """Samples by direction and server."""
    results: dict[tuple[str, str], Samples] = {}
    for target in targets:
        check(target, source, digest)
    for direction in ("put", "get"):
        for number in range(rounds):
            for target in targets:
                samples = results.setdefault((direction, target.server), Samples())
                transfer(target, direction, source, f"{direction}-{number}", samples)
    for target in targets:
        target.remove("kept")
    return results


def check(target: Target, source: Path, digest: str) -> None:
    """Put the file that the gets will fetch, fetch it, and compare. Raises `ValueError`."""
    subprocess.run(target.curl("-T", str(source), "kept"), check=True, stdout=subprocess.DEVNULL)
    with subprocess.Popen(target.curl("kept"), stdout=subprocess.PIPE) as fetched:
        assert fetched.stdout is not None
        found = hashlib.sha256()
        while piece := fetched.stdout.read(PIECE):
            found.update(piece)
    if fetched.returncode or found.hexdigest() != digest:
        raise ValueError(f"{target.server} gave back something else by {target.door}")


def transfer(target: Target, direction: str, source: Path, name: str, samples: Samples) -> None:
    """Time one transfer."""
    command = target.curl("-T", str(source), name) if direction == "put" else target.curl("-o", os.devnull, "kept")
    before, start = target.meter.settled(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, done = time.perf_counter() - start, target.meter.seconds()
    after = target.meter.settled()
    samples.wall.append(wall)
    samples.cpu.append(after - before)
    samples.later.append(after - done)
    if direction == "put":
        target.remove(name)


def rows(results: dict[tuple[str, str], Samples], size: int) -> list[list[str]]:
    """One line for each server and direction; ours with ratios to the peer (speed: more is better, CPU: less)."""
    found: list[list[str]] = []
    for (direction, server), samples in results.items():
        peer = next((theirs for (way, name), theirs in results.items() if way == direction and name != server), None)
        peer = peer if server == "ecpds" else None
        speed = [size / 1e6 / wall for wall in samples.wall]
        gibibytes = size / (1 << 30)
        cost, later = ([value / gibibytes for value in values] for values in (samples.cpu, samples.later))
        found.append(
            [
                server,
                direction,
                spread(speed),
                ratio(speed, [size / 1e6 / wall for wall in peer.wall] if peer else None),
                spread(cost, 2),
                ratio(samples.cpu, peer.cpu if peer else None),
                spread(later, 2),
                spread(samples.wall, 2),
            ]
        )
    return found
