"""The words of scp's dialogue: its options, and its lines. Nothing here waits or sends."""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import frozen

from ecpds.errors import InvalidName, InvalidRequest, NotSupported

_FILE = re.compile(rb"[CD]([0-7]{4,5}) ([0-9]{1,18}) (.+)", re.DOTALL)
_TIMES = re.compile(rb"T([0-9]{1,12}) [0-9]{1,9} [0-9]{1,12} [0-9]{1,9}")


@frozen
class Options:
    """What follows `scp` on the command line."""

    receives: bool
    recursive: bool
    times: bool
    directory: bool
    paths: tuple[str, ...]


def parse_options(words: Sequence[str]) -> Options:
    """Raises `InvalidRequest`, `NotSupported`."""
    letters, paths = "", list(words)
    while paths and paths[0].startswith("-") and paths[0] != "-":
        word = paths.pop(0)
        if word == "--":
            break
        letters += word[1:]
    if set(letters) - set("tfrpdvq"):
        raise NotSupported("that option of scp")
    if ("t" in letters) == ("f" in letters) or not paths or ("t" in letters and len(paths) > 1):
        raise InvalidRequest("scp is asked for with -t and a path, or with -f and paths")
    return Options("t" in letters, "r" in letters, "p" in letters, "d" in letters, tuple(paths))


@frozen
class Announced:
    """A `C` or `D` line."""

    directory: bool
    size: int
    name: str


def parse_times(line: bytes) -> int:
    """The time of modification of a `T` line. Raises `InvalidRequest`."""
    found = _TIMES.fullmatch(line)
    if found is None:
        raise InvalidRequest("times")
    return int(found[1])


def parse_announcement(line: bytes) -> Announced:
    """Raises `InvalidRequest`, and `InvalidName` for a name that is not one."""
    found = _FILE.fullmatch(line)
    if found is None:
        raise InvalidRequest("a line that is none of scp's")
    try:
        name = found[3].decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidName("not UTF-8") from error
    if "/" in name or name in (".", ".."):
        raise InvalidName("a path where a name belongs")
    return Announced(line[:1] == b"D", int(found[2]), name)
