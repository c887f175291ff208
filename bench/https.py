"""HTTPS and HTTP beside nginx (one worker) and stock twisted.web: a large file, many of 1 KiB, a listing of a million names.

Servers take turns in every round. Large files go by curl, with TLS and without; small ones over 1, 16 and 128 kept
connections without TLS, by a client that costs little. The peers check no password, keep no digest and sync nothing;
twisted.web takes no files in. ecpds is there twice: with SHA-256 as the bytes come, and with `digest_when=after`.
"""

from __future__ import annotations

import base64
import http.client
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import evolve, frozen
from rich.console import Console

from bench import http_client
from bench.cpu import CpuMeter
from bench.options import Options
from bench.roundtrip import check, make_source
from bench.servers import Target, ecpds, free_port, nginx, running, self_signed
from bench.tables import show
from bench.works import Goal, Samples, Work, measure, rows
from tests.real.harness import Node, environment
from tests.real.small_files import content

OURS, LATER, NGINX, WEB = "ecpds", "ecpds, after", "nginx", "twisted.web"
PEERS = (NGINX, WEB)
COLUMNS = ("server", "what", "rate", *(f"/{peer}" for peer in PEERS), "CPU", *(f"/{peer}" for peer in PEERS), "wall s")
MB, GIB = 1e6, 1 << 30
CONNECTIONS = (1, 16, 128)
ENTRIES = 1_000_000
AGAIN = 3
"""How often what was put and got is got again: by then it is in every server's memory."""

GOALS = (
    Goal("TLS get", OURS, NGINX, 0.95),
    Goal("TLS put", LATER, NGINX, 0.8),
    Goal("plain get", OURS, NGINX, 1.3),
    Goal("plain put", LATER, NGINX, 1.0),
    Goal("plain put", OURS, NGINX, 0.7),
    *(
        goal
        for number in CONNECTIONS
        for goal in (
            Goal(f"small get x{number}", OURS, NGINX, 0.25),
            Goal(f"small get x{number}", OURS, WEB, 3.0),
            Goal(f"small put x{number}", OURS, NGINX, 0.4),
        )
    ),
)


@frozen
class Server:
    """A server by both of its doors."""

    server: str
    tls: Target
    plain: Target

    @property
    def meter(self) -> CpuMeter:
        """Of all of the server."""
        return self.tls.meter


def run(options: Options, console: Console) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="ecpds-bench-", dir=options.volume) as name,
        everybody(Path(name), options) as (node, servers),
    ):
        source, digest = make_source(Path(name), options.size)
        for server in servers:
            if server.server != WEB:
                check(server.plain, source, digest)
        shutil.copy(source, Path(name) / "web" / "root" / "kept")
        results: dict[str, dict[str, Samples]] = {}
        for work in works(source, options):
            able = [each for each in servers if "put" not in work.name or each.server != WEB]
            results[work.name] = measure(work, able, options.rounds)
            unit = f"{work.name}, rate in {work.unit}, CPU {'s/GiB' if work.unit == 'MB/s' else 'µs a file'}"
            title = f"https on {options.volume}: {unit}, n={options.rounds}, sync {'on' if options.sync else 'off'}"
            show(console, title, COLUMNS, rows(work, results[work.name], PEERS))
        for goal in GOALS:
            if verdict := goal.judged(results):
                console.print(verdict)
        if any(word in "listing" for word in options.only):
            tell_listing(node, servers[0].plain, console)


def works(source: Path, options: Options) -> list[Work[Server]]:
    found: list[Work[Server]] = []
    for name in ("TLS", "plain"):
        for way, do in (("put", send(name, source)), ("get", fetch(name))):
            after = remove(name) if way == "put" else lambda server, file: None
            found.append(Work(f"{name} {way}", "MB/s", options.size / MB, GIB / options.size, do, after))
    count = options.files
    for number in CONNECTIONS:
        # What is put in a round is what is got in the next work, by the same names.
        found.append(Work(f"small put x{number}", "files/s", count, 1e6 / count, small("PUT", number, count)))
        found.append(Work(f"small get x{number}", "files/s", count, 1e6 / count, small("GET", number, count)))
        again = AGAIN * count
        found.append(Work(f"small again x{number}", "files/s", again, 1e6 / again, small("GET", number, count, AGAIN)))
    return [work for work in found if any(word in work.name for word in options.only)]


def door(server: Server, name: str) -> Target:
    return server.tls if name == "TLS" else server.plain


def fetch(name: str) -> Callable[[Server, str], None]:
    return lambda server, file: run_curl(door(server, name).curl("-o", os.devnull, "kept"))


