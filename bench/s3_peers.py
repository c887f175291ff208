"""The S3 servers that are measured: ours, SeaweedFS, rclone and moto, each a process of its own on 127.0.0.1, over http.

Who tells whom: every server has one access key and one bucket; the client signs by version 4 with `UNSIGNED-PAYLOAD`, before
the clock runs, so that what is measured is the server. SeaweedFS is one process with all its parts, rclone serves a
folder; moto keeps all in memory and checks no signature. None of them syncs anything.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import frozen

from bench.cpu import CpuMeter
from bench.servers import free_port, running
from tests.real.fleet import Fleet
from tests.real.harness import DESTINATION, LOGIN, ROOT, Node, environment

ACCESS_KEY, SECRET = "AKBENCHBENCHBENCH123", "benchbenchbenchbenchbenchbenchbenchbench"
ROLES = ["master", "mover", "s3"]
OURS: dict[str, dict[str, object]] = {"node": {"roles": ROLES}, "s3": {"port": 0, "plain_port": 0}}
LIMITS = {"ticket_life": 1.0, "connections_per_address": 200}


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
    """One that pip has installed beside our Python."""
    found = Path(sys.executable).with_name(name)
    return str(found) if found.exists() else None


@contextmanager
def ecpds(folder: Path, sync: bool) -> Iterator[Server]:
    """Ours, with one process."""
    meter = CpuMeter("ecpds-s3")
    node = Node(folder, {**OURS, "mover": {"sync": sync}, "limits": LIMITS}, wrap=meter.wrap)
    try:
        node.start()
        node.populate()
        meter.watch(node.pid)
        yield _ours("ecpds", node, [node], meter, folder)
    finally:
        if node.process is not None:
            node.kill()
        meter.close()


@contextmanager
def two_daemons(folder: Path, sync: bool) -> Iterator[Server]:
    """Ours, with two: a Master that is a mover too, and a second mover; both have the door."""
    meter = CpuMeter("ecpds-two")
    options = {**OURS, "mover": {"sync": sync}, "limits": LIMITS}
    wraps = {name: meter.wrap for name in ("master", "second")}
    own = {"second": {"node": {"roles": ["mover", "s3"]}}}
    fleet = Fleet(folder, ("second",), options, wraps, own)
    try:
        fleet.start()
        fleet.master.populate()
        meter.watch(fleet.master.pid)
        yield _ours("ecpds x 2", fleet.master, [fleet.master, *fleet.members.values()], meter, folder)
    finally:
        fleet.end()
        meter.close()


def _ours(name: str, master: Node, nodes: Sequence[Node], meter: CpuMeter, folder: Path) -> Server:
    key = master.json("user", "s3key", LOGIN, "add")
    ports = tuple(node.ports["s3_plain"] for node in nodes)
    return Server(name, ports, meter, key["access_key_id"], key["secret_access_key"], folder=folder)


@contextmanager
def seaweedfs(folder: Path) -> Iterator[Server]:
    """`weed server -s3`: master, volume server, filer and gateway in one process."""
    weed = program("weed")
    assert weed is not None
    names = ("master.port", "volume.port", "filer.port", "s3.port")
    ports = {name: free_port() % 20_000 + 20_000 for name in names}
    (folder / "data").mkdir(parents=True)
    keys = [{"accessKey": ACCESS_KEY, "secretKey": SECRET}]
    identities = {"identities": [{"name": "bench", "credentials": keys, "actions": ["Admin", "Read", "Write", "List"]}]}
    (folder / "s3.json").write_text(json.dumps(identities))
    command = [weed, "-logdir", str(folder), "server", "-s3", f"-s3.config={folder / 's3.json'}", f"-dir={folder / 'data'}"]
    command += ["-ip=127.0.0.1", "-volume.max=0", "-master.volumeSizeLimitMB=2048", *(f"-{k}={v}" for k, v in ports.items())]
    with running("weed", quiet(command, folder), ports["s3.port"], _home(folder)) as meter:
        yield Server("SeaweedFS", (ports["s3.port"],), meter)


@contextmanager
def rclone(folder: Path) -> Iterator[Server]:
    """`rclone serve s3` of a folder."""
    binary = program("rclone") or shutil.which("rclone")
    assert binary is not None
    port = free_port()
    (folder / "root" / DESTINATION).mkdir(parents=True)
    command = [binary, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{ACCESS_KEY},{SECRET}"]
    command += ["--vfs-cache-mode=off", str(folder / "root")]
    with running("rclone", quiet(command, folder), port, _home(folder)) as meter:
        yield Server("rclone", (port,), meter, folder=folder / "root" / DESTINATION)


@contextmanager
def moto(folder: Path) -> Iterator[Server]:
    """moto's server."""
    binary = program("moto_server")
    assert binary is not None
    port = free_port()
    folder.mkdir(parents=True)
    command = [binary, "-H", "127.0.0.1", "-p", str(port)]
    with running("moto", quiet(command, folder), port, _home(folder)) as meter:
        yield Server("moto", (port,), meter)


def quiet(command: Sequence[str], folder: Path) -> list[str]:
    """The command, with what it says in a file; it keeps its process id."""
    return ["/bin/sh", "-c", f'exec "$@" > {folder}/log 2>&1', "sh", *command]


def _home(folder: Path) -> dict[str, str]:
    return {**environment(), "HOME": str(folder), "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}


PEERS = {"weed": seaweedfs, "rclone": rclone, "moto_server": moto}


@contextmanager
def all_of_them(folder: Path, sync: bool) -> Iterator[list[Server]]:
    """Every server that can run here, ours first."""
    with ExitStack() as stack:
        found = [stack.enter_context(ecpds(folder / "one", sync)), stack.enter_context(two_daemons(folder / "two", sync))]
        for name, peer in PEERS.items():
            if program(name):
                found.append(stack.enter_context(peer(folder / name)))
        yield found
