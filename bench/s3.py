"""S3 beside SeaweedFS, rclone and moto: puts and gets of 1 KiB, 1 MiB and 256 MiB, a list of 10^5 keys, 1 GiB in parts.

With 1, 8 and 64 clients at once, on connections that stay open; their requests are made and signed before the clock runs.
All of it over http, in memory, without syncs unless asked. What moto and rclone can't do in reasonable time is left out.
`--only` names the works that are wanted by a piece of their names, such as `1 KiB` or `put x8`, `--servers` the servers; those
that no work is for are not started. One work with `-n 3` and two servers takes less than a minute, but for what fills the list.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from attrs import field, frozen
from rich.console import Console

from bench.cpu import CpuMeter
from bench.options import Options
from bench.s3_client import Connection, Prepared, exchange, exchange_small, prepared
from bench.s3_peers import MAKERS, MOTO, OPAQUE, OURS, RCLONE, TWO, WEED, Server, started
from bench.tables import show
from bench.works import Goal, Samples, Work, measure, rows

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
LISTED = 100_000
PAGE = 1000
PART = 64 * MIB
LARGE, PARTS = 256 * MIB, GIB

PEERS = (WEED, RCLONE, MOTO)
LEFT_OUT = {
    MOTO: ("256 MiB", "1 GiB", "list"),
    RCLONE: ("1 GiB put", "1 GiB get"),
    TWO: ("256 MiB", "1 GiB", "list"),
    OPAQUE: ("get", "list"),
}
"""What is not asked of whom: moto would hold it all in memory, rclone's parts are in memory too; the rest is no question."""

RATIOS = ("/weed", "/rclone", "/moto")
COLUMNS = ("server", "rate", *RATIOS, "CPU", *RATIOS, "seconds")

AMOUNTS = {KIB: {1: 300, 8: 800, 64: 800}, MIB: {1: 40, 8: 64, 64: 64}}
"""How many objects, by their size and the number of clients."""

NAMES = {KIB: "1 KiB", MIB: "1 MiB"}
WAYS = ("put", "get")
LIST = "list of 10^5 keys"
FIRST = "work-0"


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
    found = [Goal(f"{what} {way}", OURS, WEED, 1.0) for what in ("256 MiB", "1 GiB in parts") for way in WAYS]
    for clients in (1, 8, 64):
        for way in WAYS:
            found.append(Goal(f"1 MiB {way} x{clients}", OURS, WEED, 0.8))
            found.append(Goal(f"1 KiB {way} x{clients}", OURS, WEED, 0.5))
            found.append(Goal(f"1 KiB {way} x{clients}", TWO, WEED, 1.0))
    found.append(Goal(LIST, OURS, WEED, 1.0))
    return [*found, *(Goal(goal.work, OURS, RCLONE, 2.0) for goal in found if goal.server == OURS)]


def run(options: Options, console: Console) -> None:
    chosen = works(options)
    wanted = [name for name in MAKERS if options.has(name) and any(is_for(work, name) for work in chosen)]
    with tempfile.TemporaryDirectory(prefix="ecpds-bench-", dir=options.volume) as folder:
        with started(wanted, Path(folder), options.sync) as servers:
            targets = [Target(server) for server in servers]
            for target in targets:
                make_bucket(target)
            results: dict[str, dict[str, Samples]] = {}
            for work in chosen:
                taking = [target for target in targets if is_for(work, target.server)]
                if work.name == LIST:
                    for target in taking:
                        populate(target, console)
                results[work.name] = measure(work, taking, options.rounds)
                cost = "µs a piece" if work.per > 1 else "seconds"
                sync = "on" if options.sync else "off"
                title = f"{work.name}: rate in {work.unit}, CPU in {cost}, n={options.rounds}, sync {sync}"
                lines = [[server, *figures] for server, _, *figures in rows(work, results[work.name], PEERS)]
                show(console, title, COLUMNS, lines)
            for goal in goals():
                if verdict := goal.judged(results):
                    console.print(verdict)


def is_for(work: Work[Target], server: str) -> bool:
    """Whether a server is asked to do a work."""
    return not any(word in work.name for word in LEFT_OUT.get(server, ()))


