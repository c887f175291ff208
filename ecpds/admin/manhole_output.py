"""What an expression writes: from its thread to the terminal, bounded, and with nothing that a terminal would obey.

Only what we made ourselves (tables, colours) may hold escape sequences.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.pretty import pretty_repr
from rich.theme import Theme
from twisted.internet.interfaces import IReactorFromThreads

from ecpds.admin.manhole_verbs import Record, Rows
from ecpds.admin.show import show_list, show_one

THEME = Theme({"bold": "bold cyan"})
"""The names of columns and fields stand out."""

MOST_ITEMS = 1000
"""Items of one container that are shown."""

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def harmless(text: str) -> str:
    """`text` without what a terminal obeys, line ends and tabs apart."""
    return _OBEYED.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\r\n", "\n"))


class Output:
    """Collects text on any thread, `most` characters for one expression, and hands it to `write` in the reactor."""

    def __init__(self, reactor: IReactorFromThreads, write: Callable[[str], None], most: int) -> None:
        self._reactor = reactor
        self._write = write
        self._most = most
        self._left = most
        self._lock = threading.Lock()
        self._pending: list[str] = []

    def begin(self) -> None:
        """Another expression, and its own bound."""
        with self._lock:
            self._left = self._most

    def put(self, text: str) -> None:
        """Text that is ours, sequences and all. What is beyond the bound is cut off, and that is said once."""
        with self._lock:
            if self._left <= 0 or not text:
                return
            kept = text[: self._left]
            self._left -= len(text)
            if self._left <= 0:
                kept += f"\x1b[0m\n... cut off after {self._most} characters\n"
            first = not self._pending
            self._pending.append(kept)
        if first:
            self._reactor.callFromThread(self.flush)

    def print(self, text: str) -> None:
        """Text of anybody's."""
        self.put(harmless(text))

    def flush(self) -> None:
        """In the reactor: write what there is."""
        with self._lock:
            pending, self._pending = self._pending, []
        if pending:
            self._write("".join(pending))


def rendered(value: Any, width: int, colours: bool) -> str:
    """A value as the console shows it, its last line ended."""
    if isinstance(value, Rows | Record):
        return _table(value, width, colours)
    return harmless(pretty_repr(value, max_width=width, max_length=MOST_ITEMS)) + "\n"


def _table(value: Rows | Record, width: int, colours: bool) -> str:
    file = io.StringIO()
    system = "standard" if colours else None
    console = Console(
        file=file,
        width=width,
        color_system=system,  # type: ignore[arg-type]
        force_terminal=colours,
        highlight=False,
        markup=False,
        legacy_windows=False,
        theme=THEME,
        _environ={},
    )
    if isinstance(value, Record):
        show_one(console, value)
    elif value:
        show_list(console, value, value.columns)
    else:
        console.print("(none)")
    if isinstance(value, Rows) and value.more:
        console.print(f"(the first {len(value)}; there are more)")
    return file.getvalue()
