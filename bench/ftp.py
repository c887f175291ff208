"""FTP and FTPS beside vsftpd and pyftpdlib: one large file by curl, and many of 1 KiB over one connection.

Servers take turns in every round. A put is of new names, which are deleted outside of the timed part. ecpds is there
twice: with SHA-256 as the bytes come, and with `digest_when=after`, where the digest is a part of its CPU seconds all the
same. The peers check no password, keep no digest and sync nothing. All is done in memory, then on a disk, then there with
ecpds syncing as it is shipped; the goals are for memory, and each is judged below its table, which is told as soon as it is
there. `bin/bench ftp` takes about twenty minutes, with `--files 10000` about an hour. Parts that take a minute are
`--places memory --only get,put --servers "ecpds,ecpds after,vsftpd"`, `--places memory --only TLS --size 512M --servers
ecpds,vsftpd`, `--places memory --only small`, and the same with `--places disk -n 3` or `synced`.
"""

from __future__ import annotations

import ftplib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import evolve
from rich.console import Console

from bench.options import PLACES, Options
from bench.roundtrip import check, make_source
from bench.servers import Target, ecpds, free_port, running, self_signed, vsftpd
from bench.tables import show
from bench.works import Goal, Samples, Work, measure, rows
from tests.real.harness import environment
from tests.real.small_files import get_by_ftp, put_by_ftp

PEERS = ("vsftpd", "pyftpdlib")
COLUMNS = ("server", "what", "rate", *(f"/{peer}" for peer in PEERS), "CPU", *(f"/{peer}" for peer in PEERS), "wall s")
MIB, GIB = 1e6, 1 << 30
OURS, LATER = "ecpds", "ecpds after"

GOALS = (
    Goal("get", OURS, "vsftpd", 1.0),
    Goal("put", LATER, "vsftpd", 0.95),
    Goal("put", OURS, "vsftpd", 0.7),
    Goal("TLS get", OURS, "vsftpd", 0.9),
    Goal("TLS put", OURS, "vsftpd", 0.9),
    *(
        Goal(work, OURS, peer, factor)
        for work in ("small put", "small get")
        for peer, factor in zip(PEERS, (0.5, 1.0), strict=True)
    ),
)


def run(options: Options, console: Console) -> None:
    for place, placed in places(options):
        measure_at(placed, console, GOALS if place == "memory" else ())


def places(options: Options) -> Iterator[tuple[str, Options]]:
    """Where to measure, each with the options of that place."""
    on_disk = evolve(options, volume=options.disk)
    for place, placed in zip(PLACES, (options, on_disk, evolve(on_disk, sync=True)), strict=True):
        if place in options.places:
            yield place, placed


def measure_at(options: Options, console: Console, goals: Sequence[Goal]) -> None:
    """One table a work, and what became of its goals."""
    with (
        tempfile.TemporaryDirectory(prefix="ecpds-bench-", dir=options.volume) as name,
        everybody(Path(name), options) as targets,
    ):
        source, digest = make_source(Path(name), options.size)
        for target in targets:
            check(target, source, digest)
        for work in works(source, options):
            results = measure(work, targets, options.rounds)
            unit = f"{work.name}, rate in {work.unit}, CPU {'s/GiB' if work.unit == 'MB/s' else 'µs a file'}"
            title = f"ftp on {options.volume}: {unit}, n={options.rounds}, sync {'on' if options.sync else 'off'}"
            show(console, title, COLUMNS, rows(work, results, PEERS))
            tell(goals, {work.name: results}, console)


def tell(goals: Sequence[Goal], results: Mapping[str, Mapping[str, Samples]], console: Console) -> None:
    for goal in goals:
        if verdict := goal.judged(results):
            console.print(verdict)


def works(source: Path, options: Options) -> list[Work[Target]]:
    found = []
    for prefix, tls in (("", []), ("TLS ", ["--ssl-reqd"])):
        for direction, way in (("get", fetch(tls)), ("put", send(tls, source))):
            after = Target.remove if direction == "put" else lambda target, name: None
            found.append(Work(f"{prefix}{direction}", "MB/s", options.size / MIB, GIB / options.size, way, after))
    count = options.files
    found.append(Work("small put", "files/s", count, 1e6 / count, small(put_by_ftp, count)))
    found.append(Work("small get", "files/s", count, 1e6 / count, small(get_by_ftp, count)))
    names = [work.name for work in found]
    return [work for work in found if options.wants(work.name, names)]


def fetch(tls: list[str]) -> Callable[[Target, str], None]:
    def do(target: Target, name: str) -> None:
        subprocess.run(target.curl(*tls, "-o", os.devnull, "kept"), check=True)

    return do


def send(tls: list[str], source: Path) -> Callable[[Target, str], None]:
    def do(target: Target, name: str) -> None:
        subprocess.run(target.curl(*tls, "-T", str(source), name), check=True)

    return do


def small(work: Callable[[ftplib.FTP, list[str]], None], count: int) -> Callable[[Target, str], None]:
    """On one control connection, which is opened and closed within the time that is measured."""

    def do(target: Target, name: str) -> None:
        with ftplib.FTP(timeout=60) as client:
            client.connect("127.0.0.1", target.port)
            client.login(target.login, target.password)
            client.cwd(target.folder)
            work(client, [f"{name}-{number}" for number in range(count)])

    return do


@contextmanager
def everybody(folder: Path, options: Options) -> Iterator[list[Target]]:
    """Every server that can run here and is wanted, ours first."""
    folder.chmod(0o755)  # vsftpd's anonymous user walks through it
    with ExitStack() as stack:
        node, doors = stack.enter_context(ecpds(folder / "ecpds", options.sync))
        node.ecpds("destination", "add", "later", "--option", "digest_when=after")
        node.add_user("later", "later")
        ours = doors[0]
        targets = [ours, evolve(ours, server=LATER, base=f"ftp://127.0.0.1:{ours.port}/later/", login="later")]
        if options.has("vsftpd") and shutil.which("vsftpd") and os.geteuid() == 0:
            targets += stack.enter_context(vsftpd(folder / "vsftpd"))
        if options.has("pyftpdlib"):
            targets += stack.enter_context(pyftpdlib(folder / "pyftpdlib"))
        yield [target for target in targets if options.has(target.server)]


@contextmanager
def pyftpdlib(folder: Path) -> Iterator[list[Target]]:
    """pyftpdlib on one thread, as its own documentation starts it."""
    port = free_port()
    (folder / "root").mkdir(parents=True)
    self_signed(folder)
    command = [sys.executable, "-m", "bench.ftp_peer", str(port), str(folder / "root")]
    files = [str(folder / "cert.pem"), str(folder / "key.pem")]
    with running("pyftpdlib", [*command, *files], port, environment()) as meter:
        yield [Target("pyftpdlib", "ftp", f"ftp://127.0.0.1:{port}/", meter)]
