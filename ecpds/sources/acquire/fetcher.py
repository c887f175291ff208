"""What is asked of the remote side: the list of a folder, what is told of a file, and the file itself, checked.

A file comes as with `ecpds fetch`: from where the repository says that it is had fastest, with resume and retries, checked
by what is known of it; into a folder of its own below the staging folder, where what broke off waits for the next try.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ecpds.acquisitions import Order, Plan
from ecpds.datasource_interfaces import IRepository
from ecpds.datasources import Candidate, Question, Resolution, TransferReport
from ecpds.errors import NotSupported, Refusal
from ecpds.interfaces import IThreads
from ecpds.sources.fetch.names import name_of
from ecpds.sources.fetch.outcomes import Outcome, Task
from ecpds.sources.fetch.parts import Tools
from ecpds.sources.fetch.run import NoRepository, Run, plain_candidate
from ecpds.sources.fetch.wanted import Right, Wanted
from ecpds.sources.mechanisms.base import ILister, Listed


class Remote(Protocol):
    """The remote side, as the acquirer sees it."""

    async def list(self, plan: Plan, url: str, most: int) -> Sequence[Listed]:
        """The files of a folder. Raises what its mechanism does."""

    async def ask(self, plan: Plan, listed: Listed) -> Listed:
        """The same with what the server tells of the file itself."""

    async def fetch(self, plan: Plan, url: str) -> Outcome:
        """Fetch a file; `Outcome.path` is where it is until `drop`, if it is done."""

    async def bring(self, order: Order) -> Outcome:
        """The same for a file that was ordered."""

    async def drop(self, outcome: Outcome) -> None:
        """Remove a fetched file."""

    async def tidy(self) -> None:
        """Remove what broke off long ago."""


class OwnRepository:
    """The repository of this node, as a fetch asks it."""

    log = Logger()

    def __init__(self, repository: IRepository) -> None:
        self._repository = repository

    async def resolve(self, urls: Sequence[str], mechanisms: frozenset[str], site: str | None) -> dict[str, Resolution]:
        answers = await self._repository.resolve_many(urls, Question(mechanisms, site))
        return dict(zip(urls, answers, strict=True))

    def report(self, report: TransferReport) -> None:
        if report.source_id is not None:
            Deferred.fromCoroutine(self._report(report))

    async def _report(self, report: TransferReport) -> None:
        try:
            await self._repository.report(report, "", trusted=True)
        except Refusal as refusal:
            self.log.info("no report of {url}: {reason}", url=report.url, reason=refusal.sentence)


class Fetcher:
    """`folder` is where files come to; what broke off is kept there for `life` seconds. `now` is the time since the epoch."""

    def __init__(
        self,
        tools: Tools,
        repository: IRepository | None,
        threads: IThreads,
        folder: Path,
        life: float,
        now: Callable[[], float],
    ) -> None:
        self._tools = tools
        self._repository = None if repository is None else OwnRepository(repository)
        self._threads = threads
        self._folder = folder
        self._life = life
        self._now = now

    async def list(self, plan: Plan, url: str, most: int) -> Sequence[Listed]:
        candidate = self._candidate(plan, url)
        mechanism = self._tools.native[candidate.mechanism]
        if not ILister.providedBy(mechanism):
            raise NotSupported(f"folders can't be listed by {candidate.mechanism}")
        found: Sequence[Listed] = await mechanism.list(candidate, most)
        return found

    async def ask(self, plan: Plan, listed: Listed) -> Listed:
        candidate = self._candidate(plan, listed.url)
        about = await self._tools.native[candidate.mechanism].stat(candidate)
        return evolve(listed, size=about.size, mtime=about.mtime, version=about.version)

    async def fetch(self, plan: Plan, url: str) -> Outcome:
        task = Task(url, self._place(f"{plan.name} {url}") / name_of(url))
        # Options say how this very server is to be asked; the repository knows nothing of them.
        if plan.options:
            task.candidates = (self._candidate(plan, url),)
        return await self._run(task, None if plan.options else self._repository)

    async def bring(self, order: Order) -> Outcome:
        wanted = Wanted(order.size)
        wanted.say(Right.MANIFEST, order.digests, "the order")
        target = self._place(f"{order.path} {order.url}") / order.path.rpartition("/")[2]
        task = Task(order.url, target, wanted, site=order.site, mirrors=(order.url, *order.mirrors))
        return await self._run(task, self._repository)

    def _place(self, what: str) -> Path:
        """The folder in which a file waits, this time and the next."""
        return self._folder / hashlib.sha256(what.encode("utf-8", "surrogateescape")).hexdigest()

    async def _run(self, task: Task, repository: OwnRepository | None) -> Outcome:
        run = Run(self._tools, repository or NoRepository(), 1)
        await run.plan([task], task.site)
        outcomes: list[Outcome] = []
        await run.fetch([task], outcomes.append)
        return outcomes[0]

    async def drop(self, outcome: Outcome) -> None:
        await self._threads.run(shutil.rmtree, outcome.path.parent, True)

    async def tidy(self) -> None:
        await self._threads.run(_tidy, self._folder, self._now() - self._life)

    def _candidate(self, plan: Plan, url: str) -> Candidate:
        options: Mapping[str, str] = plan.options
        return evolve(plain_candidate(url, frozenset(self._tools.native)), options=dict(options))


def _tidy(folder: Path, before: float) -> None:
    if folder.is_dir():
        for each in folder.iterdir():
            with suppress(FileNotFoundError):  # what another visit had there is in the portal by now
                if each.stat().st_mtime < before:
                    shutil.rmtree(each, ignore_errors=True)
