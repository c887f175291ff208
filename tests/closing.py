"""What bin/test says last: what was not checked, and one line that counts. A pytest plugin, `-p tests.closing`.

With pytest-xdist each worker collects for itself, so what was left out reaches us by the workers' last word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

FEW = 20
"""Tests that were left out are named one by one up to so many; past that, their files are."""

LEFT_OUT = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = []


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Long tests, mostly; and whatever `-k` or `-m` left out."""
    for item in items:
        item.config.stash[LEFT_OUT].append(item.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """On a worker: hand on what it left out."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left_out"] = session.config.stash[LEFT_OUT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """On the controller: every worker leaves out the same, so the last one's word is enough."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", [])


def pytest_unconfigure(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return
    for line in not_checked(reporter.stats.get("skipped", []), config.stash[LEFT_OUT]):
        print(line)
    print(closing_line({outcome: len(reports) for outcome, reports in reporter.stats.items()}))


def not_checked(skipped: Sequence[pytest.TestReport], left_out: Sequence[str]) -> list[str]:
    """What the reader must not believe to be checked."""
    lines = [f"!!! NOT CHECKED, skipped: {report.nodeid}" for report in skipped]
    names = sorted(left_out)
    if len(names) > FEW:
        counted = Counter(name.partition("::")[0] for name in names)
        names = [f"{file} ({count} tests)" for file, count in counted.items()]
    return lines + [f"!!! NOT CHECKED, left out (bin/test --all has the long ones): {name}" for name in names]


def closing_line(counts: dict[str, int]) -> str:
    """`N passed, N failed`, and how many were skipped if any were. What can't be collected or set up has failed."""
    failed = counts.get("failed", 0) + counts.get("error", 0)
    line = f"{counts.get('passed', 0)} passed, {failed} failed"
    skipped = counts.get("skipped", 0)
    return f"{line}, {skipped} skipped" if skipped else line
