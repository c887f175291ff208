"""One visit of a remote folder: list it, fetch what is new, put that into the portal, write down what became of each file.

A file is written down as had only after the portal has it; a node that dies in between fetches it again, and the push
replaces the same file. What failed is written down with the time at which it is tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, frozen
from twisted.internet.defer import Deferred, DeferredList, DeferredSemaphore
from twisted.logger import Logger

from ecpds.acquisitions import Acquired, IAcquisitionStore, Plan
from ecpds.errors import Refusal, Unavailable
from ecpds.interfaces import IEventSink
from ecpds.limits import Limits
from ecpds.sources.acquire import rules
from ecpds.sources.acquire.fetcher import Remote
from ecpds.sources.acquire.records import retrieval
from ecpds.sources.acquire.shelf import Shelf
from ecpds.sources.mechanisms.base import Listed, shown


@frozen(eq=False)
class Around:
    """What every visit stands on. `places` bounds the files that come at a time; `now` is seconds since the epoch."""

    store: IAcquisitionStore
    remote: Remote
    shelf: Shelf
    sink: IEventSink
    limits: Limits
    places: DeferredSemaphore
    now: Callable[[], float]
    node: str


@define
class Tally:
    """What a visit came to."""

    listed: int = 0
    wanted: int = 0
    done: int = 0
    failed: int = 0
    cut: bool = False

    @property
    def sentence(self) -> str:
        more = "; the folder has more files than are looked at" if self.cut else ""
        return f"{self.listed} listed, {self.wanted} to fetch, {self.done} fetched, {self.failed} failed{more}"


class Visit:
    """Made for one visit of `plan`."""

    log = Logger()

    def __init__(self, around: Around, plan: Plan) -> None:
        self._around = around
        self._plan = plan
        self._known: dict[str, Acquired] = {}
        self.tally = Tally()

    async def run(self) -> Tally:
        """Raises what listing the folder raises; what becomes of single files is in the tally."""
        around, plan = self._around, self._plan
        await around.remote.tidy()
        began = around.now()
        url = rules.dated(plan.url, began)
        listed = await around.remote.list(plan, url, around.limits.acquire_listing)
        self.tally.listed, self.tally.cut = len(listed), len(listed) >= around.limits.acquire_listing
        self._known = {each.url: each for each in await around.store.files(plan.name)}
        wanted = [each for each in listed if rules.fits(plan, each.name)]
        await self._each(wanted, began)
        gone = rules.surplus(self._known.values(), {each.url for each in listed}, around.limits.acquired_files)
        if gone:
            await around.store.forget(plan.name, gone)
        return self.tally

    async def _each(self, wanted: Sequence[Listed], began: float) -> None:
        """Some at a time, over all visits of the node."""
        waiting = list(reversed(wanted))

        async def lane() -> None:
            while waiting:
                each = waiting.pop()
                await self._around.places.acquire()
                try:
                    await self._one(each, began)
                finally:
                    self._around.places.release()

        lanes = [Deferred.fromCoroutine(lane()) for _ in range(min(self._around.places.limit, len(waiting)))]
        # Who cancels this cancels every lane, and all have ended when it goes on.
        outcomes = await DeferredList(lanes, consumeErrors=True)
        for succeeded, result in outcomes:
            if not succeeded:
                raise result.value  # type: ignore[attr-defined]

    async def _one(self, listed: Listed, began: float) -> None:
        around, plan = self._around, self._plan
        known = self._known.get(listed.url)
        started = around.now()
        try:
            if rules.needs_more(plan, listed):
                listed = await around.remote.ask(plan, listed)
            mark = rules.mark_of(listed)
            if not rules.in_limits(plan, listed, started):
                return
            if not rules.is_due(known, mark, started, around.limits.acquire_tries):
                return
            self.tally.wanted += 1
            path = rules.target(plan, listed.name, began)
        except Refusal as refusal:
            self.tally.failed += 1
            self.log.info("{url}: {reason}", url=shown(listed.url), reason=refusal.sentence)
            return
        await self._acquire(listed, mark, path, started)

    async def _acquire(self, listed: Listed, mark: str, path: str, started: float) -> None:
        """Fetch, put, and write down; one record either way."""
        around, plan = self._around, self._plan
        known = self._known.get(listed.url)
        tried = known.tries if known is not None and known.mark == mark else 0
        try:
            file = await self._bring(listed, mark, path)
            self.tally.done += 1
        except Refusal as refusal:
            self.tally.failed += 1
            tries = tried + 1
            due = around.now() + rules.retry(tries)
            file = Acquired(listed.url, mark, path, around.now(), tries=tries, due=due, reason=refusal.sentence)
        self._known[listed.url] = file
        self._record(file, started)
        await around.store.keep(plan.name, file)

    async def _bring(self, listed: Listed, mark: str, path: str) -> Acquired:
        around, plan = self._around, self._plan
        outcome = await around.remote.fetch(plan, listed.url)
        if not outcome.done:
            raise Unavailable(outcome.reason)
        try:
            entry = await around.shelf.put(plan.user, path, outcome)
        finally:
            await around.remote.drop(outcome)
        return Acquired(listed.url, mark, path, around.now(), entry.size, outcome.sha256 or "")

    def _record(self, file: Acquired, started: float) -> None:
        """The RET record of a file that was fetched, or was not."""
        around, plan = self._around, self._plan
        around.sink.record(
            retrieval(around.now(), started, file.url, file.path, file.size, file.reason, plan.user, around.node, plan.name)
        )
