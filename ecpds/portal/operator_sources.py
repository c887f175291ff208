"""What operators see and do of the repository of data sources: plain dicts that are JSON as they stand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from attrs import evolve

from ecpds.datasource_interfaces import IFleetProbe, IRepository
from ecpds.datasources import MECHANISMS, Candidate, DataSource, Drop, MoverProbe, Question, Resolution, UrlMatcher
from ecpds.errors import InvalidRequest, NotSupported
from ecpds.events import timestamp

Object = dict[str, Any]

OPERATOR = "operator"
"""Who changes what an operator of the node changes, in the audit."""

ALL = "all"
"""In the place of names of movers."""

AUDIT = 100
"""Changes that are shown where no number is said."""


class SourcesOperator:
    """The part of the operator's façade that is about data sources. A node without a catalogue has no repository (None)."""

    def __init__(self, repository: IRepository | None, probe: IFleetProbe | None = None) -> None:
        self._kept = repository
        self._probe = probe

    @property
    def _repository(self) -> IRepository:
        if self._kept is None:
            raise NotSupported("this node keeps no data sources")
        return self._kept

    async def import_sources(self, configuration: str, mode: str = "add", dry_run: bool = False) -> Object:
        """Raises `InvalidRequest` for what is no JSON, or no configuration; then nothing has changed."""
        try:
            given = json.loads(configuration)
        except (ValueError, RecursionError) as error:
            raise InvalidRequest("the configuration is not JSON") from error
        if dry_run:
            outcome = self._repository.dry_run(given, mode)
        else:
            outcome = await self._repository.import_(given, mode, OPERATOR)
        return {**{name: list(labels) for name, labels in outcome.items()}, "dry_run": dry_run}

    async def export_sources(self) -> Object:
        return dict(self._repository.export())

    async def list_sources(self, search: str = "") -> AsyncIterator[Object]:
        for source in self._repository.sources():
            if search.lower() in source.label.lower():
                yield shown_source(self._repository, source)

    async def show_source(self, label: str) -> Object:
        return shown_source(self._repository, self._repository.source_labelled(label))

    async def explain_url(
        self,
        url: str,
        destination: str | None = None,
        mechanisms: Sequence[str] | None = None,
        address: str = "",
        size: int | None = None,
    ) -> Object:
        """The order that a client would get, but for what is tried now and then."""
        runs = None if mechanisms is None else frozenset(mechanisms)
        question = Question(runs, destination, address, size, explore=False)
        return shown_resolution(self._repository.resolve(url, question))

    async def add_source(
        self,
        label: str,
        mechanism: str = "http",
        options: Mapping[str, str] | None = None,
        hosts: Sequence[str] = (),
        pattern: str | None = None,
        description: str | None = None,
    ) -> Object:
        """A source with its matchers, all of it or nothing."""
        matchers = [_host(text) for text in hosts]
        if pattern is not None:
            matchers.append(UrlMatcher(0, "regular_expression", {"pattern": pattern}))
        configuration = {
            "label": label,
            "description": description,
            "transfer_mechanism": {"type": mechanism, "options": mechanism_options(mechanism, options or {})},
            "test_files": [],
            "transforms": [],
            "url_matchers": [{"type": each.type, "options": dict(each.options)} for each in matchers],
        }
        await self._repository.import_({"data_sources": [configuration], "destinations": []}, "add", OPERATOR)
        return await self.show_source(label)

    async def remove_source(self, label: str) -> Object:
        """Returns what it was."""
        found = shown_source(self._repository, self._repository.source_labelled(label))
        await self._repository.remove_source(found["id"], OPERATOR)
        return found

    async def enable_source(self, label: str) -> Object:
        return await self._switch(label, True)

    async def disable_source(self, label: str) -> Object:
        return await self._switch(label, False)

    async def _switch(self, label: str, enabled: bool) -> Object:
        source = self._repository.source_labelled(label)
        await self._repository.change_source(evolve(source, enabled=enabled), OPERATOR)
        return await self.show_source(label)

    async def rank_source(self, label: str, apply: bool = False) -> AsyncIterator[Object]:
        """Its transforms in the order that the reports suggest, and where each stands in the curator's."""
        repository = self._repository
        source = repository.source_labelled(label)
        preferred = [each.id for each in source.transforms]
        order = repository.suggested_order(source.id)
        if apply:
            await repository.order_transforms(source.id, order, OPERATOR)
        by_id = {each.id: each for each in source.transforms}
        for place, id_ in enumerate(order, 1):
            transform = by_id[id_]
            yield {
                "place": place,
                "preferred": preferred.index(id_) + 1,
                "id": id_,
                "target": repository.source(transform.target).label,
                "transform": repository.describe_transform(transform),
                **shown_measure(repository.measured(transform.target)),
            }

    async def probe_sources(
        self,
        urls: Sequence[str] = (),
        movers: Sequence[str] = (),
        destination: str | None = None,
        most: int | None = None,
        longest: float | None = None,
    ) -> AsyncIterator[Object]:
        """How fast each candidate is from each of these movers (`all`, or none named: all), each as it is known."""
        if self._probe is None:
            raise NotSupported("this node keeps no data sources")
        named = () if ALL in movers else movers
        async for outcome in self._probe.probe(named, urls, destination, most, longest):
            yield shown_probe(outcome)

    async def audit_sources(self, limit: int = AUDIT) -> AsyncIterator[Object]:
        for entry in await self._repository.audit(None, limit):
            yield {
                "time": timestamp(entry.time),
                "who": entry.who,
                "action": entry.action,
                "kind": entry.kind,
                "label": entry.label,
                "before": entry.before,
                "after": entry.after,
            }


