"""Bandwidth: transfers that wait, so that no more bytes a second cross than may.

Every door's bytes pass an upload's source or a download's sink; where a limit is set those are paced ones (`PacedSource`,
`PacedSink`), which move a small piece at a time and wait before the next. So whatever is below them obeys: TLS, `sendfile`,
SFTP's windows, another node's stream. A waiting transfer holds no buffer but its own, and no read or write of its socket is
under way, so it doesn't count as stalled; TCP tells the other end to wait.

A download waits before a piece is sent, an upload after one has come: both last as long as their bytes take at that rate,
so many short ones are no faster than a long one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ecpds.limits import Limits
from ecpds.model import VISITOR, Identity
from ecpds.rates import OF_USER, Rates, rates_at

SLACK = 0.1
"""Seconds whose bytes may be caught up with: timers are late, and a shared limit is not always used."""

PIECES = 20
"""Pieces of a second's bytes."""

LARGEST = 1 << 20
"""Bytes of a piece at most."""

REMEMBERED = 10_000
"""Limits that several transfers share, and are remembered between them."""

DOWNLOAD, UPLOAD = "download", "upload"

_OF_USER = frozenset(OF_USER)


class Bucket:
    """A token bucket of `rate` bytes a second, empty at first, which holds what `SLACK` seconds let in.

    It is kept as the time at which all that was taken is due (ITU-T I.371, the generic cell rate algorithm as virtual
    scheduling), so taking is one sum, whoever else waits, and they are served in the order of asking.
    """

    def __init__(self, rate: int, now: float) -> None:
        self.rate = rate
        self._due = now

    def take(self, size: int, now: float) -> float:
        """Take bytes, and say in how many seconds they are there."""
        self._due = max(self._due, now - SLACK) + size / self.rate
        return self._due - now

    def holds(self, size: int, now: float) -> bool:
        """Whether so many are there now."""
        return max(self._due, now - SLACK) + size / self.rate <= now


class Pace:
    """What one transfer has to obey: each of `buckets`. `seconds` is a clock that never goes back."""

    def __init__(self, buckets: Sequence[Bucket], clock: IReactorTime, seconds: Callable[[], float]) -> None:
        self.piece = max(1, min(LARGEST, *(bucket.rate // PIECES for bucket in buckets)))
        self._buckets = buckets
        self._clock = clock
        self._seconds = seconds

    async def spend(self, size: int) -> None:
        """Wait until so many bytes may cross."""
        now = self._seconds()
        delay = max([bucket.take(size, now) for bucket in self._buckets])
        if delay > 0:
            await deferLater(self._clock, delay)

    def spend_now(self, size: int) -> bool:
        """Whether so many may cross without waiting; then they count."""
        now = self._seconds()
        if not all(bucket.holds(size, now) for bucket in self._buckets):
            return False
        for bucket in self._buckets:
            bucket.take(size, now)
        return True


class Paces:
    """Says what each transfer has to obey, on this node. `seconds` is a clock that never goes back."""

    def __init__(self, limits: Limits, clock: IReactorTime, seconds: Callable[[], float]) -> None:
        self._clock = clock
        self._seconds = seconds
        rates = {DOWNLOAD: limits.download_rate, UPLOAD: limits.upload_rate}
        self._of_node = {direction: Bucket(rate, seconds()) for direction, rate in rates.items() if rate}
        self._shared: OrderedDict[tuple[object, ...], Bucket] = OrderedDict()

    def of(self, direction: str, identity: Identity, address: str, destination: str, upload: int | None = None) -> Pace | None:
        """For a transfer of a user who comes from `address`; None: it obeys nothing. Parts of one `upload` share its limit."""
        of_destination = identity.rates.get(destination)
        if of_destination is None and not self._of_node and _OF_USER.isdisjoint(identity.options):
            return None  # as most do, and their small files take a few microseconds
        network, of_user = rates_at(identity.options, address)
        found = [self._of_node[direction]] if direction in self._of_node else []
        if identity.user_id != VISITOR and (rate := _in(direction, of_user)):
            found.append(self._bucket((direction, "user", identity.user_id, network), rate))
        if of_destination is not None and (rate := _in(direction, of_destination)):
            found.append(self._of_transfer(direction, destination, upload, rate))
        return Pace(found, self._clock, self._seconds) if found else None

    def _of_transfer(self, direction: str, destination: str, upload: int | None, rate: int) -> Bucket:
        if upload is None:
            return Bucket(rate, self._seconds())
        return self._bucket((direction, "upload", destination, upload), rate)

    def _bucket(self, key: tuple[object, ...], rate: int) -> Bucket:
        bucket = self._shared.get(key)
        if bucket is None or bucket.rate != rate:
            bucket = self._shared[key] = Bucket(rate, self._seconds())
        self._shared.move_to_end(key)
        if len(self._shared) > REMEMBERED:
            self._shared.popitem(last=False)
        return bucket


def _in(direction: str, rates: Rates) -> int:
    return rates.download if direction == DOWNLOAD else rates.upload
