"""The catalogue's one writer, where it has a companion: that commits what is frequent, a thread of this process the rest.

The writer gives what the companion can do to the companion, and all else (there are fifty
kinds of operations, and few of them matter for speed) to a thread of this process; while there is no companion, everything.
Only one of the two has work at a time, and outcomes are told in the order in which the operations were asked for: so there is
still one writer. Where commits wait for nothing, what gives files their names is gathered for a turn of the reactor, and
committed as one at its end on the reactor's thread, if neither has work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, ensureDeferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from ecpds.errors import Refusal, Unavailable
from ecpds.master import shipping
from ecpds.master.at_once import AtOnce
from ecpds.master.companion_link import Companion
from ecpds.master.engine import Engine
from ecpds.master.history import Records
from ecpds.master.sql import Session
from ecpds.master.writer import BATCH, Job, Joint, ThreadWriter, Writer

T = TypeVar("T")

OVERLAPPING = 0.125
"""Share of the operations that come while others are there, from which on the companion works: one who comes alone meets nobody
else who wants the interpreter, and is served sooner by a thread than by another process."""

REMEMBERED = 32
"""Operations over which that share is taken, the older ones the less."""

MANY = 20
"""Records that are written together, from which on the companion writes them, whatever else there is: so many come while the
reactor is busy, and a thread would take the interpreter from it."""

TOGETHER = 64
"""Operations of a turn after which its end is not waited for: no commit holds the reactor up for long."""

TOLD = 16
"""Outcomes that are told in one turn of the reactor: what they lead to is the next batch, which begins the sooner."""


def writer_of(engine: Engine, reactor: Any, watched: Callable[[int], AbstractContextManager[None]] | None = None) -> Writer:
    """The writer that suits an engine. `watched` is as in `ThreadWriter`."""
    thread = ThreadWriter(engine, reactor, watched=watched)
    if engine.companion is None:
        return thread
    at_once = AtOnce(engine, watched or (lambda _: nullcontext()), thread.committed)
    return CompanionWriter(Companion(engine.companion, reactor), thread, reactor.callLater, watched, at_once=at_once)


class IsCompanion(Protocol):
    """What a `CompanionWriter` needs of its companion."""

    is_ready: bool

    def start(self) -> None: ...

    async def commit(self, operations: Sequence[object]) -> list[Any]:
        """The outcome of each, an exception where it raised. One batch at a time, and only while it is ready.

        Raises `NotPortable`, and then nothing was done; `Unavailable` when it has ended, and whether it has done it is unknown.
        """

    async def stop(self) -> None:
        """Returns when it has ended."""


class CompanionWriter:
    """A `Writer` that has the companion do what it can do. `rest` does everything else."""

    log = Logger()

    def __init__(
        self,
        companion: IsCompanion,
        rest: Writer,
        later: Callable[[float, Callable[[], None]], object],
        watched: Callable[[int], AbstractContextManager[None]] | None = None,
        overlapping: float = OVERLAPPING,
        at_once: AtOnce | None = None,
    ) -> None:
        """`later` calls something after so many seconds. `watched` is as in `ThreadWriter`; `overlapping` 0: all it can.

        `at_once` commits what is asked for by turn while neither the companion nor the rest have work.
        """
        self._companion = companion
        self._rest = rest
        self._later = later
        self._watched = watched or (lambda _: nullcontext())
        self._turn: list[Job] = []
        self._queue: deque[Job] = deque()
        self._told: deque[tuple[Job, Any]] = deque()
        self._away = False
        self._here = 0
        self._wanted = overlapping
        self._at_once = at_once
        self._overlapping = 0.0
        self._open = False
        self._idle: Deferred[None] | None = None

    def start(self) -> None:
        self._open = True
        self._rest.start()
        self._companion.start()

    async def run(self, operation: Callable[[Session], T]) -> T:
        if isinstance(operation, Joint) and self.at_once:
            joint: T = await self.by_turn(operation)
            return joint
        if not self._open:
            raise Unavailable("the catalogue is closed")
        self._end_turn()
        self._note_overlap(self._is_busy)
        job = Job(operation)
        self._queue.append(job)
        self._go_on()
        outcome: T = await job.done
        return outcome

    @property
    def at_once(self) -> bool:
        return self._at_once is not None and self._at_once.possible

    def by_turn(self, operation: Joint[T]) -> Deferred[T]:
        if not self._open:
            return fail(Unavailable("the catalogue is closed"))
        self._note_overlap(self._is_busy or bool(self._turn))
        job = Job(operation)
        self._turn.append(job)
        if len(self._turn) == 1:
            self._later(0, self._end_turn)
        elif len(self._turn) == TOGETHER:
            self._end_turn()
        return job.done

    @property
    def is_free(self) -> bool:
        return self._open and self.at_once and not (self._is_busy or self._queue or self._told)

    def run_now(self, operation: Joint[T]) -> T | None:
        self._end_turn()
        outcomes = self._at_once.run([operation]) if self._at_once is not None and self.is_free else None
        if outcomes is not None and isinstance(outcomes[0], Exception):
            raise outcomes[0]
        return None if outcomes is None else outcomes[0]

    @property
    def _is_busy(self) -> bool:
        return self._away or self._here > 0

    def _note_overlap(self, overlaps: bool) -> None:
        self._overlapping += (overlaps - self._overlapping) / REMEMBERED

    def _end_turn(self) -> None:
        """What was asked for by turn is committed: where it was asked for, if nobody is before it, else by the others."""
        jobs, self._turn = self._turn, []
        if not jobs:
            return
        outcomes = None
        if self._at_once is not None and self._at_once.possible and not (self._is_busy or self._queue):
            outcomes = self._at_once.run([job.operation for job in jobs])
        if outcomes is None:
            self._queue.extend(jobs)
            self._go_on()
        else:
            # All in this turn: what is committed here is seen by whoever asks next, and must not look older again.
            self._tell(list(zip(jobs, outcomes, strict=True)), TOGETHER)

    async def stop(self) -> None:
        if self._open:
            self._open = False
            self._end_turn()
            if self._away or self._here or self._told:
                self._idle = Deferred()
                await self._idle
            if self._at_once is not None:
                self._at_once.close()
            await self._companion.stop()
            await self._rest.stop()

    def _go_on(self) -> None:
        """Give out what may be done now."""
        if self._away:
            return
        while self._queue and not self._is_next_for_companion():
            self._do_here(self._queue.popleft())
        if self._queue and not self._here:
            self._away = True
            ensureDeferred(self._send(self._taken()))

    def _is_next_for_companion(self) -> bool:
        operation = self._queue[0].operation
        if not self._companion.is_ready or not shipping.is_portable(operation):
            return False
        return self._overlapping >= self._wanted or (isinstance(operation, Records) and len(operation.events) >= MANY)

    def _taken(self) -> list[Job]:
        jobs: list[Job] = []
        while self._queue and len(jobs) < BATCH and self._is_next_for_companion():
            jobs.append(self._queue.popleft())
        return jobs

    async def _send(self, jobs: list[Job]) -> None:
        try:
            with self._watched(len(jobs)):
                outcomes = await self._companion.commit([job.operation for job in jobs])
        except shipping.NotPortable:
            for job in jobs:
                self._do_here(job)
            outcomes = []
        except Refusal as refusal:
            outcomes = [type(refusal)(refusal.detail) for _ in jobs]
        except Exception:
            self.log.failure("the catalogue's companion can't be spoken to")
            outcomes = [Unavailable("the catalogue's writer failed") for _ in jobs]
        self._away = False
        self._tell(list(zip(jobs, outcomes, strict=False)))

    def _do_here(self, job: Job) -> None:
        self._here += 1

        def ended(outcome: Any) -> None:
            self._here -= 1
            self._tell([(job, outcome.value if isinstance(outcome, Failure) else outcome)])

        ensureDeferred(self._rest.run(job.operation)).addBoth(ended)

    def _tell(self, outcomes: Sequence[tuple[Job, Any]], most: int = TOLD) -> None:
        """Begin what is next, and then tell these, at `most` in each turn, behind those that wait to be told."""
        waiting = bool(self._told)
        self._told.extend(outcomes)
        self._go_on()
        if not waiting:
            self._tell_some(most)

    def _tell_some(self, most: int = TOLD) -> None:
        for _ in range(min(most, len(self._told))):
            job, outcome = self._told[0]
            job.tell(outcome)
            self._told.popleft()
        if self._told:
            self._later(0, self._tell_some)
        elif self._idle is not None and not (self._away or self._here or self._queue):
            idle, self._idle = self._idle, None
            idle.callback(None)
