"""A fleet behind HAProxy, as conf/haproxy.cfg has it: every node on an address of its own, of the loopback network.

The shipped file is used as it is, but for the addresses: those of 10.0.0.0/24 become those of a network of this process,
the frontends listen on the balancer's address of it, with ports below 1024 lifted by 20000, for few connections.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.real.fleet import Fleet
from tests.real.harness import ROOT, Options, not_without_us, until

SHIPPED = ROOT / "conf" / "haproxy.cfg"

MOVERS = ("node-1", "node-2", "node-3")

DOORS = {"ftp": 20021, "ftps": 20990, "ssh": 20022, "https": 20443, "s3": 9000}
"""Where the balancer listens for each door."""

ROLES = ["mover", "ftp", "https", "s3", "ssh"]


def network() -> str:
    """The first three numbers of a network that no other process of ours uses."""
    return f"127.{1 + os.getpid() // 250 % 250}.{1 + os.getpid() % 250}"


def program() -> str:
    """HAProxy, which Debian keeps where only root looks."""
    return shutil.which("haproxy") or "/usr/sbin/haproxy"


class Balancer:
    """HAProxy as a process, in front of nodes of `network`."""

    def __init__(self, folder: Path, network: str) -> None:
        self.address = f"{network}.1"
        self._file = folder / "haproxy.cfg"
        self._log = folder / "haproxy.log"
        self._process: subprocess.Popen[bytes] | None = None
        text = SHIPPED.read_text("utf-8").replace("# source 10.0.0.1", "source 10.0.0.1").replace("10.0.0.", f"{network}.")
        text = text.replace("maxconn 20000", "maxconn 500")
        self._file.write_text(re.sub(r"bind :(\d+)", self._bind, text), "utf-8")

    def _bind(self, found: re.Match[str]) -> str:
        port = int(found[1])
        return f"bind {self.address}:{port + 20000 if port < 1024 else port}"

    def start(self) -> None:
        """Start, and wait until every door can be reached through it."""
        with self._log.open("ab") as log:
            command = not_without_us([program(), "-db", "-f", str(self._file)])
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(lambda: all(map(self._answers, ("ftp", "ssh"))), f"the balancer (see {self._log})")

    def _answers(self, door: str) -> bool:
        """Whether a node greets who comes to a door that greets."""
        try:
            with socket.create_connection((self.address, DOORS[door]), 2) as connection:
                return bool(connection.recv(1))
        except OSError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def own_options(network: str) -> Mapping[str, Options]:
    """What each node needs behind the balancer."""
    master = {"node": {"roles": ["master"]}, "cluster": {"interface": f"{network}.10", "listen": 7600}}
    options: dict[str, Options] = {"master": master}
    for number, name in enumerate(MOVERS):
        address = f"{network}.{11 + number}"
        first = 29000 + 1000 * number
        options[name] = {
            "node": {"roles": ROLES, "interface": [address], "balancers": [f"{network}.1"]},
            "cluster": {"masters": [f"tls:{network}.10:7600"], "interface": address},
            "admin": {"port": 7700, "interface": [address]},
            "ftp": {
                "port": 2121,
                "implicit_port": 9990,
                "passive_ports": f"{first}-{first + 999}",
                "passive_address": f"{network}.1",
            },
            "ssh": {"port": 2222},
            "https": {"port": 8443},
            "s3": {"port": 9000},
        }
    return options


@contextmanager
def balanced(options: Options) -> Iterator[tuple[Fleet, Balancer]]:
    """A Master and three movers with every door behind a balancer, populated; ended and removed with all they hold."""
    folder = Path(tempfile.mkdtemp(prefix="ecpds-balanced-"))
    fleet = Fleet(folder, MOVERS, options, own=own_options(network()))
    balancer = Balancer(folder, network())
    try:
        fleet.start()
        fleet.master.populate()
        balancer.start()
        yield fleet, balancer
    finally:
        balancer.stop()
        fleet.end()
        shutil.rmtree(folder, ignore_errors=True)
