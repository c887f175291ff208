"""The pages that a browser shows: a directory, a file's card, the forms. Nothing from elsewhere, every name escaped.

One script of our own makes the page of a directory more than a list; without it, browsing and fetching work as well. How
pages look is the user's `portal.*` options'.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from attrs import frozen
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ecpds.events import timestamp
from ecpds.http.message import Response
from ecpds.model import EMPTY, PERMISSIONS, DataFile, Entry, Identity, Page, Room, Usage
from ecpds.protocols.data_commands import Command
from ecpds.protocols.data_headers import PREFIX, SAFE, Header
from ecpds.protocols.data_place import Place
from ecpds.releases import MAY_RELEASE, NEVER
from ecpds.wire.listings import Order, ordered

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("listing.js", "upload.js", "share.js", "begin.js")
"""Parts of one script, in an order in which each finds what it needs."""

UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


@frozen
class Looks:
    """What a page shows besides its files: the token of the browser's session, and how its visitor came here."""

    token: str | None = None
    shared: bool = False
    open: bool = False


PLAIN = Looks()


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
    waits: str = ""


@frozen
class Fact:
    """A line of a file's card."""

    title: str
    text: str
    exact: bool = False


@frozen
class Shown:
    """A part of a directory as a page is to show it: from behind `after`, with what the client asked, to be kept in links."""

    page: Page
    after: str | None = None
    limit: int | None = None
    sought: str = ""
    usage: Usage | None = None
    room: Room | None = None


class HtmlPages:
    """Renders pages. Templates, style and script are read once; the policies let exactly these in."""

    def __init__(self) -> None:
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._environment = environment
        self._style = Markup((TEMPLATES / "listing.css").read_text("utf-8"))
        self.script = b"\n".join((TEMPLATES / name).read_bytes() for name in SCRIPTS)
        self.script_path = f"/assets/{hashlib.sha256(self.script).hexdigest()[:16]}.js"

    def listing(
        self, place: Place, shown: Shown, identity: Identity, looks: Looks = PLAIN, commands: Sequence[Command] = ()
    ) -> Response:
        """The page of a directory."""
        path = place.path.rstrip("/") or "/"
        inside = path != "/" or bool(identity.within)
        rights = _rights(path, identity, looks) if inside else []
        whole = shown.after is None and shown.page.after is None
        order = Order(identity.options.get("portal.sort", "name"), identity.options.get("portal.order", "asc"))
        entries = ordered(shown.page.entries, order) if whole else shown.page.entries
        return self._response(
            "listing.html",
            identity.options,
            script=self.script_path,
            path=path,
            here=place.href(place.path),
            crumbs=crumbs(place, looks),
            rows=[_row(place, entry) for entry in entries],
            first=_link(place, None, shown) if shown.after else None,
            next=_link(place, shown.page.after, shown) if shown.page.after is not None else None,
            sought=shown.sought,
            rights=" ".join(rights),
            cards="get" in rights,
            listed="dir" in rights or not inside,
            user=identity.login,
            button=identity.options.get("portal.loginButton") != "false",
            looks=looks,
            commands=commands,
            guide=bool(commands) and identity.options.get("portal.accessGuide") != "false",
            stats=_stats(shown.page) if whole and tells(identity) else "",
            usage=_usage(shown),
        )

    def card(self, place: Place, entry: Entry, identity: Identity, looks: Looks, commands: Sequence[Command]) -> Response:
        """What is known of a file."""
        assert entry.file is not None
        return self._response(
            "card.html",
            identity.options,
            tab=entry.name,
            crumbs=crumbs(place, looks),
            link=place.href(place.path),
            facts=facts(entry, entry.file),
            commands=commands if identity.options.get("portal.accessGuide") != "false" else (),
            user=identity.login,
            button=identity.options.get("portal.loginButton") != "false",
            looks=looks,
        )

    def login(self, to: str, message: str, status: int) -> Response:
        """The form to log in, with what went wrong before; `to` is where the user goes on."""
        return self._response("login.html", tab="Log in", status=status, to=to, message=message)

    def ask_password(self, to: str, message: str) -> Response:
        """The form for the password of a link, with what went wrong before."""
        return self._response("password.html", tab="A shared link", status=403, to=to, message=message)

    def message(self, status: int, text: str) -> Response:
        """A sentence."""
        return self._response("message.html", tab="Not here", status=status, message=text)

    def _response(self, name: str, options: Mapping[str, str] = EMPTY, status: int = 200, **values: Any) -> Response:
        brand = _brand(options.get("portal.color"))
        title = options.get("portal.title") or "ecpds"
        tab = options.get("portal.tab") or values.pop("tab", None) or values.get("path") or title
        notes = {key: options.get(f"portal.{option}", "") for key, option in NOTES.items()}
        text = self._environment.get_template(name).render(
            style=self._style, brand=brand, title=title, home=f"{PREFIX}/", **notes, **{**values, "tab": tab}
        )
        headers = [("Content-Type", "text/html; charset=utf-8"), ("Vary", "Accept"), self._policy(brand, "script" in values)]
        return Response(status, [*headers, ("Referrer-Policy", "same-origin"), *SAFE], text.encode())

    def _policy(self, brand: Markup, scripted: bool) -> Header:
        """Exactly our styles, and our script where there is one."""
        styles = " ".join(f"'sha256-{_fingerprint(each)}'" for each in (self._style, brand) if each)
        closed = f"style-src {styles}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ours = "; script-src 'self'; connect-src 'self'" if scripted else ""
        return ("Content-Security-Policy", f"default-src 'none'; {closed}{ours}")


