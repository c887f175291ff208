"""What the command line of bin/bench says."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from attrs import frozen

PLACES = ("memory", "disk", "synced")
"""Where the ftp bench measures: `--volume`; `--disk`; and there with ecpds syncing."""

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@frozen
class Options:
    """How to measure. `size` is bytes of one large file, `volume` the folder that the servers store in."""

    names: tuple[str, ...]
    rounds: int
    size: int
    files: int
    entries: int
    clients: int
    volume: Path
    disk: Path
    sync: bool
    doors: tuple[str, ...]
    peers: tuple[str, ...]
    only: tuple[str, ...]
    servers: tuple[str, ...]
    places: tuple[str, ...]

    def wants(self, work: str, works: Collection[str]) -> bool:
        """Whether `--only` chooses this one of `works`: by its whole name, or by a word of it that is no other's name."""
        return any(word == work or (word in work and word not in works) for word in self.only)

    def has(self, server: str) -> bool:
        """Whether `--servers` lets it run."""
        return not self.servers or server in self.servers


def size(text: str) -> int:
    """`64M` as bytes; units are binary. Raises `ValueError`."""
    found = re.fullmatch(r"(\d+)([KMG]?)", text)
    if found is None:
        raise ValueError(f"{text} is not a size such as 64M")
    return int(found[1]) * UNITS[found[2]]


def parse(words: Sequence[str], benches: Sequence[str]) -> Options:
    """The options in `words`; exits with a usage message where they can't be understood."""
    parser = argparse.ArgumentParser("bin/bench", description="Side-by-side measurements, with ratios.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(benches)}; all when none is named")
    parser.add_argument(
        "-n", dest="rounds", type=int, default=5, help="rounds; each server is measured once in each (default 5)"
    )
    parser.add_argument("--size", type=size, default=size("1G"), help="of the large file, such as 64M (default 1G)")
    parser.add_argument("--files", type=int, default=2000, help="how many small files (default 2000)")
    parser.add_argument("--entries", type=int, default=1_000_000, help="of the folder that is listed (default 1000000)")
    parser.add_argument("--clients", type=int, default=200, help="how many slow clients (default 200)")
    parser.add_argument("--volume", type=Path, default=Path("/dev/shm"), help="folder to store in (default /dev/shm)")
    parser.add_argument("--disk", type=Path, default=Path("/var/tmp"), help="folder of a synced catalogue (default /var/tmp)")
    parser.add_argument(
        "--sync", action="store_true", help="ecpds syncs files and commits, as it is shipped; its peers never do"
    )
    parser.add_argument("--doors", default="ftp,https", help="of ftp, https, http; fleet: ssh too (default ftp,https)")
    parser.add_argument("--peers", default="sshd,asyncssh,conch", help="of the ssh bench (default sshd,asyncssh,conch)")
    parser.add_argument(
        "--only",
        default="",
        help="benches with several works do those of these names, or with such words in them: TLS,small; fleet: plain,get",
    )
    parser.add_argument("--servers", default="", help="of the ftp and s3 benches, such as ecpds,vsftpd (default all)")
    parser.add_argument(
        "--places",
        default=",".join(PLACES),
        help="of the ftp bench: memory (--volume), disk (--disk), synced (--disk, and ecpds syncs as with --sync); default all",
    )
    found = parser.parse_args(words)
    unknown = set(found.names) - set(benches)
    if unknown:
        parser.error(f"there is no bench {', '.join(sorted(unknown))}")
    if elsewhere := set(found.places.split(",")) - set(PLACES):
        parser.error(f"there is no place {', '.join(sorted(elsewhere))}; allowed: {', '.join(PLACES)}")
    return Options(
        names=tuple(found.names or benches),
        rounds=found.rounds,
        size=found.size,
        files=found.files,
        entries=found.entries,
        clients=found.clients,
        volume=found.volume,
        disk=found.disk,
        sync=found.sync,
        doors=tuple(found.doors.split(",")),
        peers=tuple(filter(None, found.peers.split(","))),
        only=tuple(found.only.split(",")),
        servers=tuple(filter(None, found.servers.split(","))),
        places=tuple(found.places.split(",")),
    )
