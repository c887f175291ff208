"""The pages that a browser shows: a directory, and the form to log in. Nothing from elsewhere, every name escaped.

One script of our own makes the page of a directory more than a list; without it, browsing and fetching work as well.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from urllib.parse import urlencode

from attrs import frozen
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ecpds.events import timestamp
from ecpds.model import PERMISSIONS, Entry, Identity, Page
from ecpds.protocols.data_headers import Header
from ecpds.protocols.data_place import Place

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
    length: int
    exact: str
    time: str
    instant: str


class HtmlPages:
    """Renders pages. Templates, style and script are read once; the policies let exactly these in."""

    def __init__(self) -> None:
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._listing = environment.get_template("listing.html")
        self._login = environment.get_template("login.html")
        self._style = Markup((TEMPLATES / "listing.css").read_text("utf-8"))
        self.script = (TEMPLATES / "listing.js").read_bytes()
        self.script_path = f"/assets/{hashlib.sha256(self.script).hexdigest()[:16]}.js"
        fingerprint = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        closed = f"style-src 'sha256-{fingerprint}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ours = "script-src 'self'; connect-src 'self'"
        self.policy: Header = ("Content-Security-Policy", f"default-src 'none'; {closed}; {ours}")
        self.form_policy: Header = ("Content-Security-Policy", f"default-src 'none'; {closed}")

    def listing(
        self, place: Place, page: Page, after: str | None, limit: int | None, identity: Identity, token: str | None
    ) -> str:
        """The page of `place` that follows `after`; `limit` is what the client asked for, to be kept in the links.

        `token` is that of the browser's session, if it has one.
        """
        path = place.path.rstrip("/") or "/"
        destination = identity.names.get(element := path.split("/")[1], element)
        rights = [each for each in PERMISSIONS if path != "/" and identity.may(each, destination)]
        return self._listing.render(
            style=self._style,
            script=self.script_path,
            path=path,
            here=place.href(place.path),
            crumbs=crumbs(place),
            rows=[_row(place, entry) for entry in page.entries],
            first=_link(place, None, limit) if after else None,
            next=_link(place, page.after, limit) if page.after is not None else None,
            user=identity.login,
            rights=" ".join(rights),
            token=token,
        )

    def login(self, to: str, message: str) -> str:
        """The form to log in, with what went wrong before; `to` is where the user goes on."""
        return self._login.render(style=self._style, to=to, message=message)


def crumbs(place: Place) -> list[Link]:
    """The way from the top to a place, itself included."""
    segments = [segment for segment in place.path.split("/") if segment]
    way = ["/".join(("", *segments[:depth], "")) for depth in range(len(segments) + 1)]
    return [Link(name, place.href(above)) for name, above in zip(("data", *segments), way, strict=True)]


def human_size(size: int) -> str:
    """A size as people read it: whole bytes, or a number below 1,024 with one decimal and its binary unit."""
    if size < 1024:
        return f"{size} B"
    value, unit = size / 1024, 0
    # A value that would be shown as 1024.0 belongs to the next unit.
    while value >= 1023.95 and unit < len(UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {UNITS[unit]}"


def _row(place: Place, entry: Entry) -> Row:
    instant = timestamp(entry.mtime)
    return Row(
        link=Link(entry.name, place.href(f"{entry.path}/" if entry.is_directory else entry.path)),
        directory=entry.is_directory,
        size="" if entry.is_directory else human_size(entry.size),
        length=entry.size,
        exact=f"{entry.size:,} bytes",
        time=f"{instant[:10]} {instant[11:16]}",
        instant=instant,
    )


def _link(place: Place, after: str | None, limit: int | None) -> str:
    asked = {"format": "html", "after": after, "limit": limit}
    query = urlencode({key: value for key, value in asked.items() if value is not None})
    return f"{place.href(place.path)}?{query}"
