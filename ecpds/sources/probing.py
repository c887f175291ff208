"""How fast the data sources are from where each mover stands.

    operator       Master                                        mover
      | probe ------>| resolves each URL for the mover's address    |
      |              | measure(candidate, bytes, seconds) --------->| fetches the file's beginning
      |              |<----------------------- bytes, seconds ------|
      |<-- outcome --| files a report of the mover's address        |

`limits.probe_movers` measure at a time, each of them one candidate after the other, so that these don't take the way from each
other; and each begins with another one, so that they don't all come to one server at once. A mover that can't be asked is left
alone for the rest of the round. All that is measured is bounded, so a round ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import TypeVar

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredQueue, DeferredSemaphore, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ecpds.datasource_interfaces import IFleetProbe, IProber, IRepository
from ecpds.datasources import Candidate, Measured, MoverProbe, Question, Resolution, TransferReport
from ecpds.errors import InvalidRequest, NotFound, NotSupported, Refusal, Unavailable
from ecpds.limits import Limits
from ecpds.sources.fetch.probe import LONGEST, MOST, report_of
from ecpds.sources.mechanisms.showing import shown

T = TypeVar("T")

ANSWER = 15.0
"""Seconds that a mover may need beyond those that it measures."""


@frozen
class Prospect:
    """A mover as a round sees it: the address that its reports are of, and what measures there; None where it is gone."""

    address: str = ""
    prober: IProber | None = None


@frozen
class Wanted:
    """What a round measures: of each candidate for each URL at most so many bytes, within so many seconds."""

    urls: tuple[str, ...]
    question: Question
    most: int
    longest: float


@frozen
class Asking:
    """What one mover is asked; `place` is its number in the round."""

    name: str
    prospect: Prospect
    wanted: Wanted
    place: int


@implementer(IFleetProbe)
class FleetProbe:
    """`movers` says who there is, by name; `mechanisms` what they can run."""

    log = Logger()

    def __init__(
        self,
        repository: IRepository,
        movers: Callable[[], Mapping[str, Prospect]],
        mechanisms: Collection[str],
        limits: Limits,
        clock: IReactorTime,
    ) -> None:
        self._repository = repository
        self._movers = movers
        self._mechanisms = frozenset(mechanisms)
        self._limits = limits
        self._clock = clock
        self._running = False

    async def probe(
        self, movers: Sequence[str], urls: Sequence[str], site: str | None, most: int | None, longest: float | None
    ) -> AsyncIterator[MoverProbe]:
        chosen, wanted = self._chosen(movers), self._wanted(urls, site, most, longest)
        if self._running:
            raise Unavailable("the data sources are being probed already")
        self._running = True
        outcomes: DeferredQueue[MoverProbe | None] = DeferredQueue()
        turns = DeferredSemaphore(self._limits.probe_movers)
        asked = [
            self._begin(turns, Asking(name, prospect, wanted, place), outcomes)
            for place, (name, prospect) in enumerate(chosen.items())
        ]
        try:
            left = len(asked)
            while left:
                outcome = await outcomes.get()
                if outcome is not None:
                    yield outcome
                left -= outcome is None
        finally:
            self._running = False
            # Whoever wanted it may have gone in the middle.
            for each in asked:
                each.cancel()

    # What is asked

    def _chosen(self, names: Sequence[str]) -> Mapping[str, Prospect]:
        """Raises `NotFound`."""
        known = self._movers()
        unknown = [name for name in names if name not in known]
        if unknown:
            raise NotFound(f"mover {unknown[0][:100]}")
        return {name: known[name] for name in dict.fromkeys(names or sorted(known))}

    def _wanted(self, urls: Sequence[str], site: str | None, most: int | None, longest: float | None) -> Wanted:
        """Raises `InvalidRequest`."""
        limits = self._limits
        if not limits.probe_movers:
            raise NotSupported("probing from movers, while limits.probe_movers is 0")
        most = min(MOST, limits.probe_bytes) if most is None else most
        longest = min(LONGEST, limits.probe_seconds) if longest is None else longest
        named = tuple(dict.fromkeys(urls)) or self._test_files()
        if not 0 < most <= limits.probe_bytes:
            raise InvalidRequest(f"{most} bytes of each file; allowed: 1 to {limits.probe_bytes}")
        if not 0 < longest <= limits.probe_seconds:
            raise InvalidRequest(f"{longest} seconds for each candidate; allowed: up to {limits.probe_seconds:g}")
        if len(named) > limits.probe_files:
            raise InvalidRequest(f"{len(named)} files; allowed: {limits.probe_files} at most: name some")
        return Wanted(named, Question(self._mechanisms, site, explore=False), most, longest)

    def _test_files(self) -> tuple[str, ...]:
        enabled = [each for each in self._repository.sources() if each.enabled]
        found = tuple(dict.fromkeys(file.url for each in enabled for file in each.test_files))
        if not found:
            raise InvalidRequest("no data source that is enabled has a test file: name URLs")
        return found

    # One mover

    def _begin(self, turns: DeferredSemaphore, asking: Asking, outcomes: DeferredQueue[MoverProbe | None]) -> Deferred[None]:
        async def run() -> None:
            try:
                await turns.acquire()
                try:
                    await self._ask(asking, outcomes.put)
                finally:
                    turns.release()
            finally:
                outcomes.put(None)

        return Deferred.fromCoroutine(run()).addErrback(self._broken_off, asking.name)

    def _broken_off(self, failure: Failure, name: str) -> None:
        if not isinstance(failure.value, CancelledError):
            self.log.failure("probing from mover {name} failed", failure, name=name)

    async def _ask(self, asking: Asking, tell: Callable[[MoverProbe], None]) -> None:
        try:
            for answer, candidate in turned(await self._plan(asking, tell), asking.place):
                measured = await self._measured(asking, candidate)
                tell(MoverProbe(asking.name, shown(candidate.url), candidate, measured))
                await self._file(asking, report_of(answer, candidate, measured, f"probed from mover {asking.name}"))
        except Refusal as refusal:
            tell(MoverProbe(asking.name, measured=Measured(0, 0.0, refusal.sentence)))

    async def _plan(self, asking: Asking, tell: Callable[[MoverProbe], None]) -> list[tuple[Resolution, Candidate]]:
        """Every candidate of every URL. Of one that has none, the reason is told."""
        question = evolve(asking.wanted.question, address=asking.prospect.address)
        answers = await self._repository.resolve_many(asking.wanted.urls, question)
        for answer in answers:
            if not answer.candidates:
                reason = answer.drops[-1].reason if answer.drops else "nothing here can fetch it"
                tell(MoverProbe(asking.name, shown(answer.url), measured=Measured(0, 0.0, reason)))
        return [(answer, each) for answer in answers for each in answer.candidates]

    async def _measured(self, asking: Asking, candidate: Candidate) -> Measured:
        prober, wanted = asking.prospect.prober, asking.wanted
        if prober is None:
            raise Unavailable(f"mover {asking.name} is gone")
        measuring = Deferred.fromCoroutine(prober.measure(candidate, wanted.most, wanted.longest))
        try:
            return await measuring.addTimeout(wanted.longest + ANSWER, self._clock)
        except TimeoutError as error:
            raise Unavailable(f"mover {asking.name} does not answer") from error

    async def _file(self, asking: Asking, report: TransferReport) -> None:
        """A report that the repository does not take is no mover's fault."""
        if report.source_id is None:
            return
        try:
            await self._repository.report(report, asking.prospect.address, trusted=True)
        except Refusal as refusal:
            self.log.warn("no report of {url}: {reason}", url=report.url, reason=refusal.sentence)


def turned(plan: Sequence[T], place: int) -> Sequence[T]:
    """The same, beginning at another place."""
    begin = place % len(plan) if plan else 0
    return [*plan[begin:], *plan[:begin]]
