"""Whether the node lives, whether it can serve, and what it is doing: for whoever restarts it, sends it clients or watches it.

HTTP, on loopback unless configured. `GET /healthz` is 200 whenever the reactor turns. `GET /readyz` is 200 when clients can
be served, and else 503 with one reason a line. `GET /metrics` is what `ecpds.admin.metrics` counts and what the node answers
to `Questions`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from attrs import frozen

from ecpds.admin.metrics import Metrics
from ecpds.errors import Refusal
from ecpds.http.message import Request, Response, text_response
from ecpds.http.routing import Routes
from ecpds.model import VolumeUse

READ = ("GET", "HEAD")


@frozen
class Questions:
    """What the node is asked when somebody looks; every answer is cheap."""

    serving: Callable[[], bool]
    """Whether it has started and is not stopping."""
    sessions: Callable[[], Mapping[str, int]]
    """Open connections by door."""
    buffers: Callable[[], int]
    """Bytes of bulk buffers that are lent."""
    uploads: Callable[[], int]
    backlog: Callable[[], Awaitable[int]]
    """Copies that wait to be deleted, as the catalogue says. Raises `Unavailable`."""
    volumes: Callable[[], Awaitable[Sequence[VolumeUse]]]
    dropped: Callable[[], Mapping[str, int]]
    """Records for which there was no room, by sink."""
    kept: Callable[[], int]
    """Bytes of memory that small files take which were read lately."""
    reads: Callable[[], Mapping[str, int]]
    """Reads of small segments since the start, by where they were found."""
    scrub: Callable[[], Mapping[str, int]]
    """What the scrub's round has read and found, by what it is."""
    damaged: Callable[[], Awaitable[Mapping[str, int]]]
    """Copies of the whole fleet that are known to be damaged; nothing where another node knows. Raises `Unavailable`."""
    at_once: Callable[[], Mapping[str, int]]
    """Requests since the start that were answered where they were read, by door."""


class Watch:
    """The handlers of `[admin] port`."""

    def __init__(self, metrics: Metrics, questions: Questions) -> None:
        self._ask = questions
        self.routes = Routes()
        self.routes.add(READ, "/metrics", metrics.handle)
        self.routes.add(READ, "/healthz", self._alive)
        self.routes.add(READ, "/readyz", self._ready)
        metrics.gauge("sessions", "Connections that are open", questions.sessions, "door")
        metrics.gauge("buffers_lent_bytes", "Bulk buffers in use", questions.buffers)
        metrics.gauge("uploads", "Uploads under way", questions.uploads)
        metrics.gauge("reclaim_copies", "Copies that wait to be deleted", questions.backlog)
        metrics.gauge("volume_free_bytes", "Room on a volume that has not failed", self._free, "volume")
        metrics.gauge("records_dropped", "Records for which there was no room", questions.dropped, "sink")
        metrics.gauge("kept_bytes", "Small files in memory", questions.kept)
        metrics.gauge("small_reads", "Small files that were read since the start", questions.reads, "found")
        metrics.gauge("scrub_round", "What the scrub's round has read and found", questions.scrub, "what")
        metrics.gauge("damaged_copies", "Copies that are known to be damaged, by mover", questions.damaged, "mover")
        metrics.gauge("answered_at_once", "Requests answered without waiting, since the start", questions.at_once, "door")

    async def _free(self) -> dict[str, int]:
        return {str(each.index): each.free for each in await self._ask.volumes() if each.failed is None}

    async def _alive(self, _: Request) -> Response:
        return text_response(200, "alive")

    async def _ready(self, _: Request) -> Response:
        obstacles = [each async for each in self._obstacles()]
        return text_response(503, "\n".join(obstacles)) if obstacles else text_response(200, "ready")

    async def _obstacles(self) -> AsyncIterator[str]:
        if not self._ask.serving():
            yield "The node is starting or stopping."
        try:
            await self._ask.backlog()
        except Refusal as refusal:
            yield f"The catalogue does not answer: {refusal.detail or refusal.sentence}"
        if not await self._free():
            yield "No volume works."
