"""What a URL is resolved to."""

from __future__ import annotations

import time
from random import Random

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from ecpds.datasources import Curated, DataSource, Question, Resolution, Site, TransferReport, Transform, UrlMatcher
from ecpds.errors import InvalidRequest
from ecpds.sources import transforms
from ecpds.sources.ranking import Ranking
from ecpds.sources.resolution import MOST, Resolver
from ecpds.sources.urls import cut
from tests.sources.support import change_host, curated, source

FILE = "http://example.com/file.txt"
ASKED = Question(explore=False)


def resolved(book: Curated, url: str = FILE, question: Question = ASKED, site: int | None = None) -> Resolution:
    return Resolver(book, Ranking(Random(1))).resolve(url, question, site, 0.0)


def urls(answer: Resolution) -> list[str]:
    return [candidate.url for candidate in answer.candidates]


def ids(answer: Resolution) -> list[int | None]:
    return [candidate.source_id for candidate in answer.candidates]


def made(type_: str, options: dict[str, str], url: str) -> str:
    transform = Transform(1, 2, type_, options)
    transforms.check(transform)
    return transforms.applied(transform, cut(url))


class Transforms(SynchronousTestCase):
    def test_a_new_host_keeps_the_rest(self) -> None:
        for before, after in (
            ("http://example.com/f", "http://example.org/f"),
            ("ftp://example.com/f", "ftp://example.org/f"),
            ("http://example.org/f", "http://example.org/f"),
            ("http://me@example.com:8000/a;b/f?q=1#x", "http://example.org/a;b/f?q=1#x"),
        ):
            self.assertEqual(made("change_host", {"new_host": "example.org"}, before), after)

    def test_a_new_scheme_keeps_the_port(self) -> None:
        for url in ("http://example.org:8000/f", "ftp://example.org:8000/f"):
            self.assertEqual(made("change_scheme", {"new_scheme": "ftp"}, url), "ftp://example.org:8000/f")

    def test_a_new_scheme_and_host(self) -> None:
        options = {"new_scheme": "ftp", "new_host": "example.org"}
        self.assertEqual(made("change_scheme_and_host", options, "http://example.com:8000/f"), "ftp://example.org/f")

    def test_a_replacement(self) -> None:
        options = {"pattern": r"example\.com/files/(.*)", "repl": r"example.org/path/to/files/\1"}
        self.assertEqual(made("regex_replace", options, "http://example.com/files/f"), "http://example.org/path/to/files/f")
        self.assertEqual(made("regex_replace", {"pattern": "a", "repl": ""}, "http://a/banana"), "http:///bnn")

    def test_what_can_not_be(self) -> None:
        for type_, options in (
            ("change_path", {}),
            ("change_host", {}),
            ("change_host", {"new_host": "a/b"}),
            ("change_scheme", {"new_scheme": "a:"}),
            ("regex_replace", {"pattern": "(", "repl": ""}),
            ("regex_replace", {"pattern": "a", "repl": r"\1"}),
            ("regex_replace", {"pattern": "a", "repl": "\\n"}),
            ("regex_replace", {"pattern": "a", "repl": "x" * 501}),
            ("regex_replace", {"pattern": "a"}),
        ):
            self.assertRaises(InvalidRequest, transforms.check, Transform(1, 2, type_, options))

    def test_a_replacement_can_not_grow_without_bound(self) -> None:
        made_ = made("regex_replace", {"pattern": "a", "repl": "b" * 500}, "http://h/" + "a" * 4000)
        self.assertLess(len(made_), 60_000)


