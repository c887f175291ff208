"""The page that a browser shows of a directory: no script, nothing from elsewhere, every name escaped."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from urllib.parse import urlencode

from attrs import frozen
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ecpds.events import timestamp
from ecpds.model import Entry, Page
from ecpds.protocols.data_headers import Header, href

TEMPLATES = Path(__file__).parent / "templates"

UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


@frozen
class Link:
    """A name and where it leads."""

    name: str
    href: str


@frozen
class Row:
    """One entry as the page shows it."""

    link: Link
    directory: bool
    size: str
    exact: str
    time: str
    instant: str


class HtmlPages:
    """Renders listings. The template and the style are read once; `policy` lets exactly that style in."""

    def __init__(self) -> None:
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._template = environment.get_template("listing.html")
        self._style = (TEMPLATES / "listing.css").read_text("utf-8")
        fingerprint = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        style_only = f"default-src 'none'; style-src 'sha256-{fingerprint}'"
        closed = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        self.policy: Header = ("Content-Security-Policy", f"{style_only}; {closed}")

    def render(self, path: str, page: Page, after: str | None, limit: int | None, login: str) -> str:
        """The page of `path` that follows `after`; `limit` is what the client asked for, to be kept in the links."""
        return self._template.render(
            style=Markup(self._style),
            path=path,
            crumbs=crumbs(path),
            rows=[_row(entry) for entry in page.entries],
            first=_link(path, None, limit) if after else None,
            next=_link(path, page.after, limit) if page.after is not None else None,
            login=login,
        )


def crumbs(path: str) -> list[Link]:
    """The way from the top to `path`, itself included."""
    segments = [segment for segment in path.split("/") if segment]
    way = ["/".join(("", *segments[:depth], "")) for depth in range(len(segments) + 1)]
    return [Link(name, href(above)) for name, above in zip(("data", *segments), way, strict=True)]


def human_size(size: int) -> str:
    """A size as people read it: whole bytes, or a number below 1,024 with one decimal and its binary unit."""
    if size < 1024:
        return f"{size} B"
    value, unit = size / 1024, 0
    # A value that would be shown as 1024.0 belongs to the next unit.
    while value >= 1023.95 and unit < len(UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {UNITS[unit]}"


def _row(entry: Entry) -> Row:
    instant = timestamp(entry.mtime)
    return Row(
        link=Link(entry.name, href(f"{entry.path}/" if entry.is_directory else entry.path)),
        directory=entry.is_directory,
        size="" if entry.is_directory else human_size(entry.size),
        exact=f"{entry.size:,} bytes",
        time=f"{instant[:10]} {instant[11:16]}",
        instant=instant,
    )


def _link(path: str, after: str | None, limit: int | None) -> str:
    asked = {"format": "html", "after": after, "limit": limit}
    query = urlencode({key: value for key, value in asked.items() if value is not None})
    return f"{href(path.rstrip('/'))}/?{query}"
