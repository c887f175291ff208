"""SFTP and scp by OpenSSH's clients, side by side with sshd, asyncssh and stock conch.

Servers take turns in every round. A put is of a new name, deleted outside of the timed part; a get goes into a file of the
same memory. Each client logs in with a key, within the time that is measured. The far path is a relay of our own that
holds every byte for 50 ms each way.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from bench.options import Options
from bench.roundtrip import PIECE, make_source
from bench.servers import free_port, running
from bench.ssh_peers import SshTarget, all_of_them
from bench.tables import show
from bench.works import Goal, Work, measure, rows
from tests.real.harness import ROOT, environment

GCM = "Ciphers=aes128-gcm@openssh.com"
SESSIONS = 8
LOGINS = 40
FAR = 16
"""The far path carries so many times less."""
ONE_WAY = 0.05

OURS, LATER, SSHD = "ecpds", "ecpds, digest after", "sshd"

COLUMNS = ("server", "what", "rate", "/sshd", "CPU", "/sshd", "wall s")

GOALS = (
    Goal("get, aes128-gcm", OURS, SSHD, 1.5),
    Goal("put, aes128-gcm", LATER, SSHD, 1.1),
    Goal("put, aes128-gcm", OURS, SSHD, 0.9),
    Goal("get, default cipher", OURS, SSHD, 1.2),
    Goal("put, default cipher", LATER, SSHD, 1.0),
    *(Goal(f"scp {mode} {way}", OURS, SSHD, 1.0) for mode in ("-s", "-O") for way in ("get", "put")),
    *(Goal(f"{way} small{more}", OURS, SSHD, 0.8) for more in ("", f", {SESSIONS} sessions") for way in ("get", "put")),
    *(Goal(f"{way} over 100 ms", OURS, SSHD, 0.9) for way in ("get", "put")),
)


def run(options: Options, console: Console) -> None:
    with tempfile.TemporaryDirectory(prefix="ecpds-bench-", dir=options.volume) as name:
        folder = Path(name)
        with all_of_them(folder, options.peers, options.sync) as targets:
            files = Files(folder, options)
            for target in targets:
                files.check(target)
            results = {}
            for work in files.works():
                if any(word in work.name for word in options.only):
                    found = measure(work, [each for each in targets if files.can(each, work)], options.rounds)
                    results[work.name] = found
                    show(console, title(work, options), COLUMNS, rows(work, found, (SSHD,)))
        for goal in GOALS:
            if verdict := goal.judged(results):
                console.print(verdict)


def title(work: Work[SshTarget], options: Options) -> str:
    costs = "s/GiB" if work.unit == "MB/s" else "ms each"
    return f"ssh on {options.volume}: {work.name}, rate in {work.unit}, CPU {costs}, n={options.rounds}"


class Files:
    """What is put and fetched, and how."""

    def __init__(self, folder: Path, options: Options) -> None:
        self._folder = folder
        self._options = options
        self.source, self._digest = make_source(folder, options.size)
        self._far = self._cut("far", options.size // FAR)
        self._share = self._cut("share", options.size // SESSIONS)
        self._small = folder / "small"
        self._parts = [folder / f"small-{number}" for number in range(SESSIONS)]
        self._fill()

    def _cut(self, name: str, size: int) -> Path:
        """The beginning of the source as a file of its own."""
        with self.source.open("rb") as source, (self._folder / name).open("wb") as file:
            while size > 0 and (piece := source.read(min(PIECE, size))):
                file.write(piece)
                size -= len(piece)
        return self._folder / name

    def _fill(self) -> None:
        """The small files: all of them in one folder, and shared out to several."""
        content = self.source.read_bytes()[:1024]
        for place, count in [(self._small, self._options.files), *((p, self._options.files // SESSIONS) for p in self._parts)]:
            place.mkdir()
            for number in range(count):
                (place / f"f{number:05}").write_bytes(content)

    def check(self, target: SshTarget) -> None:
        """Put what the gets will fetch; fetch it once, and compare. Raises `ValueError`."""
        back = self._folder / "back"
        target.sftp([f"put {self.source} {target.folder}kept", f"get {target.folder}kept {back}"])
        if subprocess.run(["cmp", "-s", str(self.source), str(back)], check=False).returncode:
            raise ValueError(f"{target.server} gave back something else")
        target.sftp([f"put {self._far} {target.folder}far", f"put {self._share} {target.folder}share"])
        target.sftp([f"put -R {self._small} {target.folder}small"])
        target.sftp([f"put -R {part} {target.folder}{part.name}" for part in self._parts])

    def can(self, target: SshTarget, work: Work[SshTarget]) -> bool:
        """Stock conch has no AEAD cipher and no scp, and asyncssh ends `scp -s` without a status."""
        lacks = {"conch": ("gcm", "scp"), "asyncssh": ("scp -s",)}.get(target.server, ())
        return not any(word in work.name for word in lacks)

    def works(self) -> list[Work[SshTarget]]:
        return [*self._large(), *self._scp(), *self._many(), *self._far_away(), *self._logins()]

    def _large(self) -> list[Work[SshTarget]]:
        size = self._options.size
        found = []
        for name, options in (("default cipher", ()), ("aes128-gcm", (GCM,))):
            found += [self._get(f"get, {name}", size, options), self._put(f"put, {name}", size, options)]
        together = [self._get("get", size, (GCM,)), self._put("put", size, (GCM,))]
        return found + [self._at_once(work, size) for work in together]

    def _work(
        self, name: str, size: float, do: Callable[[SshTarget, str], None], **more: Callable[[SshTarget, str], None]
    ) -> Work[SshTarget]:
        return Work(name, "MB/s", size / 1e6, (1 << 30) / size, do, **more)

    def _get(self, name: str, size: int, options: tuple[str, ...]) -> Work[SshTarget]:
        back = self._folder / "back"
        return self._work(name, size, lambda target, _: target.sftp([f"get {target.folder}kept {back}"], *options))

    def _put(self, name: str, size: int, options: tuple[str, ...]) -> Work[SshTarget]:
        def put(target: SshTarget, new: str) -> None:
            target.sftp([f"put {self.source} {target.folder}{new}"], *options)

        return self._work(name, size, put, after=remove)

    def _at_once(self, work: Work[SshTarget], size: int) -> Work[SshTarget]:
        """The same amount in eight sessions."""

        def one(target: SshTarget, name: str, number: int) -> None:
            if work.name == "get":
                target.sftp([f"get {target.folder}share {self._folder}/back-{number}"], GCM)
            else:
                target.sftp([f"put {self._share} {target.folder}{name}-{number}"], GCM)

        def after(target: SshTarget, name: str) -> None:
            if work.name == "put":
                target.sftp([f"rm {target.folder}{name}-{number}" for number in range(SESSIONS)])

        name = f"{work.name}, aes128-gcm, {SESSIONS} sessions"
        return self._work(name, size, lambda target, new: at_once(SESSIONS, lambda n: one(target, new, n)), after=after)

    def _scp(self) -> list[Work[SshTarget]]:
        back = str(self._folder / "back")
        found = []
        for mode in ("-s", "-O"):

            def get(target: SshTarget, name: str, mode: str = mode) -> None:
                copy(target, mode, f"{target.host}:{target.folder}kept", back)

            def put(target: SshTarget, name: str, mode: str = mode) -> None:
                copy(target, mode, str(self.source), f"{target.host}:{target.folder}{name}")

            size = self._options.size
            found += [self._work(f"scp {mode} get", size, get), self._work(f"scp {mode} put", size, put, after=remove)]
        return found

    def _many(self) -> list[Work[SshTarget]]:
        count, small, parts = self._options.files, self._small, self._parts
        back = self._folder / "small-back"

        def get(target: SshTarget, name: str) -> None:
            target.sftp([f"get -R {target.folder}small {back}"])

        def put(target: SshTarget, name: str) -> None:
            target.sftp([f"put -R {small} {target.folder}{name}"])

        def get_together(target: SshTarget, name: str) -> None:
            at_once(SESSIONS, lambda n: target.sftp([f"get -R {target.folder}{parts[n].name} {back}-{n}"]))

        def put_together(target: SshTarget, name: str) -> None:
            at_once(SESSIONS, lambda n: target.sftp([f"put -R {parts[n]} {target.folder}{name}-{n}"]))

        def remove_together(target: SshTarget, name: str) -> None:
            at_once(SESSIONS, lambda n: remove_folder(target, f"{name}-{n}"))

        kinds = [
            ("get small", get, None),
            ("put small", put, remove_folder),
            (f"get small, {SESSIONS} sessions", get_together, None),
            (f"put small, {SESSIONS} sessions", put_together, remove_together),
        ]
        return [
            Work(name, "files/s", count, 1000 / count, do, after or (lambda target, name: None)) for name, do, after in kinds
        ]

    def _far_away(self) -> list[Work[SshTarget]]:
        size, back = self._options.size // FAR, self._folder / "back"

        def get(target: SshTarget, name: str) -> None:
            with far(target.port) as port:
                target.sftp([f"get {target.folder}far {back}"], port=port)

        def put(target: SshTarget, name: str) -> None:
            with far(target.port) as port:
                target.sftp([f"put {self._far} {target.folder}{name}"], port=port)

        return [
            self._work("get over 100 ms", size, get),
            self._work("put over 100 ms", size, put, after=remove),
        ]

    def _logins(self) -> list[Work[SshTarget]]:
        def one_by_one(target: SshTarget, name: str) -> None:
            for _ in range(LOGINS):
                target.sftp(["pwd"])

        def together(target: SshTarget, name: str) -> None:
            at_once(SESSIONS, lambda n: [target.sftp(["pwd"]) for _ in range(LOGINS // SESSIONS)])

        return [
            Work("logins", "/s", LOGINS, 1000 / LOGINS, one_by_one),
            Work(f"logins, {SESSIONS} clients", "/s", LOGINS, 1000 / LOGINS, together),
        ]


def remove(target: SshTarget, name: str) -> None:
    target.sftp([f"rm {target.folder}{name}"])


def remove_folder(target: SshTarget, name: str) -> None:
    target.sftp([f"rm {target.folder}{name}/*", f"rmdir {target.folder}{name}"])


def copy(target: SshTarget, mode: str, source: str, place: str) -> None:
    subprocess.run(["scp", *target.options(), mode, source, place], check=True, stdout=subprocess.DEVNULL)


def at_once(count: int, do: Callable[[int], object]) -> None:
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(do, range(count)))


@contextmanager
def far(target: int) -> Iterator[int]:
    """The port of a relay to `target`, 100 ms away there and back."""
    port = free_port()
    command = [sys.executable, "-m", "bench.relay", str(port), str(target), str(ONE_WAY)]
    with running("relay", command, port, {**environment(), "PYTHONPATH": str(ROOT)}):
        yield port
