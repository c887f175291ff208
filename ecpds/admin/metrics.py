"""What the node counts, in the text form of Prometheus. Every name begins with `ecpds_`.

Counts of transfers, refusals and bytes come from the records (`IEventSink`), so no transfer pays for being counted while
it runs. What has a state is asked for when somebody looks. Labels hold only words of ours: nothing that a client says
becomes one, so that no client makes this grow.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import isawaitable
from itertools import accumulate
from typing import Any, TypeVar

from attrs import Factory, define
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ecpds.errors import Refusal
from ecpds.events import EXPIRE, RELEASE, Event
from ecpds.http.message import Request, Response
from ecpds.interfaces import IEventSink
from ecpds.model import Entry, Identity, Origin
from ecpds.portal_interfaces import IDownload, IFileSystem, IPortal
from ecpds.terms import NO_TERMS, Terms

T = TypeVar("T")

LAG_EVERY = 1.0
"""Seconds between two looks at how late the reactor is."""

SHORT = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
LONG = (0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0)
_LONG_MILLIS = tuple(round(bound * 1000) for bound in LONG)
OPERATIONS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

Reading = float | Mapping[str, float]
"""One value, or one for each value of the gauge's label."""

Question = Callable[[], Reading | Awaitable[Reading]]


@define
class _Kind:
    """Transfers of one protocol, action and status: how many, their bytes and milliseconds, and how many were how long."""

    count: int = 0
    bytes: int = 0
    millis: int = 0
    buckets: list[int] = Factory(lambda: [0] * (len(LONG) + 1))


class Tally(Collector):
    """What records and logins add to, on the reactor's thread: plain numbers, which become metrics when somebody looks.

    The library's own counters, each behind a lock, cost a small file as much as its login does.
    """

    def __init__(self) -> None:
        self.events: dict[str, int] = {}
        self.logins: dict[tuple[str, str], int] = {}
        self._kinds: dict[tuple[str, str, str], _Kind] = {}

    def transferred(self, fields: Mapping[str, Any]) -> None:
        """A record of a transfer has these fields."""
        key = (fields["TransferProtocol"], fields["Action"], fields["Status"])
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind()
        millis = fields["Duration"]
        kind.count += 1
        kind.bytes += fields["BytesSent"]
        kind.millis += millis
        kind.buckets[bisect_left(_LONG_MILLIS, millis)] += 1

    def collect(self) -> Iterator[Metric]:
        events = CounterMetricFamily("ecpds_events", "Records written", labels=("type",))
        for name, count in self.events.items():
            events.add_metric((name,), count)
        logins = CounterMetricFamily("ecpds_logins", "Logins; each HTTP request is one", labels=("protocol", "outcome"))
        for key, count in self.logins.items():
            logins.add_metric(key, count)
        yield events
        yield logins
        yield from self._of_transfers()

    def _of_transfers(self) -> Iterator[Metric]:
        labels = ("protocol", "action")
        transfers = CounterMetricFamily("ecpds_transfers", "Transfers that ended", labels=(*labels, "status"))
        sent = CounterMetricFamily("ecpds_transfer_bytes", "Bytes that crossed, of failed transfers too", labels=labels)
        seconds = HistogramMetricFamily("ecpds_transfer_seconds", "From begin to end", labels=labels)
        sums: dict[tuple[str, str], _Kind] = {}
        for key, kind in self._kinds.items():
            transfers.add_metric(key, kind.count)
            total = sums.setdefault(key[:2], _Kind())
            total.bytes += kind.bytes
            total.millis += kind.millis
            total.buckets = [mine + more for mine, more in zip(total.buckets, kind.buckets, strict=True)]
        for pair, total in sums.items():
            sent.add_metric(pair, total.bytes)
            bounds = [*map(str, LONG), "+Inf"]
            seconds.add_metric(pair, list(zip(bounds, accumulate(total.buckets), strict=True)), total.millis / 1000)
        yield from (transfers, sent, seconds)