class Candidates(SynchronousTestCase):
    def setUp(self) -> None:
        self.book = curated(
            source(1, "origin", "http://example.com", change_host(1, 2, "example.org"), change_host(2, 3, "example.net", 9)),
            source(2, "org", "http://example.org"),
            source(3, "net", "http://example.net"),
            sites=(Site(9, "D"),),
        )

    def test_without_a_destination_only_what_is_for_all(self) -> None:
        answer = resolved(self.book)
        self.assertEqual(ids(answer), [2, 1])
        self.assertEqual(urls(answer), ["http://example.org/file.txt", FILE])
        self.assertEqual([drop.source for drop in answer.drops], ["net"])
        self.assertIn("for other destinations", answer.drops[0].reason)

    def test_with_the_destination_its_own_too(self) -> None:
        answer = resolved(self.book, site=9)
        self.assertEqual(ids(answer), [2, 3, 1])
        self.assertEqual(answer.site, "D")

    def test_a_result_that_the_target_has_not_is_dropped_with_the_reason(self) -> None:
        book = curated(
            source(1, "A", "ftp://example.com", change_host(1, 3, "example.net", 9)),
            source(3, "C", "http://example.net"),
            sites=(Site(9, "D"),),
        )
        answer = resolved(book, "ftp://example.com/file.txt", site=9)
        self.assertEqual(ids(answer), [1])
        self.assertEqual(answer.drops[0].url, "ftp://example.net/file.txt")
        self.assertIn("none of C's URLs", answer.drops[0].reason)

    def test_what_the_client_can_not_run_is_dropped(self) -> None:
        sources = {**self.book.sources, 2: evolve(self.book.sources[2], mechanism="aspera")}
        answer = resolved(evolve(self.book, sources=sources), question=Question(frozenset({"curl"})))
        self.assertEqual(ids(answer), [1])
        self.assertIn("the client has no aspera", answer.drops[0].reason)

    def test_all_sources_that_match_are_followed(self) -> None:
        book = curated(
            source(1, "A", "http://example.com", change_host(1, 3, "a.example")),
            source(2, "B", "http://example.com", change_host(2, 4, "b.example"), mechanism="http"),
            source(3, "a", "http://a.example"),
            source(4, "b", "http://b.example"),
        )
        self.assertEqual(ids(resolved(book)), [3, 4, 1, 2])

    def test_the_same_thing_twice_is_offered_once(self) -> None:
        book = curated(source(1, "A", "http://example.com"), source(2, "B", "http://example.com"))
        answer = resolved(book)
        self.assertEqual(ids(answer), [1])
        self.assertIn("the same as of A", answer.drops[0].reason)

    def test_transforms_are_followed_on_and_the_last_link_is_the_first_choice(self) -> None:
        book = curated(
            source(1, "A", "http://a", change_host(1, 2, "b")),
            source(2, "B", "http://b", change_host(2, 3, "c")),
            source(3, "C", "http://c"),
        )
        self.assertEqual(urls(resolved(book, "http://a/f")), ["http://c/f", "http://b/f", "http://a/f"])

    def test_a_loop_ends_where_it_began(self) -> None:
        book = curated(
            source(1, "A", "http://a", change_host(1, 2, "b")),
            source(2, "B", "http://b", change_host(2, 1, "a")),
        )
        answer = resolved(book, "http://a/f")
        self.assertEqual(urls(answer), ["http://b/f", "http://a/f"])
        self.assertIn("leads back to A", answer.drops[0].reason)

    def test_a_web_of_transforms_has_an_end(self) -> None:
        everywhere = [[change_host(20 * a + b, b, f"h{b}") for b in range(1, 16) if b != a] for a in range(1, 16)]
        book = curated(*(source(a, str(a), f"http://h{a}", *everywhere[a - 1]) for a in range(1, 16)))
        started = time.process_time()
        answer = resolved(book, "http://h1/f")
        self.assertLess(time.process_time() - started, 2.0)
        self.assertLessEqual(len(answer.candidates), MOST + 1)
        self.assertEqual(urls(answer)[-1], "http://h1/f")

    def test_what_is_disabled_is_not_there(self) -> None:
        sources = {**self.book.sources, 2: evolve(self.book.sources[2], enabled=False)}
        answer = resolved(evolve(self.book, sources=sources))
        self.assertEqual(ids(answer), [1])
        self.assertIn("disabled", answer.drops[0].reason)

    def test_a_url_of_no_source_is_itself(self) -> None:
        answer = resolved(self.book, "ftp://elsewhere/f")
        self.assertEqual([(each.mechanism, each.source_id) for each in answer.candidates], [("ftp", None)])
        only_curl = resolved(self.book, "ftp://elsewhere/f", Question(frozenset({"curl"})))
        self.assertEqual(only_curl.candidates[0].mechanism, "curl")
        self.assertEqual(resolved(self.book, "scp://elsewhere/f", Question(frozenset({"curl"}))).candidates, ())

    def test_each_candidate_has_its_reason(self) -> None:
        first, last = resolved(self.book).candidates
        self.assertEqual(first.reason, "transform 1 of origin, change to host example.org; in the order of preference")
        self.assertEqual(last.reason, "the URL itself; in the order of preference")

    def test_reports_change_the_order(self) -> None:
        ranking = Ranking(Random(1))
        for source_id, seconds in ((1, 1.0), (2, 9.0)):
            for _ in range(6):
                ranking.learn(source_id, None, TransferReport(FILE, True, 10_000_000, seconds), 1.0, 0.0)
        answer = Resolver(self.book, ranking).resolve(FILE, ASKED, None, 0.0)
        self.assertEqual(ids(answer), [1, 2])

    def test_a_result_that_is_no_url_spoils_nothing(self) -> None:
        odd = Transform(5, 2, "regex_replace", {"pattern": "^http", "repl": " "})
        sources = {**self.book.sources, 1: evolve(self.book.sources[1], transforms=(odd, change_host(1, 2, "example.org")))}
        answer = resolved(evolve(self.book, sources=sources))
        self.assertEqual(ids(answer), [2, 1])
        self.assertIn("not a URL", answer.drops[0].reason)

    def test_what_is_no_url_is_refused(self) -> None:
        self.assertRaises(InvalidRequest, resolved, self.book, "nothing")


HOSTS = some.sampled_from(["a", "b", "c"])
SOURCES = some.builds(
    lambda label, url_host, targets: (label, url_host, targets),
    some.integers(1, 5),
    HOSTS,
    some.lists(some.tuples(some.integers(1, 5), HOSTS), max_size=4),
)


class Anything(SynchronousTestCase):
    @settings(max_examples=200, deadline=None)
    @given(some.lists(SOURCES, max_size=5, unique_by=lambda each: each[0]))
    def test_no_book_breaks_an_answer(self, drawn: list[tuple[int, str, list[tuple[int, str]]]]) -> None:
        sources: list[DataSource] = []
        for number, name, targets in drawn:
            links = [change_host(10 * number + place, target, new) for place, (target, new) in enumerate(targets)]
            pattern = UrlMatcher(number, "regular_expression", {"pattern": f"https?://{name}/"})
            sources.append(evolve(source(number, str(number), f"http://{name}", *links), matchers=(pattern,)))
        answer = resolved(curated(*sources), "http://a/f")
        self.assertEqual(urls(answer)[-1], "http://a/f")
        self.assertEqual(len({(each.url, each.mechanism) for each in answer.candidates}), len(answer.candidates))
