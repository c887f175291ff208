"""The memory that very many slow clients cost: half download over FTP, half over HTTPS, each as slowly as it can."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from rich.console import Console

from bench.options import Options
from bench.servers import ecpds
from bench.tables import show
from tests.real.slow_clients import MIB, measure

COLUMNS = ("server", "clients", "idle MiB", "peak MiB", "growth MiB")


def run(options: Options, console: Console) -> None:
    """From a fresh start, so that nothing that an earlier upload left in memory hides the growth."""
    with tempfile.TemporaryDirectory(prefix="ecpds-bench-", dir=options.volume) as name:
        source = Path(name) / "source"
        with source.open("wb") as file:
            file.truncate(min(options.size, 256 * MIB))
        with ecpds(Path(name) / "ecpds", options.sync) as (node, targets):
            subprocess.run(targets[0].curl("-T", str(source), "large"), check=True)
            node.stop()
            node.start()
            memory = measure(node, "large", options.clients)
    figures = [f"{value / MIB:,.1f}" for value in (memory.idle, memory.peak, memory.growth)]
    show(console, f"memory: {options.clients} slow downloads", COLUMNS, [["ecpds", str(options.clients), *figures]])
