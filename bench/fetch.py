"""`ecpds fetch` beside curl, aria2c and rclone: one large file over 4 mirrors, and many small files, whole commands.

nginx serves the mirrors from memory. Once they give what they can, once each is shaped to 25 MB/s a connection, where only
who uses several at once is faster. curl has the mirrors in a fixed order (it takes the first that answers), aria2c all of
them, rclone the first. Ours computes SHA-256, and has its start-up, of Python, in its time (of an installed one, whose modules
are compiled already); the others check nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from bench.options import Options
from bench.tables import ratio, show, spread
from tests.real.harness import environment
from tests.real.mirrors import Site, free_port, nginx

SMALL = 10_000
SHAPED = "limit_rate 25m;"
PATIENCE = 600.0

Client = Callable[[Sequence[Sequence[str]], Path], list[str]]
"""The command that fetches files, each from its mirrors, into a folder."""


def ecpds(files: Sequence[Sequence[str]], folder: Path) -> list[str]:
    manifest = folder.with_suffix(".list")
    manifest.write_text("".join("\t".join(mirrors) + "\n" for mirrors in files))
    return [sys.executable, "-m", "ecpds", "fetch", "-r", "none", "-o", str(folder), "-f", str(manifest), "--json"]


def curl(files: Sequence[Sequence[str]], folder: Path) -> list[str]:
    return ["curl", "-sS", "--fail", "--remote-name-all", "--output-dir", str(folder), *(mirrors[0] for mirrors in files)]


def aria2c(files: Sequence[Sequence[str]], folder: Path) -> list[str]:
    manifest = folder.with_suffix(".list")
    manifest.write_text("".join("\t".join(mirrors) + "\n" for mirrors in files))
    return ["aria2c", "-q", "-j8", "-s4", "-x4", "-k4M", "--file-allocation=none", "-d", str(folder), "-i", str(manifest)]


def rclone(files: Sequence[Sequence[str]], folder: Path) -> list[str]:
    base = files[0][0].rpartition("/")[0]
    command = ["rclone", "copy", ":http:", str(folder), "--http-url", base, "--transfers", "8", "--config", os.devnull]
    if len(files) == 1:
        command += ["--include", files[0][0].rpartition("/")[2]]
    return command


CLIENTS: dict[str, Client] = {"ecpds": ecpds, "curl": curl, "aria2c": aria2c, "rclone": rclone}


def run(options: Options, console: Console) -> None:
    folder = Path(tempfile.mkdtemp(prefix="ecpds-bench-", dir=options.volume))
    folder.chmod(0o755)
    try:
        _run(options, console, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(options: Options, console: Console, folder: Path) -> None:
    for kind in ("large", "small"):
        (folder / "root" / kind).mkdir(parents=True)
    with (folder / "root" / "large" / "file").open("wb") as file:
        for _ in range(options.size >> 20):
            file.write(os.urandom(1 << 20))
    for number in range(options.files):
        (folder / "root" / "small" / f"f{number:05}").write_bytes(os.urandom(SMALL))
    plain = [Site(free_port(), folder / "root", "autoindex on;") for _ in range(4)]
    shaped = [Site(free_port(), folder / "root", f"autoindex on; {SHAPED}") for _ in range(4)]
    large, small = ["large/file"], [f"small/f{number:05}" for number in range(options.files)]
    cases = {
        f"1 x {options.size >> 20} MiB": (large, plain, CLIENTS),
        f"1 x {options.size >> 20} MiB, 25 MB/s each": (large, shaped, CLIENTS),
        f"{options.files} x {SMALL} bytes": (small, plain, CLIENTS),
    }
    with nginx(folder / "nginx", [*plain, *shaped]):
        known = _installed(folder, f"{plain[0].url}/{small[0]}")
        for title, (names, sites, clients) in cases.items():
            files = [[f"{site.url}/{name}" for site in sites] for name in names]
            _measure(options, console, title, files, folder, clients, known)


def _measure(
    options: Options,
    console: Console,
    title: str,
    files: Sequence[Sequence[str]],
    folder: Path,
    clients: dict[str, Client],
    known: dict[str, str],
) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in clients if name == "ecpds" or shutil.which(name)}
    for _ in range(options.rounds):
        for name, taken in seconds.items():
            out = folder / "out"
            out.mkdir()
            command = clients[name](files, out)
            began = time.perf_counter()
            subprocess.run(command, check=True, env=known, stdout=subprocess.DEVNULL, timeout=PATIENCE)
            taken.append(time.perf_counter() - began)
            _check(files, folder, out)
            shutil.rmtree(out)
    ours = seconds["ecpds"]
    rows = [[name, "", spread(taken, 2), ratio(taken, ours if name != "ecpds" else None)] for name, taken in seconds.items()]
    show(console, title, ("client", "", "seconds", "times as long as ecpds"), rows)


def _installed(folder: Path, url: str) -> dict[str, str]:
    """The environment of the clients, with Python's byte code in `folder`, made by a first fetch."""
    known = {**environment(), "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    known.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "ecpds", "fetch", "-r", "none", "-o", str(folder), url]
    subprocess.run(command, check=True, env=known, stdout=subprocess.DEVNULL, timeout=PATIENCE)
    return known


def _check(files: Sequence[Sequence[str]], folder: Path, out: Path) -> None:
    """Raises `RuntimeError` unless every file is there, and the first and the last are what they should be."""
    for mirrors in (files[0], files[-1]):
        kind, name = mirrors[0].rsplit("/", 2)[-2:]
        if (out / name).read_bytes() != (folder / "root" / kind / name).read_bytes():
            raise RuntimeError(f"{name} is not what was served")
    if sum(1 for path in out.iterdir() if not path.name.startswith(".")) != len(files):
        raise RuntimeError("files are missing")
