"""The repository over its store in memory: changes, answers, reports."""

from __future__ import annotations

from random import Random
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ecpds.datasource_interfaces import IRepository
from ecpds.datasources import DataSource, Question, Site, TestFile, TransferReport, Transform, UrlMatcher
from ecpds.errors import AlreadyExists, InvalidRequest, NotFound, Unavailable
from ecpds.limits import Limits
from ecpds.sources import reports as report_rules
from ecpds.sources.reports import network_of
from ecpds.sources.repository import Repository
from ecpds.threads import InlineThreads
from tests.contracts.sources import now
from tests.doubles.sources import MemorySourceStore
from tests.sources.support import change_host, host
from tests.sources.test_exchange import ancestors

FILE = "http://example.com/file.txt"
MB = 1_000_000


class RepositoryCase(SynchronousTestCase):
    """An origin, and two mirrors, one of which is for the destination D alone."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_800_000_000.0)
        self.store = MemorySourceStore()
        self.begin()
        names = (("origin", "example.com"), ("org", "example.org"), ("net", "example.net"))
        self.origin, self.org, self.net = (self.make(*each) for each in names)
        self.site = now(self.repository.add_site(Site(0, "D", networks=("192.0.2.0/24", "2001:db8::/32")), "ann")).id
        for target, new, sites in ((self.org, "example.org", ()), (self.net, "example.net", (self.site,))):
            now(self.repository.add_transform(self.origin, change_host(0, target, new, *sites), "ann"))

    def begin(self) -> None:
        threads, limits = InlineThreads(), Limits(source_batch=100)
        self.repository = Repository(self.store, threads, self.clock, Random(3), b"k" * 32, limits)
        now(self.repository.start())

    def make(self, label: str, name: str) -> int:
        source = now(self.repository.add_source(DataSource(0, label, "curl"), "ann"))
        now(self.repository.add_matcher(source.id, host("http", name), "ann"))
        return int(source.id)

    def ids(self, url: str = FILE, **question: Any) -> list[int | None]:
        answer = self.repository.resolve(url, Question(explore=False, **question))
        return [candidate.source_id for candidate in answer.candidates]

    def reported(self, source: int, rate: float, count: int = 1, signed: bool = True, **more: Any) -> None:
        """Reports of transfers of 10 MB, each with the token of an answer of its own."""
        for _ in range(count):
            answer = self.repository.resolve(FILE, Question(explore=False, site=more.get("site")))
            candidate = next(each for each in answer.candidates if each.source_id == source)
            self.clock.advance(10 * MB / rate + 1)
            report = TransferReport(candidate.url, True, 10 * MB, 10 * MB / rate, "curl", source_id=source)
            now(self.repository.report(evolve(report, token=answer.token if signed else ""), more.get("address", "10.0.0.1")))


class Answers(RepositoryCase):
    def test_it_is_one(self) -> None:
        verifyObject(IRepository, self.repository)

    def test_the_destination_by_its_label_or_by_the_address(self) -> None:
        self.assertEqual(self.ids(), [self.org, self.origin])
        self.assertEqual(self.ids(site="D"), [self.org, self.net, self.origin])
        for address in ("192.0.2.77", "2001:db8::7", "::ffff:192.0.2.9"):
            self.assertEqual(self.ids(address=address), [self.org, self.net, self.origin])
        for address in ("192.0.3.1", "2001:db9::1", "nonsense", ""):
            self.assertEqual(self.ids(address=address), [self.org, self.origin])

    def test_an_unknown_destination_is_a_warning(self) -> None:
        answer = self.repository.resolve(FILE, Question(site="typo"))
        self.assertEqual((len(answer.candidates), answer.site), (2, None))
        self.assertIn("'typo' is not known", answer.warnings[0])

    def test_the_narrowest_network_wins(self) -> None:
        now(self.repository.add_site(Site(0, "inner", networks=("192.0.2.128/25",)), "ann"))
        answers = [self.repository.resolve(FILE, Question(address=f"192.0.2.{last}")).site for last in (1, 200)]
        self.assertEqual(answers, ["D", "inner"])

    def test_many_at_once_and_others_have_their_turn(self) -> None:
        results: list[Any] = []
        asked = self.repository.resolve_many([FILE] * 50 + ["nothing"], Question(explore=False))
        Deferred.fromCoroutine(asked).addBoth(results.append)
        self.assertEqual(results, [])
        self.clock.advance(0)
        answers = results[0]
        self.assertEqual([len(each.candidates) for each in answers], [2] * 50 + [0])
        self.assertIn("not a URL", answers[50].drops[0].reason)

    def test_no_more_at_once_than_allowed(self) -> None:
        self.assertRaises(InvalidRequest, now, self.repository.resolve_many([FILE] * 101, Question()))


class Changes(RepositoryCase):
    def test_it_is_there_after_a_restart(self) -> None:
        before = (self.repository.export(), self.ids(site="D"))
        self.begin()
        self.assertEqual((self.repository.export(), self.ids(site="D")), before)

    def test_a_change_that_can_not_be_saved_is_none(self) -> None:
        self.store.failure = Unavailable("no disk")
        self.assertRaises(Unavailable, now, self.repository.remove_source(self.org, "ann"))
        self.assertEqual(self.ids(), [self.org, self.origin])
        self.store.failure = None
        now(self.repository.remove_source(self.org, "ann"))
        self.assertEqual(self.ids(), [self.origin])

    def test_after_a_failure_the_store_is_believed(self) -> None:
        self.store.failure = Unavailable("no disk")
        self.assertRaises(Unavailable, now, self.repository.remove_source(self.org, "ann"))
        self.store.failure = None
        self.store.curated = evolve(self.store.curated, sources={self.net: self.store.curated.sources[self.net]})
        now(self.repository.change_source(DataSource(self.net, "net2", "curl"), "ann"))
        self.assertEqual([source.label for source in self.repository.sources()], ["net2"])

    def test_a_refused_change_changes_nothing(self) -> None:
        before = self.repository.export()
        self.assertRaises(AlreadyExists, now, self.repository.add_source(DataSource(0, "org", "curl"), "ann"))
        self.assertRaises(InvalidRequest, now, self.repository.add_test_file(self.org, TestFile(0, "http://x/"), "ann"))
        self.assertEqual(self.repository.export(), before)

    def test_the_audit_says_who_when_before_and_after(self) -> None:
        now(self.repository.change_source(DataSource(self.org, "org2", "http", enabled=False), "bob"))
        now(self.repository.remove_source(self.org, "eve"))
        gone, freed, changed = now(self.repository.audit(None, 3))
        self.assertEqual([(each.who, each.action) for each in (gone, changed)], [("eve", "removed"), ("bob", "changed")])
        self.assertEqual((freed.action, freed.label), ("changed", "origin"))
        assert changed.before is not None and changed.after is not None and gone.before is not None
        self.assertEqual((changed.before["label"], changed.after["label"]), ("org", "org2"))
        self.assertEqual((gone.after, gone.before["enabled"], gone.time), (None, False, self.clock.seconds()))

    def test_who_made_and_who_changed(self) -> None:
        self.clock.advance(10)
        now(self.repository.change_source(DataSource(self.org, "org", "http"), "bob"))
        stamp = self.repository.source(self.org).stamp
        self.assertEqual((stamp.created_by, stamp.changed_by, stamp.changed - stamp.created), ("ann", "bob", 10.0))

    def test_an_import_is_saved_and_a_dry_run_is_not(self) -> None:
        before = self.repository.export()
        self.assertEqual(self.repository.dry_run(ancestors(), "merge")["added"], ("A", "B", "C", "E"))
        self.assertEqual(self.repository.export(), before)
        outcome = now(self.repository.import_(ancestors(), "replace", "ann"))
        self.assertEqual((outcome["added"], outcome["removed"]), (("A", "B", "C", "E"), ("origin", "org", "net")))
        self.begin()
        found = dict(self.repository.export())
        self.assertEqual(found["data_sources"], ancestors()["data_sources"])
        self.assertEqual({each["label"] for each in found["destinations"]}, {"D", "E"})

    def test_a_bad_rule_in_the_store_spoils_nothing_else(self) -> None:
        bad = UrlMatcher(900, "regular_expression", {"pattern": "("})
        worse = Transform(901, self.net, "regex_replace", {"pattern": "(", "repl": ""})
        kept = self.store.curated
        origin = kept.sources[self.origin]
        broken = evolve(origin, matchers=(bad, *origin.matchers), transforms=(worse, *origin.transforms))
        self.store.curated = evolve(kept, sources={**kept.sources, self.origin: broken})
        self.begin()
        self.assertEqual(self.ids(), [self.org, self.origin])


class Reports(RepositoryCase):
    def test_reports_steer_and_are_there_after_a_restart(self) -> None:
        self.reported(self.org, MB, 6)
        self.reported(self.origin, 20 * MB, 6)
        self.assertEqual(self.ids(), [self.origin, self.org])
        self.begin()
        self.assertEqual(self.ids(), [self.origin, self.org])

    def test_each_destination_has_its_own(self) -> None:
        for source, rate in ((self.org, MB), (self.net, 20 * MB), (self.origin, 2 * MB)):
            self.reported(source, rate, 6, site="D")
        self.assertEqual(self.ids(site="D"), [self.net, self.origin, self.org])

    def test_the_destination_is_that_of_the_answer_whatever_a_report_says(self) -> None:
        answer = self.repository.resolve(FILE, Question(site="D"))
        candidate = answer.candidates[0]
        report = TransferReport(
            candidate.url, True, 10, 1.0, source_id=candidate.source_id, token=answer.token, site="elsewhere"
        )
        self.assertEqual(now(self.repository.report(report, "10.0.0.1")).site, self.site)

    def test_forged_reports_do_not_steer(self) -> None:
        self.reported(self.org, 20 * MB, 6)
        self.reported(self.origin, 5 * MB, 6)
        for number in range(2000):
            forged = TransferReport(FILE, True, 10 * MB, 0.01, source_id=self.origin)
            now(self.repository.report(forged, f"10.9.{number % 256}.{number // 256}"))
            now(self.repository.report(TransferReport("http://example.org/x", False), f"10.9.{number % 256}.1"))
        self.assertEqual(self.ids(), [self.org, self.origin])

    def test_a_token_is_good_for_one_report_of_its_own_candidates(self) -> None:
        answer = self.repository.resolve(FILE, Question(explore=False))
        self.clock.advance(9)
        first, last = answer.candidates
        good = TransferReport(first.url, True, 10, 1.0, source_id=first.source_id, token=answer.token)
        self.assertEqual(now(self.repository.report(good, "10.0.0.1")).weight, 1.0)
        for bad in (good, evolve(good, source_id=self.net), evolve(good, token="x"), evolve(good, source_id=None)):
            self.assertRaises(InvalidRequest, now, self.repository.report(bad, "10.0.0.1"))
        now(self.repository.report(evolve(good, url=last.url, source_id=last.source_id), "10.0.0.1"))

    def test_one_network_counts_in_full_only_so_often(self) -> None:
        weights = []
        for _ in range(report_rules.IN_FULL * 2):
            answer = self.repository.resolve(FILE, Question(explore=False))
            self.clock.advance(0.5)
            url, source = answer.candidates[0].url, answer.candidates[0].source_id
            report = TransferReport(url, False, seconds=0.1, source_id=source, token=answer.token)
            weights.append(now(self.repository.report(report, "10.0.0.1")).weight)
        self.assertEqual(weights[: report_rules.IN_FULL], [1.0] * report_rules.IN_FULL)
        self.assertLess(weights[-1], 0.6)

    def test_reports_of_our_own_count_in_full(self) -> None:
        report = TransferReport(FILE, True, 10, 1.0)
        self.assertEqual(now(self.repository.report(report, "10.0.0.1", True)).weight, 1.0)
        self.assertEqual(now(self.repository.report(report, "10.0.0.1")).weight, report_rules.UNSIGNED)

    def test_absurd_reports_are_refused(self) -> None:
        fine = TransferReport(FILE, True, 10, 1.0)
        now(self.repository.report(fine, "10.0.0.1"))
        for absurd in (
            evolve(fine, size=10**15, seconds=0.0),
            evolve(fine, size=10**15, seconds=1.0),
            evolve(fine, size=-1),
            evolve(fine, size=1 << 70),
            evolve(fine, seconds=-1.0),
            evolve(fine, seconds=float("nan")),
            evolve(fine, seconds=float("inf")),
            evolve(fine, seconds=1e9),
            evolve(fine, wrong=True),
            evolve(fine, url="nothing"),
            evolve(fine, digests={"md5": "\n"}),
        ):
            self.assertRaises(InvalidRequest, now, self.repository.report(absurd, "10.0.0.1"))
        self.assertRaises(NotFound, now, self.repository.report(evolve(fine, url="http://elsewhere/"), "10.0.0.1"))

    def test_large_files_and_failures_are_kept_as_they_are(self) -> None:
        big = TransferReport(FILE, True, 5 << 30, 60.0, "curl", {"md5": "0" * 32}, site="D", output="x" * 9999)
        now(self.repository.report(big, "10.0.0.1"))
        now(self.repository.report(TransferReport(FILE, False, error="550"), "10.0.0.1"))
        failed, kept = now(self.repository.reports(self.origin, None, 9))
        self.assertEqual((kept.report.size, kept.site, len(kept.report.output)), (5 << 30, self.site, report_rules.TEXT))
        self.assertEqual((failed.report.success, failed.report.error, failed.rate), (False, "550", 0.0))

    def test_a_report_that_is_removed_counts_no_more(self) -> None:
        self.reported(self.org, 8 * MB, 3)
        before = self.repository.measured(self.org)
        self.reported(self.org, 900 * MB, 2)
        for odd in now(self.repository.reports(self.org, None, 2)):
            now(self.repository.remove_report(self.org, odd.id, "ann"))
        after = self.repository.measured(self.org)
        assert before is not None and after is not None
        self.assertTrue(0.9 < before["rate"] / after["rate"] < 1.1, (before, after))
        self.assertRaises(NotFound, now, self.repository.remove_report(self.org, 999, "ann"))

    def test_odd_rates_are_marked(self) -> None:
        self.reported(self.org, 8 * MB, 1)
        self.reported(self.org, 900 * MB, 1)
        self.assertEqual(self.repository.odd(now(self.repository.reports(self.org, None, 9))), set())
        self.reported(self.org, 9 * MB, 5)
        found = now(self.repository.reports(self.org, None, 9))
        self.assertEqual(self.repository.odd(found), {found[-2].id})

    def test_a_suggested_order_and_a_link_that_goes_the_wrong_way(self) -> None:
        for source, rate in ((self.org, MB), (self.net, 20 * MB), (self.origin, 5 * MB)):
            self.reported(source, rate, 6, site="D")
        first, second = (each.id for each in self.repository.source(self.origin).transforms)
        self.assertEqual(list(self.repository.suggested_order(self.origin)), [second, first])
        self.assertEqual(list(self.repository.warnings()), ["origin leads to org, which is slower by the reports"])

    def test_networks_of_reporters(self) -> None:
        self.assertEqual(network_of("192.0.2.77"), network_of("192.0.2.1"))
        self.assertEqual(network_of("2001:db8:0:11::1"), network_of("2001:db8:0:12::9"))
        self.assertNotEqual(network_of("192.0.2.77"), network_of("192.0.3.77"))
        self.assertEqual(network_of("@"), "@")
