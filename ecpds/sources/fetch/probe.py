"""`ecpds source probe`: a bounded part of each test file, from each of its candidates; what came of it is shown and reported.

The repository is asked for its sources' test files (`GET BASE/api/v1/sources`), unless URLs are named, and then where each can
be had. Candidates are tried one after the other, so that they don't take the way from each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import asdict, frozen
from twisted.internet.defer import Deferred, TimeoutError

from ecpds.datasources import Candidate, Resolution, TransferReport
from ecpds.errors import Refusal, Stalled
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
        began = self._tools.clock.seconds()
        came = [0]
        reason = ""
        reading = Deferred.fromCoroutine(self._read(candidate, came)).addTimeout(self._longest, self._tools.clock)
        try:
            await reading
        except TimeoutError:
            reason = "" if came[0] else Stalled("nothing came in time").sentence
        except Refusal as refusal:
            reason = refusal.sentence
        seconds = self._tools.clock.seconds() - began
        self._repository.report(_report(answer, candidate, came[0], seconds, reason))
        rate = came[0] / seconds if seconds > 0 else 0.0
        url, source = shown(candidate.url), candidate.source
        return Probed(url, candidate.mechanism, source, not reason, came[0], round(seconds, 3), round(rate), reason)

    async def _read(self, candidate: Candidate, came: list[int]) -> None:
        opened = await self._tools.native[candidate.mechanism].open(candidate)
        buffer = await self._tools.buffers.acquire(BUFFER)
        try:
            while came[0] < self._most and (count := await opened.read_into(buffer)):
                came[0] += count
        finally:
            opened.close()
            self._tools.buffers.release(buffer)


def _report(answer: Resolution, candidate: Candidate, size: int, seconds: float, reason: str) -> TransferReport:
    return TransferReport(
        url=shown(candidate.url),
        success=not reason,
        size=size,
        seconds=seconds,
        mechanism=candidate.mechanism,
        error=reason,
        source_id=candidate.source_id,
        site=answer.site,
        token=answer.token,
    )
