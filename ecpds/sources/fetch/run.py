"""A whole fetch: many files, some at a time, each with its candidates; and the reports that go back.

Who asks whom: the repository, if there is one, is asked for all URLs at once before the first file begins; where it has no
answer, the URL itself is the only candidate. Reports wait in a queue of their own, which never holds a file up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger

from ecpds.datasources import MECHANISMS, Candidate, Resolution, TransferReport, default_mechanism
from ecpds.errors import InvalidRequest, Refusal
from ecpds.sources.fetch.job import Job
from ecpds.sources.fetch.outcomes import Outcome, Progress, Silent, Task
from ecpds.sources.fetch.pace import WORTH_EXPLORING
from ecpds.sources.fetch.parts import Tools
from ecpds.sources.fetch.sidecars import Sidecars
from ecpds.sources.fetch.wanted import Right
from ecpds.sources.mechanisms.base import shown


class Repository(Protocol):
    """Who knows where files are."""

    async def resolve(self, urls: Sequence[str], mechanisms: frozenset[str], site: str | None) -> dict[str, Resolution]:
        """Answers by URL; what it has none for is missing. Raises `Unavailable`."""

    def report(self, report: TransferReport) -> None:
        """Take a report, to be sent when there is time."""


class NoRepository:
    """Knows nothing."""

    async def resolve(self, urls: Sequence[str], mechanisms: frozenset[str], site: str | None) -> dict[str, Resolution]:
        return {}

    def report(self, report: TransferReport) -> None:
        return None


def plain_candidate(url: str, mechanisms: frozenset[str]) -> Candidate:
    """The URL itself. Raises `InvalidRequest` when nothing here fetches it."""
    scheme = url.partition(":")[0].lower()
    mechanism = default_mechanism(scheme, mechanisms)
    if mechanism is None or "://" not in url or (mechanism == "curl" and scheme not in ("http", "https", "ftp", "ftps")):
        known = sorted({each for one in MECHANISMS.values() if one.id in mechanisms for each in one.schemes})
        raise InvalidRequest(f"{shown(url)} is no URL of {', '.join(known)}")
    return Candidate(url, mechanism, reason="the URL itself")


class Run:
    """Fetches tasks, `at_once` of them at a time."""

    log = Logger()

    def __init__(self, tools: Tools, repository: Repository, at_once: int, progress: Progress | None = None) -> None:
        self._tools = tools
        self._repository = repository
        self._at_once = at_once
        self._progress = progress or Silent()
        self._sidecars = Sidecars(tools.native, tools.clock)
        self._left = 0
        self.warnings: list[str] = []

    async def plan(self, tasks: Sequence[Task], site: str | None) -> None:
        """Find out where each file can be had, unless its manifest says it."""
        urls = list(dict.fromkeys(task.url for task in tasks))
        try:
            answers = await self._repository.resolve(urls, self._tools.mechanisms, site)
        except Refusal as refusal:
            self.warnings.append(f"the repository gives no answer ({refusal.sentence}); the URLs themselves are used")
            answers = {}
        for task in tasks:
            answer = answers.get(task.url)
            if answer is not None:
                self._take(task, answer)
            self._complete(task)

    def _take(self, task: Task, answer: Resolution) -> None:
        runnable = [each for each in answer.candidates if each.mechanism in self._tools.mechanisms]
        task.candidates = (*runnable, *task.candidates)
        task.token, task.site = answer.token, answer.site
        for each in runnable:
            if each.size is not None and task.wanted.size is None:
                task.wanted.size = each.size
            task.wanted.say(Right.REPOSITORY, each.digests, "the repository")

    def _complete(self, task: Task) -> None:
        """The URL itself is always a candidate, the last one; none stands there twice."""
        found: dict[tuple[str, str], Candidate] = {}
        for each in (*task.candidates, *self._mirrors(task)):
            found.setdefault((each.url, each.mechanism), each)
        if not any(url == task.url for url, _ in found):
            try:
                own = plain_candidate(task.url, self._tools.mechanisms)
            except InvalidRequest:
                if not found:
                    return
            else:
                found[own.url, own.mechanism] = own
        task.candidates = tuple(found.values())

    def _mirrors(self, task: Task) -> Iterator[Candidate]:
        """Those that its manifest gives; one of a kind that nothing here fetches is left out."""
        for url in task.mirrors:
            with suppress(InvalidRequest):
                yield plain_candidate(url, self._tools.mechanisms)

    async def fetch(self, tasks: Sequence[Task], ended: Callable[[Outcome], None]) -> None:
        """Fetch all; `ended` is told each outcome, as it comes."""
        waiting = list(reversed(tasks))
        self._left = len(waiting)

        async def one_after_another() -> None:
            while waiting:
                task = waiting.pop()
                self._left = len(waiting)
                ended(await self._one(task))

        lanes = [Deferred.fromCoroutine(one_after_another()) for _ in range(min(self._at_once, len(waiting)))]
        for succeeded, result in await DeferredList(lanes, consumeErrors=True):
            if not succeeded:
                raise result.value  # type: ignore[attr-defined]

    async def _fetched(self, job: Job, task: Task) -> Outcome:
        """What became of one file. A fault of ours that it meets is its own: the others are fetched all the same."""
        try:
            return await job.run()
        except CancelledError:
            raise
        except Exception as fault:
            self.log.failure("{url} failed", url=shown(task.url))
            return Outcome(task.url, task.target, False, f"a fault of this program: {type(fault).__name__}")

    async def _one(self, task: Task) -> Outcome:
        if not task.candidates:
            outcome = Outcome(task.url, task.target, False, "nothing that is installed here can fetch it")
        else:
            explore = self._left >= WORTH_EXPLORING * len(task.candidates)
            outcome = await self._fetched(Job(self._tools, task, self._sidecars, self._progress, explore), task)
        self._progress.ended(task, outcome)
        for report in outcome.reports:
            self._repository.report(report)
        return outcome
