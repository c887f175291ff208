"""What the rooms know of the repository of data sources: where it is kept, and what doors and operators ask of it.

Who calls whom: the doors and the operators' façade ask an `IRepository`; that keeps what is curated in memory, changes it by
the rules, and has every change saved by an `ISourceStore` before anybody sees it. Reports go to the store as they come. An
`IFleetProbe` asks the repository for candidates, and the `IProber` of each mover how fast they are from there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any

from zope.interface import Attribute, Interface

from ecpds.datasources import (
    AuditEntry,
    Candidate,
    Curated,
    DataSource,
    Measured,
    MoverProbe,
    Question,
    RateCell,
    Resolution,
    Site,
    SourceChange,
    StoredReport,
    TestFile,
    TransferReport,
    Transform,
    UrlMatcher,
)


class ISourceStore(Interface):
    """Keeps what is curated, and the reports. Nothing is checked here but that what is referred to exists."""

    async def load() -> Curated:
        """All that is curated."""

    async def save(change: SourceChange) -> None:
        """All of a change, or nothing of it. Raises `Unavailable`, `NoSpace`."""

    async def cells() -> Sequence[RateCell]:
        """What the reports have come to."""

    async def add_report(report: StoredReport, cells: Sequence[RateCell], before: float) -> int:
        """Keep a report (its id is ignored) and the cells that it changed; returns its id.

        A few reports from `before` that time go, where there are any.
        """

    async def reports(source: int, before: int | None, limit: int) -> Sequence[StoredReport]:
        """Those of a source, the newest first; those with ids below `before`, where it is given."""

    async def remove_report(source: int, report: int, cells: Sequence[RateCell]) -> None:
        """The source's cells become `cells`. Raises `NotFound`."""

    async def audit(before: int | None, limit: int) -> Sequence[AuditEntry]:
        """The newest changes first."""


class IRepository(Interface):
    """Data sources, and what a URL is resolved to. `who` is the user or operator who makes a change, for the audit.

    What is given with an id of 0 gets one. Changes raise `NotFound`, `AlreadyExists` (a label), `InvalidRequest`,
    `PreconditionFailed` (test files would match no more), `Unavailable`; after any of these nothing has changed.
    """

    has_matchers: bool = Attribute("whether any source that is enabled has a matcher")

    async def start() -> None:
        """Load what is kept; before anybody asks."""

    # Answers

    def resolve(url: str, question: Question) -> Resolution:
        """From where, and how, to get a URL's file. Raises `InvalidRequest` for what is no URL."""

    async def resolve_many(urls: Sequence[str], question: Question) -> Sequence[Resolution]:
        """The same for many; others have their turn in between. What is no URL has no candidates, and a drop that says so."""

    async def report(report: TransferReport, address: str, trusted: bool = False) -> StoredReport:
        """Take in a report from an address; `trusted` are our own and those of users who have logged in.

        Raises `InvalidRequest` for one that can't be, and `NotFound` where no source has the URL.
        """

    # Sources

    def sources() -> Sequence[DataSource]:
        """By label."""

    def source(id: int) -> DataSource: ...

    def source_labelled(label: str) -> DataSource: ...

    def matching(url: str) -> Sequence[DataSource]:
        """The enabled sources that have a URL."""

    def matches(source: int, url: str) -> bool:
        """Whether a URL is one of that source's, enabled or not."""

    async def add_source(source: DataSource, who: str) -> DataSource:
        """Without what belongs to it, which is added by itself."""

    async def change_source(source: DataSource, who: str) -> DataSource: ...

    async def remove_source(id: int, who: str) -> DataSource:
        """With all that is its own, its reports, and the transforms that lead to it."""

    async def add_matcher(source: int, matcher: UrlMatcher, who: str) -> UrlMatcher: ...

    async def change_matcher(source: int, matcher: UrlMatcher, who: str) -> UrlMatcher: ...

    async def remove_matcher(source: int, id: int, who: str) -> UrlMatcher: ...

    async def add_transform(source: int, transform: Transform, who: str) -> Transform:
        """The last in the order of preference."""

    async def change_transform(source: int, transform: Transform, who: str) -> Transform: ...

    async def remove_transform(source: int, id: int, who: str) -> Transform: ...

    async def move_transform(source: int, id: int, up: bool, who: str) -> Transform: ...

    async def order_transforms(source: int, order: Sequence[int], who: str) -> DataSource: ...

    async def add_test_file(source: int, file: TestFile, who: str) -> TestFile: ...

    async def change_test_file(source: int, file: TestFile, who: str) -> TestFile: ...

    async def remove_test_file(source: int, id: int, who: str) -> TestFile: ...

    # Sites

    def sites() -> Sequence[Site]:
        """By label."""

    def site(id: int) -> Site: ...

    async def add_site(site: Site, who: str) -> Site: ...

    async def change_site(site: Site, who: str) -> Site: ...

    async def remove_site(id: int, who: str) -> Site: ...

    # All of it

    def export() -> Mapping[str, Any]:
        """The configuration in the ancestor's shape; what the ancestor has not is only there where it is set."""

    async def import_(configuration: Any, mode: str, who: str) -> Mapping[str, Sequence[str]]:
        """Take in a configuration, all of it or nothing: `add` refuses labels that exist, `merge` changes those, `replace`
        removes all others too. Returns the labels under `added`, `changed`, `removed`. Raises `InvalidRequest`, one sentence.
        """

    def dry_run(configuration: Any, mode: str) -> Mapping[str, Sequence[str]]:
        """What an import would do, and it doesn't. Raises as `import_` does."""

    # Reports

    async def reports(source: int, before: int | None, limit: int) -> Sequence[StoredReport]: ...

    async def remove_report(source: int, report: int, who: str) -> None:
        """What is known of the source is counted anew from the newest of its other reports."""

    def odd(reports: Sequence[StoredReport]) -> Collection[int]:
        """The ids of those whose rates are far from the others'."""

    def suggested_order(source: int) -> Sequence[int]:
        """A source's transforms as the reports would have them."""

    def measured(source: int, site: int | None = None) -> Mapping[str, Any] | None:
        """What the reports say: `rate` (bytes a second), `works` (share), `reports` (weight); None where nothing is known."""

    def warnings() -> Sequence[str]:
        """Transforms that lead, by the reports, to a slower source."""

    async def audit(before: int | None, limit: int) -> Sequence[AuditEntry]:
        """The newest changes first."""

    def describe_matcher(matcher: UrlMatcher) -> str: ...

    def describe_transform(transform: Transform) -> str: ...


class IProber(Interface):
    """Measures from one node how fast a candidate is."""

    async def measure(candidate: Candidate, most: int, longest: float) -> Measured:
        """Fetch the beginning of a file: `most` bytes within `longest` seconds, and no more than the node's limits allow.

        What the candidate's server refuses is part of what is measured. Raises `Unavailable` where the node can't be asked,
        or measures something already.
        """


class IFleetProbe(Interface):
    """Has movers measure how fast the data sources are from where they stand, and files a report of each."""

    def probe(
        movers: Sequence[str], urls: Sequence[str], site: str | None, most: int | None, longest: float | None
    ) -> AsyncIterator[MoverProbe]:
        """Each outcome as it comes. No `movers`: all there are; no `urls`: the test files of all sources that are enabled.

        A mover that is gone or refuses is one outcome. Raises `NotFound` for a name that no mover has, `InvalidRequest` for
        what is beyond the limits, `Unavailable` while another round runs.
        """
