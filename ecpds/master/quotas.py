"""Quotas: how many bytes a user may put, or fetch, within a while, and how many may go into a destination, or out of it.

Who tells whom: the Master asks, before it allocates, whether an upload still fits, by the size that was announced where one
was; and, right before the file gets its name, by the size that it has. There it is counted in the same step, so of two that
end together both count. A portal asks before it opens a file of who has such a quota (`Identity.metered`). What was fetched
is counted from the records of the transfers, which come here from all nodes with what really crossed, aborted ones too.

The counts are in memory alone: whoever has no quota costs nothing. Where one is asked for the first time, after a start or
because it is new, what was before that moment is read from the history, once, on a thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from ecpds import quotas
from ecpds.errors import DownloadQuotaExceeded, UploadQuotaExceeded
from ecpds.events import Event
from ecpds.master import days
from ecpds.master.reader import Reader
from ecpds.master.shared import Shared
from ecpds.master.sql import Session
from ecpds.master.window import Window
from ecpds.model import QuotaUse, RecordFilter

T = TypeVar("T")

UPLOAD, DOWNLOAD = "upload", "download"
"""What quotas are of, as records call it."""

USER, DESTINATION = "user", "destination"
"""Whose they are, as the history's columns are called."""

REMEMBERED = 10_000
"""Counts that are held at most; the one that was least lately asked for is read from the history again."""

READ_TOGETHER = 1000
"""Records that are read from the history with one question."""

Key = tuple[str, str, str]
"""What is counted: UPLOAD or DOWNLOAD, USER or DESTINATION, and its name."""

_REFUSALS = {UPLOAD: UploadQuotaExceeded, DOWNLOAD: DownloadQuotaExceeded}


@frozen
class Quota:
    """At most `most` bytes of what `key` says, within any `period` seconds."""

    key: Key
    most: int
    period: int


def quotas_of(
    direction: str, login: str, of_user: Mapping[str, str], destination: str, of_destination: Mapping[str, str]
) -> tuple[Quota, ...]:
    """Those that a transfer of a user from or to a destination counts for, by the options of both."""
    limits = (
        ((direction, USER, login), quotas.quota(of_user, "portal", direction)),
        ((direction, DESTINATION, destination), quotas.quota(of_destination, "incoming", direction)),
    )
    return tuple(Quota(key, limit.most, limit.period) for key, limit in limits if limit is not None)


class Count:
    """What there was of a key's, in a window: what came `since`, and what was `earlier` once that has been read."""

    def __init__(self, period: int, since: float, earlier: Callable[[Count], Awaitable[Window]]) -> None:
        self.period = period
        self.since = since
        self.window = Window(period)
        self._earlier = earlier
        self._is_whole = False
        self._reading: Shared[None] = Shared("reading what a quota has to count", self._read)

    async def whole(self) -> Window:
        """With what was earlier. Raises `Unavailable`; then it is tried again with the next."""
        if not self._is_whole:
            await self._reading.run()
        return self.window

    async def _read(self) -> None:
        self.window.merge(await self._earlier(self))
        self._is_whole = True


class Quotas:
    """Says whether there is something left of quotas, and counts. `catch_up` waits until the history has what was recorded."""

    def __init__(self, reader: Reader, clock: IReactorTime, catch_up: Callable[[], Awaitable[None]]) -> None:
        self._reader = reader
        self._clock = clock
        self._catch_up = catch_up
        self._counts: OrderedDict[Key, Count] = OrderedDict()

    def __len__(self) -> int:
        """How many counts are held."""
        return len(self._counts)

    async def check(self, quotas: Sequence[Quota], size: int | None = None) -> None:
        """Whether so many bytes more are allowed; None: how many is not known, so there must be any.

        Raises `UploadQuotaExceeded`, `DownloadQuotaExceeded`, `Unavailable`.
        """
        windows = await self._windows(quotas)
        self._check(quotas, windows, size)

    async def spend(self, quotas: Sequence[Quota], size: int, publish: Callable[[], Awaitable[T]]) -> T:
        """Count so many bytes, and `publish` them; they don't count where that fails. Raises as `check` does."""
        if not quotas:
            return await publish()
        windows, now = await self._windows(quotas), self._clock.seconds()
        self._check(quotas, windows, size)  # nothing waits between this and counting
        for window in windows:
            window.add(now, size)
        try:
            return await publish()
        except BaseException:
            for window in windows:
                window.take_back(now, size)
            raise

    async def uses(self, quotas: Sequence[Quota]) -> Sequence[QuotaUse]:
        """How far each is used."""
        windows, now = await self._windows(quotas), self._clock.seconds()
        return [
            QuotaUse(quota.key[0], window.used(now), quota.most, quota.period)
            for quota, window in zip(quotas, windows, strict=True)
        ]

    def heard(self, event: Event) -> None:
        """A record was made: what it says of a download counts. What was put has been counted by the Master itself."""
        if event.type != "INH" or not self._counts:
            return
        for whose, field in ((USER, "UserId"), (DESTINATION, "DestinationName")):
            count = self._counts.get((DOWNLOAD, whose, str(event.fields.get(field))))
            if count is not None and event.time >= count.since:
                count.window.add(min(event.time, self._clock.seconds()), counted(event, DOWNLOAD))

    async def _windows(self, quotas: Sequence[Quota]) -> Sequence[Window]:
        """Raises `Unavailable` where the history can't be read."""
        return [await self._count(quota).whole() for quota in quotas]

    def _check(self, quotas: Sequence[Quota], windows: Sequence[Window], size: int | None) -> None:
        now = self._clock.seconds()
        for quota, window in zip(quotas, windows, strict=True):
            _check(quota, window.used(now), size)

    def _count(self, quota: Quota) -> Count:
        """A count of its period. What is recorded from here on is counted as it comes, and no other."""
        count = self._counts.get(quota.key)
        if count is None or count.period != quota.period:
            count = Count(quota.period, self._clock.seconds(), partial(self._earlier, quota.key))
            self._counts[quota.key] = count
        self._counts.move_to_end(quota.key)
        if len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)
        return count

    async def _earlier(self, key: Key, count: Count) -> Window:
        await self._catch_up()
        direction, whose, name = key
        wanted = RecordFilter(
            type="INH",
            user=name if whose == USER else None,
            destination=name if whose == DESTINATION else None,
            status="done" if direction == UPLOAD else None,
            since=count.since - count.period,
            until=count.since,
        )
        return await self._reader.ask_on_thread(lambda session: recorded(session, wanted, direction, count.period))


def recorded(session: Session, wanted: RecordFilter, direction: str, period: int) -> Window:
    """What the history says was put or fetched."""
    window, after = Window(period), 0
    while found := days.following(session, wanted, READ_TOGETHER, after):
        after = found[-1][0]
        for _, event in found:
            window.add(event.time, counted(event, direction))
    return window


def counted(event: Event, direction: str) -> int:
    """Bytes of a record that count. An upload's are the whole file's, whatever pieces it came in; a piece names no size."""
    if event.fields.get("Action") != direction:
        return 0
    size = event.fields.get("FileSize" if direction == UPLOAD else "BytesSent")
    return size if isinstance(size, int) else 0


def _check(quota: Quota, used: int, size: int | None) -> None:
    if used >= quota.most if size is None else used + size > quota.most:
        direction, whose, _ = quota.key
        place = " of this destination" if whose == DESTINATION else ""
        left = max(0, quota.most - used)
        raise _REFUSALS[direction](f"{left} of {quota.most} bytes in {quota.period} seconds{place} are left")
