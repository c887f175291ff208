"""Where the repository of data sources is kept: the catalogue. What is curated is read whole once, and changed by the writer.

A source that has changed is written with all that belongs to it; there are few of these changes, and few parts of each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update
from zope.interface import implementer

from ecpds.datasource_interfaces import ISourceStore
from ecpds.datasources import (
    AuditEntry,
    Curated,
    DataSource,
    RateCell,
    Site,
    SourceChange,
    Stamp,
    StoredReport,
    TestFile,
    TransferReport,
    Transform,
    UrlMatcher,
)
from ecpds.errors import NotFound
from ecpds.master.reader import Reader
from ecpds.master.schema import sequence
from ecpds.master.shared import detached
from ecpds.master.source_schema import (
    data_source,
    site,
    source_audit,
    source_rate,
    source_report,
    source_transform,
    source_transform_site,
    test_file,
    url_matcher,
)
from ecpds.master.sql import Session, Statement, insert_into, limited, value
from ecpds.master.writer import Writer

NAME = "data_source"

PRUNED = 20
"""Reports that are too old and go with each new one, at most."""

_NEXT = Statement(select(sequence.c.next).where(sequence.c.name == value("sequence")))
_BEGIN = Statement(insert(sequence).values(name=value("sequence"), next=value("first")))
_RESERVE = Statement(update(sequence).where(sequence.c.name == value("sequence")).values(next=value("first")))

_SOURCES = Statement(select(*data_source.c).order_by(data_source.c.id))
_SITES = Statement(select(*site.c).order_by(site.c.id))
_MATCHERS = Statement(select(*url_matcher.c).order_by(url_matcher.c.source, url_matcher.c.position))
_FILES = Statement(select(*test_file.c).order_by(test_file.c.source, test_file.c.position))
_TRANSFORMS = Statement(select(*source_transform.c).order_by(source_transform.c.source, source_transform.c.position))
_TRANSFORM_SITES = Statement(select(*source_transform_site.c).order_by(source_transform_site.c.position))
_CELLS = Statement(select(*source_rate.c))

_PARTS = (source_transform, url_matcher, test_file)
_REMOVE_PARTS = tuple(Statement(delete(table).where(table.c.source == value("which"))) for table in _PARTS)
_REMOVE_SOURCE = Statement(delete(data_source).where(data_source.c.id == value("which")))
_REMOVE_SITE = Statement(delete(site).where(site.c.id == value("which")))
_SET_SOURCE, _SET_SITE = (
    Statement(
        update(table)
        .where(table.c.id == value("which"))
        .values({column.name: value(f"new_{column.name}") for column in table.c if column.name != "id"})
    )
    for table in (data_source, site)
)
_ADD_SOURCE, _ADD_SITE = Statement(insert_into(data_source)), Statement(insert_into(site))
_ADD_MATCHER, _ADD_FILE = Statement(insert_into(url_matcher)), Statement(insert_into(test_file))
_ADD_TRANSFORM, _ADD_TRANSFORM_SITE = Statement(insert_into(source_transform)), Statement(insert_into(source_transform_site))

_AUDITED = tuple(column.name for column in source_audit.c if column.name != "id")
_ADD_AUDIT = Statement(insert_into(source_audit, *_AUDITED))
_AUDIT = Statement(
    limited(select(*source_audit.c).where(source_audit.c.id < value("first")).order_by(source_audit.c.id.desc()))
)

_REPORTED = tuple(column.name for column in source_report.c if column.name != "id")
_ADD_REPORT = Statement(insert_into(source_report, *_REPORTED).returning(source_report.c.id))
_REPORTS = Statement(
    limited(
        select(*source_report.c)
        .where(source_report.c.source == value("source"), source_report.c.id < value("first"))
        .order_by(source_report.c.id.desc())
    )
)
_REMOVE_REPORT = Statement(
    delete(source_report).where(source_report.c.id == value("which"), source_report.c.source == value("source"))
)
_OLD_REPORTS = Statement(
    limited(select(source_report.c.id).where(source_report.c.time < value("first")).order_by(source_report.c.time))
)
_PRUNE = Statement(delete(source_report).where(source_report.c.id == value("which")))
_ADD_CELL = Statement(insert_into(source_rate))
_REMOVE_CELL = Statement(
    delete(source_rate).where(
        source_rate.c.source == value("which"), source_rate.c.site == value("at"), source_rate.c.size_class == value("kind")
    )
)
_REMOVE_CELLS = Statement(delete(source_rate).where(source_rate.c.source == value("which")))

_LAST = (1 << 63) - 1


@implementer(ISourceStore)
class SourceStore:
    """`ISourceStore` over a catalogue that is open. What was begun is finished, whoever waits for it."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer

    async def load(self) -> Curated:
        return await self._reader.ask_on_thread(_load)

    async def save(self, change: SourceChange) -> None:
        await detached(self._writer.run(lambda session: _save(session, change)))

    async def cells(self) -> Sequence[RateCell]:
        return await self._reader.ask_on_thread(lambda session: [_cell(row) for row in session.rows(_CELLS)])

    async def add_report(self, report: StoredReport, cells: Sequence[RateCell], before: float) -> int:
        return await detached(self._writer.run(lambda session: _add_report(session, report, cells, before)))

    async def reports(self, source: int, before: int | None, limit: int) -> Sequence[StoredReport]:
        first = _LAST if before is None else before
        return await self._reader.ask_on_thread(
            lambda session: [_report(row) for row in session.rows(_REPORTS, source=source, first=first, limit=limit)]
        )

    async def remove_report(self, source: int, report: int, cells: Sequence[RateCell]) -> None:
        await detached(self._writer.run(lambda session: _remove_report(session, source, report, cells)))

    async def audit(self, before: int | None, limit: int) -> Sequence[AuditEntry]:
        first = _LAST if before is None else before
        return await self._reader.ask_on_thread(
            lambda session: [_entry(row) for row in session.rows(_AUDIT, first=first, limit=limit)]
        )


