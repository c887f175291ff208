"""The command: runs the benches that are named, or all."""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.console import Console

from bench import catalogue, control, crowd, fetch, fleet, ftp, https, memory, roundtrip, s3, small, sources, ssh
from bench.options import Options, parse

BENCHES: dict[str, Callable[[Options, Console], None]] = {
    "roundtrip": roundtrip.run,
    "small": small.run,
    "memory": memory.run,
    "catalogue": catalogue.run,
    "ftp": ftp.run,
    "https": https.run,
    "crowd": crowd.run,
    "ssh": ssh.run,
    "s3": s3.run,
    "fleet": fleet.run,
    "control": control.run,
    "sources": sources.run,
    "fetch": fetch.run,
}


def main() -> None:
    options = parse(sys.argv[1:], tuple(BENCHES))
    console = Console(width=None if sys.stdout.isatty() else 140)
    for name in options.names:
        BENCHES[name](options, console)


if __name__ == "__main__":
    main()
