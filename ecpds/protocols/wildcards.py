"""Wildcards in the last name of a path, as FTP's listings and scp have them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable

from ecpds.errors import InvalidName
from ecpds.portal.paths import SEGMENT_BYTES

WILDCARD = re.compile(r"[*?\[]")


def matching(pattern: str) -> Callable[[str], bool]:
    """What says whether a name matches; one that looks like a wildcard matches itself.

    Raises `InvalidName` where the pattern is longer than any name: the time to read one grows with the square of its length.
    """
    if len(pattern) > SEGMENT_BYTES:
        raise InvalidName(f"a pattern has at most {SEGMENT_BYTES} characters")
    matches = re.compile(fnmatch.translate(pattern)).match

    def matched(name: str) -> bool:
        return name == pattern or matches(name) is not None

    return matched
