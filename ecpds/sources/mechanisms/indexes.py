"""Index pages: the HTML by which servers list a folder (Apache, nginx, ecpds and others), read for its links only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

from ecpds.sources.mechanisms.base import Listed

_TIMES = (
    (re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2})"), "%Y-%m-%d %H:%M"),
    (re.compile(r"([0-9]{2}-[A-Z][a-z]{2}-[0-9]{4} [0-9]{2}:[0-9]{2})"), "%d-%b-%Y %H:%M"),
)


class _Page(HTMLParser):
    """Gathers the links, and the text that follows each."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        target = dict(attrs).get("href") if tag == "a" else None
        if target:
            self.found.append((target, []))

    def handle_data(self, data: str) -> None:
        if self.found:
            self.found[-1][1].append(data)


def links(page: str, folder: str) -> list[Listed]:
    """The files that a page links to and that stand in `folder` itself, each once, in the page's order."""
    parser = _Page()
    parser.feed(page)
    found: dict[str, Listed] = {}
    base = urlsplit(folder)
    for target, text in parser.found:
        try:
            url = urljoin(folder, target)
            parts = urlsplit(url)
        except ValueError:
            continue  # It leads nowhere, and so to no file in here.
        name = unquote(parts.path.removeprefix(base.path))
        if parts[:2] != base[:2] or not parts.path.startswith(base.path) or "/" in name or not name or parts.query:
            continue
        time = _time(text)
        found.setdefault(name, Listed(name, url, mtime=time, version=f"{time:.0f}" if time else ""))
    return list(found.values())


def _time(text: Sequence[str]) -> float | None:
    """The time that stands behind a link, taken as UTC; None where there is none."""
    words = " ".join(text)
    for form, layout in _TIMES:
        if found := form.search(words):
            try:
                return datetime.strptime(found[1], layout).replace(tzinfo=UTC).timestamp()
            except ValueError:
                return None
    return None
