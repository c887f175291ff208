"""URL matchers: which URLs are a source's. Checked and compiled when saved, so that no lookup ever meets a bad one.

`scheme_and_host` compares in any case and takes any port, unless its host names one. `regular_expression` must match at the
beginning of the URL, not up to its end, and minds the case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from ecpds.datasources import MATCHER_TYPES, UrlMatcher
from ecpds.errors import InvalidRequest
from ecpds.sources import patterns
from ecpds.sources.urls import HOST, SCHEME, Url, host_and_port

Test = Callable[[Url], bool]


def check(matcher: UrlMatcher) -> None:
    """Raises `InvalidRequest`, one sentence, for a matcher that can't be."""
    options = matcher.options
    check_options("matcher", matcher.type, options, MATCHER_TYPES)
    if matcher.type == "regular_expression":
        patterns.check(options["pattern"])
        return
    if not SCHEME.fullmatch(options["scheme"]):
        raise InvalidRequest(f"scheme {options['scheme'][:100]!a}; allowed: letters, digits, '+', '.', '-'")
    if not HOST.fullmatch(options["host"]):
        raise InvalidRequest(f"host {options['host'][:100]!a}; allowed: a host's name or address, and a port")


def check_options(what: str, type_: str, options: Mapping[str, object], types: Mapping[str, tuple[str, ...]]) -> None:
    """Raises `InvalidRequest` unless the type is known and has exactly its options, all of them text (`repl` may be empty)."""
    if type_ not in types:
        raise InvalidRequest(f"{what} type {str(type_)[:100]!a}; allowed: {', '.join(types)}")
    names = types[type_]
    for name in names:
        text = options.get(name)
        if not isinstance(text, str) or not (text or name == "repl"):
            raise InvalidRequest(f"{what} {type_} needs the option {name}, a text")
    for name in options:
        if name not in names:
            raise InvalidRequest(f"{str(name)[:100]!a} is no option of {type_}; allowed: {', '.join(names)}")


@lru_cache(20_000)
def _scheme_and_host(scheme: str, host: str) -> Test:
    scheme, (name, port) = scheme.lower(), host_and_port(host)
    return lambda url: url.scheme == scheme and url.host == name and port in ("", url.port)


@lru_cache(20_000)
def _regular_expression(pattern: str) -> Test:
    match = patterns.compiled(pattern).match
    return lambda url: match(url.text) is not None


def test_of(matcher: UrlMatcher) -> Test:
    """What says whether a URL is one of the matcher's."""
    if matcher.type == "scheme_and_host":
        return _scheme_and_host(matcher.options["scheme"], matcher.options["host"])
    return _regular_expression(matcher.options["pattern"])


def place_of(matcher: UrlMatcher) -> tuple[str, str] | None:
    """The scheme and host of every URL that the matcher can match; None where that is not plain to see."""
    if matcher.type == "scheme_and_host":
        return matcher.options["scheme"].lower(), host_and_port(matcher.options["host"])[0]
    scheme, separator, after = patterns.literal_start(matcher.options["pattern"]).partition("://")
    ends = [place for place in map(after.find, "/?#") if place >= 0]
    if not separator or not ends or not SCHEME.fullmatch(scheme):
        return None
    return scheme.lower(), host_and_port(after[: min(ends)])[0]


def described(matcher: UrlMatcher) -> str:
    """One line for people."""
    options = matcher.options
    if matcher.type == "scheme_and_host":
        return f"scheme {options['scheme']}, host {options['host']}"
    return f"begins with the regular expression {options['pattern']}"
