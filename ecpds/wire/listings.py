"""One entry of a directory as clients read it: a line of `ls -l`, the facts of MLSD, a line of plain text, a JSON object.

All times are shown in UTC, in English, whatever the locale is: programs read these lines.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as _in_json
from typing import Any

from attrs import frozen

from ecpds.events import timestamp
from ecpds.model import PERMISSIONS, Entry
from ecpds.releases import state
from ecpds.wire.dates import MONTHS

HALF_YEAR = 182 * 86400.0
"""`ls -l` shows the hour of a file that is younger than this, in seconds, and the year of an older one."""

MLSD_FACTS = ("type", "size", "modify", "perm", "unique")
"""The facts that MLSD and MLST can show (RFC 3659 section 7.5), in the order in which they are shown."""

FILE_PERM = (("delete", "d"), ("rename", "f"), ("get", "r"), ("put", "w"))
DIRECTORY_PERM = (
    ("put", "c"),
    ("rmdir", "d"),
    ("dir", "e"),
    ("rename", "f"),
    ("dir", "l"),
    ("mkdir", "m"),
    ("delete", "p"),
)
"""Which letters of the perm fact (RFC 3659 section 7.5.5) each permission of the portal earns."""


_FORMULA = ("=", "+", "-", "@", "\t")


def unix_line(entry: Entry, now: float, owner: str) -> str:
    """A line of `ls -l`, without its end: what FTP's LIST sends. `owner` is shown as user and as group.

    `now` is in seconds since the epoch and decides between the hour and the year.
    """
    mode, links = ("drwxr-xr-x", 2) if entry.is_directory else ("-rw-r--r--", 1)
    who = _one_word(owner)
    return f"{mode} {links:>3} {who:<8} {who:<8} {entry.size:>13} {_unix_time(entry.mtime, now)} {entry.name}"


def _one_word(owner: str) -> str:
    # A space would shift the columns that clients count.
    return "_".join(owner.split()) or "-"


def _unix_time(mtime: float, now: float) -> str:
    at = datetime.fromtimestamp(mtime, UTC)
    recent = -86400.0 < now - mtime < HALF_YEAR
    last = f"{at.hour:02}:{at.minute:02}" if recent else f"{at.year:>5}"
    return f"{MONTHS[at.month - 1]} {at.day:>2} {last}"


def time_value(seconds: float) -> str:
    """A time as MDTM and the modify fact show it: UTC, whole seconds (RFC 3659 section 2.3)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M%S")


def mlsd_facts(entry: Entry, permissions: Collection[str] = PERMISSIONS, wanted: Collection[str] = MLSD_FACTS) -> str:
    """The facts of an entry, each ended by `;`, without the space and the name that follow (RFC 3659 section 7.2).

    `permissions` are what the asker holds, `wanted` the facts it chose by OPTS MLST, in lower case; unknown ones don't count.
    """
    known = {"type": "dir" if entry.is_directory else "file", "modify": time_value(entry.mtime)}
    letters = DIRECTORY_PERM if entry.is_directory else FILE_PERM
    known["perm"] = "".join(letter for permission, letter in letters if permission in permissions)
    if entry.file:
        known["size"] = str(entry.file.size)
        known["unique"] = str(entry.file.id)
    return "".join(f"{fact}={known[fact]};" for fact in MLSD_FACTS if fact in wanted and fact in known)


def text_line(entry: Entry) -> str:
    """A line of the plain listing, without its end: time, size and name, which is last because it may hold spaces."""
    size = "-" if entry.is_directory else str(entry.size)
    return f"{timestamp(entry.mtime)} {size:>13} {marked_name(entry)}"


def csv_line(entry: Entry) -> str:
    """A record of RFC 4180 with its end: name, type, size, time, SHA-256. Every name is quoted, and none begins a formula.

    A spreadsheet computes what begins with one of `=+-@` or a tab; an apostrophe makes it text (OWASP, CSV injection).
    """
    name, file = entry.name, entry.file
    if name.startswith(_FORMULA):
        name = f"'{name}"
    if '"' in name:
        name = name.replace('"', '""')
    if file is None:
        return f'"{name}",directory,,{timestamp(entry.mtime)},\r\n'
    return f'"{name}",file,{file.size},{timestamp(entry.mtime)},{file.digests.get("sha256", "")}\r\n'


def marked_name(entry: Entry) -> str:
    """The name, with a slash after a directory's."""
    return f"{entry.name}/" if entry.is_directory else entry.name


def json_line(entry: Entry) -> str:
    """As `json.dumps` of the `json_entry`, in a third of its time: a long listing has many."""
    if entry.waits is not None:
        return json.dumps(json_entry(entry))
    file = entry.file
    directory, size, id_ = ("true", 0, "null") if file is None else ("false", file.size, file.id)
    digests = ", ".join([f"{_in_json(name)}: {_in_json(digest)}" for name, digest in file.digests.items()]) if file else ""
    return (
        f'{{"name": {_in_json(entry.name)}, "path": {_in_json(entry.path)}, "directory": {directory}, "size": {size}, '
        f'"mtime": "{timestamp(entry.mtime)}", "id": {id_}, "digests": {{{digests}}}}}'
    )


def json_entry(entry: Entry) -> dict[str, Any]:
    """The object that JSON listings show; a directory has size 0, no id and no digests."""
    file = entry.file
    return {
        "name": entry.name,
        "path": entry.path,
        "directory": entry.is_directory,
        "size": entry.size,
        "mtime": timestamp(entry.mtime),
        "id": file.id if file else None,
        "digests": dict(file.digests) if file else {},
        **state(entry),
    }


@frozen
class Order:
    """By what entries are shown, `name`, `size`, `time` or `target`, which is the name too, and whether `asc` or `desc`."""

    by: str = "name"
    way: str = "asc"


def ordered(entries: Sequence[Entry], order: Order) -> list[Entry]:
    """Entries in an order; those that are alike in it stay in that of their names."""
    key: Callable[[Entry], float] = (lambda entry: entry.size) if order.by == "size" else (lambda entry: entry.mtime)
    if order.by not in ("size", "time"):
        return list(reversed(entries)) if order.way == "desc" else list(entries)
    return sorted(entries, key=key, reverse=order.way == "desc")
