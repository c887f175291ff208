"""The quick way of `ecpds fetch`, composed: no reactor, and nothing imported that needs one."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence

from ecpds.http.gets import Gets
from ecpds.sources.fetch.command import FetchOptions, Told
from ecpds.sources.fetch.outcomes import Task
from ecpds.sources.fetch.quick import Quick


def quickly(options: FetchOptions, tasks: Sequence[Task], told: Told) -> list[Task]:
    """Fetch what can be had without more ado; the files that are left."""
    if options.settings.sync:
        return list(tasks)
    # What was imported stays to the end: the collector need not look through it again.
    gc.freeze()
    gets = Gets(time.monotonic)
    try:
        return Quick(gets, time.monotonic, options.at_once, options.settings.sidecars, told.progress, told.ended).run(tasks)
    finally:
        gets.close()


def work(options: FetchOptions, tasks: Sequence[Task], told: Told) -> int:
    """Fetch what is left, on the reactor; the exit status."""
    import sys

    from ecpds.node.fetching import launch
    from ecpds.sources.fetch.working import ask_person
    from ecpds.sources.fetch.working import work as working

    ask = ask_person if sys.stdin.isatty() and sys.stderr.isatty() else None
    return launch(options, lambda means, clock: working(options, tasks, told, means, clock), ask)
