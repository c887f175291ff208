"""The repository: what is curated in memory, answers from it, and changes that are saved before anybody sees them.

One change is made at a time: the rules give the next book, what follows from it (the index of matchers) is made on a thread,
the store saves it with its audit, and only then is it what answers are made of. A change whose saving failed leaves open what
the store has, so the next one begins by loading it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from random import Random
from typing import Any, TypeVar

from attrs import asdict, evolve
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from ecpds.datasource_interfaces import IRepository, ISourceStore
from ecpds.datasources import (
    AuditEntry,
    Curated,
    DataSource,
    Drop,
    Question,
    Resolution,
    Site,
    StoredReport,
    TestFile,
    TransferReport,
    Transform,
    UrlMatcher,
)
from ecpds.errors import InvalidRequest, NoSpace, NotFound, Unavailable
from ecpds.interfaces import IThreads
from ecpds.limits import Limits
from ecpds.sources import book as rules
from ecpds.sources import exchange, matchers, reports, transforms
from ecpds.sources.book import Book
from ecpds.sources.ranking import Ranking
from ecpds.sources.resolution import Resolver
from ecpds.sources.saving import changed, stamped
from ecpds.sources.sites import SiteFinder
from ecpds.sources.tokens import Tokens
from ecpds.waiting import detached

T = TypeVar("T")

TURN = 32
"""URLs that are resolved before others have their turn."""

COUNTED_ANEW = 1000
"""Reports of a source that are counted again when one of them is taken away."""


@implementer(IRepository)
class Repository:
    """`key` signs answers; `random` must be unpredictable; the clock's seconds are since the epoch."""

    log = Logger()

    def __init__(
        self, store: ISourceStore, threads: IThreads, clock: IReactorTime, random: Random, key: bytes, limits: Limits
    ) -> None:
        self._store = store
        self._threads = threads
        self._clock = clock
        self._limits = limits
        self._tokens = Tokens(key, random)
        self._ranking = Ranking(random)
        self._reporters = reports.Reporters()
        self._lock = DeferredLock()
        self._stale = False
        self._use(Book(), Resolver(Curated({}, {}), self._ranking))

    async def start(self) -> None:
        await self._load()
        self._ranking.load(await self._store.cells())

    async def _load(self) -> None:
        kept = await self._store.load()
        sources = {id_: self._usable(source) for id_, source in kept.sources.items()}
        book = Book(sources, dict(kept.sites), kept.next_id)
        self._use(book, await self._threads.run(Resolver, book.curated(), self._ranking))
        self._stale = False

    def _usable(self, source: DataSource) -> DataSource:
        """Without rules that can't be followed, whoever wrote them: one bad rule spoils nothing."""
        good: list[UrlMatcher] = [each for each in source.matchers if self._is_good(matchers.check, each, source)]
        ways: list[Transform] = [each for each in source.transforms if self._is_good(transforms.check, each, source)]
        return evolve(source, matchers=tuple(good), transforms=tuple(ways))

    def _is_good(self, check: Callable[[Any], None], part: UrlMatcher | Transform, source: DataSource) -> bool:
        try:
            check(part)
        except InvalidRequest as refusal:
            self.log.error("rule {id} of {source} is left out: {reason}", id=part.id, source=source.label, reason=str(refusal))
            return False
        return True

    def _use(self, book: Book, resolver: Resolver) -> None:
        self._book, self._resolver, self._finder = book, resolver, SiteFinder(book.sites.values())

    # Answers

    @property
    def has_matchers(self) -> bool:
        return self._resolver.has_matchers

    def resolve(self, url: str, question: Question) -> Resolution:
        site, warnings = self._finder.of(question)
        now = self._clock.seconds()
        answer = self._resolver.resolve(url, question, site, now)
        return evolve(answer, token=self._tokens.sign(answer.candidates, site, now), warnings=warnings)

    async def resolve_many(self, urls: Sequence[str], question: Question) -> Sequence[Resolution]:
        if len(urls) > self._limits.source_batch:
            raise InvalidRequest(f"{len(urls)} URLs; allowed: {self._limits.source_batch} at most")
        answers = []
        for place, url in enumerate(urls):
            if place and place % TURN == 0:
                await deferLater(self._clock, 0, lambda: None)
            answers.append(self._resolved(url, question))
        return answers

    def _resolved(self, url: str, question: Question) -> Resolution:
        try:
            return self.resolve(url, question)
        except InvalidRequest as refusal:
            return Resolution(url, (), (Drop(url[:200], refusal.sentence),))

    async def report(self, report: TransferReport, address: str, trusted: bool = False) -> StoredReport:
        reports.check(report)
        now = self._clock.seconds()
        source, site, weight = self._weighed(report, address, trusted, now)
        kept = StoredReport(0, now, source, site, reports.writable(report), weight, address)
        cells = self._ranking.learn(source, site, report, weight, now)
        id_ = await self._store.add_report(kept, cells, now - self._limits.report_days * 86400)
        return evolve(kept, id=id_)

    def _weighed(self, report: TransferReport, address: str, trusted: bool, now: float) -> tuple[int, int | None, float]:
        """What the report is about, by its token where it has one, and how much it counts."""
        if report.token:
            site = self._tokens.check(report, now).site
            source = self._book.source(report.source_id or 0).id
            return source, site, 1.0 if trusted else self._reporters.signed(address, source, now)
        site, _ = self._finder.of(Question(site=report.site, address=address))
        source = self._reported(report)
        return source, site, 1.0 if trusted else self._reporters.unsigned(source, now)

    def _reported(self, report: TransferReport) -> int:
        if report.source_id is not None and self.matches(report.source_id, report.url):
            return report.source_id
        found = self._resolver.matching(report.url)
        if not found:
            raise NotFound("no data source has that URL")
        return found[0].id

    # What there is

    def sources(self) -> Sequence[DataSource]:
        return sorted(self._book.sources.values(), key=lambda source: source.label)

    def source(self, id: int) -> DataSource:
        return self._book.source(id)

    def source_labelled(self, label: str) -> DataSource:
        return self._book.labelled(label)

    def matching(self, url: str) -> Sequence[DataSource]:
        return self._resolver.matching(url)

    def matches(self, source: int, url: str) -> bool:
        return rules.matches(self._book.source(source), url)

    def sites(self) -> Sequence[Site]:
        return sorted(self._book.sites.values(), key=lambda site: site.label)

    def site(self, id: int) -> Site:
        return self._book.site(id)

    def describe_matcher(self, matcher: UrlMatcher) -> str:
        return matchers.described(matcher)

    def describe_transform(self, transform: Transform) -> str:
        return transforms.described(transform)

    # Changes

    async def add_source(self, source: DataSource, who: str) -> DataSource:
        return await self._edit(who, lambda book: rules.add_source(book, source))

    async def change_source(self, source: DataSource, who: str) -> DataSource:
        return await self._edit(who, lambda book: rules.change_source(book, source))

    async def remove_source(self, id: int, who: str) -> DataSource:
        gone = await self._edit(who, lambda book: rules.remove_source(book, id))
        self._ranking.forget(id)
        return gone

    async def add_matcher(self, source: int, matcher: UrlMatcher, who: str) -> UrlMatcher:
        return await self._edit(who, lambda book: rules.add_matcher(book, source, matcher))

    async def change_matcher(self, source: int, matcher: UrlMatcher, who: str) -> UrlMatcher:
        return await self._edit(who, lambda book: rules.change_matcher(book, source, matcher))

    async def remove_matcher(self, source: int, id: int, who: str) -> UrlMatcher:
        return await self._edit(who, lambda book: rules.remove_matcher(book, source, id))

    async def add_transform(self, source: int, transform: Transform, who: str) -> Transform:
        return await self._edit(who, lambda book: rules.add_transform(book, source, transform))

    async def change_transform(self, source: int, transform: Transform, who: str) -> Transform:
        return await self._edit(who, lambda book: rules.change_transform(book, source, transform))

    async def remove_transform(self, source: int, id: int, who: str) -> Transform:
        return await self._edit(who, lambda book: rules.remove_transform(book, source, id))

    async def move_transform(self, source: int, id: int, up: bool, who: str) -> Transform:
        return await self._edit(who, lambda book: rules.move_transform(book, source, id, up))

    async def order_transforms(self, source: int, order: Sequence[int], who: str) -> DataSource:
        return await self._edit(who, lambda book: rules.order_transforms(book, source, order))

    async def add_test_file(self, source: int, file: TestFile, who: str) -> TestFile:
        return await self._edit(who, lambda book: rules.add_test_file(book, source, file))

    async def change_test_file(self, source: int, file: TestFile, who: str) -> TestFile:
        return await self._edit(who, lambda book: rules.change_test_file(book, source, file))

    async def remove_test_file(self, source: int, id: int, who: str) -> TestFile:
        return await self._edit(who, lambda book: rules.remove_test_file(book, source, id))

    async def add_site(self, site: Site, who: str) -> Site:
        return await self._edit(who, lambda book: rules.add_site(book, site))

    async def change_site(self, site: Site, who: str) -> Site:
        return await self._edit(who, lambda book: rules.change_site(book, site))

    async def remove_site(self, id: int, who: str) -> Site:
        return await self._edit(who, lambda book: rules.remove_site(book, id))

    async def _edit(self, who: str, change: Callable[[Book], tuple[Book, T]]) -> T:
        return await detached(self._edited(who, change))

    async def _edited(self, who: str, change: Callable[[Book], tuple[Book, T]]) -> T:
        await self._lock.acquire()
        try:
            if self._stale:
                await self._load()
            outcome: tuple[Book, T] = await self._threads.run(change, self._book)
            wanted, made = outcome
            await self._save(stamped(self._book, wanted, who, self._clock.seconds()), who)
        finally:
            self._lock.release()
        return made

    async def _save(self, new: Book, who: str) -> None:
        change = changed(self._book, new, who, self._clock.seconds())
        resolver = await self._threads.run(Resolver, new.curated(), self._ranking)
        try:
            await self._store.save(change)
        except (Unavailable, NoSpace):
            self._stale = True
            raise
        self._use(new, resolver)

    # All of it

    def export(self) -> Mapping[str, Any]:
        return exchange.exported(self._book)

    async def import_(self, configuration: Any, mode: str, who: str) -> Mapping[str, Sequence[str]]:
        before = set(self._book.sources)
        outcome = await self._edit(who, lambda book: exchange.imported(book, configuration, mode))
        for gone in before - set(self._book.sources):
            self._ranking.forget(gone)
        return asdict(outcome)

    def dry_run(self, configuration: Any, mode: str) -> Mapping[str, Sequence[str]]:
        return asdict(exchange.imported(self._book, configuration, mode)[1])

    # Reports

    async def reports(self, source: int, before: int | None, limit: int) -> Sequence[StoredReport]:
        self._book.source(source)
        return await self._store.reports(source, before, limit)

    def odd(self, those: Sequence[StoredReport]) -> Collection[int]:
        return reports.odd_ones(those)

    async def remove_report(self, source: int, report: int, who: str) -> None:
        self._book.source(source)
        left = [each for each in await self._store.reports(source, None, COUNTED_ANEW) if each.id != report]
        self._ranking.forget(source)
        cells = {}
        for each in reversed(left):
            for cell in self._ranking.learn(source, each.site, each.report, each.weight, each.time):
                cells[cell.site, cell.size_class] = cell
        await self._store.remove_report(source, report, list(cells.values()))
        self.log.info("{who} removed transfer report {report} of {source}", who=who, report=report, source=source)

    def suggested_order(self, source: int) -> Sequence[int]:
        found = self._book.source(source).transforms
        targets = [each.target for each in found]
        places = self._ranking.order(targets, None, 0, self._clock.seconds(), False)
        return [found[place.index].id for place in places]

    def measured(self, source: int, site: int | None = None) -> Mapping[str, Any] | None:
        known = self._ranking.known(source, site, 0, self._clock.seconds())
        if known is None:
            return None
        return {"rate": 2**known.rate, "works": known.works, "reports": known.weight}

    def warnings(self) -> Sequence[str]:
        found = []
        for source in self.sources():
            here = self.measured(source.id)
            for transform in source.transforms:
                there = self.measured(transform.target)
                if here is not None and there is not None and there["rate"] * there["works"] < here["rate"] * here["works"]:
                    target = self._book.source(transform.target).label
                    found.append(f"{source.label} leads to {target}, which is slower by the reports")
        return found

    async def audit(self, before: int | None, limit: int) -> Sequence[AuditEntry]:
        return await self._store.audit(before, limit)
