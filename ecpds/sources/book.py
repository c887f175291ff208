"""Changes of what is curated, as pure functions: a book and what is wanted, to the next book. Each is checked before.

A book is never left with a test file that its source's matchers don't match, a transform to a source that is not there, two
of one label, or a rule that can't be followed.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from ecpds.datasources import (
    MECHANISMS,
    Curated,
    DataSource,
    Site,
    TestFile,
    Transform,
    UrlMatcher,
)
from ecpds.errors import AlreadyExists, InvalidRequest, NotFound, PreconditionFailed
from ecpds.sources import matchers, transforms
from ecpds.sources.urls import cut

LABEL = 100
"""Characters of a label at most."""

DESCRIPTION = 2000
"""Characters of a description, or of an option's text."""

PARTS = 200
"""Matchers, transforms or test files of one source, and networks of one site, at most."""

_LINES = re.compile(r"[\r\n\t]")
_KINDS: Mapping[str, type] = {"text": str, "number": int, "flag": bool}


@frozen
class Book:
    """What is curated, and the first id that is free. `with_` gives the next book; this one stays as it is."""

    sources: Mapping[int, DataSource] = field(factory=dict)
    sites: Mapping[int, Site] = field(factory=dict)
    next_id: int = 1

    def source(self, id_: int) -> DataSource:
        """Raises `NotFound`."""
        if id_ not in self.sources:
            raise NotFound(f"data source {id_}")
        return self.sources[id_]

    def site(self, id_: int) -> Site:
        """Raises `NotFound`."""
        if id_ not in self.sites:
            raise NotFound(f"destination {id_}")
        return self.sites[id_]

    def labelled(self, label: str) -> DataSource:
        """Raises `NotFound`."""
        for source in self.sources.values():
            if source.label == label:
                return source
        raise NotFound(f"data source {label[:100]!a}")

    def site_labelled(self, label: str) -> Site | None:
        return next((site for site in self.sites.values() if site.label == label), None)

    def curated(self) -> Curated:
        return Curated(self.sources, self.sites, self.next_id)

    def with_source(self, source: DataSource) -> Book:
        return evolve(self, sources={**self.sources, source.id: source})

    def taken(self, count: int = 1) -> Book:
        """So many ids are given away."""
        return evolve(self, next_id=self.next_id + count)


# Sources


def add_source(book: Book, new: DataSource) -> tuple[Book, DataSource]:
    """A source without matchers, transforms and test files; its id is ignored. Raises `AlreadyExists`, `InvalidRequest`."""
    check_source(new)
    check_label(book.sources, new.label, None)
    source = evolve(new, id=book.next_id, matchers=(), transforms=(), test_files=())
    return book.taken().with_source(source), source


def change_source(book: Book, new: DataSource) -> tuple[Book, DataSource]:
    """A source's own fields become those of `new`; what belongs to it stays."""
    old = book.source(new.id)
    check_source(new)
    check_label(book.sources, new.label, new.id)
    source = evolve(new, matchers=old.matchers, transforms=old.transforms, test_files=old.test_files, stamp=old.stamp)
    return book.with_source(source), source


def remove_source(book: Book, id_: int) -> tuple[Book, DataSource]:
    """It goes with all that is its own, and with the transforms that lead to it."""
    gone = book.source(id_)
    left = {
        each.id: evolve(each, transforms=tuple(one for one in each.transforms if one.target != id_))
        if any(one.target == id_ for one in each.transforms)
        else each
        for each in book.sources.values()
        if each.id != id_
    }
    return evolve(book, sources=left), gone


def check_source(source: DataSource) -> None:
    """Its own fields. Raises `InvalidRequest`."""
    check_text("label", source.label, LABEL, 1)
    check_text("description", source.description or "", DESCRIPTION)
    mechanism = MECHANISMS.get(source.mechanism)
    if mechanism is None:
        raise InvalidRequest(f"mechanism {str(source.mechanism)[:100]!a}; allowed: {', '.join(MECHANISMS)}")
    known = {option.name: option for option in mechanism.options}
    for name, value in source.options.items():
        if name not in known:
            raise InvalidRequest(f"{str(name)[:100]!a} is no option of {mechanism.id}; allowed: {', '.join(known) or 'none'}")
        kind = known[name].kind
        if value is not None and (type(value) is not _KINDS[kind] or len(str(value)) > DESCRIPTION):
            raise InvalidRequest(f"option {name} of {mechanism.id}; allowed: a {kind}")
    for option in known.values():
        if option.required and source.options.get(option.name) in (None, ""):
            raise InvalidRequest(f"{mechanism.id} needs the option {option.name}")


def check_label(those: Mapping[int, Any], label: str, own: int | None) -> None:
    """Raises `AlreadyExists` where another has the label."""
    if any(each.label == label and each.id != own for each in those.values()):
        raise AlreadyExists(f"the label {label!a} is in use")


def check_text(what: str, text: object, most: int, least: int = 0) -> None:
    """Printable text; a description may have lines. Raises `InvalidRequest`."""
    if not isinstance(text, str) or not least <= len(text) <= most or not _LINES.sub("", text).isprintable():
        raise InvalidRequest(f"{what}; allowed: {least} to {most} printable characters")


# What belongs to a source


def add_matcher(book: Book, source: int, new: UrlMatcher) -> tuple[Book, UrlMatcher]:
    matchers.check(new)
    return _added(book, source, "matchers", evolve(new, id=book.next_id))


def change_matcher(book: Book, source: int, new: UrlMatcher) -> tuple[Book, UrlMatcher]:
    """Raises `PreconditionFailed` where test files would no longer match, with their list."""
    matchers.check(new)
    return _orphaning_none(_changed(book, source, "matchers", new), source)


def remove_matcher(book: Book, source: int, id_: int) -> tuple[Book, UrlMatcher]:
    """Raises as `change_matcher`."""
    return _orphaning_none(_removed(book, source, "matchers", id_), source)


def add_transform(book: Book, source: int, new: Transform) -> tuple[Book, Transform]:
    """It is the last in the order of preference."""
    check_transform(book, source, new)
    return _added(book, source, "transforms", evolve(new, id=book.next_id, conditional=bool(new.sites)))


def change_transform(book: Book, source: int, new: Transform) -> tuple[Book, Transform]:
    """Without sites it is for all from here on."""
    check_transform(book, source, new)
    return _changed(book, source, "transforms", evolve(new, conditional=bool(new.sites)))


def remove_transform(book: Book, source: int, id_: int) -> tuple[Book, Transform]:
    return _removed(book, source, "transforms", id_)


def move_transform(book: Book, source: int, id_: int, up: bool) -> tuple[Book, Transform]:
    """One place up or down in its own source's order; the first can't go up, nor the last down: then nothing changes."""
    found = book.source(source)
    order = [each.id for each in found.transforms]
    moved = _part(found.transforms, id_, "transform")
    place = order.index(id_)
    other = place - 1 if up else place + 1
    if 0 <= other < len(order):
        order[place], order[other] = order[other], order[place]
    return order_transforms(book, source, order)[0], moved


def order_transforms(book: Book, source: int, order: Iterable[int]) -> tuple[Book, DataSource]:
    """All of a source's transforms in a new order of preference. Raises `InvalidRequest` unless each is named once."""
    found, wanted = book.source(source), list(order)
    by_id = {each.id: each for each in found.transforms}
    if sorted(wanted) != sorted(by_id):
        raise InvalidRequest("the order; allowed: each transform of the source once")
    ordered = evolve(found, transforms=tuple(by_id[each] for each in wanted))
    return book.with_source(ordered), ordered


def check_transform(book: Book, source: int, transform: Transform) -> None:
    """Raises `InvalidRequest`, and `NotFound` for a target or a site that is not there."""
    check_own_transform(source, transform)
    book.source(transform.target)
    for site in transform.sites:
        book.site(site)


def check_own_transform(source: int, transform: Transform) -> None:
    """All of it but that its target and sites are there. Raises `InvalidRequest`."""
    transforms.check(transform)
    check_text("description", transform.description or "", DESCRIPTION)
    if transform.target == source:
        raise InvalidRequest("a transform leads to another source than its own")


def add_test_file(book: Book, source: int, new: TestFile) -> tuple[Book, TestFile]:
    """Raises `InvalidRequest` unless the source's matchers match its URL."""
    check_test_file(book.source(source), new)
    return _added(book, source, "test_files", evolve(new, id=book.next_id))


def change_test_file(book: Book, source: int, new: TestFile) -> tuple[Book, TestFile]:
    check_test_file(book.source(source), new)
    return _changed(book, source, "test_files", new)


def remove_test_file(book: Book, source: int, id_: int) -> tuple[Book, TestFile]:
    return _removed(book, source, "test_files", id_)


def check_test_file(source: DataSource, file: TestFile) -> None:
    if not matches(source, file.url):
        raise InvalidRequest(f"{file.url[:200]!a} is none of {source.label}'s URLs")


def matches(source: DataSource, url: str) -> bool:
    """Whether a URL is one of the source's, enabled or not. Raises `InvalidRequest` for what is no URL."""
    parts = cut(url)
    return any(matchers.test_of(matcher)(parts) for matcher in source.matchers)


def _orphaning_none(made: tuple[Book, UrlMatcher], source: int) -> tuple[Book, UrlMatcher]:
    found = made[0].source(source)
    orphans = [file.url for file in found.test_files if not matches(found, file.url)]
    if orphans:
        raise PreconditionFailed(f"these test files would match no more: {', '.join(orphans)}")
    return made


def _added(book: Book, source: int, kind: str, part: Any) -> tuple[Book, Any]:
    owner = book.source(source)
    parts: tuple[Any, ...] = (*getattr(owner, kind), part)
    if len(parts) > PARTS:
        raise InvalidRequest(f"{len(parts)} {kind.replace('_', ' ')}; allowed: {PARTS} at most")
    return book.taken().with_source(_with(owner, kind, parts)), part


def _changed(book: Book, source: int, kind: str, part: Any) -> tuple[Book, Any]:
    owner = book.source(source)
    old: tuple[Any, ...] = getattr(owner, kind)
    _part(old, part.id, kind[:-1].replace("_", " "))
    parts = tuple(part if each.id == part.id else each for each in old)
    return book.with_source(_with(owner, kind, parts)), part


def _removed(book: Book, source: int, kind: str, id_: int) -> tuple[Book, Any]:
    owner = book.source(source)
    parts: tuple[Any, ...] = getattr(owner, kind)
    gone = _part(parts, id_, kind[:-1].replace("_", " "))
    left = tuple(each for each in parts if each.id != id_)
    return book.with_source(_with(owner, kind, left)), gone


def _with(source: DataSource, kind: str, parts: tuple[Any, ...]) -> DataSource:
    changed: dict[str, Any] = {kind: parts}
    return evolve(source, **changed)


def _part(parts: Iterable[Any], id_: int, what: str) -> Any:
    for each in parts:
        if each.id == id_:
            return each
    raise NotFound(f"{what} {id_}")


# Sites


def add_site(book: Book, new: Site) -> tuple[Book, Site]:
    check_site(new)
    check_label(book.sites, new.label, None)
    site = evolve(new, id=book.next_id)
    return evolve(book.taken(), sites={**book.sites, site.id: site}), site


def change_site(book: Book, new: Site) -> tuple[Book, Site]:
    old = book.site(new.id)
    check_site(new)
    check_label(book.sites, new.label, new.id)
    site = evolve(new, stamp=old.stamp)
    return evolve(book, sites={**book.sites, site.id: site}), site


def remove_site(book: Book, id_: int) -> tuple[Book, Site]:
    """Transforms that were for it alone are for nobody then, rather than for all. Its reports stay."""
    gone = book.site(id_)

    def without(source: DataSource) -> DataSource:
        if not any(id_ in each.sites for each in source.transforms):
            return source
        changed = (evolve(each, sites=tuple(site for site in each.sites if site != id_)) for each in source.transforms)
        return evolve(source, transforms=tuple(changed))

    sites = {each.id: each for each in book.sites.values() if each.id != id_}
    return evolve(book, sites=sites, sources=_mapped(book.sources, without)), gone


def check_site(site: Site) -> None:
    check_text("label", site.label, LABEL, 1)
    check_text("description", site.description or "", DESCRIPTION)
    if len(site.networks) > PARTS:
        raise InvalidRequest(f"{len(site.networks)} networks; allowed: {PARTS} at most")
    for network in site.networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise InvalidRequest(
                f"network {network[:100]!a}; allowed: an address and a prefix, such as 192.0.2.0/24"
            ) from error


def _mapped(sources: Mapping[int, DataSource], change: Callable[[DataSource], DataSource]) -> dict[int, DataSource]:
    return {id_: change(source) for id_, source in sources.items()}
