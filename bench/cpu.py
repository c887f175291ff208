"""CPU seconds of a server and of all it ever started, by a control group of its own.

Counting a tree of processes is not enough: a server that ignores the ends of its children (vsftpd does) never gets their
time added to its own. A control group keeps what ended in it. Where the machine lets us make none, the living tree is
counted, and the table says so.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

QUIET = 0.005
"""CPU seconds in `LOOK` below which a server counts as idle."""
LOOK = 0.2


class CpuMeter:
    """Start the server's command as `wrap` says, then tell the meter its process."""

    def __init__(self, name: str) -> None:
        self._group = _make_group(f"ecpds-bench-{os.getpid()}-{name}")
        self._pid: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether processes that have ended are counted."""
        return self._group is not None

    def wrap(self, command: Sequence[str]) -> list[str]:
        """The command, to run in the group; it keeps its process id."""
        if self._group is None:
            return list(command)
        return ["/bin/sh", "-c", f'echo $$ > {self._group}/cgroup.procs && exec "$@"', "sh", *command]

    def watch(self, pid: int) -> None:
        self._pid = pid

    def seconds(self) -> float:
        """User and system seconds so far."""
        if self._group is None:
            assert self._pid is not None
            root = psutil.Process(self._pid)
            times = [process.cpu_times() for process in (root, *root.children(recursive=True))]
            return float(sum(t.user + t.system + t.children_user + t.children_system for t in times))
        usage = self._group / "cpuacct.usage"
        if usage.exists():
            return int(usage.read_text()) / 1e9
        return int((self._group / "cpu.stat").read_text().split()[1]) / 1e6

    def settled(self, patience: float = 30.0) -> float:
        """The seconds when the server has nothing left to do: what it puts off is part of its work."""
        deadline = time.monotonic() + patience
        before = self.seconds()
        while time.monotonic() < deadline:
            time.sleep(LOOK)
            now = self.seconds()
            if now - before < QUIET:
                return now
            before = now
        return before

    def close(self, patience: float = 10.0) -> None:
        """When the server has ended; what it started (a catalogue's companion) may need a moment more. Raises `OSError`."""
        deadline = time.monotonic() + patience
        while self._group is not None:
            try:
                self._group.rmdir()
                return
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise
                time.sleep(LOOK / 10)


def _make_group(name: str) -> Path | None:
    """A new control group that accounts CPU, of version 1 or 2; None where there can be none."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    places = [place for _, place, kind, options, *_ in mounts if kind == "cgroup" and "cpuacct" in options.split(",")]
    places += [place for _, place, kind, *_ in mounts if kind == "cgroup2"]
    for place in places:
        group = Path(place) / name
        try:
            group.mkdir()
        except OSError:
            continue  # read-only in most containers
        return group
    return None
