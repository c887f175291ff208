"""Files from plain HTTP servers without the reactor, several at a time, each on a thread that sees it through (`file`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, Thread

from ecpds.sources.fetch.common import Common
from ecpds.sources.fetch.file import File
from ecpds.sources.fetch.outcomes import Outcome, Task
from ecpds.sources.fetch.pace import WORTH_EXPLORING
from ecpds.sources.fetch.plain import is_vain

LANES = 16
"""Files at a time, at most."""


class Lanes:
    """`ended` is told of each file that is there."""

    def __init__(self, common: Common, ended: Callable[[Outcome], None]) -> None:
        self._common = common
        self._ended = ended
        self._waiting: deque[Task] = deque()
        self._running: list[File] = []
        self._done: set[Task] = set()
        self._over = Condition(common.lock)
        self._open = self._begun = self._left = 0
        self._trouble: BaseException | None = None

    def run(self, tasks: Sequence[Task], at_once: int) -> set[Task]:
        """Fetch what can be had this way; what is there then. When it is interrupted, what is here of a file is noted."""
        self._waiting.extend(tasks)
        self._open = min(at_once, LANES, len(tasks))
        for _ in range(self._open):
            Thread(target=self._lane, name="lane", daemon=True).start()
        try:
            self._wait()
        except BaseException:
            self.stop()
            self._wait()
            raise
        if self._trouble is not None:
            raise self._trouble
        return self._done

    def _wait(self) -> None:
        # Not by `join`: one that is interrupted takes its thread for ended (Python's bug 45274 and what mended it).
        with self._over:
            while self._open:
                self._over.wait()

    def _lane(self) -> None:
        try:
            while (file := self._next()) is not None:
                outcome = file.run()
                with self._common.lock:
                    self._end(file, outcome)
        except BaseException as error:
            self._trouble = error
            self.stop()
        finally:
            with self._over:
                self._open -= 1
                self._over.notify_all()

    def _next(self) -> File | None:
        with self._common.lock:
            if not self._waiting:
                return None
            task = self._waiting.popleft()
            mirrors = self._common.places.mirrors(task)
            explore = len(self._waiting) >= WORTH_EXPLORING * len(mirrors)
            file = File(self._common, task, mirrors, explore)
            self._running.append(file)
            self._begun += 1
            return file

    def _end(self, file: File, outcome: Outcome | None) -> None:
        self._running.remove(file)
        if outcome is not None:
            self._done.add(file.task)
            self._common.progress.ended(file.task, outcome)
            self._ended(outcome)
            return
        self._left += 1
        if is_vain(self._left, self._begun):
            self._waiting.clear()

    def stop(self) -> None:
        """Break off; what is here is noted."""
        with self._common.lock:
            self._waiting.clear()
            for file in self._running:
                file.stop()
