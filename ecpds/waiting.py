"""Work that is finished although the one who asked for it is gone, or is to go; work that mostly need not be waited for; and
work that may be done a little later, together."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

T = TypeVar("T")


async def detached(work: Coroutine[Any, Any, T] | Deferred[T]) -> T:
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


REST = 0.005
"""Seconds that a `Bundle` waits for more."""

MOST = 64
"""Calls that it holds before it waits no longer."""


class Bundle:
    """Calls what it is given a few milliseconds later, all in one go; none may wait. `clock` is the reactor.

    For what nobody waits for, such as records: one after the other, the same code and the same data, it costs half.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._held: list[Callable[[], object]] = []
        self._timer: IDelayedCall | None = None
        self._ended = False

    def __call__(self, work: Callable[[], object]) -> None:
        self._held.append(work)
        if self._ended:
            self.flush()
        elif self._timer is None:
            self._timer = self._clock.callLater(REST, self.flush)
        elif len(self._held) == MOST:
            self._timer.reset(0)

    def flush(self) -> None:
        """Call now what is held. What one raises is told in the log, and harms no other."""
        held, self._held = self._held, []
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        for work in held:
            try:
                work()
            except Exception:
                self.log.failure("what had been put off failed")

    def end(self) -> None:
        """Call now what is held, and from now on whatever comes: there is no later."""
        self._ended = True
        self.flush()