@implementer(IEventSink)
class Metrics:
    """Counts, and shows what it counted. `seconds` is a clock that only goes forward, and is asked on any thread."""

    log = Logger()

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds_now = seconds
        self._registry = own = CollectorRegistry()
        self._tally = Tally()
        own.register(self._tally)
        ProcessCollector(registry=own)
        self._expired = Counter("ecpds_files_expired", "Files that left when their lifetime was over", registry=own)
        self._released = Counter("ecpds_files_released", "Files that waited, and are seen from then on", registry=own)
        self._refusals = Counter("ecpds_refusals", "Refusals that were recorded (DEA)", ("protocol",), registry=own)
        self._commits = Histogram("ecpds_catalogue_commit_seconds", "One transaction", buckets=SHORT, registry=own)
        self._batches = Histogram("ecpds_catalogue_batch", "Operations of one transaction", buckets=OPERATIONS, registry=own)
        self._lag = Histogram("ecpds_reactor_lag_seconds", "How late a timer was called", buckets=SHORT, registry=own)
        self._gauges: list[tuple[Gauge, Question]] = []

    def gauge(self, name: str, help_: str, ask: Question, label: str | None = None) -> None:
        """Show what `ask` answers, at once or later, whenever somebody looks. It may raise a refusal: then nothing is shown."""
        labels = () if label is None else (label,)
        self._gauges.append((Gauge(f"ecpds_{name}", help_, labels, registry=self._registry), ask))

    def record(self, event: Event) -> None:
        events = self._tally.events
        events[event.type] = events.get(event.type, 0) + 1
        if event.type == "INH" and event.fields["Action"] == EXPIRE:
            self._expired.inc()
        elif event.type == "INH" and event.fields["Action"] == RELEASE:
            self._released.inc()
        elif event.type == "INH":
            self._tally.transferred(event.fields)
        elif event.type == "DEA":
            self._refusals.labels(event.fields["TransferProtocol"]).inc()

    @contextmanager
    def transaction(self, operations: int) -> Iterator[None]:
        """Around one transaction of the catalogue's writer, on any thread."""
        started = self._seconds_now()
        yield
        self._batches.observe(operations)
        self._commits.observe(self._seconds_now() - started)

    def late(self, seconds: float) -> None:
        """The reactor called a timer so late."""
        self._lag.observe(seconds)

    def logged_in(self, protocol: str, accepted: bool) -> None:
        logins, key = self._tally.logins, (protocol, "accepted" if accepted else "refused")
        logins[key] = logins.get(key, 0) + 1

    async def handle(self, _: Request) -> Response:
        """The page."""
        for gauge, ask in self._gauges:
            await self._read(gauge, ask)
        return Response(200, [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)], generate_latest(self._registry))

    async def _read(self, gauge: Gauge, ask: Question) -> None:
        """An old value that looks like a new one would be worse than none."""
        try:
            answer = ask()
            reading: Reading = await answer if isawaitable(answer) else answer
        except Refusal as refusal:
            self.log.warn("a gauge can't be read: {reason}", reason=str(refusal))
            reading = {}
        if isinstance(reading, Mapping):
            gauge.clear()
            for label, value in reading.items():
                gauge.labels(label).set(value)
        else:
            gauge.set(reading)


class Lag:
    """Sets a timer again and again, and tells `late` how many seconds after its time it was called."""

    def __init__(self, clock: IReactorTime, late: Callable[[float], None]) -> None:
        self._clock = clock
        self._late = late
        self._due = 0.0
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        self._due = self._clock.seconds() + LAG_EVERY
        self._call = self._clock.callLater(LAG_EVERY, self._called)

    def stop(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _called(self) -> None:
        self._late(max(0.0, self._clock.seconds() - self._due))
        self.start()


@implementer(IPortal)
class CountedPortal:
    """A portal whose logins are counted."""

    def __init__(self, portal: IPortal, counted: Callable[[str, bool], None]) -> None:
        self._portal = portal
        self._counted = counted

    async def login(self, login: str, password: str, origin: Origin) -> IFileSystem:
        return await self._count(self._portal.login(login, password, origin), origin)

    async def login_with_key(self, login: str, key: bytes, origin: Origin) -> IFileSystem:
        return await self._count(self._portal.login_with_key(login, key, origin), origin)

    async def login_with_certificate(self, login: str, origin: Origin) -> IFileSystem:
        return await self._count(self._portal.login_with_certificate(login, origin), origin)

    async def login_with_signature(
        self, access_key_id: str, date: str, region: str, service: str, origin: Origin
    ) -> tuple[IFileSystem, bytes]:
        return await self._count(self._portal.login_with_signature(access_key_id, date, region, service, origin), origin)

    async def visit(self, destination: str, origin: Origin, login: str = "") -> IFileSystem:
        return await self._portal.visit(destination, origin, login)

    async def login_with_share(self, token: str, password: str, origin: Origin) -> IFileSystem:
        return await self._count(self._portal.login_with_share(token, password, origin), origin)

    async def resume(self, identity: Identity, origin: Origin) -> IFileSystem:
        return await self._portal.resume(identity, origin)

    def look_again(self, files: IFileSystem, path: str, suits: Callable[[Entry], bool]) -> Entry | None:
        found = self._portal.look_again(files, path, suits)
        if found is not None:
            self._counted(files.origin.protocol, True)
        return found

    def read_again(self, files: IFileSystem, path: str) -> IDownload | None:
        found = self._portal.read_again(files, path)
        if found is not None:
            self._counted(files.origin.protocol, True)
        return found

    def put_again(
        self, files: IFileSystem, path: str, data: memoryview, terms: Terms = NO_TERMS, alone: bool = False
    ) -> Deferred[Entry] | None:
        named = self._portal.put_again(files, path, data, terms, alone)
        if named is not None:
            self._counted(files.origin.protocol, True)
        return named

    def refused(self, login: str, message: str, origin: Origin) -> None:
        self._portal.refused(login, message, origin)

    async def _count(self, login: Awaitable[T], origin: Origin) -> T:
        try:
            answer = await login
        except Refusal:
            self._counted(origin.protocol, False)
            raise
        self._counted(origin.protocol, True)
        return answer
