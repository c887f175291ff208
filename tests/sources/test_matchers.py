"""Which URLs a matcher takes, and which matchers can't be."""

from __future__ import annotations

import re
import time

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from ecpds.datasources import DataSource, UrlMatcher
from ecpds.errors import InvalidRequest
from ecpds.sources import matchers, patterns
from ecpds.sources.index import MatcherIndex
from ecpds.sources.urls import LONGEST, cut


def by_host(scheme: str, host: str) -> UrlMatcher:
    return UrlMatcher(1, "scheme_and_host", {"scheme": scheme, "host": host})


def by_pattern(pattern: str) -> UrlMatcher:
    return UrlMatcher(1, "regular_expression", {"pattern": pattern})


class Matches(SynchronousTestCase):
    def matches(self, matcher: UrlMatcher, *urls: str) -> list[bool]:
        matchers.check(matcher)
        test, index = matchers.test_of(matcher), MatcherIndex([DataSource(7, "S", "http", matchers=(matcher,))])
        found = [test(cut(url)) for url in urls]
        self.assertEqual([index.matching(cut(url)) == [7] for url in urls], found)
        return found

    def test_scheme_and_host_take_any_port(self) -> None:
        urls = ("http://example.com/f", "http://example.com:8000/f", "http://example.org/f", "ftp://example.com/f")
        self.assertEqual(self.matches(by_host("http", "example.com"), *urls), [True, True, False, False])

    def test_a_port_that_is_given_is_the_only_one(self) -> None:
        urls = ("http://example.com:81/f", "http://example.com/f", "http://example.com:8/f")
        self.assertEqual(self.matches(by_host("http", "example.com:81"), *urls), [True, False, False])

    def test_scheme_and_host_have_no_case(self) -> None:
        self.assertEqual(self.matches(by_host("hTTp", "Example.COM"), "HttP://eXAMple.com/f"), [True])

    def test_a_user_in_the_url_does_not_matter(self) -> None:
        self.assertEqual(self.matches(by_host("ftp", "h"), "ftp://me:pw@h/f", "ftp://h@other/f"), [True, False])

    def test_a_url_without_a_host_is_nobodys(self) -> None:
        self.assertEqual(self.matches(by_host("http", "foo"), "http:foo"), [False])

    def test_a_regular_expression_matches_at_the_beginning(self) -> None:
        urls = (
            "http://example.com/file.txt",
            "http://example.com/files/file1.txt",
            "http://example.com:8000/file.txt",
            "ftp://example.com/file.txt",
            "x+http://example.com/file.txt",
        )
        for pattern in (r"^http://example\.com/file", r"http://example\.com/file", r"https?://example\.com/file"):
            self.assertEqual(self.matches(by_pattern(pattern), *urls), [True, True, False, False, False])

    def test_a_regular_expression_minds_the_case(self) -> None:
        urls = ("http://h/File", "http://h/file", "HTTP://H/file")
        self.assertEqual(self.matches(by_pattern("http://h/file"), *urls), [False, True, False])
        self.assertEqual(self.matches(by_pattern("(?i)http://h/file"), *urls), [True, True, True])

    def test_a_choice_is_one_of_all_of_it(self) -> None:
        urls = ("http://a/x", "ftp://b/y", "http://c/")
        self.assertEqual(self.matches(by_pattern("http://a/|ftp://b/"), *urls), [True, True, False])


class Refused(SynchronousTestCase):
    def test_what_can_not_be(self) -> None:
        for matcher in (
            UrlMatcher(1, "wildcard", {}),
            UrlMatcher(1, "scheme_and_host", {"scheme": "http"}),
            UrlMatcher(1, "scheme_and_host", {"scheme": "http", "host": ""}),
            UrlMatcher(1, "scheme_and_host", {"scheme": "http", "host": "h/"}),
            UrlMatcher(1, "scheme_and_host", {"scheme": "1", "host": "h"}),
            UrlMatcher(1, "scheme_and_host", {"scheme": "http", "host": "h", "path": "/"}),
            by_pattern("("),
            by_pattern("(?=x)"),
            by_pattern(r"(a)\1"),
            by_pattern("a" * 501),
        ):
            self.assertRaises(InvalidRequest, matchers.check, matcher)

    def test_a_pattern_that_would_backtrack_takes_linear_time(self) -> None:
        matcher = by_pattern("(a|a?)+$")
        matchers.check(matcher)
        started = time.process_time()
        self.assertFalse(matchers.test_of(matcher)(cut("a:" + "a" * (LONGEST - 3) + "!")))
        self.assertLess(time.process_time() - started, 0.5)

    def test_what_is_no_url(self) -> None:
        for text in ("", "file", "://x", "http://a b", "http://a\n", "http://\u00e4", "h:" + "a" * LONGEST):
            self.assertRaises(InvalidRequest, cut, text)


class Literals(SynchronousTestCase):
    @given(some.text(alphabet=r"ab.\/:^$*+?{2}[]|()", max_size=12), some.text(alphabet="ab./:", max_size=10))
    def test_every_match_begins_with_the_literal_start(self, pattern: str, text: str) -> None:
        try:
            found = patterns.compiled(pattern).match(text)
        except InvalidRequest:
            return
        if found is not None:
            self.assertTrue(text.startswith(patterns.literal_start(pattern)), pattern)

    @given(some.text(alphabet=r"ab\1g<>0", max_size=10))
    def test_replacements_are_as_in_python(self, template: str) -> None:
        try:
            patterns.check_replacement("(a)b", template)
        except InvalidRequest:
            return
        if r"\0" not in template:  # an octal number there, the whole match here
            self.assertEqual(patterns.replaced("(a)b", template, "xabyab"), re.sub("(a)b", template, "xabyab"))
