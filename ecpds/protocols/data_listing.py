"""Directories: as JSON, CSV and plain text in full, however long, and as HTML in pages.

A listing is read from the portal a page at a time, and the next page only when the client has taken the one before, so a
directory of a million entries costs no more memory than one of a thousand.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Protocol
from urllib.parse import parse_qsl, quote

from attrs import evolve, frozen
from zope.interface import implementer

from ecpds.http.message import HttpError, IBody, Request, Response
from ecpds.interfaces import IByteSink
from ecpds.model import Entry, Page, Room, Usage
from ecpds.portal.namespace import destination_at
from ecpds.portal_interfaces import IFileSystem
from ecpds.protocols.data_commands import Command
from ecpds.protocols.data_headers import SAFE, SANDBOX
from ecpds.protocols.data_html import PLAIN, HtmlPages, Looks, Shown, tells
from ecpds.protocols.data_place import Place
from ecpds.wire.listings import csv_line, json_line, text_line
from ecpds.wire.negotiation import preferred

TYPES = {"text": "text/plain", "html": "text/html", "json": "application/json", "csv": "text/csv", "links": "text/html"}
"""The forms by their name in `?format=`, the first for clients that take anything."""

SIMPLE = "portal.simpleList"

MOST_PARAMETERS = 16

MOST_SOUGHT = 255
"""Characters of what is searched for."""

MOST_LOOKED_AT = 20_000
"""Entries that one search looks at; the page then says where to go on."""

AT_A_TIME = 250
"""Entries that are written down in one turn of the reactor, a few milliseconds' work; and the rows of a HTML page."""


@frozen
class Asked:
    """What the query and the Accept field ask: a form, where to go on, and how many entries at most."""

    form: str
    after: str | None = None
    limit: int | None = None
    sought: str = ""


def asked(query: str, accept: str | None) -> Asked:
    """Read a query. `format` wins over Accept; what we don't know is left aside. Raises `HttpError` 400."""
    try:
        values = dict(parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS))
    except ValueError:
        raise HttpError(400, "The query can't be understood.") from None
    form = values.get("format") or _form(accept)
    if form not in TYPES:
        raise HttpError(400, f"There is no such format; there are {', '.join(TYPES)}.")
    sought = values.get("find", "")[:MOST_SOUGHT]
    return Asked(form, values.get("after") or None, _limit(values.get("limit")), sought)


def _form(accept: str | None) -> str:
    if accept is None:
        # Programs that follow links, such as rclone and others of Go's, say nothing: they get all links there are.
        return "links"
    # Who accepts none of them gets the default rather than a 406: RFC 9110 section 12.5.1 lets us.
    liked = preferred(accept, tuple(TYPES.values()))
    return next((form for form, kind in TYPES.items() if kind == liked), "text")


def _limit(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text)):
        raise HttpError(400, "The limit is not a number of entries.")
    return int(text)


class Walk:
    """Reads a directory, `most` entries at a time. After each page `after` is where it would go on; None: at the end."""

    def __init__(self, files: IFileSystem, path: str, start: Asked, most: int) -> None:
        self._files = files
        self._path = path
        self._left = start.limit
        self._most = most
        self.after = start.after
        self.done = False

    async def read(self) -> Sequence[Entry]:
        """The next page."""
        wanted = self._most if self._left is None else min(self._most, self._left)
        page = await self._files.list(self._path, self.after, wanted)
        self.after = page.after
        if self._left is not None:
            self._left -= len(page.entries)
        self.done = page.after is None or self._left == 0
        return page.entries


class Form(Protocol):
    """How a listing is written down, from its beginning to its end."""

    def begin(self, path: str) -> str: ...

    def entries(self, entries: Sequence[Entry], first: bool) -> str: ...

    def end(self, after: str | None) -> str: ...


class TextForm:
    """One line an entry."""

    def begin(self, path: str) -> str:
        return ""

    def entries(self, entries: Sequence[Entry], first: bool) -> str:
        return "".join(f"{text_line(entry)}\n" for entry in entries)

    def end(self, after: str | None) -> str:
        return ""


class JsonForm:
    """One object, with one line an entry, so that both programs and eyes can read it."""

    def begin(self, path: str) -> str:
        return f'{{"path": {json.dumps(path)}, "entries": ['

    def entries(self, entries: Sequence[Entry], first: bool) -> str:
        lines = ",\n".join([json_line(entry) for entry in entries])
        return f"\n{lines}" if first or not lines else f",\n{lines}"

    def end(self, after: str | None) -> str:
        return f'\n], "after": {json.dumps(after)}}}\n'


