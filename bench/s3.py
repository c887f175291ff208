"""S3 beside SeaweedFS, rclone and moto: puts and gets of 1 KiB, 1 MiB and 256 MiB, a list of 10^5 keys, 1 GiB in parts.

With 1, 8 and 64 clients at once, on connections that stay open; their requests are made and signed before the clock runs.
All of it over http, in memory, without syncs unless asked. What moto and rclone can't do in reasonable time is left out.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from attrs import frozen
from rich.console import Console

from bench.cpu import CpuMeter
from bench.options import Options
from bench.s3_client import Connection, exchange, prepared
from bench.s3_peers import Server, all_of_them
from bench.tables import show
from bench.works import Goal, Samples, Work, measure, rows

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
LISTED = 100_000
PAGE = 1000
PART = 64 * MIB
LARGE, PARTS = 256 * MIB, GIB

OURS, TWO, WEED, RCLONE, MOTO = "ecpds", "ecpds x 2", "SeaweedFS", "rclone", "moto"
PEERS = (WEED, RCLONE, MOTO)
SLOW = {MOTO: ("256 MiB", "1 GiB", "list"), RCLONE: ("1 GiB",), TWO: ("list",)}
"""What is not asked of whom: moto would hold it all in memory, rclone's parts are in memory too, a list is one question."""

COLUMNS = ("server", "what", "rate", *(f"/{peer}" for peer in PEERS), "CPU", *(f"/{peer}" for peer in PEERS), "seconds")

AMOUNTS = {KIB: {1: 300, 8: 800, 64: 800}, MIB: {1: 40, 8: 64, 64: 64}}
"""How many objects, by their size and the number of clients."""

NAMES = {KIB: "1 KiB", MIB: "1 MiB", LARGE: "256 MiB"}


@frozen
class Target:
    """A server as works see it."""

    own: Server

    @property
    def server(self) -> str:
        return self.own.name

    @property
    def meter(self) -> CpuMeter:
        return self.own.meter

    def path(self, name: str) -> str:
        return f"/{self.own.bucket}/{name}"


def goals() -> list[Goal]:
    found = [Goal(f"256 MiB {way}, 1 client", OURS, WEED, 1.0) for way in ("put", "get")]
    found += [Goal(f"1 GiB in parts, {way}, 4 clients", OURS, WEED, 1.0) for way in ("put", "get")]
    for clients in (1, 8, 64):
        for way in ("put", "get"):
            who = f"{clients} client{'s' if clients > 1 else ''}"
            found.append(Goal(f"1 MiB {way}, {who}", OURS, WEED, 0.8))
            found.append(Goal(f"1 KiB {way}, {who}", OURS, WEED, 0.5))
            found.append(Goal(f"1 KiB {way}, {who}", TWO, WEED, 1.0))
    found.append(Goal("list of 10^5 keys", OURS, WEED, 1.0))
    return [*found, *(Goal(goal.work, OURS, RCLONE, 2.0) for goal in found if goal.server == OURS)]


def run(options: Options, console: Console) -> None:
    with tempfile.TemporaryDirectory(prefix="ecpds-bench-", dir=options.volume) as name:
        with all_of_them(Path(name), options.sync) as servers:
            targets = [Target(server) for server in servers]
            for target in targets:
                make_bucket(target)
            results: dict[str, dict[str, Samples]] = {}
            for work, kind in works(bytes(options.size if options.size < LARGE else LARGE), options):
                taking = [target for target in targets if kind not in SLOW.get(target.server, ())]
                if kind == "list":
                    for target in taking:
                        populate(target, console)
                results[work.name] = measure(work, taking, options.rounds)
                title = f"s3: {work.name}, rate in {work.unit}, n={options.rounds}, sync {'on' if options.sync else 'off'}"
                show(console, title, COLUMNS, rows(work, results[work.name], PEERS))
            for goal in goals():
                if verdict := goal.judged(results):
                    console.print(verdict)


