"""Which handler answers what: a table of methods and path prefixes. And the one place where a path is percent-decoded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from ecpds.http.message import Handler, HttpError, Request, Response

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HIDDEN = re.compile(r"%(?:00|2[Ff])")


def decode_path(raw: str) -> str:
    """A path as the portal knows it, percent-decoded once (RFC 3986 section 2.1); `+` is a plus sign.

    Raises `HttpError` 400 for a bad escape, for what is not UTF-8, and for an encoded NUL or slash, which would say
    something other than what the path shows.
    """
    if "%" not in raw and raw.isascii():
        return raw
    if not raw.isascii() or _BAD_ESCAPE.search(raw):
        raise HttpError(400, "The path has a bad escape or an unencoded character.")
    if _HIDDEN.search(raw):
        raise HttpError(400, "The path hides a NUL or a slash in an escape.")
    try:
        return unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError as error:
        raise HttpError(400, "The path is not UTF-8.") from error


class Routes:
    """A handler made of handlers. The longest prefix that fits a path wins; prefixes match the path as it came.

    A prefix that ends in a slash covers all below it; any other only itself and, after a slash, what is below.
    """

    def __init__(self) -> None:
        self._table: dict[str, dict[str, Handler]] = {}
        self._wide: list[str] = []
        self._by_first: dict[str, list[str]] = {}
        self._methods: set[str] = set()

    def add(self, methods: Iterable[str], prefix: str, handler: Handler) -> None:
        """Let `handler` answer `methods` on `prefix`. Raises `ValueError` when another does already."""
        row = self._table.setdefault(prefix, {})
        for method in methods:
            if method in row:
                raise ValueError(f"{method} {prefix} has a handler already")
            row[method] = handler
        self._methods.update(row)
        prefixes = sorted(self._table, key=len, reverse=True)
        self._wide = [prefix for prefix in prefixes if not _first(prefix)]
        firsts = {first for prefix in prefixes if (first := _first(prefix))}
        self._by_first = {first: [prefix for prefix in prefixes if _first(prefix) in ("", first)] for first in firsts}

    async def __call__(self, request: Request) -> Response:
        """Answer, or raise `HttpError`: 501 for a method that is used nowhere, 404, 405 with `Allow`."""
        if request.method not in self._methods:
            raise HttpError(501, "That method is not supported.")
        row = self._row(request.path)
        handler = row.get(request.method)
        if handler is None:
            raise HttpError(405, "That method is not allowed here.", [("Allow", ", ".join(sorted(row)))])
        return await handler(request)

    def _row(self, path: str) -> dict[str, Handler]:
        for prefix in self._by_first.get(_first(path), self._wide):
            if _covers(prefix, path):
                return self._table[prefix]
        raise HttpError(404, "There is nothing of that name here.")


def _first(path: str) -> str:
    """The first element of a path, by which most prefixes need not be looked at."""
    return path[1:].partition("/")[0]


def _covers(prefix: str, path: str) -> bool:
    return path.startswith(prefix) and (prefix.endswith("/") or path[len(prefix) : len(prefix) + 1] in ("", "/"))
