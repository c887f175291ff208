"""Whether a file that is put waits to be released, and until when: what a destination's options say.

A file that waits is there for who may put files where it is, and for nobody else. What was seen under its name before
is seen until it is released.
"""

from __future__ import annotations

from collections.abc import Mapping

from ecpds.events import is_time, timestamp
from ecpds.model import Entry
from ecpds.options import in_seconds, pattern

DELAY, STANDBY = "incoming.delay", "incoming.standby"
TMP_DETECT, TMP_PATTERN = "incoming.tmpDetect", "incoming.tmpPattern"
"""The options of destinations that let files wait."""

MAY_RELEASE = "portal.releases"
"""The option of users who may release and hold files, where they may put them."""

TMP_NAMES = r"(?i).+\.(tmp|part|partial|filepart)"
"""The names of files that are not ready, where a destination doesn't say."""

NEVER = 1e12
"""When a file is released that waits for somebody, in seconds since the epoch: the year 33658."""


def waits_until(options: Mapping[str, str], path: str, now: float) -> float | None:
    """When a file is released that gets this path at `now`; None: it doesn't wait."""
    if options.get(STANDBY) == "true" or is_temporary(options, path):
        return NEVER
    delay = options.get(DELAY)
    seconds = in_seconds(delay) if delay is not None else 0
    if not seconds:
        return None
    return now + seconds if is_time(now + seconds) else NEVER


def is_temporary(options: Mapping[str, str], path: str) -> bool:
    """Whether the name says that the file is not ready."""
    if options.get(TMP_DETECT) != "true":
        return False
    name = path.rpartition("/")[2]
    return pattern(options.get(TMP_PATTERN, TMP_NAMES)).fullmatch(name) is not None


def waits_after_rename(options: Mapping[str, str], source: str, target: str, waits: float, now: float) -> float | None:
    """When a file is released that waits until `waits` under its old path. One that is ready now counts from now."""
    if is_temporary(options, target):
        return NEVER
    return waits_until(options, target, now) if is_temporary(options, source) else waits


def state(entry: Entry) -> dict[str, str | None]:
    """What JSON says of a file that waits: that it does, and when it is released, null where that takes somebody."""
    if entry.waits is None:
        return {}
    return {"state": "standby", "release": timestamp(entry.waits) if entry.waits < NEVER else None}
