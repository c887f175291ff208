"""HTTPS and HTTP beside nginx (one worker) and stock twisted.web: a large file, many of 1 KiB, a listing of a million names.

Servers take turns in every round. Large files go by curl, with TLS and without; small ones over 1, 16 and 128 kept
connections, by a client that costs little. The peers check no password, keep no digest and sync nothing; twisted.web
takes no files in. ecpds is there twice: with SHA-256 as the bytes come, and with `digest_when=after`.

It has pieces, by `--only`, of which each takes a minute or less with `-n 3 --files 800 --size 256M`: `TLS get,TLS put` and
`plain` (large files), `small` (without TLS), `secure` (the same with TLS), `connections` (a new one for each file, without
TLS, with it, and with its sessions gone on with), and `listing`, with `--entries 100000`.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import evolve, frozen
from rich.console import Console

from bench import http_client, listing
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
KINDS = {"open": (False, False), "TLS": (True, False), "resumed": (True, True)}
"""What a new connection is made with: TLS or not, and whether its session is gone on with."""
FOLDERS = {NGINX: "nginx", WEB: "web"}
"""Where the peers' roots are."""
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
            Goal(f"secure get x{number}", OURS, NGINX, 0.25),
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


LARGE = ("TLS put", "TLS get", "plain put", "plain get")
"""Works with the large file."""


def run(options: Options, console: Console) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="ecpds-bench-", dir=options.volume) as name,
        everybody(Path(name), options) as (node, servers),
    ):
        chosen = works(Path(name) / "source", options)
        if any(work.name in LARGE for work in chosen):
            prepare(Path(name), servers, options.size)
        results: dict[str, dict[str, Samples]] = {}
        for work in chosen:
            able = [each for each in servers if "put" not in work.name or each.server != WEB]
            results[work.name] = measure(work, able, options.rounds)
            unit = f"{work.name}, rate in {work.unit}, CPU {'s/GiB' if work.unit == 'MB/s' else 'µs a file'}"
            title = f"https on {options.volume}: {unit}, n={options.rounds}, sync {'on' if options.sync else 'off'}"
            show(console, title, COLUMNS, rows(work, results[work.name], PEERS))
        tell_goals(results, console)
        if any(word in "listing" for word in options.only):
            plain = {server.server: server.plain for server in servers}
            peers = [(plain[peer], Path(name) / folder / "root") for peer, folder in FOLDERS.items() if peer in plain]
            http_client.run(plain[OURS].port, 1, [request(plain[OURS], "PUT", "one")])
            listing.tell(node, plain[OURS], peers, options.entries, console)


def prepare(folder: Path, servers: Sequence[Server], size: int) -> None:
    """The large file, and that who takes it gives it back as it was."""
    source, digest = make_source(folder, size)
    for server in servers:
        if server.server != WEB:
            check(server.plain, source, digest)
    shutil.copy(source, folder / "web" / "root" / "kept")


def tell_goals(results: Mapping[str, Mapping[str, Samples]], console: Console) -> None:
    verdicts = [verdict for goal in GOALS if (verdict := goal.judged(results)) is not None]
    for verdict in verdicts:
        console.print(verdict)
    if verdicts:
        missed = sum("NOT met" in verdict for verdict in verdicts)
        console.print(f"{len(verdicts) - missed} of {len(verdicts)} goals met")


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
    there = Once(lambda server: small("PUT", 16, count)(server, ""))
    for number in CONNECTIONS:
        do = small("GET", number, count, AGAIN, tls=True)
        found.append(Work(f"secure get x{number}", "files/s", AGAIN * count, 1e6 / AGAIN / count, do, before=there))
    for kind, (tls, resumed) in KINDS.items():
        found.append(Work(f"connections, {kind}", "1/s", count, 1e6 / count, one_each(count, tls, resumed), before=there))
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


class Once:
    """Does something for each server that takes files in, the first time it is called for it."""

    def __init__(self, do: Callable[[Server], None]) -> None:
        self._do = do
        self._done = {WEB}

    def __call__(self, server: Server, name: str) -> None:
        if server.server not in self._done:
            self._done.add(server.server)
            self._do(server)


def small(method: str, connections: int, count: int, times: int = 1, tls: bool = False) -> Callable[[Server, str], None]:
    context = http_client.trusting() if tls else None

    def do(server: Server, name: str) -> None:
        target = server.tls if tls else server.plain
        http_client.run(target.port, connections, small_requests(target, method, count) * times, context)

    return do


def one_each(count: int, tls: bool, resumed: bool) -> Callable[[Server, str], None]:
    def do(server: Server, name: str) -> None:
        target = server.tls if tls else server.plain
        # A context of its own: a server's session is nobody else's.
        context = http_client.trusting() if tls else None
        http_client.one_each(target.port, small_requests(target, "GET", count), context, resumed)

    return do


def small_requests(target: Target, method: str, count: int) -> list[bytes]:
    return [request(target, method, f"small-{number}") for number in range(count)]


def request(target: Target, method: str, name: str) -> bytes:
    login = base64.b64encode(f"{target.login}:{target.password}".encode()).decode()
    body = content(name) if method == "PUT" else b""
    length = f"Content-Length: {len(body)}\r\n" if method == "PUT" else ""
    head = f"{method} {target.folder}{name} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n"
    return f"{head}Authorization: Basic {login}\r\n{length}\r\n".encode() + body


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
