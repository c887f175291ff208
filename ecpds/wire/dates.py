"""HTTP dates (RFC 9110 section 5.6.7): written in one form, read in all three. Whole seconds, always UTC."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from functools import lru_cache

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_MONTH = f"(?P<month>{'|'.join(MONTHS)})"
_TIME = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"

_FORMS = (
    re.compile(rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT"),
    re.compile(rf"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"),
    re.compile(rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) {_MONTH} (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})"),
)
"""IMF-fixdate, which is the one in use, and the obsolete forms of RFC 850 and asctime."""


def http_date(seconds: float) -> str:
    """Seconds since the epoch as an IMF-fixdate; what is less than a second is cut off."""
    return _fixdate(int(seconds))


@lru_cache(1024)
def _fixdate(seconds: int) -> str:
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(seconds)
    return f"{DAYS[weekday]}, {day:02} {MONTHS[month - 1]} {year:04} {hour:02}:{minute:02}:{second:02} GMT"


@lru_cache(1024)
def parse_http_date(text: str) -> int | None:
    """Seconds since the epoch; None where `text` is no HTTP date, which recipients ignore (RFC 9110 section 13.1.3)."""
    for form in _FORMS:
        if match := form.fullmatch(text):
            return _seconds(match)
    return None


def _seconds(match: re.Match[str]) -> int | None:
    hour, minute, second = (int(match[name]) for name in ("hour", "minute", "second"))
    try:
        day = datetime(_year(match["year"]), MONTHS.index(match["month"]) + 1, int(match["day"]), hour, minute, tzinfo=UTC)
    except ValueError:
        return None
    # A leap second, which no time since the epoch has, is the next second.
    return int(day.timestamp()) + second if second <= 60 else None


def _year(text: str) -> int:
    # Of two digits, as POSIX reads them: 1969 to 2068.
    year = int(text)
    return year if len(text) == 4 else year + (2000 if year < 69 else 1900)
