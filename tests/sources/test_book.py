"""Changes of what is curated: what is made, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ecpds.datasources import DataSource, Site, TestFile, Transform, UrlMatcher
from ecpds.errors import AlreadyExists, InvalidRequest, NotFound, PreconditionFailed
from ecpds.sources import book as rules
from ecpds.sources.book import Book
from tests.sources.support import change_host, host


class Changes(SynchronousTestCase):
    def setUp(self) -> None:
        self.book = Book()
        self.a = self.do(rules.add_source, DataSource(0, "A", "ftp")).id
        self.b = self.do(rules.add_source, DataSource(0, "B", "http")).id
        self.c = self.do(rules.add_source, DataSource(0, "C", "http")).id
        self.matcher = self.do(rules.add_matcher, self.a, host("ftp", "example.com")).id
        self.file = self.do(rules.add_test_file, self.a, TestFile(0, "ftp://example.com/file.txt")).id
        self.site = self.do(rules.add_site, Site(0, "D")).id

    def do(self, change: Callable[..., Any], *arguments: Any) -> Any:
        self.book, made = change(self.book, *arguments)
        return made

    def refused(self, kind: type[Exception], change: Callable[..., Any], *arguments: Any) -> str:
        before = self.book
        error = self.assertRaises(kind, change, self.book, *arguments)
        self.assertIs(self.book, before)
        return str(error)

    def orders(self, source: int) -> list[int]:
        return [each.id for each in self.book.source(source).transforms]

    def test_ids_are_never_given_again(self) -> None:
        self.do(rules.remove_source, self.c)
        again = self.do(rules.add_source, DataSource(0, "C", "http"))
        self.assertGreater(again.id, self.site)

    def test_labels_are_unique_and_may_be_kept(self) -> None:
        self.refused(AlreadyExists, rules.add_source, DataSource(0, "A", "http"))
        self.refused(AlreadyExists, rules.change_source, DataSource(self.b, "A", "http"))
        self.do(rules.change_source, DataSource(self.a, "A", "http", "said"))
        self.do(rules.change_source, DataSource(self.a, "A2", "http"))
        self.assertEqual([each.label for each in self.book.sources.values()], ["A2", "B", "C"])
        self.refused(AlreadyExists, rules.add_site, Site(0, "D"))
        self.do(rules.change_site, Site(self.site, "D", "said"))

    def test_a_change_of_a_source_leaves_what_is_its_own(self) -> None:
        self.do(rules.change_source, DataSource(self.a, "A", "http", enabled=False))
        self.assertEqual([each.id for each in self.book.source(self.a).matchers], [self.matcher])

    def test_sources_that_can_not_be(self) -> None:
        for source in (
            DataSource(0, "", "http"),
            DataSource(0, "x" * 101, "http"),
            DataSource(0, "x\x00", "http"),
            DataSource(0, "x", "carrier pigeon"),
            DataSource(0, "x", "http", options={"a": 1}),
            DataSource(0, "x", "aspera"),
            DataSource(0, "x", "aspera", options={"username": 7}),
            DataSource(0, "x", "gridftp_lite", options={"parallelism": True}),
            DataSource(0, "x", "http", "x" * 2001),
        ):
            self.refused(InvalidRequest, rules.add_source, source)
        self.do(rules.add_source, DataSource(0, "x", "aspera", "two\nlines", {"username": "me", "disable_encryption": True}))

    def test_a_test_file_must_match(self) -> None:
        self.do(rules.add_test_file, self.a, TestFile(0, "ftp://example.com/other.txt"))
        self.refused(InvalidRequest, rules.add_test_file, self.a, TestFile(0, "http://example.com/file.txt"))
        self.refused(InvalidRequest, rules.change_test_file, self.a, TestFile(self.file, "ftp://example.org/"))
        self.do(rules.change_test_file, self.a, TestFile(self.file, "ftp://example.com/x"))
        self.assertEqual([each.url[-9:] for each in self.book.source(self.a).test_files], ["ple.com/x", "other.txt"])

    def test_no_change_leaves_a_test_file_without_a_matcher(self) -> None:
        for change, argument in (
            (rules.remove_matcher, self.matcher),
            (rules.change_matcher, host("ftp", "example.org", self.matcher)),
        ):
            self.assertIn("ftp://example.com/file.txt", self.refused(PreconditionFailed, change, self.a, argument))
        self.do(rules.add_matcher, self.a, UrlMatcher(0, "regular_expression", {"pattern": "ftp:"}))
        self.do(rules.remove_matcher, self.a, self.matcher)

    def test_a_matcher_may_become_one_of_the_other_type(self) -> None:
        new = UrlMatcher(self.matcher, "regular_expression", {"pattern": "^ftp://"})
        self.do(rules.change_matcher, self.a, new)
        self.assertEqual(self.book.source(self.a).matchers, (new,))

    def test_a_new_transform_is_the_last_and_moves_in_its_own_source(self) -> None:
        first = self.do(rules.add_transform, self.a, change_host(0, self.b, "b")).id
        second = self.do(rules.add_transform, self.a, change_host(0, self.c, "c")).id
        other = self.do(rules.add_transform, self.b, change_host(0, self.c, "c")).id
        self.do(rules.move_transform, self.a, second, True)
        self.assertEqual((self.orders(self.a), self.orders(self.b)), ([second, first], [other]))
        self.do(rules.move_transform, self.a, second, True)
        self.do(rules.move_transform, self.a, first, False)
        self.assertEqual(self.orders(self.a), [second, first])
        self.refused(NotFound, rules.move_transform, self.b, first, True)
        self.do(rules.order_transforms, self.a, [first, second])
        self.assertEqual(self.orders(self.a), [first, second])
        for order in ([first], [first, first], [first, second, other]):
            self.refused(InvalidRequest, rules.order_transforms, self.a, order)

    def test_transforms_that_can_not_be(self) -> None:
        self.refused(InvalidRequest, rules.add_transform, self.a, change_host(0, self.a, "a"))
        self.refused(NotFound, rules.add_transform, self.a, change_host(0, 999, "a"))
        self.refused(NotFound, rules.add_transform, self.a, change_host(0, self.b, "a", 999))

    def test_destinations_of_a_transform_change(self) -> None:
        e = self.do(rules.add_site, Site(0, "E")).id
        made = self.do(rules.add_transform, self.a, change_host(0, self.b, "b", self.site, e))
        self.do(rules.change_transform, self.a, change_host(made.id, self.b, "b", e))
        self.assertEqual(self.book.source(self.a).transforms[0].sites, (e,))
        self.do(rules.change_transform, self.a, change_host(made.id, self.b, "b"))
        self.assertEqual(self.book.source(self.a).transforms[0].conditional, False)

    def test_a_destination_that_goes_leaves_a_transform_for_nobody(self) -> None:
        self.do(rules.add_transform, self.a, change_host(0, self.b, "b", self.site))
        self.do(rules.remove_site, self.site)
        left = self.book.source(self.a).transforms[0]
        self.assertEqual((left.sites, left.conditional), ((), True))
        self.refused(NotFound, rules.remove_site, self.site)

    def test_a_transform_that_goes_leaves_its_destination(self) -> None:
        made = self.do(rules.add_transform, self.a, change_host(0, self.b, "b", self.site))
        self.do(rules.remove_transform, self.a, made.id)
        self.assertEqual(self.book.site(self.site).label, "D")

    def test_a_source_takes_what_leads_to_it_along(self) -> None:
        self.do(rules.add_transform, self.a, change_host(0, self.b, "b"))
        kept = self.do(rules.add_transform, self.a, change_host(0, self.c, "c")).id
        self.do(rules.remove_source, self.b)
        self.assertEqual(self.orders(self.a), [kept])

    def test_there_is_an_end_to_everything(self) -> None:
        for number in range(rules.PARTS - 1):
            self.do(rules.add_matcher, self.a, host("ftp", f"h{number}"))
        self.refused(InvalidRequest, rules.add_matcher, self.a, host("ftp", "more"))

    def test_networks_of_a_destination(self) -> None:
        self.do(rules.change_site, Site(self.site, "D", networks=("192.0.2.0/24", "2001:db8::/32")))
        for wrong in ("192.0.2.1/24", "x", "1.2.3.4/33"):
            self.refused(InvalidRequest, rules.change_site, Site(self.site, "D", networks=(wrong,)))

    def test_what_is_not_there(self) -> None:
        for change, argument in (
            (rules.change_source, DataSource(999, "x", "http")),
            (rules.remove_source, 999),
            (rules.change_site, Site(999, "x")),
        ):
            self.refused(NotFound, change, argument)
        self.refused(NotFound, rules.remove_matcher, self.a, 999)
        self.refused(NotFound, rules.change_transform, self.a, Transform(999, self.b, "change_host", {"new_host": "x"}))
