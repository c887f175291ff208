"""Work that is finished although the one who asked for it is gone, or is to go."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.python.failure import Failure

T = TypeVar("T")


async def detached(work: Coroutine[Any, Any, T]) -> T:
    """Wait for `work`, which goes on to its end when the one who waits is cancelled."""
    waiter: Deferred[T] = Deferred()
    ensureDeferred(work).addCallbacks(waiter.callback, waiter.errback)
    return await waiter


async def undisturbed(work: Coroutine[Any, Any, T]) -> T:
    """Wait for `work` to its end, and only then let the one who waits be cancelled.

    For work that a thread does with what is lent to it: a buffer that was given back, or the number of a file that was
    closed, may be another's by the time the thread comes to it.
    """
    outcomes: list[T | Failure] = []
    turn: Deferred[None] = Deferred()
    cancelled: CancelledError | None = None

    def over(outcome: T | Failure) -> None:
        outcomes.append(outcome)
        turn.callback(None)

    ensureDeferred(work).addBoth(over)
    while not outcomes:
        try:
            await turn
        except CancelledError as error:
            cancelled, turn = error, Deferred()
    outcome = outcomes[0]
    if isinstance(outcome, Failure):
        outcome.raiseException()
    if cancelled is not None:
        raise cancelled
    return outcome