def make_bucket(target: Target) -> None:
    """Ours and rclone's are there already; a server that has just started may need a while."""
    deadline = time.monotonic() + 60
    while target.server in (WEED, MOTO):
        try:
            exchange([prepared(target.own, 0, "PUT", f"/{target.own.bucket}")], 1)
            exchange([prepared(target.own, 0, "PUT", target.path("ready"), b"x")], 1)
            return
        except (RuntimeError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def works(large: bytes, options: Options) -> list[tuple[Work[Target], str]]:
    """Each with a word that says what kind it is."""
    found: list[tuple[Work[Target], str]] = []
    for size, amounts in AMOUNTS.items():
        for clients, amount in amounts.items():
            who = f"{clients} client{'s' if clients > 1 else ''}"
            for way in ("put", "get"):
                do = many(way, size, amount, clients)
                found.append((Work(f"{NAMES[size]} {way}, {who}", "objects/s", amount, 1e6 / amount, do), NAMES[size]))
    found += [(Work(f"256 MiB {way}, 1 client", "MiB/s", len(large) / MIB, 1.0, one(way, large)), "256 MiB") for way in WAYS]
    found += [(Work(f"1 GiB in parts, {way}, 4 clients", "MiB/s", PARTS / MIB, 1.0, in_parts(way)), "1 GiB") for way in WAYS]
    found.append((Work("list of 10^5 keys", "keys/s", LISTED, 1.0, lambda target, name: listing(target)), "list"))
    return [each for each in found if any(word in each[0].name for word in options.only)]


WAYS = ("put", "get")


def many(way: str, size: int, amount: int, clients: int) -> Callable[[Target, str], None]:
    """Small objects: puts of new names; gets of the same ones again and again."""
    body = bytes(size)

    def do(target: Target, name: str) -> None:
        folder = f"{size}-{clients}"
        if way == "put":
            asked = [prepared(target.own, n, "PUT", target.path(f"{folder}/{name}/{n}"), body) for n in range(amount)]
        else:
            asked = [prepared(target.own, n, "GET", target.path(f"{folder}/work-0/{n}")) for n in range(amount)]
        exchange(asked, clients)

    return do


def one(way: str, body: bytes) -> Callable[[Target, str], None]:
    def do(target: Target, name: str) -> None:
        exchange([prepared(target.own, 0, way.upper(), target.path("large"), body if way == "put" else b"")], 1)

    return do


def in_parts(way: str) -> Callable[[Target, str], None]:
    """Put as parts by four clients, got as ranges by four."""
    body = memoryview(bytes(PART))

    def put(target: Target, name: str) -> None:
        path, asking = target.path("parts"), Connection(target.own.ports[0])
        asking(prepared(target.own, 0, "POST", path, uploads=""))
        found = re.search(rb"<UploadId>(.*?)</UploadId>", asking.content)
        assert found is not None
        upload, numbers = found[1].decode(), range(1, PARTS // PART + 1)
        parts = [prepared(target.own, n, "PUT", path, body, partNumber=str(n), uploadId=upload) for n in numbers]
        exchange(parts, 4)
        asking(prepared(target.own, 0, "GET", path, uploadId=upload))
        tags = re.findall(rb"<ETag>(.*?)</ETag>", asking.content)
        named = b"".join(
            b"<Part><PartNumber>%d</PartNumber><ETag>%b</ETag></Part>" % pair for pair in zip(numbers, tags, strict=True)
        )
        document = b"<CompleteMultipartUpload>" + named + b"</CompleteMultipartUpload>"
        asking(prepared(target.own, 0, "POST", path, document, uploadId=upload))
        asking.close()

    def get(target: Target, name: str) -> None:
        whole = prepared(target.own, 0, "GET", target.path("parts"))
        exchange([whole] * 4, 4)

    return put if way == "put" else get


def listing(target: Target) -> None:
    """Every key, page by page."""
    asking, token, found = Connection(target.own.ports[0]), "", 0
    while True:
        more = {"continuation-token": token} if token else {}
        query = {"list-type": "2", "prefix": "listed/", "max-keys": str(PAGE), **more}
        asking(prepared(target.own, 0, "GET", f"/{target.own.bucket}", **dict(sorted(query.items()))))
        found += asking.content.count(b"<Key>")
        match = re.search(rb"<NextContinuationToken>(.*?)</NextContinuationToken>", asking.content)
        if match is None:
            break
        token = match[1].decode()
    asking.close()
    if found != LISTED:
        raise RuntimeError(f"{target.server} lists {found} of {LISTED} keys")


def populate(target: Target, console: Console) -> None:
    """Many small keys in one folder: over S3, or, for rclone, as files."""
    started = time.monotonic()
    if target.server == RCLONE:
        assert target.own.folder is not None
        folder = target.own.folder / "listed"
        folder.mkdir()
        for number in range(LISTED):
            (folder / f"key-{number:06}").touch()
    else:
        for start in range(0, LISTED, 10_000):
            names = (target.path(f"listed/key-{number:06}") for number in range(start, start + 10_000))
            exchange([prepared(target.own, 0, "PUT", name, b"x") for name in names], 16)
    console.print(f"{target.server} has {LISTED} keys after {time.monotonic() - started:.0f} s")
