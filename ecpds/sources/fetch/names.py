"""What a fetched file is called here: never what leads out of the folder that it is meant for."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from ecpds.errors import InvalidName

LONGEST = 255
"""Bytes of one name."""

MARK = ".ecpds-part"
"""What unfinished files end with."""

STATE = ".ecpds-state"
"""What the note beside one ends with."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

ROOM = len(MARK) + 1
"""Bytes that a name leaves for the mark and a dot."""


def name_of(url: str) -> str:
    """The last element of the path of a URL. Raises `InvalidName` where it is none, or not a plain name."""
    try:
        path = urlsplit(url).path
    except ValueError as error:
        raise InvalidName("this is no URL") from error
    return checked_name(unquote(path.rpartition("/")[2], errors="surrogateescape"))


def checked_name(name: str) -> str:
    """A name of one element. Raises `InvalidName` for any that is not, such as `..` or one with a slash."""
    if not name:
        raise InvalidName("the URL ends with a folder")
    if name in (".", "..") or "/" in name or "\\" in name:
        raise InvalidName(f"{name!r} leads elsewhere")
    if _CONTROL.search(name):
        raise InvalidName("it has control characters")
    if len(name.encode("utf-8", "surrogateescape")) > LONGEST - ROOM - 1:
        raise InvalidName("it is too long")
    if name.endswith((MARK, STATE)):
        raise InvalidName(f"{name!r} is what unfinished files are called")
    return name


def checked_path(path: str) -> str:
    """A path below the output folder, as a manifest may give one. Raises `InvalidName` for any that leads elsewhere."""
    if path.startswith("/"):
        raise InvalidName(f"{path!r} is not below the output folder")
    return "/".join(checked_name(name) for name in path.split("/"))


def part_name(name: str) -> str:
    """The name of a file while it comes: hidden, beside the one that it gets."""
    return f".{name}{MARK}"


def state_name(name: str) -> str:
    """The name of the note that says which parts of it have come."""
    return f".{name}{STATE}"
