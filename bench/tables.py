"""How results are shown: medians with their spread, and ratios to the peer."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from rich.console import Console
from rich.table import Table


def spread(values: Sequence[float], digits: int = 0) -> str:
    """`median [least-most]`."""
    return f"{median(values):,.{digits}f} [{min(values):,.{digits}f}-{max(values):,.{digits}f}]"


def ratio(ours: Sequence[float], theirs: Sequence[float] | None) -> str:
    """Our median over theirs; empty where there is no peer, or it is the peer's own row."""
    return f"{median(ours) / median(theirs):.2f}" if theirs else ""


def show(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()
) -> None:
    """One table; the first two columns are words, the others figures."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < 2 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for note in notes:
        console.print(note)
