"""What every keeper of data sources and reports does, whatever it keeps them in."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ecpds.datasource_interfaces import ISourceStore
from ecpds.datasources import (
    AuditEntry,
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
from ecpds.errors import NotFound, Refusal

STAMP = Stamp(1.5, "ann", 2.5, "bob")
SITE = Site(3, "D", None, ("192.0.2.0/24",), STAMP)
B = DataSource(2, "B", "http", stamp=STAMP)
A = DataSource(
    1,
    "A",
    "aspera",
    "said",
    {"username": "me", "disable_encryption": True},
    False,
    (
        UrlMatcher(11, "regular_expression", {"pattern": "^ftp:"}),
        UrlMatcher(10, "scheme_and_host", {"scheme": "a", "host": "b"}),
    ),
    (
        Transform(13, 2, "change_host", {"new_host": "x"}, "why", (3,), True),
        Transform(12, 2, "change_scheme", {"new_scheme": "x"}, None, (), True, False),
    ),
    (TestFile(15, "ftp://h/2"), TestFile(14, "ftp://h/1")),
    STAMP,
)
REPORT = TransferReport("ftp://h/1", True, 1 << 40, 2.5, "ftp", {"md5": "0" * 32}, source_id=1, output="said")


def now(work: Coroutine[Any, Any, Any]) -> Any:
    """What `work` comes to without waiting."""
    results: list[Any] = []
    Deferred.fromCoroutine(work).addBoth(results.append)
    if isinstance(failure := results[0], BaseException) or hasattr(failure, "raiseException"):
        failure.raiseException()
    return results[0]


class SourceStoreContract:
    """Mixed into a test case that has `store`."""

    store: ISourceStore
    case: SynchronousTestCase

    def save(self, *sources: DataSource, **more: Any) -> None:
        now(self.store.save(SourceChange(more.pop("next_id", 100), sources, **more)))

    def loaded(self) -> tuple[list[DataSource], list[Site], int]:
        found = now(self.store.load())
        return list(found.sources.values()), list(found.sites.values()), found.next_id

    def test_it_is_one(self: Any) -> None:
        verifyObject(ISourceStore, self.store)
        self.assertEqual(self.loaded(), ([], [], 1))

    def test_what_is_saved_is_loaded(self: Any) -> None:
        self.save(A, B, sites=(SITE,))
        sources, sites, next_id = self.loaded()
        self.assertEqual((sources, sites, next_id), ([A, B], [SITE], 100))
        self.assertEqual([each.stamp for each in (*sources, *sites)], [STAMP] * 3)

    def test_a_change_is_whole(self: Any) -> None:
        self.save(A, B, sites=(SITE,))
        changed = evolve(A, label="A2", matchers=A.matchers[:1], transforms=A.transforms[::-1], test_files=())
        self.save(changed, next_id=101)
        self.assertEqual(self.loaded(), ([changed, B], [SITE], 101))

    def test_what_goes(self: Any) -> None:
        self.save(A, B, sites=(SITE,))
        free = evolve(A, transforms=())
        self.save(free, gone_sources=(2,), gone_sites=(3,))
        self.assertEqual(self.loaded()[:2], ([free], []))

    def test_a_change_that_fails_changes_nothing(self: Any) -> None:
        self.save(B)
        try:
            self.save(evolve(B, label="B2"), evolve(A, transforms=(Transform(20, 999, "change_host", {"new_host": "x"}),)))
        except Exception as error:
            self.assertFalse(isinstance(error, AssertionError))
        else:
            self.fail("a transform to nowhere was kept")
        self.assertEqual(self.loaded()[0], [B])

    def test_reports_of_a_source_newest_first(self: Any) -> None:
        self.save(A, B, sites=(SITE,))
        ids = [now(self.store.add_report(StoredReport(0, float(n), 1, 3, REPORT, 0.5, "::1"), (), 0.0)) for n in range(5)]
        now(self.store.add_report(StoredReport(0, 9.0, 2, None, evolve(REPORT, source_id=2), 1.0), (), 0.0))
        found = now(self.store.reports(1, None, 2))
        self.assertEqual([each.id for each in found], ids[:2:-1])
        self.assertEqual(found[0], StoredReport(ids[4], 4.0, 1, 3, REPORT, 0.5, "::1"))
        self.assertEqual([each.id for each in now(self.store.reports(1, ids[3], 9))], ids[2::-1])

    def test_old_reports_go(self: Any) -> None:
        self.save(B)
        for moment in (1.0, 2.0, 3.0):
            now(self.store.add_report(StoredReport(0, moment, 2, None, evolve(REPORT, source_id=2)), (), moment - 1))
        self.assertEqual([each.time for each in now(self.store.reports(2, None, 9))], [3.0, 2.0])

    def test_cells_replace_each_other(self: Any) -> None:
        self.save(B)
        kept = StoredReport(0, 1.0, 2, None, evolve(REPORT, source_id=2))
        for done in (1.0, 2.0):
            now(self.store.add_report(kept, [RateCell(2, 0, 0, done, done, 0.5, {40: done, 7: 1.0}), RateCell(2, 3, 1)], 0.0))
        found = sorted(now(self.store.cells()), key=lambda cell: cell.site)
        self.assertEqual(found, [RateCell(2, 0, 0, 2.0, 2.0, 0.5, {40: 2.0, 7: 1.0}), RateCell(2, 3, 1)])

    def test_a_report_goes(self: Any) -> None:
        self.save(A, B, sites=(SITE,))
        id_ = now(self.store.add_report(StoredReport(0, 1.0, 1, None, REPORT), [RateCell(1), RateCell(1, 3)], 0.0))
        for source, report in ((2, id_), (1, id_ + 1)):
            self.assertRaises(NotFound, now, self.store.remove_report(source, report, ()))
        now(self.store.remove_report(1, id_, [RateCell(1, 0, 2)]))
        self.assertEqual(now(self.store.reports(1, None, 9)), [])
        self.assertEqual(now(self.store.cells()), [RateCell(1, 0, 2)])

    def test_a_source_takes_its_reports_along(self: Any) -> None:
        self.save(B)
        now(self.store.add_report(StoredReport(0, 1.0, 2, None, evolve(REPORT, source_id=2)), [RateCell(2)], 0.0))
        self.save(gone_sources=(2,))
        self.assertEqual((now(self.store.cells()), now(self.store.reports(2, None, 9))), ([], []))

    def test_no_report_of_what_is_not_there(self: Any) -> None:
        try:
            now(self.store.add_report(StoredReport(0, 1.0, 7, None, REPORT), (), 0.0))
        except Exception as error:
            self.assertFalse(isinstance(error, AssertionError) and not isinstance(error, Refusal))
        else:
            self.fail("a report of no source was kept")

    def test_the_audit_newest_first(self: Any) -> None:
        entries = [AuditEntry(0, float(n), "ann", "changed", "data source", 2, "B", {"label": "A"}, None) for n in range(3)]
        self.save(B, audit=tuple(entries))
        found = now(self.store.audit(None, 2))
        self.assertEqual([entry.time for entry in found], [2.0, 1.0])
        self.assertEqual(evolve(found[0], id=0), entries[2])
        self.assertEqual([entry.time for entry in now(self.store.audit(found[1].id, 9))], [0.0])
