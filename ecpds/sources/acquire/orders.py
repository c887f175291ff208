"""One file that somebody wants in the portal now: fetched, checked, and pushed as that user. One record either way.

The fetch asks the servers; the push is any user's, so the file is seen wholly or not at all. What broke off waits in the
staging folder, for the same order to go on with.
"""

from __future__ import annotations

from pathlib import Path

from ecpds.acquisitions import Order
from ecpds.errors import InvalidRequest, Refusal
from ecpds.sources.acquire.records import retrieval
from ecpds.sources.acquire.rules import LONGEST
from ecpds.sources.acquire.visit import Around
from ecpds.sources.fetch.names import checked_name
from ecpds.sources.fetch.outcomes import Outcome
from ecpds.sources.fetch.wishes import DIGITS, checked_digest

IDENTITY = "fetch"
"""What records call the acquisition of files that were ordered."""

MIRRORS = 64
"""Mirrors of one file."""


def check_order(order: Order) -> None:
    """Raises `InvalidRequest` or `InvalidName` for an order that can't be carried out, one sentence that says why."""
    if not order.path.startswith("/") or order.path.count("/") < 2:
        raise InvalidRequest(f"{order.path[:100]!a} is no path of a file in the portal, such as /DESTINATION/NAME")
    checked_name(order.path.rpartition("/")[2])
    if len(order.mirrors) > MIRRORS:
        raise InvalidRequest(f"a file has at most {MIRRORS} mirrors")
    if any(len(text) > LONGEST for text in (order.url, order.path, *order.mirrors)):
        raise InvalidRequest(f"a URL or path has at most {LONGEST} characters")
    for algorithm, digest in order.digests.items():
        if algorithm not in DIGITS:
            raise InvalidRequest(f"digest {algorithm[:20]!a}; allowed: {', '.join(DIGITS)}")
        checked_digest(algorithm, digest)


async def carry_out(around: Around, order: Order) -> Outcome:
    """What became of it. Raises what `check_order` does."""
    check_order(order)
    await around.places.acquire()
    try:
        started = around.now()
        outcome = await _bring(around, order)
    finally:
        around.places.release()
    outcome.path = Path(order.path)
    size, now = outcome.size, around.now()
    event = retrieval(now, started, order.url, order.path, size, outcome.reason, order.user, around.node, IDENTITY)
    around.sink.record(event)
    return outcome


async def _bring(around: Around, order: Order) -> Outcome:
    outcome = await around.remote.bring(order)
    if not outcome.done:
        return outcome
    try:
        await around.shelf.put(order.user, order.path, outcome)
    except Refusal as refusal:
        outcome.done, outcome.reason = False, refusal.sentence
    finally:
        await around.remote.drop(outcome)
    return outcome