def tells(identity: Identity) -> bool:
    """Whether pages tell this user what folders and destinations hold."""
    return identity.options.get("portal.trafficStats") != "false"


NOTES = {"footer": "footer", "warning": "warning", "welcome": "welcome", "top": "msgTop", "down": "msgDown"}


def _brand(color: str | None) -> Markup:
    """The style that a user's colour makes; `ecpds.options` lets only colours through, and here stands what may follow."""
    return Markup(f":root {{ --brand: {color}; --main: {color}; }}") if color and color.lstrip("#").isalnum() else Markup("")


def _fingerprint(style: str) -> str:
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def facts(entry: Entry, file: DataFile) -> list[Fact]:
    """The lines of a file's card."""
    copies = max((len(segment.copies) for segment in file.segments), default=0)
    movers = sorted({copy.mover for segment in file.segments for copy in segment.copies})
    return [
        Fact("Size", f"{human_size(file.size)} ({file.size:,} bytes)"),
        Fact("Changed", timestamp(file.mtime)),
        Fact("Stored", timestamp(file.created)),
        *(Fact("Seen by others", each) for each in [awaited(entry)] if each),
        Fact("Copies", f"{copies}: {', '.join(movers)}" if movers else "not known"),
        Fact("Entity tag", file.etag, exact=True),
        *(Fact(name, digest, exact=True) for name, digest in sorted(file.digests.items())),
    ]


def awaited(entry: Entry) -> str:
    """When a file that waits is released, in words; empty where it doesn't wait."""
    if entry.waits is None:
        return ""
    return f"from {timestamp(entry.waits)} on" if entry.waits < NEVER else "not before it is released"


def crumbs(place: Place, looks: Looks = PLAIN) -> list[Link]:
    """The way from the top to a place, itself included."""
    segments = [segment for segment in place.path.split("/") if segment]
    way = ["/".join(("", *segments[:depth], "")) for depth in range(len(segments) + 1)]
    top = "shared" if looks.shared else "data"
    return [Link(name, place.href(above)) for name, above in zip((top, *segments), way, strict=True)]


def human_size(size: int) -> str:
    """A size as people read it: whole bytes, or a number below 1,024 with one decimal and its binary unit."""
    if size < 1024:
        return f"{size} B"
    value, unit = size / 1024, 0
    # A value that would be shown as 1024.0 belongs to the next unit.
    while value >= 1023.95 and unit < len(UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {UNITS[unit]}"


def _rights(path: str, identity: Identity, looks: Looks) -> list[str]:
    """What the user may do in a folder, as far as the page offers it."""
    destination = identity.names.get(element := path.split("/")[1], element)
    rights = [each for each in PERMISSIONS if identity.may(each, None if identity.within else destination)]
    own = not (looks.shared or identity.share or identity.visits)
    if looks.token and not looks.shared and identity.options.get("portal.shareLinks") != "false":
        rights.append("share")
    if own and "put" in rights and identity.options.get(MAY_RELEASE) == "true":
        rights.append("release")
    return rights


def _stats(page: Page) -> str:
    files = [entry for entry in page.entries if not entry.is_directory]
    return _amount(len(files), sum(entry.size for entry in files))


def _usage(shown: Shown) -> str:
    """What the whole destination holds, and how much more it can, in words."""
    if shown.usage is None:
        return ""
    held = f"The whole destination holds {_amount(shown.usage.files, shown.usage.size)}"
    return f"{held}, and has room for {human_size(shown.room.free)}." if shown.room else f"{held}."


def _amount(files: int, size: int) -> str:
    return f"{files:,} {'file' if files == 1 else 'files'}, {human_size(size)}"


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
        waits=awaited(entry),
    )


def _link(place: Place, after: str | None, shown: Shown) -> str:
    asked = {"format": "html", "after": after, "limit": shown.limit, "find": shown.sought or None}
    query = urlencode({key: value for key, value in asked.items() if value is not None})
    return f"{place.href(place.path)}?{query}"
