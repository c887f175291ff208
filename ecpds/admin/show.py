"""Answers as people read them: tables for lists, one line a field for single things. Imported only when needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def cell(value: Any) -> str:
    """A JSON value in words; what a terminal would obey is shown as an escape."""
    if value is None or value in ([], {}):
        text = "-"
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, list):
        text = ", ".join(cell(each) for each in value)
    elif isinstance(value, dict):
        text = " ".join(f"{key}={cell(each)}" for key, each in value.items())
    else:
        text = str(value)
    return printable(text)


def printable(text: str) -> str:
    """`text` with what a terminal would obey, or what would turn its reading round, as escapes."""
    return text if text.isprintable() else "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def show_list(console: Console, objects: Iterable[dict[str, Any]], columns: Sequence[str]) -> None:
    """A table; without columns named, those of the first object."""
    table: Table | None = None
    for each in objects:
        if table is None:
            columns = columns or tuple(each)
            table = Table(*columns, box=None, header_style="bold", pad_edge=False)
        table.add_row(*(Text(cell(each.get(column)), overflow="fold") for column in columns))
    if table is not None:
        console.print(table)


def show_one(console: Console, found: dict[str, Any]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in found.items():
        table.add_row(Text(key, style="bold"), Text(cell(value), overflow="fold"))
    console.print(table)
