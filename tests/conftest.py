"""How pytest runs Trial's tests here: in a folder of their own, and marked by where they stand."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A shared machine's pauses are no failures: neither in a test nor while its examples are drawn.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("house")

REAL = Path(__file__).parent / "real"


@pytest.fixture(scope="session", autouse=True)
def folder_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Trial's `mktemp` makes folders where the run stands; that must not be the checkout."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("trial"))
    yield
    os.chdir(before)


@pytest.fixture(scope="session", autouse=True)
def signals_as_from_a_terminal() -> None:
    """A run in the background, or under nohup, has some ignored, and what is ignored stays so in the processes it starts."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever opens no socket, starts no process and does not take long is `quick`."""
    for item in items:
        starts_processes = REAL in item.path.parents or "subprocess" in vars(getattr(item, "module", item))
        if not starts_processes and item.get_closest_marker("long") is None:
            item.add_marker(pytest.mark.quick)
