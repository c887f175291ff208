"""From where, and how, a URL's file can be had: every source that matches, every transform, each with its reason. Pure.

A transform links a slower source to a faster one, so what it leads to stands before where it comes from, and what that in
turn leads to before both; the URL that was asked for is last. That is the order of preference, on which the reports' order
rests (`ranking`). A rule that can't be followed is a drop with its reason, and spoils nothing else.
"""

from __future__ import annotations

from attrs import Factory, define

from ecpds.datasources import (
    NO_OPTIONS,
    Candidate,
    Curated,
    DataSource,
    Drop,
    Options,
    Question,
    Resolution,
    Transform,
    default_mechanism,
)
from ecpds.errors import InvalidRequest
from ecpds.sources import transforms
from ecpds.sources.index import MatcherIndex
from ecpds.sources.ranking import Ranking, size_class
from ecpds.sources.urls import Url, cut

MOST = 32
"""Candidates of one answer at most."""

DEEPEST = 8
"""Transforms behind one another at most."""


@define
class _Found:
    """What one resolution has come to so far; `seen` are the URLs and sources that it has been at."""

    question: Question
    site: int | None
    candidates: list[Candidate] = Factory(list)
    originals: list[Candidate] = Factory(list)
    drops: list[Drop] = Factory(list)
    seen: set[tuple[str, int]] = Factory(set)

    def drop(self, url: str, reason: str, source: str | None = None) -> None:
        self.drops.append(Drop(url, reason, source))


class Resolver:
    """Answers for what is curated at one moment. `ranking` goes on learning meanwhile."""

    def __init__(self, curated: Curated, ranking: Ranking) -> None:
        self._sources = curated.sources
        self._sites = curated.sites
        self._index = MatcherIndex(curated.sources.values())
        self._ranking = ranking
        self._described: dict[int, str] = {}

    @property
    def has_matchers(self) -> bool:
        return self._index.size > 0

    def matching(self, text: str) -> list[DataSource]:
        """The enabled sources that have a URL. Raises `InvalidRequest` for what is none."""
        return [self._sources[each] for each in self._index.matching(cut(text))]

    def resolve(self, text: str, question: Question, site: int | None, now: float) -> Resolution:
        """The candidates for a URL that is going to a site. Raises `InvalidRequest` for what is no URL."""
        url = cut(text)
        found = _Found(question, site)
        matching = self._index.matching(url)
        for source in matching:
            self._follow(found, url, source, ())
            self._offer(found, found.originals, text, self._sources[source], "the URL itself")
        unsourced = self._unsourced(found, url, bool(matching))
        preferred = [*found.candidates, *found.originals, *unsourced]
        label = self._sites[site].label if site is not None else None
        return Resolution(text, self._ranked(preferred, question, site, now), tuple(found.drops), "", label)

    def _follow(self, found: _Found, url: Url, source: int, way: tuple[int, ...]) -> None:
        """Everything that the transforms of a source make of a URL of it."""
        way = (*way, source)
        found.seen.add((url.text, source))
        for transform in self._sources[source].transforms:
            reason = self._reason_not_to(found, transform, way)
            if reason is not None:
                found.drop(url.text, f"{self._naming(transform, way[-1])}: {reason}", self._label(transform.target))
            else:
                self._transform(found, transform, url, way)

    def _reason_not_to(self, found: _Found, transform: Transform, way: tuple[int, ...]) -> str | None:
        target = self._sources.get(transform.target)
        if not transform.enabled:
            return "it is disabled"
        if target is None or not target.enabled:
            return "its target is disabled"
        if transform.conditional and found.site not in transform.sites:
            return "it is for other destinations"
        if transform.target in way:
            return f"it leads back to {target.label}"
        if len(way) > DEEPEST or len(found.candidates) >= MOST:
            return "there are enough candidates"
        return None

    def _transform(self, found: _Found, transform: Transform, url: Url, way: tuple[int, ...]) -> None:
        target, naming = self._sources[transform.target], self._naming(transform, way[-1])
        text = transforms.applied(transform, url)
        try:
            result = cut(text)
        except InvalidRequest:
            found.drop(text[:200], f"{naming}: the result is not a URL", target.label)
            return
        if not self._index.has(target.id, result):
            found.drop(text, f"{naming}: the result is none of {target.label}'s URLs", target.label)
        elif (text, target.id) in found.seen:
            found.drop(text, f"{naming}: there already", target.label)
        else:
            self._follow(found, result, target.id, way)
            self._offer(found, found.candidates, text, target, naming)

    def _offer(self, found: _Found, to: list[Candidate], url: str, source: DataSource, reason: str) -> None:
        """Add a candidate, unless the client can't run it or the same is there already."""
        mechanisms = found.question.mechanisms
        if mechanisms is not None and source.mechanism not in mechanisms:
            found.drop(url, f"{reason}: the client has no {source.mechanism}", source.label)
        elif (twin := _same(found, url, source.mechanism, source.options)) is not None:
            found.drop(url, f"{reason}: the same as of {twin.source}", source.label)
        else:
            to.append(Candidate(url, source.mechanism, source.options, source.id, source.label, reason))

    def _unsourced(self, found: _Found, url: Url, matched: bool) -> list[Candidate]:
        """The URL itself, by what is usual for its scheme, where no source offers it."""
        if found.originals:
            return []
        mechanism = default_mechanism(url.scheme, found.question.mechanisms)
        if mechanism is None:
            return []
        reason = "the URL itself, as is usual for its scheme" if matched else "the URL itself: no source has it"
        return [Candidate(url.text, mechanism, NO_OPTIONS, reason=reason)]

    def _ranked(self, preferred: list[Candidate], question: Question, site: int | None, now: float) -> tuple[Candidate, ...]:
        sources = [candidate.source_id for candidate in preferred]
        places = self._ranking.order(sources, site, size_class(question.size), now, question.explore)
        return tuple(_placed(preferred[place.index], place.reason, question.size) for place in places)

    def _naming(self, transform: Transform, source: int) -> str:
        text = self._described.get(transform.id)
        if text is None:
            text = f"transform {transform.id} of {self._label(source)}, {transforms.described(transform)}"
            self._described[transform.id] = text
        return text

    def _label(self, source: int) -> str:
        found = self._sources.get(source)
        return found.label if found else f"source {source}"


def _placed(found: Candidate, reason: str, size: int | None) -> Candidate:
    why = f"{found.reason}; {reason}"
    return Candidate(found.url, found.mechanism, found.options, found.source_id, found.source, why, size)


def _same(found: _Found, url: str, mechanism: str, options: Options) -> Candidate | None:
    for other in (*found.candidates, *found.originals):
        if (other.url, other.mechanism) == (url, mechanism) and other.options == options:
            return other
    return None
