"""The verbs that set when a file was modified (draft-somers-ftp-mfxx-04), and SITE, which has more of the kind.

Files here have no modes, owners or links, so what else SITE knows elsewhere is refused.
"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from ecpds.model import Entry
from ecpds.protocols.ftp_copies import copy, copy_from, copy_to
from ecpds.protocols.ftp_interpreter import EarlyReply, Handler, Interpreter
from ecpds.protocols.ftp_replies import Reply, reply
from ecpds.wire.listings import time_value

TIME = re.compile(r"(\d{14})(\.\d{1,9})?", re.ASCII)
LONG_UTIME = re.compile(r"(.*[^ ]) +(\d{14}) +(\d{14}) +(\d{14})(?: +UTC)?", re.ASCII | re.IGNORECASE)
SHORT_UTIME = re.compile(r"(\d{14}|\d{12}) +(.+)", re.ASCII)


def parse_time(text: str) -> float:
    """A time-val of RFC 3659 section 2.3 as seconds since the epoch. Raises `EarlyReply` (501)."""
    found = TIME.fullmatch(text)
    try:
        moment = datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC) if found else None
    except ValueError:
        moment = None
    if found is None or moment is None:
        raise EarlyReply(reply(501, "A time is YYYYMMDDHHMMSS, in UTC."))
    return timegm(moment.timetuple()) + float(found[2] or 0)


async def modify(pi: Interpreter, argument: str) -> Reply:
    """MFMT."""
    text, _, path = argument.partition(" ")
    entry = await _set(pi, path, parse_time(text))
    return reply(213, f"Modify={time_value(entry.mtime)}; {path}")


async def modify_facts(pi: Interpreter, argument: str) -> Reply:
    """MFF: only `modify` can be set."""
    facts, _, path = argument.partition(" ")
    found = [fact.partition("=") for fact in facts.split(";") if fact]
    if not found or any(name.lower() != "modify" for name, _, _ in found):
        return reply(504, "Only the fact modify can be set.")
    entry = await _set(pi, path, parse_time(found[-1][2]))
    return reply(213, f"Modify={time_value(entry.mtime)}; {path}")


async def site(pi: Interpreter, argument: str) -> Reply:
    """SITE (RFC 959 section 4.1.3)."""
    name, _, rest = argument.strip().partition(" ")
    command = SITE.get(name.upper())
    return await command(pi, rest.strip()) if command else reply(504, "Files have no such thing here; see SITE HELP.")


async def _utime(pi: Interpreter, argument: str) -> Reply:
    """Both forms that are about: a time and a path, or a path, three times (accessed, modified, created) and UTC."""
    if not pi.files.identity.may("mtime"):
        return reply(550, "You may not do that here.")
    if long := LONG_UTIME.fullmatch(argument):
        path, text = long[1], long[3]
    elif short := SHORT_UTIME.fullmatch(argument):
        path, text = short[2], short[1].ljust(14, "0")
    else:
        return reply(501, "SITE UTIME takes a time and a path.")
    await _set(pi, path, parse_time(text))
    return reply(200, "Done.")


async def _release(pi: Interpreter, path: str) -> Reply:
    """SITE RELEASE: let everybody see a file that waits."""
    return await _set_released(pi, path, True)


async def _hold(pi: Interpreter, path: str) -> Reply:
    """SITE HOLD: let nobody see it who may not put there."""
    return await _set_released(pi, path, False)


async def _set_released(pi: Interpreter, path: str, released: bool) -> Reply:
    if not path:
        return reply(501, "Which file?")
    await pi.files.set_released(pi.session.resolve_file(path), released)
    return reply(200, "Done.")


async def _site_help(pi: Interpreter, argument: str) -> Reply:
    return reply(214, "SITE commands:", *SITE_HELP, "End.")


async def _set(pi: Interpreter, path: str, mtime: float) -> Entry:
    if not path.strip():
        raise EarlyReply(reply(501, "Which file?"))
    entry: Entry = await pi.files.set_mtime(pi.session.resolve_file(path), mtime)
    return entry


SITE_HELP = (
    "SITE UTIME YYYYMMDDHHMMSS path: as MFMT.",
    "SITE COPY path path: copy a file.",
    "SITE CPFR path: what is to be copied.",
    "SITE CPTO path: the copy's name.",
    "SITE RELEASE path: let everybody see a file that waits.",
    "SITE HOLD path: let nobody see it who may not put there.",
)

SITE: dict[str, Callable[[Interpreter, str], Awaitable[Reply]]] = {
    "UTIME": _utime,
    "COPY": copy,
    "CPFR": copy_from,
    "CPTO": copy_to,
    "RELEASE": _release,
    "HOLD": _hold,
    "HELP": _site_help,
}

HANDLERS: dict[str, Handler] = {"MFMT": modify, "MFF": modify_facts, "SITE": site}
