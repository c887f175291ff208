"""What is set for a whole process, a node's or a fetch's: its timer, and how many files it may have open."""

from __future__ import annotations

import resource
from typing import Any

import txaio


def batched_timer(reactor: Any) -> Any:
    """txaio's timer, which calls the reactor once for all that fall due in one second."""
    api: Any = txaio
    api.use_twisted()
    api.config.loop = reactor
    return api.make_batched_timer(1.0)


def raise_descriptor_limit() -> None:
    """As many open files as the system lets us have: each connection and each running transfer is one or two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
