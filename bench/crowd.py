"""A thousand idle FTP sessions and two hundred transfers at once: what a session costs, and how late answers are."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from rich.console import Console

from bench.options import Options
from bench.servers import ecpds
from bench.tables import show
from tests.real.crowd import Figures, measure

IDLE, SECONDS = 1000, 5.0
COLUMNS = ("server", "sessions", "KiB each", "NOOP p50 ms", "p99 ms", "transfers", "MB/s in all", "slowest / median")
LATEST = 0.1
"""Seconds within which 99 of 100 answers are wanted."""


def run(options: Options, console: Console) -> None:
    with tempfile.TemporaryDirectory(prefix="ecpds-bench-", dir=options.volume) as name:
        source = Path(name) / "source"
        with source.open("wb") as file:
            file.truncate(max(options.size, 1 << 30))
        with ecpds(Path(name) / "ecpds", options.sync, connections_per_address=0) as (node, targets):
            subprocess.run(targets[0].curl("-T", str(source), "large"), check=True)
            figures = measure(node, IDLE, options.clients, SECONDS, "large")
    show(console, f"crowd: {IDLE} idle sessions, {options.clients} transfers for {SECONDS:.0f} s", COLUMNS, [row(figures)])
    console.print(
        f"NOOP, p99: {figures.p99 * 1e3:.0f} ms, wanted {LATEST * 1e3:.0f}: {'met' if figures.p99 < LATEST else 'NOT met'}"
    )


def row(figures: Figures) -> list[str]:
    answers = sorted(figures.answers)
    return [
        "ecpds",
        str(IDLE),
        f"{figures.idle_bytes / 1024:.0f}",
        f"{answers[len(answers) // 2] * 1e3:.1f}",
        f"{figures.p99 * 1e3:.1f}",
        str(len(figures.moved)),
        f"{sum(figures.moved) / 1e6 / SECONDS:,.0f}",
        f"{figures.least:.2f}",
    ]