class CsvForm:
    """A table as RFC 4180 has it, with a header line."""

    def begin(self, path: str) -> str:
        return "name,type,size,mtime,sha256\r\n"

    def entries(self, entries: Sequence[Entry], first: bool) -> str:
        return "".join([csv_line(entry) for entry in entries])

    def end(self, after: str | None) -> str:
        return ""


class LinksForm:
    """A page that is only links, in full: for programs that read pages, whom a page that goes on elsewhere would mislead."""

    def begin(self, path: str) -> str:
        return f"<!DOCTYPE html>\n<meta charset=utf-8>\n<title>{escape(path)}</title>\n<ul>\n"

    def entries(self, entries: Sequence[Entry], first: bool) -> str:
        return "".join(_line(entry.name + ("/" if entry.is_directory else "")) for entry in entries)

    def end(self, after: str | None) -> str:
        return "</ul>\n"


def _line(name: str) -> str:
    return f'<li><a href="{quote(name)}">{escape(name)}</a></li>\n'


FORMS: dict[str, Form] = {"text": TextForm(), "json": JsonForm(), "csv": CsvForm(), "links": LinksForm()}


@implementer(IBody)
class LongListing:
    """The rest of a listing, after its first page has been read."""

    length: int | None = None

    def __init__(self, form: Form, beginning: str, walk: Walk) -> None:
        self._form = form
        self._beginning = beginning
        self._walk = walk

    async def send(self, sink: IByteSink) -> None:
        await sink.write(self._beginning.encode())
        while not self._walk.done:
            await sink.write(self._form.entries(await self._walk.read(), first=False).encode())
        await sink.write(self._form.end(self._walk.after).encode())

    def close(self, failure: BaseException | None = None) -> None:
        """Nothing is open between two pages."""


class Listings:
    """Answers GET and HEAD of directories. `most` is how many entries the catalogue gives at a time."""

    def __init__(self, most: int, pages: HtmlPages) -> None:
        self._most = min(most, AT_A_TIME)
        self._pages = pages

    async def answer(
        self, files: IFileSystem, request: Request, place: Place, looks: Looks = PLAIN, commands: Sequence[Command] = ()
    ) -> Response:
        """The listing of the directory at `place`, whose path ends in a slash; `looks` and `commands` are for the page."""
        wish = asked(request.query, request.headers.get("accept"))
        if wish.form == "html" and files.identity.options.get(SIMPLE) == "true" and "format=" not in request.query:
            wish = evolve(wish, form="text")
        if wish.form == "html":
            return self._pages.listing(place, await self._shown(files, place, wish), files.identity, looks, commands)
        path = place.path
        walk = Walk(files, path, wish, self._most)
        form = FORMS[wish.form]
        # The first page is read before the reply begins, so that a refusal still has its own status.
        beginning = form.begin(path[:-1] or "/") + form.entries(await walk.read(), first=True)
        headers = [("Content-Type", f"{TYPES[wish.form]}; charset=utf-8"), ("Vary", "Accept"), SANDBOX, *SAFE]
        if walk.done:
            return Response(200, headers, (beginning + form.end(walk.after)).encode())
        return Response(200, headers, LongListing(form, beginning, walk))

    async def _shown(self, files: IFileSystem, place: Place, wish: Asked) -> Shown:
        limit = min(wish.limit or self._most, self._most)
        if not wish.sought:
            page = await files.list(place.path, wish.after, limit)
            return Shown(page, wish.after, wish.limit, "", *await figures(files, place.path))
        return Shown(await search(files, place.path, wish, limit), wish.after, wish.limit, wish.sought)


async def figures(files: IFileSystem, path: str) -> tuple[Usage | None, Room | None]:
    """What the destination of `path` holds, and, for who may put files there, what it has room for; as far as it is told."""
    usage = await files.usage(path) if tells(files.identity) else None
    if usage is None or not files.identity.may("put", destination_at(files.identity, path)):
        return usage, None
    return usage, await files.room(path)


async def search(files: IFileSystem, path: str, wish: Asked, limit: int) -> Page:
    """Up to `limit` entries that have a text in their names, in any case, of the next `MOST_LOOKED_AT` of a directory."""
    found: list[Entry] = []
    after, looked, wanted = wish.after, 0, wish.sought.lower()
    while looked < MOST_LOOKED_AT:
        page = await files.list(path, after, AT_A_TIME * 4)
        for entry in page.entries:
            if wanted in entry.name.lower():
                found.append(entry)
                if len(found) == limit:
                    return Page(tuple(found), entry.name)
        looked += len(page.entries)
        after = page.after
        if after is None:
            break
    return Page(tuple(found), after)
