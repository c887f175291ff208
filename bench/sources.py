"""Resolution: 10,000 URLs against 1,000 sources with 5,000 matchers, before any report and after very many.

In memory, through the repository as the doors ask it, signatures of answers included. A fifth of the matchers are regular
expressions, half of which don't say a host at their beginning; each source leads to two others, one of them for one
destination alone. Reports are learnt as they are when they come, without the catalogue; what the answers cost must not
grow with them. Seconds are of CPU, for a busy machine makes others of no use. `--files 10000` is a million reports.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from random import Random

from rich.console import Console

from bench.options import Options
from bench.tables import show
from ecpds.datasources import Curated, DataSource, Question, Site, TransferReport, Transform, UrlMatcher
from ecpds.sources.ranking import Ranking
from ecpds.sources.resolution import Resolver
from ecpds.sources.tokens import Tokens

SOURCES = 1000
URLS = 10_000
NOW = 1_800_000_000.0


def run(options: Options, console: Console) -> None:
    random = Random(7)
    ranking, tokens = Ranking(random), Tokens(b"k" * 32, random)
    began = time.process_time()
    resolver = Resolver(book(), ranking)
    made = time.process_time() - began
    rows = [["the index of 5,000 matchers, made", f"{made:.2f} s", ""]]
    for count in (0, options.files * 10, options.files * 100):
        spent = learn(ranking, random, count)
        rates = [measured(resolver, tokens) for _ in range(options.rounds)]
        rows.append(
            [f"after {count:,} more reports", f"{max(rates):,.0f} URLs/s", f"{count / spent:,.0f} reports/s" if count else ""]
        )
    show(console, f"Resolution of {URLS:,} URLs by {SOURCES:,} sources", ["", "resolved", "learnt"], rows)


def book() -> Curated:
    sources = {each.id: each for each in made_sources()}
    return Curated(sources, {1: Site(1, "D", networks=("192.0.2.0/24",))}, 1_000_000)


def made_sources() -> Iterator[DataSource]:
    for number in range(1, SOURCES + 1):
        hosts = [
            UrlMatcher(10 * number + each, "scheme_and_host", {"scheme": scheme, "host": f"h{number}-{each}.example.org"})
            for each, scheme in enumerate(("http", "https", "ftp", "sftp"))
        ]
        scheme = "http" if number % 2 else "(?:http|ftp)s?"
        pattern = UrlMatcher(10 * number + 5, "regular_expression", {"pattern": rf"^{scheme}://r{number}\.example\.net/data/"})
        targets = [(number % SOURCES) + 1, ((number + 6) % SOURCES) + 1]
        links = [
            Transform(
                100_000 + 10 * number + place,
                target,
                "change_host",
                {"new_host": f"h{target}-0.example.org"},
                None,
                sites,
                bool(sites),
            )
            for place, (target, sites) in enumerate(zip(targets, ((), (1,)), strict=True))
            if number % 5 == 0
        ]
        yield DataSource(number, f"source {number}", "http", matchers=(*hosts, pattern), transforms=tuple(links))


def learn(ranking: Ranking, random: Random, count: int) -> float:
    """Take in so many reports; returns the seconds that it took."""
    began = time.process_time()
    for place in range(count):
        report = TransferReport("", random.random() < 0.95, 1 << random.randrange(10, 34), random.uniform(0.1, 60.0))
        ranking.learn(1 + place % SOURCES, random.choice((None, 1)), report, 1.0, NOW + place)
    return time.process_time() - began or 1e-9


def measured(resolver: Resolver, tokens: Tokens) -> float:
    """URLs a second; a tenth are no source's, a tenth are a regular expression's."""
    question = Question(frozenset({"http", "ftp"}))
    urls = [asked(number) for number in range(URLS)]
    began = time.process_time()
    for url in urls:
        answer = resolver.resolve(url, question, 1, NOW)
        tokens.sign(answer.candidates, 1, NOW)
    return URLS / (time.process_time() - began)


def asked(number: int) -> str:
    source = 1 + number * 7919 % SOURCES
    if number % 10 == 0:
        return f"http://elsewhere{source}.example.com/file-{number}.grib"
    if number % 10 == 1:
        return f"http://r{source}.example.net/data/file-{number}.grib"
    return f"http://h{source}-0.example.org/2026/11/22/file-{number}.grib"