def make_bucket(target: Target) -> None:
    """Ours and rclone's are there already; a server that has just started may need a while."""
    deadline = time.monotonic() + 60
    while target.server in (WEED, MOTO):
        try:
            exchange(target.own, [prepared(target.own, "PUT", f"/{target.own.bucket}")], 1)
            exchange(target.own, [prepared(target.own, "PUT", target.path("ready"), b"x")], 1)
            return
        except (RuntimeError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def works(options: Options) -> list[Work[Target]]:
    """What is to be measured."""
    found: list[Work[Target]] = []
    for size, amounts in AMOUNTS.items():
        for clients, amount in amounts.items():
            found += [Many(way, size, amount, clients).work() for way in WAYS]
    large = bytes(LARGE)
    found += [Work(f"256 MiB {way}", "MiB/s", LARGE / MIB, 1.0, one(way, large)) for way in WAYS]
    found += [Work(f"1 GiB in parts {way}", "MiB/s", PARTS / MIB, 1.0, in_parts(way)) for way in WAYS]
    found.append(Work(LIST, "keys/s", LISTED, 1.0, lambda target, name: listing(target)))
    return [each for each in found if any(word in each.name for word in options.only)]


@frozen
class Many:
    """Small objects: puts of new names in each round; gets of those that the first put."""

    way: str
    size: int
    amount: int
    clients: int
    made: dict[str, list[Prepared]] = field(factory=dict)

    def work(self) -> Work[Target]:
        name = f"{NAMES[self.size]} {self.way} x{self.clients}"
        return Work(name, "objects/s", self.amount, 1e6 / self.amount, self.do, before=self.before)

    def before(self, target: Target, name: str) -> None:
        """Make the requests; for the first gets, what they get too."""
        puts = self.requests(target, name, "put")
        if self.way == "get" and name == FIRST:
            exchange(target.own, puts, 8)
        self.made[target.server] = puts if self.way == "put" else self.requests(target, FIRST, "get")

    def requests(self, target: Target, name: str, way: str) -> list[Prepared]:
        body = bytes(self.size) if way == "put" else b""
        paths = (target.path(f"{self.way}-{self.size}-{self.clients}/{name}/{number}") for number in range(self.amount))
        return [prepared(target.own, way.upper(), path, body) for path in paths]

    def do(self, target: Target, name: str) -> None:
        send = exchange_small if self.size == KIB else exchange
        send(target.own, self.made.pop(target.server), self.clients)


def one(way: str, body: bytes) -> Callable[[Target, str], None]:
    def do(target: Target, name: str) -> None:
        exchange(target.own, [prepared(target.own, way.upper(), target.path("large"), body if way == "put" else b"")], 1)

    return do


def in_parts(way: str) -> Callable[[Target, str], None]:
    """Put as parts by four clients; got by one, as a whole."""
    body = memoryview(bytes(PART))

    def put(target: Target, name: str) -> None:
        path, asking = target.path("parts"), Connection(target.own.ports[0])
        asking(prepared(target.own, "POST", path, uploads=""))
        found = re.search(rb"<UploadId>(.*?)</UploadId>", asking.content)
        assert found is not None
        upload, numbers = found[1].decode(), range(1, PARTS // PART + 1)
        parts = [prepared(target.own, "PUT", path, body, partNumber=str(n), uploadId=upload) for n in numbers]
        exchange(target.own, parts, 4)
        asking(prepared(target.own, "GET", path, uploadId=upload))
        tags = re.findall(rb"<ETag>(.*?)</ETag>", asking.content)
        named = b"".join(
            b"<Part><PartNumber>%d</PartNumber><ETag>%b</ETag></Part>" % pair for pair in zip(numbers, tags, strict=True)
        )
        document = b"<CompleteMultipartUpload>" + named + b"</CompleteMultipartUpload>"
        asking(prepared(target.own, "POST", path, document, uploadId=upload))
        asking.close()

    def get(target: Target, name: str) -> None:
        exchange(target.own, [prepared(target.own, "GET", target.path("parts"))], 1)

    return put if way == "put" else get


def listing(target: Target) -> None:
    """Every key, page by page."""
    asking, token, found = Connection(target.own.ports[0]), "", 0
    while True:
        more = {"continuation-token": token} if token else {}
        query = {"list-type": "2", "prefix": "listed/", "max-keys": str(PAGE), **more}
        asking(prepared(target.own, "GET", f"/{target.own.bucket}", b"", **dict(sorted(query.items()))))
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
            exchange_small(target.own, [prepared(target.own, "PUT", name, b"x") for name in names], 16)
    console.print(f"{target.server} has {LISTED} keys after {time.monotonic() - started:.0f} s")
