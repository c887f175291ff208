"""`ecpds source probe`: a bounded part of each test file, from each of its candidates; what came of it is shown and reported.
A mover that is asked to measure one does it the same way.

The repository is asked for its sources' test files (`GET BASE/api/v1/sources`), unless URLs are named, and then where each can
be had. Candidates are tried one after the other, so that they don't take the way from each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import asdict, frozen
from twisted.internet.defer import Deferred, TimeoutError
from zope.interface import implementer

from ecpds.datasource_interfaces import IProber
from ecpds.datasources import Candidate, Measured, Resolution, TransferReport
from ecpds.errors import NotSupported, Refusal, Stalled, Unavailable
from ecpds.limits import Limits
from ecpds.sources.fetch.parts import Tools
from ecpds.sources.fetch.run import Repository, plain_candidate
from ecpds.sources.mechanisms.base import shown

MOST = 8 << 20
"""Bytes that are fetched of each file."""

LONGEST = 15.0
"""Seconds that one candidate may take; what has come by then counts."""

BUFFER = 1 << 18


@frozen
class Probed:
    """What came of one candidate. `rate` is bytes a second, the wait for the first of them included."""

    url: str
    mechanism: str
    source: str | None
    ok: bool
    size: int
    seconds: float
    rate: float
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Prober:
    """Probes with the tools of a fetch. `most` and `longest` bound what is fetched of a candidate."""

    def __init__(self, tools: Tools, repository: Repository, most: int = MOST, longest: float = LONGEST) -> None:
        self._tools = tools
        self._repository = repository
        self._most = most
        self._longest = longest

    async def plan(self, urls: Sequence[str], site: str | None) -> list[tuple[Resolution, Candidate]]:
        """Every candidate of every URL that can be probed here. Raises `Unavailable`."""
        answers = await self._repository.resolve(urls, self._tools.mechanisms, site)
        return [pair for url in urls for pair in self._candidates(url, answers.get(url))]

    def _candidates(self, url: str, answer: Resolution | None) -> Iterator[tuple[Resolution, Candidate]]:
        found = answer if answer is not None and answer.candidates else None
        if found is None:
            found = Resolution(url, (plain_candidate(url, self._tools.mechanisms),))
        return ((found, each) for each in found.candidates if each.mechanism in self._tools.native)

    async def probe(self, answer: Resolution, candidate: Candidate) -> Probed:
        """Fetch the beginning of a file from one candidate, and report it."""
        measured = await measure(self._tools, candidate, self._most, self._longest)
        self._repository.report(report_of(answer, candidate, measured))
        url, source, reason = shown(candidate.url), candidate.source, measured.reason
        seconds, rate = round(measured.seconds, 3), round(measured.rate)
        return Probed(url, candidate.mechanism, source, not reason, measured.size, seconds, rate, reason)


@implementer(IProber)
class NodeProber:
    """Measures for who asks this node. One candidate at a time: two would take the way from each other."""

    def __init__(self, tools: Tools, limits: Limits) -> None:
        self._tools = tools
        self._limits = limits
        self._measuring = False

    async def measure(self, candidate: Candidate, most: int, longest: float) -> Measured:
        if candidate.mechanism not in self._tools.native:
            raise NotSupported(f"mechanism {candidate.mechanism[:100]!a}")
        if self._measuring:
            raise Unavailable("this node is measuring already")
        self._measuring = True
        try:
            most, longest = min(most, self._limits.probe_bytes), min(longest, self._limits.probe_seconds)
            return await measure(self._tools, candidate, most, longest)
        finally:
            self._measuring = False


async def measure(tools: Tools, candidate: Candidate, most: int, longest: float) -> Measured:
    """Fetch the beginning of a file from one candidate. What its server refuses is in what comes back."""
    began = tools.clock.seconds()
    came = [0]
    reason = ""
    reading = Deferred.fromCoroutine(_read(tools, candidate, most, came)).addTimeout(longest, tools.clock)
    try:
        await reading
    except TimeoutError:
        reason = "" if came[0] else Stalled("nothing came in time").sentence
    except Refusal as refusal:
        reason = refusal.sentence
    return Measured(came[0], tools.clock.seconds() - began, reason)


async def _read(tools: Tools, candidate: Candidate, most: int, came: list[int]) -> None:
    opened = await tools.native[candidate.mechanism].open(candidate)
    buffer = await tools.buffers.acquire(BUFFER)
    try:
        while came[0] < most and (count := await opened.read_into(buffer)):
            came[0] += count
    finally:
        opened.close()
        tools.buffers.release(buffer)


def report_of(answer: Resolution, candidate: Candidate, measured: Measured, output: str = "") -> TransferReport:
    """What the repository is told of a candidate of its answer."""
    return TransferReport(
        url=shown(candidate.url),
        success=not measured.reason,
        size=measured.size,
        seconds=measured.seconds,
        mechanism=candidate.mechanism,
        error=measured.reason,
        source_id=candidate.source_id,
        site=answer.site,
        token=answer.token,
        output=output,
    )
