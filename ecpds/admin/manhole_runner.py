"""What an operator types runs on a thread of its own, where it can't hold the reactor, and can be interrupted.

The thread asks the reactor for whatever belongs to it (`Runner.ask`), and waits. An interrupt raises `KeyboardInterrupt` in
the thread, at the next instruction of Python that it comes to, and wakes it where it waits for the reactor; code that
is inside of a C function, such as `time.sleep`, notices when that returns.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from inspect import iscoroutine
from queue import SimpleQueue
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from ecpds.interfaces import IThreads

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in_thread.argtypes = (ctypes.c_ulong, ctypes.py_object)

NOTHING = ctypes.py_object()
"""A null pointer: takes an exception back that has not been raised yet."""


@frozen
class Outcome:
    """How a piece of work ended: with a value, or an exception (`KeyboardInterrupt` when it was interrupted)."""

    value: Any = None
    error: BaseException | None = None


class Question:
    """Something asked of the reactor by a thread, which waits for the answer."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask
        self._answers: SimpleQueue[Outcome] = SimpleQueue()
        self._given_up = False

    def begin(self) -> None:
        """In the reactor: ask."""
        if self._given_up:
            return
        try:
            found = self._ask()
        except Exception as error:
            self._answers.put(Outcome(error=error))
            return
        if iscoroutine(found):
            found = Deferred.fromCoroutine(found)
        if isinstance(found, Deferred):
            found.addCallbacks(self._answered, self._failed)
        else:
            self._answers.put(Outcome(found))

    def _answered(self, value: Any) -> Any:
        self._answers.put(Outcome(value))
        return value

    def _failed(self, failure: Failure) -> None:
        self._answers.put(Outcome(error=failure.value))

    def give_up(self) -> None:
        """In the reactor: nobody waits any more. What has begun goes on to its end, for half of it may be worse."""
        self._given_up = True

    def wake(self) -> None:
        """In the reactor: the thread has been interrupted."""
        self._answers.put(Outcome(error=KeyboardInterrupt()))

    def wait(self) -> Any:
        """On the thread: the answer. Raises what asking raised, and `KeyboardInterrupt`."""
        outcome = self._answers.get()
        if outcome.error is not None:
            raise outcome.error
        return outcome.value


class Runner:
    """Runs one piece of work at a time, on one of `threads`."""

    def __init__(self, threads: IThreads, reactor: IReactorFromThreads) -> None:
        self._threads = threads
        self._reactor = reactor
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._questions: set[Question] = set()

    async def run(self, work: Callable[..., Any], *args: Any) -> Outcome:
        """Do the work and say how it ended. Raises `Unavailable` when too much is running."""
        try:
            outcome: Outcome = await self._threads.run(self._guarded, work, args)
        except KeyboardInterrupt as late:
            return Outcome(error=late)
        finally:
            with self._lock:
                self._thread = None
        return outcome

    def _guarded(self, work: Callable[..., Any], args: tuple[Any, ...]) -> Outcome:
        """On the thread. An interrupt may come at any instruction until `_leave` is through, so it is tried again."""
        outcome: Outcome | None = None
        while True:
            try:
                if outcome is None:
                    self._enter()
                    outcome = Outcome(work(*args))
                self._leave()
                return outcome
            except BaseException as error:
                outcome = Outcome(error=error)

    def _enter(self) -> None:
        with self._lock:
            self._thread = threading.get_ident()

    def _leave(self) -> None:
        """From here on nobody interrupts this thread; one that is already on its way is taken back."""
        with self._lock:
            self._thread = None
            _raise_in_thread(threading.get_ident(), NOTHING)

    def interrupt(self) -> None:
        """In the reactor: interrupt what runs, if anything does."""
        with self._lock:
            if self._thread is None:
                return
            _raise_in_thread(self._thread, KeyboardInterrupt)
            for question in self._questions:
                question.wake()

    def ask(self, ask: Callable[[], Any]) -> Any:
        """On a thread: call `ask()` in the reactor, wait for what it returns, a Deferred or a coroutine included."""
        question = Question(ask)
        self._questions = self._questions | {question}
        try:
            self._reactor.callFromThread(question.begin)
            return question.wait()
        except KeyboardInterrupt:
            self._reactor.callFromThread(question.give_up)
            raise
        finally:
            self._questions = self._questions - {question}
