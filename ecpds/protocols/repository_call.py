"""One request to the repository: its route, who sent it, and its body, read as a form or as JSON and bounded before."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

from attrs import field, frozen

from ecpds.http.message import HttpError, Request, Response
from ecpds.wire.form_parts import Cutter, Field, Reached
from ecpds.wire.forms import boundary_of

PREFIX = "/repository"
API = "/api/v1/sources"

FORM = 1 << 16
"""Bytes of a form that is no configuration."""

FIELDS = 1000
"""Fields of a form at most."""

BLOCK = 1 << 14

Header = tuple[str, str]

SAFE: tuple[Header, ...] = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "private, no-cache"),
    ("Vary", "Accept"),
)

EVERYONE, EDITORS = "everyone", "editors"

Fields = Mapping[str, list[str]]


@frozen
class Call:
    """`ids` are the numbers in the path, by name. `who` is the user's login, empty for a stranger; `edits` whether it may.

    `token` is that of the browser's session, for the page's forms. `form` is the request's, where it came as one.
    """

    request: Request
    ids: Mapping[str, int]
    who: str = ""
    edits: bool = False
    token: str | None = None
    form: Fields = field(factory=dict)

    @property
    def query(self) -> Fields:
        """Raises `HttpError` 400."""
        return parsed(self.request.query)

    @property
    def wants_json(self) -> bool:
        accept = self.request.headers.get("accept") or ""
        return "application/json" in accept and "text/html" not in accept

    def asked(self, name: str, default: str = "") -> str:
        """A field of the query."""
        return self.query.get(name, [default])[-1]

    def sent(self, name: str, default: str = "") -> str:
        """A field of the form, without white space around it."""
        return self.form.get(name, [default])[-1].strip()


Answer = Callable[[Call], Awaitable[Response]]


@frozen
class Route:
    """What answers a method on a path, such as `/data_sources/{source}`; `{name}` is a number. `access` says for whom.

    `body` is `form`, `json` or nothing. `summary` is for the OpenAPI document.
    """

    method: str
    path: str
    access: str
    answer: Answer
    body: str = ""
    summary: str = ""

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[0-9]{1,15})", re.escape(self.path)))


def parsed(text: str) -> Fields:
    """The fields of a query or a form. Raises `HttpError` 400."""
    try:
        return parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=FIELDS)
    except ValueError:
        raise _not_understood() from None


async def read(request: Request, most: int) -> bytes:
    """A whole body. Raises `HttpError` 413, before any of it is read where its length is known."""
    if request.length is not None and request.length > most:
        raise HttpError(413, "The request is too long.", SAFE)
    data, view = bytearray(), memoryview(bytearray(BLOCK))
    while count := await request.body.read_into(view):
        data += view[:count]
        if len(data) > most:
            raise HttpError(413, "The request is too long.", SAFE)
    return bytes(data)


async def read_form(request: Request, most: int) -> Fields:
    """A form, of either coding. Raises `HttpError` 400, 413 and 415, and `InvalidRequest`."""
    kind = request.headers.get("content-type")
    boundary = boundary_of(kind)
    if boundary is not None:
        return _parts(await read(request, most), boundary)
    if (kind or "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise HttpError(415, "This takes a form.", SAFE)
    data = await read(request, most)
    try:
        return parsed(data.decode("ascii"))
    except UnicodeDecodeError:
        raise _not_understood() from None


def _parts(data: bytes, boundary: bytes) -> Fields:
    """The fields of a form in parts; the content of a file is its field's text."""
    cutter, name, content = Cutter(boundary), "", bytearray()
    # Piece by piece, for the cutter looks through all that it has, again and again.
    pieces = (data[start : start + BLOCK] for start in range(0, len(data), BLOCK))
    view = memoryview(bytearray(2 * BLOCK))
    fields: dict[str, list[str]] = {}
    parts = 0
    while (reached := _reached(cutter, pieces)) is not Reached.MORE:
        if reached is Reached.CONTENT:
            content += view[: cutter.take(view)]
            continue
        if name:
            fields.setdefault(name, []).append(content.decode("utf-8", "replace"))
        if reached is Reached.END:
            return fields
        parts += 1
        if parts > FIELDS:
            break
        name, content = _head(cutter).name, bytearray()
    raise _not_understood()


def _reached(cutter: Cutter, pieces: Iterator[bytes]) -> Reached:
    """What comes next; `MORE` where it is not in what is left. Raises `HttpError` 400."""
    try:
        while (reached := cutter.reached()) is Reached.MORE and (piece := next(pieces, b"")):
            cutter.feed(piece)
    except ValueError:
        raise _not_understood() from None
    return reached


def _head(cutter: Cutter) -> Field:
    try:
        return cutter.head()
    except ValueError:
        raise _not_understood() from None


def _not_understood() -> HttpError:
    return HttpError(400, "The form can't be understood.", SAFE)


async def read_json(request: Request, most: int, values: int | None = None) -> Any:
    """At most `most` bytes, and about so many `values`. Raises `HttpError` 400, 413 and 415."""
    if (request.headers.get("content-type") or "").partition(";")[0].strip().lower() != "application/json":
        raise HttpError(415, "This takes application/json.", SAFE)
    data = await read(request, most)
    # 16 MiB of texts are read in no time, and in a second where they are five million empty lists.
    if values is not None and sum(map(data.count, (b",", b"[", b"{"))) > values:
        raise HttpError(413, "The request is too long.", SAFE)
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise HttpError(400, "That is not JSON.", SAFE) from None


def as_json(value: Any, status: int = 200, headers: tuple[Header, ...] = ()) -> Response:
    return Response(status, [("Content-Type", "application/json"), *SAFE, *headers], json.dumps(value).encode("ascii") + b"\n")


def see(path: str) -> Response:
    """Go on at another page of the repository."""
    return Response(303, [("Location", f"{PREFIX}{path}"), *SAFE])
