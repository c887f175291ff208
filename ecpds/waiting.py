"""Work that is finished although the one who asked for it is gone, or is to go; and work that mostly need not be waited for."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, fail
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


def begun(work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T] | None:
    """Run `work` up to where it first waits. None: it has ended well before that, and its result is not told.

    For what mostly ends at once: to make a Deferred of it and to end that costs as much as a short work itself.
    """
    try:
        awaited = work.send(None)
    except StopIteration:
        return None
    except Exception:
        return fail()
    return Deferred.fromCoroutine(_rest(work, awaited))


def _rest(work: Coroutine[Deferred[Any], Any, T], awaited: Deferred[Any]) -> Generator[Deferred[Any], Any, T]:
    """What is left of `work`, which waits for `awaited`: `await work`, had it not begun."""
    while True:
        failure: BaseException | None = None
        try:
            answer = yield awaited
        except BaseException as error:
            failure = error
        try:
            awaited = work.send(answer) if failure is None else work.throw(failure)
        except StopIteration as end:
            result: T = end.value
            return result
