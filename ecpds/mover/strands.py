"""Work that must be done in order, on a pool of threads that keeps none; and the syncs of folders, shared."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from ecpds.folders import sync_folder
from ecpds.interfaces import IThreads

Call = tuple[Callable[..., Any], tuple[Any, ...]]
Outcome = tuple[Any, BaseException | None]


class Strand:
    """Does calls one after the other, each on some thread: no two of one strand at a time, and what has piled up in one hop.

    Giving up waiting for a call does not stop it, and what was put after it still comes after it.
    """

    def __init__(self, threads: IThreads) -> None:
        self._threads = threads
        self._queue: deque[tuple[Call, Deferred[Any]]] = deque()
        self._busy = False

    def put(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Call `function(*args)` when all that was put before is done."""
        done: Deferred[Any] = Deferred()
        self._queue.append(((function, args), done))
        if not self._busy:
            self._busy = True
            Deferred.fromCoroutine(self._work())
        return done

    async def _work(self) -> None:
        while self._queue:
            batch = tuple(self._queue)
            self._queue.clear()
            try:
                outcomes: list[Outcome] = await self._threads.run(_call_all, [call for call, _ in batch])
            except Exception as error:
                # The pool refused the hop, or is gone; a call's own failure is among the outcomes.
                outcomes = [(None, error)] * len(batch)
            for (_, done), (result, failure) in zip(batch, outcomes, strict=True):
                if failure is None:
                    done.callback(result)
                else:
                    done.errback(failure)
        self._busy = False


def _call_all(calls: list[Call]) -> list[Outcome]:
    return [_call(function, args) for function, args in calls]


def _call(function: Callable[..., Any], args: tuple[Any, ...]) -> Outcome:
    try:
        return function(*args), None
    except BaseException as error:
        return None, error


class FolderSyncs:
    """Makes the names in folders durable. Who asks while a folder is being synced shares the next sync with all others."""

    def __init__(self, threads: IThreads, sync: Callable[[Path], None] = sync_folder) -> None:
        self._threads = threads
        self._sync = sync
        self._waiting: dict[Path, list[Deferred[None]]] = {}
        self._busy: set[Path] = set()

    async def sync(self, folder: Path) -> None:
        """Return when every name that is in the folder now is durable. Raises `OSError`."""
        done: Deferred[None] = Deferred()
        self._waiting.setdefault(folder, []).append(done)
        if folder not in self._busy:
            self._busy.add(folder)
            Deferred.fromCoroutine(self._work(folder))
        await done

    async def _work(self, folder: Path) -> None:
        while waiting := self._waiting.pop(folder, None):
            try:
                await self._threads.run(self._sync, folder)
            except Exception as error:
                for done in waiting:
                    done.errback(error)
            else:
                for done in waiting:
                    done.callback(None)
        self._busy.discard(folder)
