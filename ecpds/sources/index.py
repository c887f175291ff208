"""Which sources have a URL, without asking all of them: matchers by the scheme and host that they are about.

Regular expressions whose beginning names a host stand there too. The others go through one filter (RE2's FilteredRE2),
which first looks for the literal texts in them.
"""

from __future__ import annotations

from collections.abc import Iterable

import re2

from ecpds.datasources import DataSource
from ecpds.sources import matchers, patterns
from ecpds.sources.matchers import Test
from ecpds.sources.urls import Url


class MatcherIndex:
    """Over the sources that are enabled. Making one compiles patterns: not for the reactor where there are many."""

    def __init__(self, sources: Iterable[DataSource]) -> None:
        self._places: dict[tuple[str, str], list[tuple[Test, int]]] = {}
        self._anywhere: list[int] = []
        self._filter = re2.Filter()
        self.size = 0
        for source in sources:
            if source.enabled:
                self._add(source)
        if self._anywhere:
            self._filter.Compile()

    def _add(self, source: DataSource) -> None:
        for matcher in source.matchers:
            self.size += 1
            place, test = matchers.place_of(matcher), matchers.test_of(matcher)
            if place is not None:
                self._places.setdefault(place, []).append((test, source.id))
            else:
                self._filter.Add(rf"\A(?:{matcher.options['pattern']})", patterns.options())
                self._anywhere.append(source.id)

    def matching(self, url: Url) -> list[int]:
        """The ids of the sources that have a URL, the oldest first."""
        found = {source for test, source in self._places.get((url.scheme, url.host), ()) if test(url)}
        if self._anywhere:
            found.update(self._anywhere[each] for each in self._filter.Match(url.text) or ())
        return sorted(found)

    def has(self, source: int, url: Url) -> bool:
        """Whether a URL is one of that source's."""
        return source in self.matching(url)
