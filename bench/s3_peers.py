"""The S3 servers that are measured: ours, SeaweedFS, rclone and moto, each a process of its own on 127.0.0.1, over http.

Who tells whom: every server has one access key and one bucket; the client signs by version 4 with `UNSIGNED-PAYLOAD`, before
the clock runs, so that what is measured is the server. SeaweedFS is one process with all its parts, rclone serves a
folder; moto keeps all in memory and checks no signature. None of them syncs anything.
"""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from attrs import frozen

from bench.cpu import CpuMeter
from bench.servers import free_port, running
from tests.real.fleet import Fleet
from tests.real.harness import DESTINATION, LOGIN, ROOT, Node, environment

ACCESS_KEY, SECRET = "AKBENCHBENCHBENCH123", "benchbenchbenchbenchbenchbenchbenchbench"
OURS, OPAQUE, TWO, WEED, RCLONE, MOTO = "ecpds", "ecpds opaque", "ecpds x 2", "SeaweedFS", "rclone", "moto"
GRPC = 10_000
"""How far above a port of weed's the one for gRPC is."""

ROLES = ["master", "mover", "s3"]
DOORS: dict[str, dict[str, object]] = {"node": {"roles": ROLES}, "s3": {"port": 0, "plain_port": 0}}
LIMITS = {"ticket_life": 1.0, "connections_per_address": 200}
NEAR = {"near_file": 65536}
"""What `docs/scale.md` advises for fleets of small files."""


@frozen
class Server:
    """One server: where its doors are, how its requests are signed, and what it costs."""

    name: str
    ports: tuple[int, ...]
    meter: CpuMeter
    access_key: str = ACCESS_KEY
    secret: str = SECRET
    bucket: str = DESTINATION
    folder: Path | None = None


def program(name: str) -> str | None:
    """One of those that `bin/bench` installs."""
    found = ROOT / "build" / "peers" / "bin" / name
    return str(found) if found.exists() else None


def ecpds(folder: Path, sync: bool) -> AbstractContextManager[Server]:
    """Ours, with one process and its defaults."""
    return _one_daemon(OURS, folder, sync)


def with_opaque_tags(folder: Path, sync: bool) -> AbstractContextManager[Server]:
    """Ours, with a destination that keeps no MD5."""
    return _one_daemon(OPAQUE, folder, sync, "--option", "s3.etag=opaque")


@contextmanager
def _one_daemon(name: str, folder: Path, sync: bool, *destination_options: str) -> Iterator[Server]:
    meter = CpuMeter(folder.name)
    node = Node(folder, {**DOORS, "mover": {"sync": sync}, "limits": LIMITS}, wrap=meter.wrap)
    try:
        node.start()
        node.ecpds("destination", "add", DESTINATION, *destination_options)
        node.add_user()
        meter.watch(node.pid)
        yield _ours(name, node, [node], meter, folder)
    finally:
        if node.process is not None:
            node.kill()
        meter.close()


@contextmanager
def two_daemons(folder: Path, sync: bool) -> Iterator[Server]:
    """Ours, with two: a Master that is a mover too, and a second mover; both have the door."""
    meter = CpuMeter("ecpds-two")
    options: dict[str, Mapping[str, object]] = {**DOORS, "mover": {"sync": sync}, "limits": {**LIMITS, **NEAR}}
    wraps = {name: meter.wrap for name in ("master", "second")}
    own = {"second": {"node": {"roles": ["mover", "s3"]}}}
    fleet = Fleet(folder, ("second",), options, wraps, own, counted=False)
    try:
        fleet.start()
        fleet.master.populate()
        meter.watch(fleet.master.pid)
        yield _ours(TWO, fleet.master, [fleet.master, *fleet.members.values()], meter, folder)
    finally:
        fleet.end()
        meter.close()


def _ours(name: str, master: Node, nodes: Sequence[Node], meter: CpuMeter, folder: Path) -> Server:
    key = master.json("user", "s3key", LOGIN, "add")
    ports = tuple(node.ports["s3_plain"] for node in nodes)
    return Server(name, ports, meter, key["access_key_id"], key["secret_access_key"], folder=folder)


@contextmanager
def seaweedfs(folder: Path, sync: bool) -> Iterator[Server]:
    """`weed server -s3`: master, volume server, filer and gateway in one process."""
    weed = program("weed")
    assert weed is not None
    names = ("master.port", "volume.port", "filer.port", "s3.port")
    ports = {name: port_of_weed() for name in names}
    (folder / "data").mkdir(parents=True)
    keys = [{"accessKey": ACCESS_KEY, "secretKey": SECRET}]
    identities = {"identities": [{"name": "bench", "credentials": keys, "actions": ["Admin", "Read", "Write", "List"]}]}
    (folder / "s3.json").write_text(json.dumps(identities))
    command = [weed, "-logdir", str(folder), "server", "-s3", f"-s3.config={folder / 's3.json'}", f"-dir={folder / 'data'}"]
    command += ["-ip=127.0.0.1", "-volume.max=0", "-master.volumeSizeLimitMB=2048", *(f"-{k}={v}" for k, v in ports.items())]
    with running("weed", quiet(command, folder), ports["s3.port"], _home(folder)) as meter:
        yield Server(WEED, (ports["s3.port"],), meter)


def port_of_weed() -> int:
    """A port that is free now, and so is the one for gRPC that weed opens with it."""
    while True:
        port = free_port() % 20_000 + 20_000
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + GRPC))
            except OSError:
                continue  # one of them is taken
            return port


@contextmanager
def rclone(folder: Path, sync: bool) -> Iterator[Server]:
    """`rclone serve s3` of a folder."""
    binary = program("rclone") or shutil.which("rclone")
    assert binary is not None
    port = free_port()
    (folder / "root" / DESTINATION).mkdir(parents=True)
    command = [binary, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{ACCESS_KEY},{SECRET}"]
    command += ["--vfs-cache-mode=off", str(folder / "root")]
    with running("rclone", quiet(command, folder), port, _home(folder)) as meter:
        yield Server(RCLONE, (port,), meter, folder=folder / "root" / DESTINATION)


@contextmanager
def moto(folder: Path, sync: bool) -> Iterator[Server]:
    """moto's server."""
    binary = program("moto_server")
    assert binary is not None
    port = free_port()
    folder.mkdir(parents=True)
    command = [binary, "-H", "127.0.0.1", "-p", str(port)]
    with running("moto", quiet(command, folder), port, _home(folder)) as meter:
        yield Server(MOTO, (port,), meter)


def quiet(command: Sequence[str], folder: Path) -> list[str]:
    """The command, with what it says in a file; it keeps its process id."""
    return ["/bin/sh", "-c", f'exec "$@" > {folder}/log 2>&1', "sh", *command]


def _home(folder: Path) -> dict[str, str]:
    return {**environment(), "HOME": str(folder), "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}


MAKERS: dict[str, Callable[[Path, bool], AbstractContextManager[Server]]] = {
    OURS: ecpds,
    OPAQUE: with_opaque_tags,
    TWO: two_daemons,
    WEED: seaweedfs,
    RCLONE: rclone,
    MOTO: moto,
}
PROGRAMS = {WEED: "weed", RCLONE: "rclone", MOTO: "moto_server"}


@contextmanager
def started(names: Sequence[str], folder: Path, sync: bool) -> Iterator[list[Server]]:
    """Those of the servers that can run here."""
    with ExitStack() as stack:
        able = [name for name in names if name not in PROGRAMS or program(PROGRAMS[name])]
        yield [stack.enter_context(MAKERS[name](folder / name.replace(" ", "-"), sync)) for name in able]
