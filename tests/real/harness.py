"""A real daemon as a process of its own, with a home of its own, and the commands that speak to it.

Who does what: the harness writes a configuration with port 0 everywhere, starts `twistd ecpds`, and waits for the
ports.json that names that process; tests speak to the ports with real clients, and operate the node by bin/ecpds. A node is
ended by its process id only. Every wait has a deadline, and tells what the daemon had said when it passes.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
TWISTD = Path(sys.executable).with_name("twistd")

PATIENCE = 60.0
"""Seconds that a daemon may take to start or stop, on a machine that does other things too."""

LOGIN, PASSWORD = "ann", "correct horse: battery/staple"
DESTINATION = "archive"

Options = Mapping[str, Mapping[str, object]]

SECTIONS: dict[str, dict[str, object]] = {
    "node": {
        "name": "node-1",
        "home": "home",
        "interface": ["127.0.0.1"],
        "roles": [
            "master",
            "mover",
            "ftp",
            "https",
        ],  # those whose ports are free ones; other doors are opened by who needs them
    },
    "ftp": {"port": 0},
    "https": {"port": 0, "plain_port": 0},
}


class DaemonFailed(Exception):
    """The daemon did not do what it was waited for; the text holds the end of its log."""


def until(probe: Callable[[], T | None], what: str, patience: float = PATIENCE) -> T:
    """What `probe` answers when it first answers anything true. Raises `DaemonFailed` after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise DaemonFailed(f"waited {patience:.0f} s for {what}")
        time.sleep(0.01)
    return answer


def environment() -> dict[str, str]:
    """The environment of every process that we start: the checkout's code, from whatever folder it runs in."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "no_proxy": "*"}


def not_without_us(command: list[str]) -> list[str]:
    """A command, to be killed when we end without ending it. Its process id stays."""
    return ["setpriv", "--pdeathsig", "KILL", *command]


def write_config(file: Path, options: Options) -> None:
    """The sections of the harness, with `options` put over them."""
    sections = {name: {**SECTIONS.get(name, {}), **options.get(name, {})} for name in {**SECTIONS, **options}}
    lines: list[str] = []
    for name, keys in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items()]
    file.write_text("\n".join(lines) + "\n", "utf-8")


def _is_locked(file: Path) -> bool:
    with file.open("rb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class Node:
    """One daemon, which may be started and ended many times over the same home."""

    def __init__(self, folder: Path, options: Options | None = None, wrap: Callable[[list[str]], list[str]] = list) -> None:
        self.folder = folder
        self.config = folder / "ecpds.toml"
        self.home = folder / "home"
        self.log = folder / "daemon.log"
        self._wrap = wrap
        self.process: subprocess.Popen[bytes] | None = None
        self.ports: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True)
        write_config(self.config, options or {})

    @property
    def command(self) -> list[str]:
        """The contract's way to start a node in the foreground."""
        return [str(TWISTD), "-n", "--pidfile=", "ecpds", "-c", str(self.config)]

    @property
    def pid(self) -> int:
        """The process that serves, as ports.json says."""
        return self.ports["pid"]

    def start(self) -> None:
        """Start in the foreground of another process, from a folder that has nothing of ours, and wait until it serves."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._wrap(not_without_us(self.command)),
                cwd="/",
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait_until_ready(self.process.pid)

    def wait_until_ready(self, pid: int | None = None) -> None:
        """Wait for the ports.json of process `pid` (None: of any)."""
        self.ports = self._explained(lambda: until(lambda: self._ready(pid), "ports.json"))

    def _ready(self, pid: int | None) -> dict[str, int] | None:
        if self.process is not None and self.process.poll() is not None:
            raise DaemonFailed(f"the daemon ended with status {self.process.returncode}")
        ports = self.ports_file()
        return ports if ports and pid in (None, ports["pid"]) else None

    def ports_file(self) -> dict[str, int] | None:
        """What ports.json holds; None when there is none."""
        try:
            text = (self.home / "ports.json").read_text("utf-8")
        except FileNotFoundError:
            return None
        held: dict[str, int] = json.loads(text)
        return held

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """SIGKILL: no last words."""
        assert self.process is not None
        self.process.kill()
        self.wait()

    def wait_until_left(self) -> None:
        """Wait until nobody has the home any more: the catalogue's companion outlives a killed node for a moment."""
        until(lambda: not any(map(_is_locked, self.home.glob("*.companion.lock"))), "the catalogue's companion to end")

    def wait(self) -> int:
        """Wait for the end of the process, and say how it ended."""
        process, self.process = self.process, None
        assert process is not None
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise DaemonFailed(f"the daemon did not end\n{self.log_end()}") from None

    def log_end(self, size: int = 6000) -> str:
        """The end of what the daemon said."""
        return self.log.read_text("utf-8", "replace")[-size:] if self.log.exists() else ""

    def _explained(self, wait: Callable[[], T]) -> T:
        try:
            return wait()
        except DaemonFailed as failure:
            if self.process is not None:
                self.kill()
            raise DaemonFailed(f"{failure}; it had said:\n{self.log_end()}") from None

    def ecpds(self, *words: str, stdin: str = "") -> str:
        """Run the command line; its standard output. Raises `CalledProcessError` unless it exits with 0."""
        done = self.try_ecpds(*words, stdin=stdin)
        if done.returncode:
            raise DaemonFailed(f"ecpds {' '.join(words)}: status {done.returncode}: {done.stderr}\n{self.log_end()}")
        return done.stdout

    def try_ecpds(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run the command line, whatever comes of it."""
        command = [str(ROOT / "bin" / "ecpds"), "-c", str(self.config), *words]
        return subprocess.run(
            command, cwd="/", env=environment(), input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def json(self, *words: str) -> Any:
        """The one object that a command answers with `--json`."""
        return json.loads(self.ecpds(*words, "--json"))

    def json_lines(self, *words: str) -> list[Any]:
        """The objects that a command answers with `--json`, one a line."""
        return [json.loads(line) for line in self.ecpds(*words, "--json").splitlines()]

    def add_user(self, login: str = LOGIN, destination: str = DESTINATION, permissions: str | None = None) -> None:
        """A user with our password and one destination."""
        rights = ["--permission", permissions] if permissions else []
        self.ecpds("user", "add", login, "--password-stdin", "--destination", destination, *rights, stdin=PASSWORD + "\n")

    def populate(self) -> None:
        """The destination and the user of most tests."""
        self.ecpds("destination", "add", DESTINATION)
        self.add_user()

    def url(self, door: str, path: str = "") -> str:
        """The URL of `path` below the destination, at a door by its name in ports.json."""
        schemes = {"ftp": ("ftp", ""), "https": ("https", "/data"), "https_plain": ("http", "/data"), "ssh": ("sftp", "")}
        scheme, root = schemes[door]
        return f"{scheme}://127.0.0.1:{self.ports[door]}{root}/{DESTINATION}/{path}"

    def stored_files(self) -> list[Path]:
        """Every file on the first volume."""
        return [path for path in (self.home / "volumes" / "0").rglob("*") if path.is_file()]


@contextmanager
def node(options: Options | None = None, within: Path | None = None, populated: bool = True) -> Iterator[Node]:
    """A node that serves, in a new folder (in `within`), ended and removed with all it holds."""
    folder = Path(tempfile.mkdtemp(prefix="ecpds-", dir=within))
    held = Node(folder / "node", options)
    try:
        held.start()
        if populated:
            held.populate()
        yield held
    finally:
        if held.process is not None:
            held.kill()
        shutil.rmtree(folder, ignore_errors=True)
