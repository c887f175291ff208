"""Things of the repository as clients send them in JSON. Raises `InvalidRequest`, one sentence, for what can't be.

Fields that are not there have their defaults; unknown ones are refused, so that a misspelt one is no silent default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecpds.datasource_interfaces import IRepository
from ecpds.datasources import DataSource, Question, Site, TestFile, TransferReport, Transform, UrlMatcher
from ecpds.errors import InvalidRequest, NotFound

_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", dict: "an object", list: "a list"}
_NEEDED = object()

SOURCE: dict[str, type] = {"label": str, "mechanism": str, "description": str, "options": dict, "enabled": bool}
MATCHER: dict[str, type] = {"type": str, "options": dict}
TRANSFORM: dict[str, type] = {
    "target": str,
    "type": str,
    "options": dict,
    "description": str,
    "for_destinations": list,
    "enabled": bool,
}
TEST_FILE: dict[str, type] = {"url": str}
SITE: dict[str, type] = {"label": str, "description": str, "networks": list}
QUESTION: dict[str, type] = {"url": str, "urls": list, "mechanisms": list, "destination": str, "size": int}
REPORT: dict[str, type] = {
    "url": str,
    "success": bool,
    "size": int,
    "seconds": float,
    "mechanism": str,
    "digests": dict,
    "error": str,
    "wrong": bool,
    "source_id": int,
    "destination": str,
    "token": str,
    "output": str,
}
ORDER: dict[str, type] = {"transforms": list}


class Reader:
    """Fields of one JSON object, of the kinds that `known` says."""

    def __init__(self, said: Any, known: Mapping[str, type]) -> None:
        if not isinstance(said, dict):
            raise InvalidRequest("the body; allowed: a JSON object")
        for name in said:
            if name not in known:
                raise InvalidRequest(f"{name[:100]!a} is no field; allowed: {', '.join(known)}")
        self._said, self._known = said, known

    def get(self, name: str, default: Any = _NEEDED) -> Any:
        kind, found = self._known[name], self._said.get(name)
        if found is None and default is not _NEEDED:
            return default
        if kind is float and type(found) is int:
            return float(found)
        if type(found) is not kind:
            raise InvalidRequest(f"{name}; allowed: {_WORDS[kind]}")
        return found

    def texts(self, name: str, default: Any = ()) -> tuple[str, ...] | None:
        """A list of texts."""
        found = self.get(name, default)
        if found is not None and not all(isinstance(each, str) for each in found):
            raise InvalidRequest(f"{name}; allowed: a list of texts")
        return None if found is None else tuple(found)

    def pairs(self, name: str) -> dict[str, str]:
        """An object of texts."""
        found: dict[str, str] = self.get(name, {})
        if not all(isinstance(each, str) for each in found.values()):
            raise InvalidRequest(f"{name}; allowed: an object of texts")
        return found


def source_from(said: Any, id_: int = 0) -> DataSource:
    """A source's own fields."""
    read = Reader(said, SOURCE)
    return DataSource(
        id_,
        read.get("label"),
        read.get("mechanism"),
        read.get("description", None),
        read.get("options", {}),
        read.get("enabled", True),
    )


def matcher_from(said: Any, id_: int = 0) -> UrlMatcher:
    read = Reader(said, MATCHER)
    return UrlMatcher(id_, read.get("type"), read.get("options"))


def test_file_from(said: Any, id_: int = 0) -> TestFile:
    return TestFile(id_, Reader(said, TEST_FILE).get("url"))


def transform_from(repository: IRepository, said: Any, id_: int = 0) -> Transform:
    """`target` and `for_destinations` are labels. Raises `NotFound` for one that is not there."""
    read = Reader(said, TRANSFORM)
    sites = tuple(site_id(repository, label) for label in read.texts("for_destinations") or ())
    return Transform(
        id_,
        repository.source_labelled(read.get("target")).id,
        read.get("type"),
        read.get("options"),
        read.get("description", None),
        sites,
        bool(sites),
        read.get("enabled", True),
    )


def site_id(repository: IRepository, label: str) -> int:
    """Raises `NotFound`."""
    for site in repository.sites():
        if site.label == label:
            return site.id
    raise NotFound(f"destination {label[:100]!a}")


def site_from(said: Any, id_: int = 0) -> Site:
    read = Reader(said, SITE)
    return Site(id_, read.get("label"), read.get("description", None), read.texts("networks") or ())


def question_from(said: Any, address: str) -> tuple[list[str], Question]:
    """`url` or `urls`, and what is asked with them."""
    read = Reader(said, QUESTION)
    urls = read.texts("urls", None)
    one = read.get("url", None)
    if (urls is None) == (one is None):
        raise InvalidRequest("url, or urls, is needed, and not both")
    mechanisms = read.texts("mechanisms", None)
    runs = None if mechanisms is None else frozenset(mechanisms)
    question = Question(runs, read.get("destination", None), address, read.get("size", None))
    return [one] if urls is None else list(urls), question


def report_from(said: Any) -> TransferReport:
    read = Reader(said, REPORT)
    return TransferReport(
        read.get("url"),
        read.get("success"),
        read.get("size", 0),
        read.get("seconds", 0.0),
        read.get("mechanism", ""),
        read.pairs("digests"),
        read.get("error", ""),
        read.get("wrong", False),
        read.get("source_id", None),
        read.get("destination", None),
        read.get("token", ""),
        read.get("output", ""),
    )


def shown_site(site: Site) -> dict[str, Any]:
    return {"id": site.id, "label": site.label, "description": site.description, "networks": list(site.networks)}
