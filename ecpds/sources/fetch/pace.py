"""How fast servers have been in this run: what the repository's order is corrected by while files come.

Pure, with the clock as an argument. A server's pace is the bytes a second that one connection has got of it, the more recent
the more it counts; it falls when its connections share what it has, so work moves by itself to who has room. A server that
was not tried yet is thought as good as its place in the repository's order. One that failed rests for a while, longer each
time; one that gave a wrong file is not asked again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from ecpds.errors import InvalidRequest

MEMORY = 8.0
"""Seconds of transfer after which a measurement counts for 1/e."""

REST = 2.0
LONGEST_REST = 60.0
"""Seconds that a server rests after its first failure in a row, and at most."""

MUCH_FASTER = 3.0
"""How many times as fast another must be known to be before work is taken from who has it."""

WORTH_EXPLORING = 3
"""Files for each candidate that are left, for which trying one that nobody knows is worth its price."""


_BEHIND = re.compile(r"[/?#]")
"""Where the server's part of a URL ends."""


class Way(Protocol):
    """What is had from a server by some mechanism, such as a `Candidate`."""

    @property
    def url(self) -> str: ...

    @property
    def mechanism(self) -> str: ...


Some = TypeVar("Some", bound=Way)


def host_of(candidate: Way) -> str:
    """What shares a pace: the server and the way to it."""
    scheme, _, rest = candidate.url.partition("://")
    return _name(candidate.mechanism, scheme, _BEHIND.split(rest, 1)[0])


@lru_cache(maxsize=1024)
def _name(mechanism: str, scheme: str, authority: str) -> str:
    try:
        parts = urlsplit(f"{scheme}://{authority}")
        return f"{mechanism}:{parts.hostname}:{parts.port or scheme}"
    except ValueError as error:
        raise InvalidRequest(f"this is no URL: {error}") from error


class Host:
    """What is known of one server."""

    __slots__ = ("asked", "bytes", "connections", "failures", "rests_until", "seconds", "wrong")

    def __init__(self) -> None:
        self.bytes = self.seconds = self.rests_until = 0.0
        self.connections = self.failures = self.asked = 0
        self.wrong = False

    @property
    def rate(self) -> float | None:
        """Bytes a second of one connection; None while nothing is known."""
        return self.bytes / self.seconds if self.seconds > 0.05 and self.bytes else None

    def moved(self, count: int, seconds: float) -> None:
        """`count` bytes came over one connection in so many seconds, waiting for the first of them included."""
        kept = math.exp(-seconds / MEMORY)
        self.bytes = self.bytes * kept + count
        self.seconds = self.seconds * kept + seconds


class Paces:
    """All servers of a run. `most` is how many connections one may have at a time."""

    def __init__(self, clock: Callable[[], float], most: int = 8) -> None:
        self.clock = clock
        self.most = most
        self.hosts: dict[str, Host] = {}

    def host(self, candidate: Way) -> Host:
        name = host_of(candidate)
        found = self.hosts.get(name)
        if found is None:
            found = self.hosts[name] = Host()
        return found

    def moved(self, candidate: Way, count: int, seconds: float) -> None:
        self.host(candidate).moved(count, seconds)

    def went_well(self, candidate: Way) -> None:
        self.host(candidate).failures = 0

    def failed(self, candidate: Way) -> None:
        host = self.host(candidate)
        host.rests_until = self.clock() + min(REST * 2.0**host.failures, LONGEST_REST)
        host.failures += 1

    def order(self, candidates: Sequence[Some], explore: bool) -> list[Some]:
        """The candidates, the best first. With `explore`, one that nobody has tried goes first, if there is any.

        The best is who is known to be fastest; who is not known stands where the repository's order has it. Servers that
        rest, or have all the connections that they may, come last.
        """
        return [candidates[number] for number in self.ranked([self.host(each) for each in candidates], explore)]

    def ranked(self, hosts: Sequence[Host], explore: bool) -> list[int]:
        """The numbers of the hosts, as `order` orders those who have them."""
        order = sorted(range(len(hosts)), key=self._merits(hosts).__getitem__)
        if explore:
            new = [number for number, host in enumerate(hosts) if not host.asked and not host.failures and not host.wrong]
            order.sort(key=lambda number: number not in new[:1])
        return order

    def _merits(self, hosts: Sequence[Host]) -> list[tuple[bool, bool, bool, float]]:
        """What they are sorted by, the best first."""
        now = self.clock()
        rates = [host.rate for host in hosts]
        # What is not known is taken for the slowest that is, so that the order among the known ones is left alone.
        slowest = min((rate for rate in rates if rate is not None), default=0.0)
        return [
            (host.wrong, host.rests_until > now, host.connections >= self.most, -(slowest if rate is None else rate))
            for host, rate in zip(hosts, rates, strict=True)
        ]

    def much_faster(self, candidate: Way, rate: float) -> bool:
        """Whether a server is known to give a connection a lot more than `rate`."""
        return self.outruns(self.host(candidate), rate)

    def outruns(self, host: Host, rate: float) -> bool:
        """Whether it is known to give a connection a lot more than `rate`, and may be asked."""
        known = host.rate
        return known is not None and known > MUCH_FASTER * rate and host.rests_until <= self.clock() and not host.wrong

    def is_free(self, host: Host) -> bool:
        """Whether it may be asked for a connection more."""
        return host.rests_until <= self.clock() and host.connections < self.most and not host.wrong
