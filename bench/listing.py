"""A folder of very many names beside nginx's autoindex and twisted.web's listing: how long, when it begins, what it costs."""

from __future__ import annotations

import base64
import http.client
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from attrs import evolve, frozen
from rich.console import Console

from bench.cpu import CpuMeter
from bench.servers import Target
from bench.tables import show
from tests.real.harness import Node

COLUMNS = ("server", "form", "s", "first 64 KiB, ms", "CPU µs an entry", "MiB sent", "memory, MiB more")
PIECE = 1 << 16
FORMS = ("format=csv", "format=json", "format=links", "format=html")
"""Ours; the last is a page of 250 rows."""


@frozen
class Listed:
    """What one listing took."""

    seconds: float
    first: float
    size: int


def tell(node: Node, ours: Target, peers: Sequence[tuple[Target, Path]], entries: int, console: Console) -> None:
    """`peers` come with the folders that they show."""
    fill(node, entries)
    ours = evolve(ours, base=node.url("https_plain"))
    fetch(ours, "limit=1")  # the login, which is none of a listing's
    rows = [row(ours, form, entries, node.pid) for form in FORMS]
    for peer, root in peers:
        link(root, entries)
        rows.append(row(peer, "", entries))
        unlink(root)
    show(console, f"a listing of {entries:,} entries, once each, over plain HTTP", COLUMNS, rows)


def row(target: Target, query: str, entries: int, pid: int | None = None) -> list[str]:
    meter: CpuMeter = target.meter
    memory, cpu = 0 if pid is None else resident(pid), meter.settled()
    took = fetch(target, query)
    spent = (meter.settled() - cpu) / entries * 1e6
    grown = "" if pid is None else f"{(resident(pid) - memory) / (1 << 20):.0f}"
    words = (f"{took.seconds:.2f}", f"{took.first * 1e3:.0f}", f"{spent:.1f}", f"{took.size / (1 << 20):.1f}", grown)
    return [target.server, query.removeprefix("format=") or "html", *words]


def fetch(target: Target, query: str) -> Listed:
    login = base64.b64encode(f"{target.login}:{target.password}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=600)
    start = time.perf_counter()
    connection.request("GET", f"{target.folder}many/?{query}", headers={"Authorization": f"Basic {login}"})
    answer = connection.getresponse()
    if answer.status != http.HTTPStatus.OK:
        raise ValueError(f"{target.server} answered {answer.status}")
    size, first = 0, 0.0
    while piece := answer.read(PIECE):
        first = first or time.perf_counter() - start
        size += len(piece)
    connection.close()
    return Listed(time.perf_counter() - start, first, size)


def fill(node: Node, entries: int) -> None:
    """Names and data files straight into the catalogue: nobody puts a million files for a bench."""
    node.stop()
    with sqlite3.connect(node.home / "catalogue.sqlite") as catalogue:
        (root, destination) = catalogue.execute("SELECT id, destination FROM directory WHERE path = '' LIMIT 1").fetchone()
        made = catalogue.execute(
            "INSERT INTO directory (destination, parent, name, path, implicit, created) VALUES (?, ?, 'many', 'many', 0, 0)",
            (destination, root),
        ).lastrowid
        like, size, digests, metadata = catalogue.execute(
            "SELECT id, size, digests, metadata FROM data_file ORDER BY id LIMIT 1"
        ).fetchone()
        first = like + 1_000_000_000
        catalogue.executemany(
            "INSERT INTO data_file (id, size, mtime, created, digests, metadata) VALUES (?, ?, ?, ?, ?, ?)",
            ((first + number, size, 1e9 + number * 1.37, 1e9, digests, metadata) for number in range(entries)),
        )
        catalogue.executemany(
            "INSERT INTO entry (directory, name, data_file) VALUES (?, ?, ?)",
            ((made, f"entry-{number:07}", first + number) for number in range(entries)),
        )
    node.start()


def link(root: Path, entries: int) -> None:
    """The same names in a folder, all of one file."""
    many = root / "many"
    many.mkdir()
    (root / "one").write_bytes(b"x")
    for number in range(entries):
        os.link(root / "one", many / f"entry-{number:07}")


def unlink(root: Path) -> None:
    for found in os.scandir(root / "many"):
        os.unlink(found.path)
    (root / "many").rmdir()
    (root / "one").unlink()


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
