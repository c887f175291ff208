"""Progress in a terminal: a bar for each file that is coming, and one for all."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bars

from ecpds.sources.fetch.outcomes import Outcome, Task
from ecpds.sources.mechanisms.base import shown

WIDTH = 40
"""Characters of a name."""


class TerminalProgress:
    """Draws on `console` between `start` and `stop`."""

    def __init__(self, console: Console, files: int) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        self._bars = Bars(*columns, console=console)
        self._files, self._ended, self._size = files, 0, 0
        self._all: TaskID | None = None
        self._each: dict[Task, TaskID] = {}

    def start(self) -> None:
        self._bars.start()
        self._all = self._bars.add_task(self._title, total=None) if self._files > 1 else None

    def stop(self) -> None:
        self._bars.stop()

    @property
    def _title(self) -> str:
        return f"{self._ended} of {self._files} files"

    def began(self, task: Task, size: int | None) -> None:
        if task in self._each:
            # Another way has begun with it, and left it.
            self._bars.remove_task(self._each[task])
        name = task.target.name
        name = name if len(name) <= WIDTH else f"{name[: WIDTH - 1]}…"
        self._each[task] = self._bars.add_task(name.translate(CLEAN), total=size)

    def moved(self, task: Task, count: int) -> None:
        if task in self._each:
            self._bars.advance(self._each[task], count)
        if self._all is not None:
            self._bars.advance(self._all, count)

    def ended(self, task: Task, outcome: Outcome) -> None:
        self._ended += 1
        bar = self._each.pop(task, None)
        if bar is not None:
            self._bars.remove_task(bar)
        if self._all is not None:
            self._bars.update(self._all, description=self._title)
        if not outcome.done:
            self._bars.console.print(f"{shown(task.url)}: {outcome.reason}", markup=False, highlight=False)


CLEAN = {ord("["): "(", ord("]"): ")"}
"""What rich would read as markup."""
