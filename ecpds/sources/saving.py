"""What differs between two books: the marks of who changed it, and what a store has to save, with its audit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve

from ecpds.datasources import AuditEntry, SourceChange, Stamp
from ecpds.sources import exchange
from ecpds.sources.book import Book


def stamped(old: Book, new: Book, who: str, now: float) -> Book:
    """The new book, in which what differs from the old one says who changed it, and when."""

    def marked(those: Mapping[int, Any], before: Mapping[int, Any]) -> dict[int, Any]:
        marks = {}
        for id_, each in those.items():
            if each is not before.get(id_):
                stamp = (
                    Stamp(each.stamp.created, each.stamp.created_by, now, who) if id_ in before else Stamp(now, who, now, who)
                )
                each = evolve(each, stamp=stamp)
            marks[id_] = each
        return marks

    return evolve(new, sources=marked(new.sources, old.sources), sites=marked(new.sites, old.sites))


def changed(old: Book, new: Book, who: str, now: float) -> SourceChange:
    """What the store has to save, with the audit of it."""

    def entries(kind: str, before: Mapping[int, Any], after: Mapping[int, Any], shown: Any) -> Iterable[AuditEntry]:
        for id_ in sorted({*before, *after}):
            was: Any = before.get(id_)
            is_: Any = after.get(id_)
            if was is not is_:
                action = "added" if was is None else "removed" if is_ is None else "changed"
                label = (was if is_ is None else is_).label
                said = (None if each is None else shown(book, each) for book, each in ((old, was), (new, is_)))
                yield AuditEntry(0, now, who, action, kind, id_, label, *said)

    audit = (
        *entries("data source", old.sources, new.sources, exchange.exported_source),
        *entries("destination", old.sites, new.sites, lambda _, site: exchange.exported_site(site)),
    )
    return SourceChange(
        new.next_id,
        tuple(each for id_, each in new.sources.items() if each is not old.sources.get(id_)),
        tuple(each for id_, each in new.sites.items() if each is not old.sites.get(id_)),
        tuple(id_ for id_ in old.sources if id_ not in new.sources),
        tuple(id_ for id_ in old.sites if id_ not in new.sites),
        audit,
    )
