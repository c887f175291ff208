"""Transforms: how a URL of one source becomes the same file's URL at another. Checked when saved; pure."""

from __future__ import annotations

from ecpds.datasources import TRANSFORM_TYPES, Transform
from ecpds.errors import InvalidRequest
from ecpds.sources import patterns
from ecpds.sources.matchers import check_options
from ecpds.sources.urls import HOST, SCHEME, Url

_ALLOWED = {
    "new_host": (HOST, "a host's name or address, and a port"),
    "new_scheme": (SCHEME, "letters, digits, '+', '.', '-'"),
}


def check(transform: Transform) -> None:
    """Raises `InvalidRequest`, one sentence, for a transform that can't be. Its target and sites are the book's to check."""
    check_options("transform", transform.type, transform.options, TRANSFORM_TYPES)
    if transform.type == "regex_replace":
        patterns.check(transform.options["pattern"])
        patterns.check_replacement(transform.options["pattern"], transform.options["repl"])
    for name, (shape, allowed) in _ALLOWED.items():
        text = transform.options.get(name)
        if text is not None and not shape.fullmatch(text):
            raise InvalidRequest(f"{name} {text[:100]!a}; allowed: {allowed}")


def applied(transform: Transform, url: Url) -> str:
    """What the transform makes of a URL; the same URL where it changes nothing.

    A new host takes the place of the whole authority: user and port go with the old one. A new scheme alone keeps them.
    """
    options = transform.options
    if transform.type == "regex_replace":
        return patterns.replaced(options["pattern"], options["repl"], url.text)
    scheme = options.get("new_scheme", url.text[: len(url.scheme)])
    authority = options.get("new_host", url.authority)
    return f"{scheme}:{url.rest}" if authority is None else f"{scheme}://{authority}{url.rest}"


def described(transform: Transform) -> str:
    """One line for people."""
    options = transform.options
    if transform.type == "regex_replace":
        return f"replace {options['pattern']} by {options['repl']}"
    parts = [f"{name.removeprefix('new_')} {options[name]}" for name in ("new_scheme", "new_host") if name in options]
    return f"change to {', '.join(parts)}"
