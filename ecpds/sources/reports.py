"""Transfer reports before they count: which can't be, how much one weighs, and which are odd.

Anybody may report. What steers the order is a report that belongs to a signed answer, and each network's in full only so
many times an hour for one source; what comes without a signature weighs little, and the less the more of it comes.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Sequence
from math import isfinite, log2
from statistics import median

from attrs import evolve

from ecpds.datasources import StoredReport, TransferReport
from ecpds.errors import InvalidRequest
from ecpds.sources.urls import cut

LARGEST = 1 << 60
"""Bytes of one transfer at most."""

SLOWEST = 30 * 86400.0
"""Seconds of one transfer at most."""

FASTEST = 1.25e11
"""Bytes a second at most: a terabit."""

TEXT = 4096
"""Characters of an error or of a mechanism's output that are kept."""

NAME = 100
"""Characters of a mechanism's name that are kept."""

IN_FULL = 64
"""Signed reports of one network about one source that count in full, an hour."""

UNSIGNED = 0.1
"""What a report without a signature weighs, the first of an hour about a source."""

HOUR = 3600.0

REMEMBERED = 10_000
"""Networks and sources whose reports are counted."""

ODD = 3.0
"""How many times as far from the median as half of the others a rate is odd."""


def check(report: TransferReport) -> None:
    """Raises `InvalidRequest`, one sentence, for a report that can't be true."""
    cut(report.url)
    if not 0 <= report.size <= LARGEST:
        raise InvalidRequest(f"a size of {report.size} bytes; allowed: 0 to {LARGEST}")
    if not (isfinite(report.seconds) and 0 <= report.seconds <= SLOWEST):
        raise InvalidRequest(f"a duration of {report.seconds} seconds; allowed: 0 to {SLOWEST:.0f}")
    if report.size > report.seconds * FASTEST:
        raise InvalidRequest(f"{report.size} bytes in {report.seconds} seconds; allowed: {FASTEST:.3g} bytes a second at most")
    if report.success and report.wrong:
        raise InvalidRequest("a transfer that worked and brought the wrong file; allowed: one of the two")
    for name, text in report.digests.items():
        if not (name.isalnum() and len(name) <= 16 and len(text) <= 256 and text.isascii() and text.isprintable()):
            raise InvalidRequest(f"digest {name[:100]!a}")


def writable(report: TransferReport) -> TransferReport:
    """The report with what is kept of its texts. Strangers wrote them: what no database takes and no page shows is escaped."""
    return evolve(
        report,
        mechanism=_writable(report.mechanism, NAME),
        error=_writable(report.error, TEXT),
        output=_writable(report.output, TEXT),
    )


def _writable(text: str, most: int) -> str:
    return text[:most].replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


class Reporters:
    """How many reports came lately, of whom and about what; counts halve within the hour."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, int], tuple[float, float]] = OrderedDict()

    def signed(self, address: str, source: int, now: float) -> float:
        """What a signed report from an address weighs."""
        before = self._counted((network_of(address), source), now)
        return 1.0 if before < IN_FULL else IN_FULL / (before + 1)

    def unsigned(self, source: int, now: float) -> float:
        """What a report without a signature weighs, whoever sends it."""
        return UNSIGNED / (1 + self._counted(("", source), now))

    def _counted(self, key: tuple[str, int], now: float) -> float:
        count, since = self._counts.pop(key, (0.0, now))
        count *= float(0.5 ** (max(0.0, now - since) * 2 / HOUR))
        self._counts[key] = (count + 1, now)
        if len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)
        return count


def network_of(address: str) -> str:
    """Whose an address is, as far as it goes: its /24 or, of IPv6, its /56; of what is no address, the text."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:100]
    return str(ipaddress.ip_network((found, 24 if found.version == 4 else 56), strict=False))


def odd_ones(reports: Sequence[StoredReport]) -> set[int]:
    """The ids of those whose rates are far from the others': more than `ODD` times the median distance, and an octave.

    Of fewer than three nothing can be said. Rates are compared by their logarithms, so that too slow counts as too fast.
    """
    rates = {each.id: log2(each.rate) for each in reports if each.report.success and each.rate > 0}
    if len(rates) < 3:
        return set()
    middle = median(rates.values())
    spread = max(1 / ODD, 1.4826 * median(abs(rate - middle) for rate in rates.values()))
    return {id_ for id_, rate in rates.items() if abs(rate - middle) > ODD * spread}