# What is curated


def _load(session: Session) -> Curated:
    matchers, files, transforms = _by_source(session, _MATCHERS), _by_source(session, _FILES), _by_source(session, _TRANSFORMS)
    at: dict[int, list[int]] = {}
    for transform, where, _ in session.rows(_TRANSFORM_SITES):
        at.setdefault(transform, []).append(where)
    sources = {}
    for row in session.rows(_SOURCES):
        id_, label, description, mechanism, options, enabled, *stamp = row
        sources[id_] = DataSource(
            id_,
            label,
            mechanism,
            description,
            json.loads(options),
            bool(enabled),
            tuple(UrlMatcher(each, type_, json.loads(text)) for each, _, _, type_, text in matchers.get(id_, ())),
            tuple(_transform(part, at) for part in transforms.get(id_, ())),
            tuple(TestFile(each, url) for each, _, _, url in files.get(id_, ())),
            _stamp(stamp),
        )
    sites = {
        id_: Site(id_, label, description, tuple(json.loads(networks)), _stamp(stamp))
        for id_, label, description, networks, *stamp in session.rows(_SITES)
    }
    row = session.row(_NEXT, sequence=NAME)
    return Curated(sources, sites, int(row[0]) if row else 1)


def _by_source(session: Session, statement: Statement) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for row in session.rows(statement):
        found.setdefault(row[1], []).append(row)
    return found


def _transform(row: Any, at: Mapping[int, list[int]]) -> Transform:
    id_, _, _, target, type_, options, description, conditional, enabled = row
    sites = tuple(at.get(id_, ()))
    return Transform(id_, target, type_, json.loads(options), description, sites, bool(conditional), bool(enabled))


def _stamp(row: Sequence[Any]) -> Stamp:
    created, changed, created_by, changed_by = row
    return Stamp(created, created_by, changed, changed_by)


def _save(session: Session, change: SourceChange) -> None:
    """What points at others goes first and comes last."""
    for id_ in (*change.gone_sources, *(source.id for source in change.sources)):
        for statement in _REMOVE_PARTS:
            session.run(statement, which=id_)
    for id_ in change.gone_sources:
        session.run(_REMOVE_SOURCE, which=id_)
    for id_ in change.gone_sites:
        session.run(_REMOVE_SITE, which=id_)
    for each in change.sites:
        _put(session, _SET_SITE, _ADD_SITE, each, networks=json.dumps(each.networks))
    for source in change.sources:
        own = {"mechanism": source.mechanism, "options": json.dumps(dict(source.options)), "enabled": source.enabled}
        _put(session, _SET_SOURCE, _ADD_SOURCE, source, **own)
    for source in change.sources:
        _add_parts(session, source)
    for entry in change.audit:
        _add_audit(session, entry)
    found = session.row(_NEXT, sequence=NAME)
    session.run(_RESERVE if found else _BEGIN, sequence=NAME, first=change.next_id)