def send(name: str, source: Path) -> Callable[[Server, str], None]:
    return lambda server, file: run_curl(door(server, name).curl("-T", str(source), file))


def remove(name: str) -> Callable[[Server, str], None]:
    return lambda server, file: door(server, name).remove(file)


def run_curl(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def small(method: str, connections: int, count: int, times: int = 1) -> Callable[[Server, str], None]:
    def do(server: Server, name: str) -> None:
        requests = [request(server.plain, method, f"small-{number}") for number in range(count)] * times
        http_client.run(server.plain.port, connections, requests)

    return do


def request(target: Target, method: str, name: str) -> bytes:
    login = base64.b64encode(f"{target.login}:{target.password}".encode()).decode()
    body = content(name) if method == "PUT" else b""
    length = f"Content-Length: {len(body)}\r\n" if method == "PUT" else ""
    head = f"{method} {target.folder}{name} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n"
    return f"{head}Authorization: Basic {login}\r\n{length}\r\n".encode() + body


def tell_listing(node: Node, target: Target, console: Console) -> None:
    """How long a folder of a million names takes as JSON, and what that costs the node's memory."""
    fill(node)
    target = evolve(target, base=node.url("https_plain"))
    before = resident(node.pid)
    login = base64.b64encode(f"{target.login}:{target.password}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=600)
    start = time.perf_counter()
    connection.request("GET", f"{target.folder}many/?format=csv", headers={"Authorization": f"Basic {login}"})
    answer = connection.getresponse()
    lines, first = 0, 0.0
    while piece := answer.read(1 << 20):
        first = first or time.perf_counter() - start
        lines += piece.count(b"\n")
    wall = time.perf_counter() - start
    grown = (resident(node.pid) - before) / (1 << 20)
    console.print(f"A listing of {lines - 1:,} entries: {wall:.1f} s, first MiB {first * 1e3:.0f} ms; +{grown:.0f} MiB")


def fill(node: Node) -> None:
    """Names straight into the catalogue, each pointing at one data file: nobody puts a million files for a bench."""
    node.stop()
    with sqlite3.connect(node.home / "catalogue.sqlite") as catalogue:
        (data,) = catalogue.execute("SELECT id FROM data_file LIMIT 1").fetchone()
        (root, destination) = catalogue.execute("SELECT id, destination FROM directory WHERE path = '' LIMIT 1").fetchone()
        made = catalogue.execute(
            "INSERT INTO directory (destination, parent, name, path, implicit, created) VALUES (?, ?, 'many', 'many', 0, 0)",
            (destination, root),
        )
        names = ((made.lastrowid, f"entry-{number:07}", data) for number in range(ENTRIES))
        catalogue.executemany("INSERT INTO entry (directory, name, data_file) VALUES (?, ?, ?)", names)
    node.start()


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def everybody(folder: Path, options: Options) -> Iterator[tuple[Node, list[Server]]]:
    """Every server that can run here, ours first."""
    with ExitStack() as stack:
        node, doors = stack.enter_context(ecpds(folder / "ecpds", options.sync))
        node.ecpds("destination", "add", "later", "--option", "digest_when=after")
        node.add_user("later", "later")
        _, tls, plain = doors
        servers = [Server(OURS, tls, plain), Server(LATER, later(tls), later(plain))]
        if shutil.which("nginx"):
            servers.append(Server(NGINX, *stack.enter_context(nginx(folder / "nginx"))))
        servers.append(Server(WEB, *stack.enter_context(twisted_web(folder / "web"))))
        yield node, servers


def later(target: Target) -> Target:
    """The same door, with digests after the commit."""
    return evolve(target, server=LATER, base=target.base.replace("/archive/", "/later/"), login="later")


@contextmanager
def twisted_web(folder: Path) -> Iterator[list[Target]]:
    """twisted.web's own file server, over a folder with the small files in it."""
    tls, plain = free_port(), free_port()
    (folder / "root").mkdir(parents=True)
    for number in range(20_000):
        (folder / "root" / f"small-{number}").write_bytes(content(f"small-{number}"))
    self_signed(folder)
    files = [str(folder / name) for name in ("root", "cert.pem", "key.pem")]
    with running(WEB, [sys.executable, "-m", "bench.http_peer", str(plain), str(tls), *files], plain, environment()) as meter:
        yield [
            Target(WEB, "https", f"https://127.0.0.1:{tls}/", meter),
            Target(WEB, "http", f"http://127.0.0.1:{plain}/", meter),
        ]