def mechanism_options(mechanism: str, given: Mapping[str, str]) -> Object:
    """Options that were typed, as the mechanism has them. Raises `InvalidRequest`."""
    known = {option.name: option.kind for option in MECHANISMS[mechanism].options} if mechanism in MECHANISMS else {}
    made: Object = {}
    for name, text in given.items():
        kind = known.get(name, "text")
        if kind == "number" and not (text.isascii() and text.isdigit() and len(text) < 16):
            raise InvalidRequest(f"option {name} of {mechanism}; allowed: a number")
        if kind == "flag" and text not in ("true", "false"):
            raise InvalidRequest(f"option {name} of {mechanism}; allowed: true, false")
        made[name] = int(text) if kind == "number" else text == "true" if kind == "flag" else text
    return made


def shown_measure(measured: Mapping[str, Any] | None) -> Object:
    """What reports say, rounded for people; null where they say nothing."""
    if measured is None:
        return {"rate": None, "works": None, "reports": 0}
    return {"rate": round(measured["rate"]), "works": round(measured["works"], 3), "reports": round(measured["reports"], 1)}


def shown_probe(outcome: MoverProbe) -> Object:
    """Without a `url`, a mover says nothing (more): `reason` is why."""
    candidate, measured = outcome.candidate, outcome.measured
    return {
        "mover": outcome.mover,
        "url": outcome.url,
        "mechanism": candidate and candidate.mechanism,
        "source": candidate and candidate.source,
        "ok": not measured.reason,
        "size": measured.size,
        "seconds": round(measured.seconds, 3),
        "rate": round(measured.rate),
        "reason": measured.reason,
    }


def shown_source(repository: IRepository, source: DataSource) -> Object:
    """A source with all that belongs to it, by ids and labels."""
    return {
        "id": source.id,
        "label": source.label,
        "description": source.description,
        "mechanism": source.mechanism,
        "options": dict(source.options),
        "enabled": source.enabled,
        "url_matchers": [{"id": each.id, "type": each.type, "options": dict(each.options)} for each in source.matchers],
        "transforms": [
            {
                "id": each.id,
                "target": repository.source(each.target).label,
                "type": each.type,
                "options": dict(each.options),
                "description": each.description,
                "for_destinations": [repository.site(site).label for site in each.sites],
                "conditional": each.conditional,
                "enabled": each.enabled,
            }
            for each in source.transforms
        ],
        "test_files": [{"id": each.id, "url": each.url} for each in source.test_files],
        **shown_measure(repository.measured(source.id)),
        "created": timestamp(source.stamp.created),
        "created_by": source.stamp.created_by,
        "changed": timestamp(source.stamp.changed),
        "changed_by": source.stamp.changed_by,
    }


def shown_resolution(resolution: Resolution) -> Object:
    """An answer. `destination` is the label that it is for, null where that is not known."""
    return {
        "url": resolution.url,
        "destination": resolution.site,
        "candidates": [shown_candidate(each) for each in resolution.candidates],
        "drops": [shown_drop(each) for each in resolution.drops],
        "warnings": list(resolution.warnings),
        "token": resolution.token,
    }


def shown_candidate(candidate: Candidate) -> Object:
    return {
        "url": candidate.url,
        "mechanism": candidate.mechanism,
        "options": dict(candidate.options),
        "source": candidate.source,
        "source_id": candidate.source_id,
        "reason": candidate.reason,
        "size": candidate.size,
        "digests": dict(candidate.digests),
    }


def shown_drop(drop: Drop) -> Object:
    return {"url": drop.url, "source": drop.source, "reason": drop.reason}


def _host(text: str) -> UrlMatcher:
    scheme, separator, host = text.partition("://")
    if not separator:
        raise InvalidRequest(f"host {text[:100]!a}; allowed: SCHEME://HOST[:PORT]")
    return UrlMatcher(0, "scheme_and_host", {"scheme": scheme, "host": host.rstrip("/")})
