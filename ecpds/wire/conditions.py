"""Conditional requests (RFC 9110 section 13): whether the state of a file lets a request go on.

GET and HEAD are decided at once, against the file that was opened. PUT and DELETE are decided at the commit, so for them
the fields become a `Condition` that the Master checks; what a `Condition` can't say is decided on the state that was seen
and then pinned to it.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Protocol

from attrs import frozen

from ecpds.model import ANYTHING, Condition
from ecpds.wire.dates import http_date, parse_http_date
from ecpds.wire.fields import Fields

_TAG = re.compile(r'[ \t]*((?:W/)?"[\x21\x23-\x7e\x80-\U0010ffff]*")[ \t]*')
_DATA_FILE_TAG = re.compile(r'"([1-9][0-9]{0,18})"')

ANY_TAG = "*"


class Represented(Protocol):
    """What conditions look at of a file; another door may show another entity tag of it."""

    @property
    def id(self) -> int: ...
    @property
    def etag(self) -> str: ...
    @property
    def mtime(self) -> float: ...
    @property
    def created(self) -> float: ...


class Verdict(Enum):
    """What becomes of a conditional request."""

    PROCEED = 200
    NOT_MODIFIED = 304
    FAILED = 412


@frozen
class Tags:
    """An If-Match or If-None-Match field: any current representation (`*`), or one of a list of entity tags."""

    any: bool = False
    tags: tuple[str, ...] = ()

    def match_strongly(self, file: Represented | None) -> bool:
        """RFC 9110 section 8.8.3.2: a weak tag never matches; our own are always strong."""
        return file is not None and (self.any or file.etag in self.tags)

    def match_weakly(self, file: Represented | None) -> bool:
        return file is not None and (self.any or file.etag in (tag.removeprefix("W/") for tag in self.tags))

    def data_files(self) -> frozenset[int]:
        """The DataFileIDs of the strong tags that can be ours."""
        return frozenset(int(match[1]) for tag in self.tags if (match := _DATA_FILE_TAG.fullmatch(tag)))


def parse_tags(field: str) -> Tags:
    """Read an If-Match or If-None-Match field (RFC 9110 section 13.1.1). Raises `ValueError` when it is not well formed."""
    if field.strip(" \t") == ANY_TAG:
        return Tags(any=True)
    tags, position = [], 0
    while position < len(field):
        if match := _TAG.match(field, position):
            tags.append(match[1])
            position = match.end()
        if position < len(field) and field[position] not in " \t,":
            raise ValueError(f"{field!r} is not a list of entity tags")
        position += 1
    if not tags:
        raise ValueError(f"{field!r} holds no entity tag")
    return Tags(tags=tuple(tags))


def last_modified(file: Represented) -> str:
    """The Last-Modified of a file: never later than now, whatever time its owner gave it (RFC 9110 section 8.8.2.1)."""
    return http_date(_modified(file))


def _modified(file: Represented) -> int:
    return int(min(file.mtime, file.created))


def _date(fields: Fields, name: str) -> int | None:
    field = fields.get(name)
    return None if field is None else parse_http_date(field)


def verdict(fields: Fields, file: Represented | None) -> Verdict:
    """Decide a GET or HEAD, in the order of RFC 9110 section 13.2.2. Raises `ValueError` for a malformed list of tags."""
    if not _may_go_on(fields, file):
        return Verdict.FAILED
    none_match = fields.get("if-none-match")
    if none_match is not None:
        return Verdict.NOT_MODIFIED if parse_tags(none_match).match_weakly(file) else Verdict.PROCEED
    since = _date(fields, "if-modified-since")
    unchanged = file is not None and since is not None and _modified(file) <= since
    return Verdict.NOT_MODIFIED if unchanged else Verdict.PROCEED


def _may_go_on(fields: Fields, file: Represented | None) -> bool:
    """Steps 1 and 2: If-Match, or, without it, If-Unmodified-Since."""
    match = fields.get("if-match")
    if match is not None:
        return parse_tags(match).match_strongly(file)
    until = _date(fields, "if-unmodified-since")
    return until is None or file is None or _modified(file) <= until


def range_applies(fields: Fields, file: Represented) -> bool:
    """Step 5: whether a Range may be honoured, or If-Range says that the client has parts of another file.

    A tag must match strongly, a date exactly (RFC 9110 section 13.1.5). What is neither has not matched.
    """
    field = fields.get("if-range")
    if field is None:
        return True
    value = field.strip(" \t")
    return value == file.etag or parse_http_date(value) == _modified(file)


def needs_current(fields: Fields) -> bool:
    """Whether a PUT or DELETE asks what a `Condition` alone can't say, so that what is there now must be looked up."""
    none_match = fields.get("if-none-match")
    if none_match is not None and not parse_tags(none_match).any:
        return True
    return fields.get("if-match") is None and _date(fields, "if-unmodified-since") is not None


def asked_condition(fields: Fields) -> Condition:
    """What a PUT or DELETE asks, for the Master to check at the commit. Raises `ValueError` for a malformed list."""
    match, none_match = fields.get("if-match"), fields.get("if-none-match")
    absent = none_match is not None and parse_tags(none_match).any
    if match is None:
        return Condition(absent=True) if absent else ANYTHING
    tags = parse_tags(match)
    return Condition(absent=absent, exists=tags.any, match=None if tags.any else tags.data_files())


def pinned_condition(fields: Fields, seen: Represented | None) -> Condition | None:
    """That nothing changes from what was seen; None where that is already not what the fields ask.

    Raises `ValueError` for a malformed list.
    """
    none_match = fields.get("if-none-match")
    excluded = none_match is not None and parse_tags(none_match).match_weakly(seen)
    if excluded or not _may_go_on(fields, seen):
        return None
    return Condition(absent=True) if seen is None else Condition(match=frozenset((seen.id,)))
