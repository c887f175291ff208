"""The quick ways of `ecpds fetch`, composed: no reactor, and nothing imported that needs one."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from typing import NoReturn

from ecpds.http.gets import Gets
from ecpds.sources.fetch.command import FetchOptions, Told
from ecpds.sources.fetch.outcomes import Task
from ecpds.sources.fetch.plain import Places
from ecpds.sources.fetch.sidecar_forms import Folders


def quickly(options: FetchOptions, tasks: Sequence[Task], told: Told) -> list[Task]:
    """Fetch what can be had without more ado; the files that are left."""
    if options.settings.sync:
        return list(tasks)
    # What was imported stays to the end: the collector need not look through it again.
    gc.freeze()
    places, folders = Places(), Folders()
    left = suited = list(tasks)
    if len(tasks) > options.at_once:
        left, suited = many(options, tasks, told, places, folders)
    suited = [task for task in suited if task.wanted.pieces is None and places.mirrors(task)]
    done = large(options, suited, told, places, folders) if suited else set()
    return [task for task in left if task not in done]


def many(
    options: FetchOptions, tasks: Sequence[Task], told: Told, places: Places, folders: Folders
) -> tuple[list[Task], list[Task]]:
    """The small ones of many files, by one loop; what is left, and what of that is worth a thread."""
    from ecpds.sources.fetch.quick import Quick

    gets, settings = Gets(time.monotonic), options.settings
    quick = Quick(
        gets, places, folders, time.monotonic, options.at_once, settings.sidecars, told.progress, told.tell, told.flush
    )
    try:
        return quick.run(tasks), quick.others
    finally:
        gets.close()
        told.flush()


def large(options: FetchOptions, tasks: Sequence[Task], told: Told, places: Places, folders: Folders) -> set[Task]:
    """A few files, or large ones, by threads; those that are there."""
    import signal

    from ecpds.sources.fetch.common import Common
    from ecpds.sources.fetch.lanes import Lanes

    common = Common(time.monotonic, options.settings, places, folders, told.progress, options.at_once)
    before = signal.signal(signal.SIGTERM, terminated)
    try:
        return Lanes(common, told.ended).run(tasks, options.at_once)
    finally:
        signal.signal(signal.SIGTERM, before)
        common.close()


def terminated(number: int, frame: object) -> NoReturn:
    """What is here is noted before the program ends, as after an interrupt from the keyboard."""
    raise SystemExit(128 + number)


def work(options: FetchOptions, tasks: Sequence[Task], told: Told) -> int:
    """Fetch what is left, on the reactor; the exit status."""
    import sys

    from ecpds.node.fetching import launch
    from ecpds.sources.fetch.working import ask_person
    from ecpds.sources.fetch.working import work as working

    ask = ask_person if sys.stdin.isatty() and sys.stderr.isatty() else None
    return launch(options, lambda means, clock: working(options, tasks, told, means, clock), ask)
