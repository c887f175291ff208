"""The schedule: each plan is visited when it is due, one visit of a plan at a time; a folder that fails is left longer alone.

When a plan is due is in the catalogue, so a node that starts anew visits at once only what it has missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import asdict, evolve
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ecpds.acquisitions import Acquired, IAcquirer, IAcquisitionStore, Order, Plan, Standing
from ecpds.errors import NotFound, Refusal, Unavailable
from ecpds.sources.acquire.orders import carry_out
from ecpds.sources.acquire.rules import check_plan, pause
from ecpds.sources.acquire.visit import Around, Tally, Visit
from ecpds.sources.fetch.outcomes import Outcome

SOON = 1.0
"""Seconds from now to the first look at the schedule, and between two at least."""


@implementer(IAcquirer)
class Acquirer:
    """Works from `start` to `stop`."""

    log = Logger()

    def __init__(self, around: Around, clock: IReactorTime) -> None:
        self._around = around
        self._store: IAcquisitionStore = around.store
        self._clock = clock
        self._plans: dict[str, tuple[Plan, Standing]] = {}
        self._visits: dict[str, Deferred[Any]] = {}
        self._orders: set[Deferred[Outcome]] = set()
        self._call: IDelayedCall | None = None
        self._serving = False

    async def start(self) -> None:
        """Take up the schedule."""
        self._plans = {plan.name: (plan, standing) for plan, standing in await self._store.plans()}
        self._serving = True
        self._schedule()

    async def stop(self) -> None:
        """Break visits off; what has come of their files is gone on with at the next try."""
        self._serving = False
        self._schedule()
        for name in list(self._visits):
            await self._end(name)
        for order in list(self._orders):
            order.cancel()
        await DeferredList(list(self._orders), consumeErrors=True)

    # What operators ask

    def plans(self) -> Sequence[tuple[Plan, Standing]]:
        return [self._plans[name] for name in sorted(self._plans)]

    def plan(self, name: str) -> tuple[Plan, Standing]:
        if name not in self._plans:
            raise NotFound(f"acquisition {name[:100]!a}")
        return self._plans[name]

    async def add(self, plan: Plan) -> None:
        check_plan(plan)
        standing = Standing(self._around.now())
        await self._store.add(plan, standing)
        self._plans[plan.name] = plan, standing
        self._schedule()

    async def remove(self, name: str) -> None:
        known = self.plan(name)
        del self._plans[name]
        try:
            await self._end(name)
            await self._store.remove(name)
        except BaseException:
            self._plans[name] = known
            raise
        finally:
            self._schedule()

    async def switch(self, name: str, enabled: bool) -> None:
        plan, standing = self.plan(name)
        await self._keep(evolve(plan, enabled=enabled), evolve(standing, due=self._around.now(), failures=0))
        if not enabled:
            await self._end(name)

    async def run(self, name: str) -> Mapping[str, Any]:
        plan, _ = self.plan(name)
        if not self._serving:
            raise Unavailable("the node is ending")
        return asdict(await self._visit(plan))

    async def files(self, name: str) -> Sequence[Acquired]:
        self.plan(name)
        found: Sequence[Acquired] = await self._store.files(name)
        return found

    async def fetch(self, order: Order) -> Mapping[str, Any]:
        if not self._serving:
            raise Unavailable("the node is ending")
        running = Deferred.fromCoroutine(carry_out(self._around, order))
        self._orders.add(running)
        try:
            outcome = await running
        except CancelledError as cancelled:
            raise Unavailable("the node is ending") from cancelled
        finally:
            self._orders.discard(running)
        return outcome.as_json()

    # The schedule

    def _schedule(self) -> None:
        """Look again when the next plan is due."""
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()
        dues = [standing.due for plan, standing in self._plans.values() if plan.enabled and plan.name not in self._visits]
        if self._serving and dues:
            self._call = self._clock.callLater(max(SOON, min(dues) - self._around.now()), self._look)

    def _look(self) -> None:
        now = self._around.now()
        for plan, standing in list(self._plans.values()):
            if plan.enabled and standing.due <= now and plan.name not in self._visits:
                self._visit(plan).addErrback(self._told, plan.name)
        self._schedule()

    def _told(self, failure: Any, name: str) -> None:
        if failure.check(Refusal, CancelledError) is None:
            self.log.failure("acquisition {name} failed", failure, name=name)

    def _visit(self, plan: Plan) -> Deferred[Tally]:
        """The visit that is under way, or a new one; for one who waits."""
        waiter: Deferred[Tally] = Deferred()
        visit = self._visits.get(plan.name) or self._begin(plan)
        visit.addCallback(_passed_to, waiter)
        return waiter

    def _begin(self, plan: Plan) -> Deferred[Any]:
        # Nobody hears of a visit before it is in the table: it may be over at once.
        gate: Deferred[None] = Deferred()
        visit = self._visits[plan.name] = Deferred.fromCoroutine(self._begun(plan, gate))
        gate.callback(None)
        return visit

    async def _begun(self, plan: Plan, gate: Deferred[None]) -> tuple[Tally | Failure]:
        """What a visit comes to, as a value (alone in a tuple, for a failure would be raised), for whoever asks for it."""
        await gate
        try:
            result: Tally | Failure = await Visit(self._around, plan).run()
        except BaseException:
            result = Failure()  # type: ignore[no-untyped-call]
        try:
            await self._over(plan.name, result)
        except Refusal as refusal:
            self.log.error("acquisition {name}: {reason}", name=plan.name, reason=refusal.sentence)
        return (result,)

    async def _over(self, name: str, result: Tally | Failure) -> None:
        """Write down how it went, and when to come again."""
        del self._visits[name]
        known = self._plans.get(name)
        if known is None or not self._serving:
            return
        plan, standing = known
        now = self._around.now()
        failures = 0 if isinstance(result, Tally) else standing.failures + 1
        message = result.sentence if isinstance(result, Tally) else _reason(result)
        await self._keep(plan, Standing(now + pause(plan.every, failures), now, failures, message))

    async def _keep(self, plan: Plan, standing: Standing) -> None:
        """In memory at once, so that a catalogue that can't be written makes nobody come again and again."""
        self._plans[plan.name] = plan, standing
        self._schedule()
        await self._store.change(plan, standing)

    async def _end(self, name: str) -> None:
        """Break off a visit, if one is under way, and wait until it is over."""
        visit = self._visits.get(name)
        if visit is None:
            return
        waiter: Deferred[None] = Deferred()
        visit.addBoth(_released, waiter)
        visit.cancel()
        await waiter


def _reason(failure: Failure) -> str:
    error = failure.value
    if isinstance(error, Refusal):
        return error.sentence
    return "broken off" if isinstance(error, CancelledError) else f"failed: {type(error).__name__}"


def _passed_to(result: tuple[Any], waiter: Deferred[Tally]) -> tuple[Any]:
    """Tell one who waits; the result stays for the next."""
    (waiter.errback if isinstance(result[0], Failure) else waiter.callback)(result[0])
    return result


def _released(result: Any, waiter: Deferred[None]) -> Any:
    waiter.callback(None)
    return result