def _put(session: Session, set_: Statement, add: Statement, thing: DataSource | Site, **own: Any) -> None:
    stamp = thing.stamp
    values = {
        "label": thing.label,
        "description": thing.description,
        **own,
        "created": stamp.created,
        "created_by": stamp.created_by,
        "changed": stamp.changed,
        "changed_by": stamp.changed_by,
    }
    if not session.run(set_, which=thing.id, **{f"new_{name}": each for name, each in values.items()}):
        session.run(add, id=thing.id, **values)


def _add_parts(session: Session, source: DataSource) -> None:
    for place, matcher in enumerate(source.matchers):
        options = json.dumps(dict(matcher.options))
        session.run(_ADD_MATCHER, id=matcher.id, source=source.id, position=place, type=matcher.type, options=options)
    for place, file in enumerate(source.test_files):
        session.run(_ADD_FILE, id=file.id, source=source.id, position=place, url=file.url)
    for place, transform in enumerate(source.transforms):
        session.run(
            _ADD_TRANSFORM,
            id=transform.id,
            source=source.id,
            position=place,
            target=transform.target,
            type=transform.type,
            options=json.dumps(dict(transform.options)),
            description=transform.description,
            conditional=transform.conditional,
            enabled=transform.enabled,
        )
        for at, where in enumerate(transform.sites):
            session.run(_ADD_TRANSFORM_SITE, transform=transform.id, site=where, position=at)


def _add_audit(session: Session, entry: AuditEntry) -> None:
    said = {name: getattr(entry, name) for name in _AUDITED}
    for name in ("before", "after"):
        said[name] = None if said[name] is None else json.dumps(said[name])
    session.run(_ADD_AUDIT, **said)


def _entry(row: Any) -> AuditEntry:
    *said, before, after = row
    return AuditEntry(*said, *(None if each is None else json.loads(each) for each in (before, after)))


# Reports


def _add_report(session: Session, kept: StoredReport, cells: Iterable[RateCell], before: float) -> int:
    report = kept.report
    row = session.row(
        _ADD_REPORT,
        time=kept.time,
        source=kept.source,
        site=kept.site,
        url=report.url,
        mechanism=report.mechanism,
        success=report.success,
        wrong=report.wrong,
        size=report.size,
        seconds=report.seconds,
        digests=json.dumps(dict(report.digests)),
        error=report.error,
        output=report.output,
        weight=kept.weight,
        address=kept.address,
    )
    assert row is not None
    for cell in cells:
        session.run(_REMOVE_CELL, which=cell.source, at=cell.site, kind=cell.size_class)
        _add_cell(session, cell)
    for (old,) in session.rows(_OLD_REPORTS, first=before, limit=PRUNED):
        session.run(_PRUNE, which=old)
    return int(row[0])


def _remove_report(session: Session, source: int, report: int, cells: Iterable[RateCell]) -> None:
    if not session.run(_REMOVE_REPORT, which=report, source=source):
        raise NotFound(f"transfer report {report}")
    session.run(_REMOVE_CELLS, which=source)
    for cell in cells:
        _add_cell(session, cell)


def _add_cell(session: Session, cell: RateCell) -> None:
    session.run(
        _ADD_CELL,
        source=cell.source,
        site=cell.site,
        size_class=cell.size_class,
        time=cell.time,
        done=cell.done,
        failed=cell.failed,
        rates=json.dumps({str(bucket): weight for bucket, weight in cell.rates.items()}),
    )


def _cell(row: Any) -> RateCell:
    source, where, kind, time, done, failed, rates = row
    return RateCell(source, where, kind, time, done, failed, {int(each): weight for each, weight in json.loads(rates).items()})


def _report(row: Any) -> StoredReport:
    id_, time, source, where, url, mechanism, success, wrong, size, seconds, digests, error, output, weight, address = row
    report = TransferReport(
        url,
        bool(success),
        size,
        seconds,
        mechanism,
        json.loads(digests),
        error,
        bool(wrong),
        source,
        output=output,
    )
    return StoredReport(id_, time, source, where, report, weight, address)
