"""Regular expressions that curators write: RE2's, whose time to match is linear in the URL whatever the pattern.

Back-references and look-around do not exist there; a pattern that has them is refused when it is saved or imported, with
the reason. A replacement names groups as `\\1` or `\\g<name>`; a backslash is written `\\\\`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import re2

from ecpds.errors import InvalidRequest
from ecpds.options import PATTERN_LENGTH, PATTERN_MEMORY, pattern

REPLACEMENTS = 100
"""Occurrences that one transform replaces at most: so a result is never much longer than its parts."""

_TEMPLATE = re.compile(r"\\(?:([0-9]{1,2})|g<([A-Za-z0-9_]{1,32})>|(\\))|([^\\]+)|(\\)")
_LITERAL = re.compile(r"\\([^A-Za-z0-9])|([^\\.^$*+?{}\[\]|()])")


def options() -> Any:
    """How every pattern is compiled: quietly, and in bounded memory."""
    wanted = re2.Options()
    wanted.log_errors = False
    wanted.max_mem = PATTERN_MEMORY
    return wanted


def check(text: str) -> None:
    """Raises `InvalidRequest`, one sentence, for a pattern that can't be used."""
    pattern(text)


@lru_cache(20_000)
def compiled(text: str) -> Any:
    """A pattern that was checked when it was saved."""
    check(text)
    return re2.compile(text, options())


def check_replacement(text: str, template: str) -> None:
    """Raises `InvalidRequest` for a replacement that names a group that the pattern hasn't, or is too long."""
    if len(template) > PATTERN_LENGTH:
        raise InvalidRequest(f"a replacement of {len(template)} characters; allowed: {PATTERN_LENGTH} at most")
    found = compiled(text)
    for part in pieces(template):
        known = part in found.groupindex if isinstance(part, Name) else not isinstance(part, int) or part <= found.groups
        if not known:
            raise InvalidRequest(f"replacement {template[:100]!a} names group {part}, which the pattern has not")


class Name(str):
    """The name of a group."""


@lru_cache(20_000)
def pieces(template: str) -> tuple[str | int, ...]:
    """A replacement as text, numbers and names of groups. Raises `InvalidRequest` for a backslash before anything else."""
    found: list[str | int] = []
    for number, name, backslash, text, lone in (match.groups() for match in _TEMPLATE.finditer(template)):
        if lone:
            raise InvalidRequest(f"replacement {template[:100]!a}; allowed: \\1, \\g<name>, and \\\\ for a backslash")
        if number or (name and name.isdigit()):
            found.append(int(number or name))
        else:
            found.append(Name(name) if name else text or backslash)
    return tuple(found)


def replaced(text: str, template: str, url: str) -> str:
    """The URL with each occurrence of the pattern replaced, `REPLACEMENTS` of them at most."""
    parts = pieces(template)

    def expanded(match: Any) -> str:
        filled = (part if type(part) is str else match.group(part) for part in parts)
        return "".join(each or "" for each in filled)

    changed: str = compiled(text).sub(expanded, url, count=REPLACEMENTS)
    return changed


def literal_start(text: str) -> str:
    """What every match begins with, letter for letter, as far as that is plain to see; empty where it is not."""
    if "|" in text:
        return ""
    start, place = [], 1 if text.startswith("^") else 0
    while found := _LITERAL.match(text, place):
        start.append(found[1] or found[2])
        place = found.end()
    if text[place : place + 1] in ("?", "*", "{", "+"):
        start = start[:-1]
    return "".join(start)
