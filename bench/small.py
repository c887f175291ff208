"""Many files of 1 KiB over one FTP connection, and over eight HTTPS connections, beside vsftpd and nginx.

The client is Python's own, the same for all, and takes much of the time: CPU is the steadier figure.
"""

from __future__ import annotations

import ftplib
import http.client
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from bench.options import Options
from bench.servers import Target, all_of_them
from bench.tables import ratio, show, spread
from tests.real.clients import authorization, unverified
from tests.real.small_files import get_by_ftp, get_by_http, put_by_ftp, put_by_http

CONNECTIONS = 8
COLUMNS = ("server", "what", "files/s", "/peer", "CPU µs/file", "/peer")

Work = Callable[[Sequence[str]], None]
Samples = dict[tuple[str, str], tuple[list[float], list[float]]]


def run(options: Options, console: Console) -> None:
    with tempfile.TemporaryDirectory(prefix="ecpds-bench-", dir=options.volume) as name:
        with all_of_them(Path(name), options) as doors:
            for door, targets in doors.items():
                results = measure(targets, options)
                connections = 1 if door == "ftp" else CONNECTIONS
                sync = "on" if options.sync else "off"
                title = f"{door}: {options.files} x 1 KiB over {connections} connections, n={options.rounds}, sync {sync}"
                show(console, title, COLUMNS, rows(results))


def measure(targets: list[Target], options: Options) -> Samples:
    """Files a second and CPU µs a file by direction and server, one value a round."""
    results: Samples = {}
    for number in range(options.rounds):
        names = [f"small-{number}-{index}" for index in range(options.files)]
        for direction in ("put", "get"):
            for target in targets:
                work = by_ftp(target, direction) if target.door == "ftp" else by_http(target, direction)
                before, start = target.meter.settled(), time.perf_counter()
                work(names)
                wall, cpu = time.perf_counter() - start, target.meter.settled() - before
                rates, costs = results.setdefault((direction, target.server), ([], []))
                rates.append(len(names) / wall)
                costs.append(cpu / len(names) * 1e6)
    return results


def by_ftp(target: Target, direction: str) -> Work:
    """On one control connection, which is opened and closed within the time that is measured."""

    def work(names: Sequence[str]) -> None:
        with ftplib.FTP(timeout=60) as client:
            client.connect("127.0.0.1", target.port)
            client.login(target.login, target.password)
            client.cwd(target.folder)
            (put_by_ftp if direction == "put" else get_by_ftp)(client, names)

    return work


def by_http(target: Target, direction: str) -> Work:
    """On eight connections, which are opened and closed within the time that is measured."""
    plain = partial(http.client.HTTPConnection, "127.0.0.1", target.port, timeout=60)
    secure = partial(http.client.HTTPSConnection, "127.0.0.1", target.port, timeout=60, context=unverified())
    connect: Callable[[], http.client.HTTPConnection] = secure if target.door == "https" else plain
    headers = authorization(target.login, target.password)
    return partial(put_by_http if direction == "put" else get_by_http, connect, CONNECTIONS, target.folder, headers)


def rows(results: Samples) -> list[list[str]]:
    """One line for each server and direction; ours with ratios to the peer."""
    found: list[list[str]] = []
    for (direction, server), (rates, costs) in results.items():
        peer = next((theirs for (way, name), theirs in results.items() if way == direction and name != server), None)
        if server != "ecpds":
            peer = None
        compared = [ratio(ours, theirs) for ours, theirs in zip((rates, costs), peer or (None, None), strict=True)]
        found.append([server, direction, spread(rates), compared[0], spread(costs), compared[1]])
    return found
