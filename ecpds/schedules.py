"""How many sessions a user may have by the time of day, as its options say it (`portal.maxConnectionsSchedule`)."""

from __future__ import annotations

from collections.abc import Mapping

from ecpds.options import MOST_SESSIONS, MOST_SESSIONS_BY_TIME

DAY = 24 * 60
"""Minutes."""


def most_sessions(options: Mapping[str, str], now: float) -> int | None:
    """How many sessions a user may have at a time; None: any number. The first span of the schedule that holds counts."""
    minute = int(now // 60) % DAY
    for rule in filter(None, options.get(MOST_SESSIONS_BY_TIME, "").split(",")):
        span, _, most = rule.partition("=")
        begin, end = (int(time[:2]) * 60 + int(time[3:]) for time in span.split("-"))
        if (minute - begin) % DAY < ((end - begin) % DAY or DAY):
            return int(most)
    return int(options.get(MOST_SESSIONS, "0")) or None
