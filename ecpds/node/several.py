"""A small fleet on one host, for a try: `bin/run --nodes 3`.

Every node is a process with a home of its own; the first is the Master. Their doors share the ports, so that there is one
command for each door and the kernel spreads connections over the nodes. What a node says comes out with its name before
it. The first SIGTERM or SIGINT lets all of them end, the members first; the exit status is 0 when each had 0.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any

from ecpds.config import load
from ecpds.folders import make_folder
from ecpds.node.inviting import fleet_token, take_token

PATIENCE = 60.0
"""Seconds that a node may take to start."""

LOOK = 0.05
"""Seconds between two looks whether it has."""

DOORS = {"ftp": 2121, "ssh": 2222, "https": 8443, "s3": 9000}

COMMANDS = {
    "ftp": "curl --user demo -T FILE ftp://127.0.0.1:{}/demo/",
    "ssh": "sftp -P {} demo@127.0.0.1",
    "https": "curl -k --user demo -O https://127.0.0.1:{}/data/demo/FILE",
    "s3": "aws s3 ls s3://demo/ --no-verify-ssl --endpoint-url https://127.0.0.1:{}     # after: ecpds user s3key demo add",
}


class Failed(Exception):
    """A node did not start; the text says which."""


class Running:
    """One node as a process."""

    def __init__(self, name: str, folder: Path, sections: Mapping[str, Mapping[str, object]], options: Sequence[str]) -> None:
        """`sections` are its configuration, `options` those of `twistd ecpds`."""
        self.name = name
        self.config = folder / "ecpds.toml"
        self._ports_file = folder / "home" / "ports.json"
        make_folder(folder, 0o750)
        self.config.write_text(toml(sections), "utf-8")
        self._options = options
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        twistd = str(Path(sys.executable).with_name("twistd"))
        command = [twistd, "-n", "--pidfile=", "ecpds", "-c", str(self.config), *self._options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True
        )
        Thread(target=self._tell, args=(self.process,), daemon=True).start()

    def ports(self, stopping: Event) -> dict[str, int]:
        """Wait until it serves. Raises `Failed`."""
        assert self.process is not None
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None and not stopping.wait(LOOK):
            if self._ports_file.exists():
                ports: dict[str, int] = json.loads(self._ports_file.read_text("utf-8"))
                if ports["pid"] == self.process.pid:
                    return ports
        raise Failed(f"{self.name} does not serve")

    def end(self) -> int:
        """Let it end; its exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait()

    def _tell(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            say(f"{self.name} | {line.rstrip()}")


def toml(sections: Mapping[str, Mapping[str, object]]) -> str:
    """Sections as a configuration has them. JSON's strings, numbers and lists are TOML's."""
    lines = []
    for section, keys in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


def say(line: str) -> None:
    """One line, whole, however many speak."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def launch(count: int, home: Path, ports: Mapping[str, int], nodes: list[Running], stopping: Event) -> dict[str, int]:
    """Start the Master, then the others with its ports and its secret. Returns the doors' ports. Raises `Failed`."""
    roles = ["mover", *DOORS]
    doors: dict[str, Any] = {door: {"port": port} for door, port in ports.items()}
    cluster: dict[str, dict[str, object]] = {"cluster": {"listen": 0, "stream": 0}}
    master = Running("node-1", home / "node-1", {"node": _node("node-1", ["master", *roles]), **doors, **cluster}, ["--demo"])
    nodes.append(master)
    master.start()
    found = master.ports(stopping)
    token = fleet_token(load(master.config))
    for number in range(2, count + 1):
        name = f"node-{number}"
        doors = {door: {"port": found[door]} for door in DOORS}
        cluster = {"cluster": {"listen": 0, "stream": 0, "masters": [f"tls:127.0.0.1:{found['cluster']}"]}}
        node = Running(name, home / name, {"node": _node(name, roles), **doors, **cluster}, [])
        take_token(load(node.config), token)
        nodes.append(node)
        node.start()
    for node in nodes[1:]:
        node.ports(stopping)
    return found


def _node(name: str, roles: Sequence[str]) -> dict[str, object]:
    return {"name": name, "home": "home", "roles": list(roles), "share_ports": True}


def run(count: int, home: Path, ports: Mapping[str, int], stopping: Event) -> int:
    """A fleet until `stopping` is set, or one of it ends; the exit status."""
    nodes: list[Running] = []
    status = 0
    try:
        found = launch(count, home, ports, nodes, stopping)
        say(f"{count} nodes serve. The doors, each on every node:")
        for door, command in COMMANDS.items():
            say(f"    {command.format(found[door])}")
        say(f"The operators' commands: bin/ecpds -c {nodes[0].config} mover list")
        while not stopping.wait(LOOK):
            if any(node.process is not None and node.process.poll() is not None for node in nodes):
                raise Failed("a node has ended")
    except Failed as failure:
        if not stopping.is_set():
            say(f"ecpds: {failure}")
            status = 1
    finally:
        ended = [node.end() for node in reversed(nodes)]
    return status or int(any(ended))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="bin/run --nodes", description="A small fleet on this host, for a try.")
    parser.add_argument("nodes", type=int, metavar="COUNT", help="how many nodes, 1 to 32")
    parser.add_argument("--home", type=Path, default=Path("var/fleet"), help="where their homes are")
    parser.add_argument("--any-port", action="store_true", help="doors on any free ports, not the usual ones")
    options = parser.parse_args()
    if not 1 <= options.nodes <= 32:
        parser.error("1 to 32 nodes")
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup leaves SIGHUP
            signal.signal(number, lambda *_: stopping.set())
    ports = dict.fromkeys(DOORS, 0) if options.any_port else DOORS
    return run(options.nodes, options.home.absolute(), ports, stopping)


if __name__ == "__main__":
    sys.exit(main())
