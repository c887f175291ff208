"""Which files of a remote folder are wanted, what they are called here, and when to come again. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from ecpds.acquisitions import Acquired, Plan
from ecpds.datasources import MECHANISMS
from ecpds.errors import InvalidName, InvalidRequest
from ecpds.events import UNITS
from ecpds.sources.fetch.names import checked_name
from ecpds.sources.mechanisms.base import Listed, parse_url
from ecpds.sources.patterns import check, check_replacement, compiled, replaced

LISTERS = ("http", "ftp", "sftp", "s3")
"""The mechanisms that list folders."""

SCHEMES = tuple(scheme for each in MECHANISMS.values() if each.id in LISTERS for scheme in each.schemes)

PLAN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)

LONGEST = 2000
"""Characters of each text of a plan."""

SHORTEST = 10.0
"""Seconds between two visits at least."""

DAY = 86400.0

RETRY = 60.0
"""Seconds before a file that failed is tried again, at first."""

_DATE = re.compile(r"\{(?:([+-])([0-9]{1,4})([hdw]):)?((?:%[YymdHj]|[/_.-])+)\}")


def dated(text: str, now: float) -> str:
    """`text` with its dates written out, in UTC: `{%Y/%m}`, `{-1d:%Y%m%d}`, `{-6h:%H}`.

    Of strftime's directives there are Y, y, m, d, H and j. Raises `InvalidRequest` for any other brace.
    """
    at = datetime.fromtimestamp(now, UTC)

    def written(found: re.Match[str]) -> str:
        sign, number, unit, form = found.groups()
        shift = timedelta(seconds=int(number) * UNITS[unit]) if number else timedelta()
        return (at - shift if sign == "-" else at + shift).strftime(form)

    made = _DATE.sub(written, text)
    if "{" in made or "}" in made:
        raise InvalidRequest(f"date in {text[:200]!a}; allowed: {{%Y%m%d}}, {{-1d:%Y/%m/%d}}, with %Y %y %m %d %H %j")
    return made


def check_plan(plan: Plan) -> None:
    """Raises `InvalidRequest` or `InvalidName` for a plan that can't be followed, one sentence that says why."""
    if not PLAN_NAME.fullmatch(plan.name):
        raise InvalidName(f"{plan.name[:100]!a}; allowed: 1 to 63 letters, digits, '.', '_' or '-'")
    for text in (plan.url, plan.folder, plan.destination, plan.pattern, plan.rename, *plan.names):
        if len(text) > LONGEST:
            raise InvalidRequest(f"a text of {len(text)} characters; allowed: {LONGEST} at most")
    place = parse_url(dated(plan.url, 0.0), SCHEMES)
    if place.password is not None:
        raise InvalidRequest("a URL with a password; allowed: a name in the URL, and its password in the node's ~/.netrc")
    dated(plan.folder, 0.0)
    _check_names(plan)
    if plan.every < SHORTEST:
        raise InvalidRequest(f"every {plan.every:g} s; allowed: {SHORTEST:g} s at least")
    if plan.max_age is not None and plan.max_age <= plan.min_age:
        raise InvalidRequest("no file is older than min_age and younger than max_age")
    if None not in (plan.min_size, plan.max_size) and (plan.min_size or 0) > (plan.max_size or 0):
        raise InvalidRequest("no size is from min_size to max_size")


def _check_names(plan: Plan) -> None:
    for glob in plan.names:
        check(glob_expression(glob))
    if plan.pattern:
        check(plan.pattern)
    if plan.rename:
        if not plan.pattern:
            raise InvalidRequest("a rename without a pattern; allowed: a pattern whose groups the new name has")
        check_replacement(plan.pattern, plan.rename)


def glob_expression(glob: str) -> str:
    """A glob as an expression of RE2: `*` is any characters, `?` one; everything else stands for itself."""
    return "(?s)" + "".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in glob)


def fits(plan: Plan, name: str) -> bool:
    """Whether a name is one that the plan wants. One that is no text in UTF-8 never is."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    if plan.names and not any(compiled(glob_expression(glob)).fullmatch(name) for glob in plan.names):
        return False
    return not plan.pattern or compiled(plan.pattern).fullmatch(name) is not None


def needs_more(plan: Plan, listed: Listed) -> bool:
    """Whether the server must be asked about a file, for its listing says too little to tell one version from another."""
    sized = plan.min_size is not None or plan.max_size is not None
    return (listed.mtime is None and not listed.version) or (listed.size is None and sized)


def in_limits(plan: Plan, listed: Listed, now: float) -> bool:
    """Whether size and age are as the plan wants them. What nobody tells is not, where it matters."""
    if plan.min_size is not None and (listed.size is None or listed.size < plan.min_size):
        return False
    if plan.max_size is not None and (listed.size is None or listed.size > plan.max_size):
        return False
    if listed.mtime is None:
        return not plan.min_age and plan.max_age is None
    age = now - listed.mtime
    return age >= plan.min_age and (plan.max_age is None or age <= plan.max_age)


def mark_of(listed: Listed) -> str:
    """What differs when the file does: its size, time and entity tag."""
    parts = (listed.size, None if listed.mtime is None else round(listed.mtime), listed.version)
    return "/".join("-" if part in (None, "") else str(part) for part in parts)


def is_due(known: Acquired | None, mark: str, now: float, tries: int) -> bool:
    """Whether a file with that mark is to be fetched: it is new, or another one by now, or is to be tried again."""
    if known is None or known.mark != mark:
        return True
    return bool(known.reason) and known.tries < tries and known.due <= now


def target(plan: Plan, name: str, now: float) -> str:
    """The path of a file, as the plan's user sees it. Raises `InvalidName`, such as for a name that leads elsewhere."""
    new = replaced(plan.pattern, plan.rename, name) if plan.rename else name
    if len(new) > LONGEST:
        raise InvalidName("it is too long")
    folders = [each for each in dated(plan.folder, now).split("/") if each]
    return "/" + "/".join(checked_name(each) for each in (plan.destination, *folders, *new.split("/")))


def pause(every: float, failures: int) -> float:
    """Seconds to the next visit: longer after each that failed, up to a day or what is usual for the plan."""
    return min(every * 2.0 ** min(failures, 20), max(every, DAY))


def retry(tries: int) -> float:
    """Seconds to the next try of a file that failed so often."""
    return min(RETRY * 2.0 ** min(tries - 1, 20), DAY)


def surplus(known: Collection[Acquired], listed: Collection[str], most: int) -> list[str]:
    """The URLs to forget, so that no more than `most` are known: the oldest of those that the folder no longer has."""
    gone = sorted((each for each in known if each.url not in listed), key=lambda each: each.time)
    return [each.url for each in gone[: max(0, len(known) - most)]]
