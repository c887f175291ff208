"""A source store in memory."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve
from zope.interface import implementer

from ecpds.datasource_interfaces import ISourceStore
from ecpds.datasources import AuditEntry, Curated, RateCell, SourceChange, StoredReport
from ecpds.errors import AlreadyExists, NotFound


@implementer(ISourceStore)
class MemorySourceStore:
    """`failure` is what every change raises while it is set."""

    def __init__(self) -> None:
        self.curated = Curated({}, {}, 1)
        self.failure: Exception | None = None
        self._cells: dict[tuple[int, int, int], RateCell] = {}
        self._reports: list[StoredReport] = []
        self._last = 0
        self._audit: list[AuditEntry] = []

    async def load(self) -> Curated:
        return self.curated

    async def save(self, change: SourceChange) -> None:
        self._fail()
        sources = {id_: each for id_, each in self.curated.sources.items() if id_ not in change.gone_sources}
        sites = {id_: each for id_, each in self.curated.sites.items() if id_ not in change.gone_sites}
        sources.update({each.id: each for each in change.sources})
        sites.update({each.id: each for each in change.sites})
        self._check(Curated(sources, sites, change.next_id))
        self.curated = Curated(sources, sites, change.next_id)
        gone = change.gone_sources
        self._cells = {key: cell for key, cell in self._cells.items() if key[0] not in gone}
        self._reports = [each for each in self._reports if each.source not in gone]
        self._audit += [evolve(entry, id=len(self._audit) + place) for place, entry in enumerate(change.audit, 1)]

    def _check(self, new: Curated) -> None:
        for those in (new.sources, new.sites):
            if len({each.label for each in those.values()}) < len(those):
                raise AlreadyExists("a label")
        for source in new.sources.values():
            for transform in source.transforms:
                if transform.target not in new.sources or not set(transform.sites) <= set(new.sites):
                    raise NotFound("what a transform refers to")

    async def cells(self) -> Sequence[RateCell]:
        return list(self._cells.values())

    async def add_report(self, report: StoredReport, cells: Sequence[RateCell], before: float) -> int:
        self._fail()
        if report.source not in self.curated.sources:
            raise NotFound("the source")
        self._last += 1
        self._reports = [each for each in self._reports if each.time >= before]
        self._reports.append(evolve(report, id=self._last, report=evolve(report.report, token="", site=None)))
        self._cells.update({(cell.source, cell.site, cell.size_class): cell for cell in cells})
        return self._last

    async def reports(self, source: int, before: int | None, limit: int) -> Sequence[StoredReport]:
        found = [each for each in self._reports if each.source == source and (before is None or each.id < before)]
        return found[::-1][:limit]

    async def remove_report(self, source: int, report: int, cells: Sequence[RateCell]) -> None:
        self._fail()
        left = [each for each in self._reports if (each.source, each.id) != (source, report)]
        if len(left) == len(self._reports):
            raise NotFound(f"transfer report {report}")
        self._reports = left
        self._cells = {key: cell for key, cell in self._cells.items() if key[0] != source}
        self._cells.update({(cell.source, cell.site, cell.size_class): cell for cell in cells})

    async def audit(self, before: int | None, limit: int) -> Sequence[AuditEntry]:
        found = [entry for entry in self._audit if before is None or entry.id < before]
        return found[::-1][:limit]

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure
