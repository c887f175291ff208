"""The configuration as JSON, in the ancestor's shape, so that its exports import here and export back equal.

Everything is referred to by label, and order is the arrays' order. What the ancestor has not (a source or transform that is
disabled, a transform's description, a destination's networks, a transform whose last destination has been removed) is only
there where it is set. An import is a pure function to the next book: all of it or, with one sentence, nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, TypeVar

from attrs import evolve, frozen

from ecpds.datasources import DataSource, Site, TestFile, Transform, UrlMatcher
from ecpds.errors import AlreadyExists, InvalidRequest, NotFound
from ecpds.sources import book as rules
from ecpds.sources import matchers
from ecpds.sources.book import Book

MODES = ("add", "merge", "replace")

MOST = 100_000
"""Sources, or destinations, of one configuration at most."""

Object = Mapping[str, Any]
Part = TypeVar("Part", UrlMatcher, Transform, TestFile)

_WORDS = {str: "a text", bool: "true or false", list: "a list", dict: "an object"}


# Out


def exported(book: Book) -> dict[str, Any]:
    """All of a book, by the age of its things."""
    return {
        "data_sources": [exported_source(book, book.sources[id_]) for id_ in sorted(book.sources)],
        "destinations": [exported_site(book.sites[id_]) for id_ in sorted(book.sites)],
    }


def exported_source(book: Book, source: DataSource) -> dict[str, Any]:
    """One source, with all that belongs to it."""
    return {
        "label": source.label,
        "description": source.description,
        "transfer_mechanism": {"type": source.mechanism, "options": dict(source.options)},
        "test_files": [file.url for file in source.test_files],
        "transforms": [_exported_transform(book, transform) for transform in source.transforms],
        "url_matchers": [{"type": each.type, "options": dict(each.options)} for each in source.matchers],
        **({} if source.enabled else {"enabled": False}),
    }


def _exported_transform(book: Book, transform: Transform) -> dict[str, Any]:
    return {
        "target": book.source(transform.target).label,
        "for_destinations": [book.site(site).label for site in transform.sites],
        "type": transform.type,
        "options": dict(transform.options),
        **({} if transform.description is None else {"description": transform.description}),
        **({} if transform.enabled else {"enabled": False}),
        **({"conditional": True} if transform.conditional and not transform.sites else {}),
    }


def exported_site(site: Site) -> dict[str, Any]:
    shown: dict[str, Any] = {"label": site.label, "description": site.description}
    return {**shown, "networks": list(site.networks)} if site.networks else shown


# In


@frozen
class Outcome:
    """The labels of what an import adds, changes and removes."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def imported(book: Book, configuration: Any, mode: str) -> tuple[Book, Outcome]:
    """The book with a configuration in it.

    `add` refuses labels that are there already, `merge` changes what has them, `replace` removes all others too. Raises
    `InvalidRequest`, `AlreadyExists`, `NotFound` (a target or destination that is neither in it nor in the book).
    """
    if mode not in MODES:
        raise InvalidRequest(f"mode {str(mode)[:100]!a}; allowed: {', '.join(MODES)}")
    if not isinstance(configuration, Mapping):
        raise InvalidRequest("the configuration; allowed: an object")
    sources, sites = (_labelled(configuration, name) for name in ("data_sources", "destinations"))
    before = book
    if mode == "add":
        _refuse_collisions(book, sources, sites)
    elif mode == "replace":
        book = _without_others(book, sources, sites)
    made = _Import(book, sources, sites).run()
    return made, _outcome(before, made)


def _outcome(before: Book, after: Book) -> Outcome:
    added, changed, removed = [], [], []
    kinds: list[tuple[Mapping[int, Any], Mapping[int, Any]]] = [(before.sources, after.sources), (before.sites, after.sites)]
    for old, new in kinds:
        added += [each.label for id_, each in new.items() if id_ not in old]
        changed += [each.label for id_, each in new.items() if id_ in old and each != old[id_]]
        removed += [each.label for id_, each in old.items() if id_ not in new]
    return Outcome(tuple(added), tuple(changed), tuple(removed))


def _labelled(configuration: Object, name: str) -> dict[str, Object]:
    found: dict[str, Object] = {}
    things = _get(configuration, name, list, "the configuration")
    if len(things) > MOST:
        raise InvalidRequest(f"{len(things)} {name}; allowed: {MOST} at most")
    for place, each in enumerate(things):
        if not isinstance(each, Mapping):
            raise InvalidRequest(f"{name}[{place}]; allowed: an object")
        label = _get(each, "label", str, f"{name}[{place}]")
        if label in found:
            raise AlreadyExists(f"the label {label[:100]!a} is there twice")
        found[label] = each
    return found


def _refuse_collisions(book: Book, sources: Iterable[str], sites: Iterable[str]) -> None:
    taken = [each.label for each in book.sources.values() if each.label in set(sources)]
    taken += [each.label for each in book.sites.values() if each.label in set(sites)]
    if taken:
        raise AlreadyExists(f"labels that are in use: {', '.join(taken)[:500]}")


def _without_others(book: Book, sources: Mapping[str, Object], sites: Mapping[str, Object]) -> Book:
    """Transforms are taken away first, for what they lead to may go; the configuration says them all anew."""
    kept = {id_: source for id_, source in book.sources.items() if source.label in sources}
    gone = set(book.sources) - set(kept)
    gone_sites = {id_ for id_, site in book.sites.items() if site.label not in sites}

    def freed(source: DataSource) -> DataSource:
        left = tuple(each for each in source.transforms if each.target not in gone and not gone_sites & set(each.sites))
        return source if len(left) == len(source.transforms) else evolve(source, transforms=left)

    left_sites = {id_: site for id_, site in book.sites.items() if id_ not in gone_sites}
    return evolve(book, sources={id_: freed(source) for id_, source in kept.items()}, sites=left_sites)


class _Import:
    """One import: things that are there keep their ids, and so do their parts that stay as they are."""

    def __init__(self, book: Book, sources: Mapping[str, Object], sites: Mapping[str, Object]) -> None:
        self._book = book
        self._sources, self._sites = sources, sites
        self._ids = count(book.next_id)
        self._source_ids = {source.label: id_ for id_, source in book.sources.items()}
        self._site_ids = {site.label: id_ for id_, site in book.sites.items()}

    def run(self) -> Book:
        sites = dict(self._book.sites)
        for label, said in self._sites.items():
            site = self._site(label, said)
            sites[site.id] = site
        for label in self._sources:
            self._source_ids.setdefault(label, 0)
            self._source_ids[label] = self._source_ids[label] or next(self._ids)
        sources = dict(self._book.sources)
        for label, said in self._sources.items():
            source = self._source(label, said)
            sources[source.id] = source
        return Book(sources, sites, next(self._ids))

    def _site(self, label: str, said: Object) -> Site:
        old = self._book.sites.get(self._site_ids.get(label, 0))
        id_ = self._site_ids[label] = old.id if old else next(self._ids)
        description = _get(said, "description", str, label, None)
        networks = tuple(str(each) for each in _get(said, "networks", list, label, []))
        new = Site(id_, label, description, networks, old.stamp if old else Site(0, "").stamp)
        rules.check_site(new)
        return old if old is not None and old == new else new

    def _source(self, label: str, said: Object) -> DataSource:
        where = f"data source {label[:100]!a}"
        try:
            return self._made(label, said)
        except (InvalidRequest, NotFound) as refusal:
            raise type(refusal)(f"{where}: {refusal.detail}") from refusal

    def _made(self, label: str, said: Object) -> DataSource:
        old = self._book.sources.get(self._source_ids[label])
        mechanism = _get(said, "transfer_mechanism", dict, label)
        new = DataSource(
            self._source_ids[label],
            label,
            _get(mechanism, "type", str, "transfer_mechanism"),
            _get(said, "description", str, label, None),
            _get(mechanism, "options", dict, "transfer_mechanism", {}),
            _get(said, "enabled", bool, label, True),
            self._parts(old.matchers if old else (), _get(said, "url_matchers", list, label), _matcher),
            self._parts(old.transforms if old else (), _get(said, "transforms", list, label), self._transform),
            self._parts(old.test_files if old else (), _get(said, "test_files", list, label), _test_file),
            old.stamp if old else DataSource(0, "", "").stamp,
        )
        self._check(new)
        return old if old is not None and old == new else new

    def _check(self, source: DataSource) -> None:
        rules.check_source(source)
        for matcher in source.matchers:
            matchers.check(matcher)
        for transform in source.transforms:
            rules.check_own_transform(source.id, transform)
        for file in source.test_files:
            rules.check_test_file(source, file)

    def _parts(self, old: Sequence[Part], said: Sequence[Any], make: Callable[[Any], Part]) -> tuple[Part, ...]:
        """Each part with the id that the same one has, or a new one."""
        if len(said) > rules.PARTS:
            raise InvalidRequest(f"{len(said)} parts; allowed: {rules.PARTS} at most")
        left, made = list(old), []
        for each in said:
            new = make(each)
            twin = next((one for one in left if evolve(one, id=0) == new), None)
            if twin is not None:
                left.remove(twin)
            made.append(evolve(new, id=twin.id if twin is not None else next(self._ids)))
        return tuple(made)

    def _transform(self, said: Any) -> Transform:
        target = self._id_of(self._source_ids, _get(said, "target", str, "a transform"), "target")
        labels = _get(said, "for_destinations", list, "a transform", [])
        sites = tuple(self._id_of(self._site_ids, label, "destination") for label in labels)
        return Transform(
            0,
            target,
            _get(said, "type", str, "a transform"),
            _get(said, "options", dict, "a transform"),
            _get(said, "description", str, "a transform", None),
            sites,
            bool(sites) or _get(said, "conditional", bool, "a transform", False),
            _get(said, "enabled", bool, "a transform", True),
        )

    def _id_of(self, known: Mapping[str, int], label: Any, what: str) -> int:
        found = known.get(label) if isinstance(label, str) else None
        if found is None:
            raise NotFound(f"{what} {str(label)[:100]!a}")
        return found


def _matcher(said: Any) -> UrlMatcher:
    return UrlMatcher(0, _get(said, "type", str, "a matcher"), _get(said, "options", dict, "a matcher"))


def _test_file(said: Any) -> TestFile:
    if not isinstance(said, str):
        raise InvalidRequest("a test file; allowed: a URL")
    return TestFile(0, said)


_NEEDED = object()


def _get(said: Any, name: str, kind: type, where: str, default: Any = _NEEDED) -> Any:
    """A field of an object; null is as good as not there. Raises `InvalidRequest` for one of another type."""
    if not isinstance(said, Mapping):
        raise InvalidRequest(f"{where}; allowed: an object")
    found = said.get(name)
    if found is None and default is not _NEEDED:
        return default
    if not isinstance(found, kind):
        raise InvalidRequest(f"{where[:100]}: {name}; allowed: {_WORDS[kind]}")
    return found
