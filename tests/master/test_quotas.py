"""Quotas: what is within the last while, who may put and fetch what, and what is read when it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import Unavailable, UploadQuotaExceeded
from ecpds.events import Transfer, transfer_event
from ecpds.master import quotas as quotas_module
from ecpds.master.quotas import Quota, Quotas
from ecpds.master.sql import Session
from ecpds.master.window import STEPS, Window
from tests.contracts.quotas import QuotaContract
from tests.master.support import MasterCase

PERIODS = st.sampled_from([1, 59, 3600, 86400, 30 * 86400])
STEPS_OF_TIME = st.lists(st.tuples(st.floats(0, 2), st.integers(0, 1 << 40)), max_size=200)


class WindowTests(SynchronousTestCase):
    @given(PERIODS, STEPS_OF_TIME)
    def test_nothing_leaves_early_and_nothing_stays_a_step_longer(self, period: int, came: list[tuple[float, int]]) -> None:
        """Beside a list of all that ever came; the times between are up to a thirtieth of the period, so that some leave."""
        window, now, events = Window(period), 1_800_000_000.0, []
        for steps, size in came:
            now += steps * period / STEPS
            window.add(now, size)
            events.append((now, size))
            used = window.used(now)
            self.assertGreaterEqual(used, sum(each for time, each in events if time > now - period))
            late = period + period / STEPS + 1e-3
            self.assertLessEqual(used, sum(each for time, each in events if time > now - late))
            self.assertLessEqual(len(window), STEPS + 2)
        self.assertEqual(window.used(now + 2 * period), 0)
        self.assertEqual(len(window), 0)

    @given(PERIODS, STEPS_OF_TIME, st.integers(0, 200))
    def test_what_came_before_is_added_later(self, period: int, came: list[tuple[float, int]], at: int) -> None:
        whole, earlier, later, now = Window(period), Window(period), Window(period), 1_800_000_000.0
        for number, (steps, size) in enumerate(came):
            now += steps * period / STEPS
            whole.add(now, size)
            (earlier if number < at else later).add(now, size)
        later.merge(earlier)
        self.assertEqual(later.used(now), whole.used(now))

    def test_what_is_taken_back_never_came(self) -> None:
        window = Window(60)
        window.add(1000.0, 5)
        window.add(1000.0, 7)
        window.take_back(1000.0, 5)
        self.assertEqual(window.used(1001.0), 7)
        self.assertEqual(window.used(2000.0), 0)
        window.take_back(1000.0, 7)
        self.assertEqual(window.used(2000.0), 0)

    def test_what_is_older_than_all_that_is_held_does_not_count(self) -> None:
        window = Window(60)
        window.add(2000.0, 5)
        window.add(1000.0, 7)
        self.assertEqual(window.used(2000.0), 5)


class InProcess(QuotaContract, MasterCase):
    """Beside the Master, and what only it can show."""

    def setUp(self) -> None:
        super().setUp()
        self.populate()
        self.addCleanup(lambda: self.assertEqual(self.orphans(), []))

    def test_who_has_no_quota_costs_nothing(self) -> None:
        asked: list[object] = []
        self.patch(self.master.reader, "ask_on_thread", asked.append)
        self.now(self.put("a", 5))
        self.transferred("download", 5)
        self.now(self.master.may_download(self.user, "demo"))
        self.assertEqual((asked, len(self.master.quotas)), ([], 0))

    def test_the_history_is_read_once(self) -> None:
        self.limit(maxUploadBytes="100")
        self.now(self.put("a", 5))
        self.patch(self.master.quotas, "_earlier", None)
        self.now(self.put("b", 5))
        self.assertEqual(self.used(), [10])

    def test_a_completion_that_is_asked_for_again_meanwhile_counts_once(self) -> None:
        """Also where the quota has room for one only; and nobody takes the parts away."""
        self.limit(maxUploadBytes="10")
        upload = self.now(self.master.create_upload(self.request("big")))
        self.part(upload, 1, 10)
        run, held = self.writer.run, list[Deferred[None]]()

        async def waits(operation: Callable[[Session], Any]) -> Any:
            held.append(Deferred())
            await held[-1]
            return await run(operation)

        first, second = self.complete(upload), self.complete(upload)
        self.patch(self.writer, "run", waits)
        outcomes = [ensureDeferred(each) for each in (first, second)]
        while held:
            held.pop(0).callback(None)
        entries = [self.successResultOf(each) for each in outcomes]
        self.assertEqual([each.file.id for each in entries], [upload, upload])
        self.assertEqual(self.used(), [10])
        self.assertEqual(len(self.master.completing), 0)

    def test_counts_that_nobody_asks_for_are_read_again(self) -> None:
        self.patch(quotas_module, "REMEMBERED", 1)
        self.limit(maxUploadBytes="100")
        self.limit_destination(maxUploadBytes="100")
        self.now(self.put("a", 60))
        self.transferred("upload", 60, 60)
        self.assertEqual(len(self.master.quotas), 1)
        self.clock.advance(1)
        self.assertEqual((self.used(), self.used(None, "demo")), ([60], [60]))


class ReadingFails(SynchronousTestCase):
    """A history that can't be read."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_800_000_000.0)
        self.quotas = Quotas(self, self.clock, self.catch_up)  # type: ignore[arg-type]
        self.asked: list[Deferred[Window]] = []
        self.quota = Quota(("upload", "user", "joe"), 100, 3600)

    async def catch_up(self) -> None: ...

    async def ask_on_thread(self, question: object) -> Window:
        self.asked.append(Deferred())
        return await self.asked[-1]

    def test_is_refused_and_tried_again(self) -> None:
        one, two = (Deferred.fromCoroutine(self.quotas.check([self.quota])) for _ in range(2))
        self.assertEqual(len(self.asked), 1)
        self.asked[0].errback(Unavailable())
        self.failureResultOf(one, Unavailable)
        self.failureResultOf(two, Unavailable)
        again = Deferred.fromCoroutine(self.quotas.check([self.quota], 41))
        earlier = Window(3600)
        earlier.add(self.clock.seconds() - 1, 60)
        self.asked[1].callback(earlier)
        self.failureResultOf(again, UploadQuotaExceeded)
        self.successResultOf(Deferred.fromCoroutine(self.quotas.check([self.quota], 40)))
        self.assertEqual(len(self.asked), 2)

    def test_a_record_that_comes_while_the_history_is_read_counts_once(self) -> None:
        quota = Quota(("download", "user", "joe"), 100, 3600)
        asked = Deferred.fromCoroutine(self.quotas.uses([quota]))
        now, earlier = self.clock.seconds(), Window(3600)
        for moment in (now - 1, now + 1):
            transfer = Transfer("download", "demo", "a", "joe", "ftp", "192.0.2.1", "node", moment, moment, 30)
            self.quotas.heard(transfer_event(transfer))
        earlier.add(now - 1, 30)  # the first of the two, which was written before the history was read
        self.asked[0].callback(earlier)
        (use,) = self.successResultOf(asked)
        self.assertEqual(use.used, 60)
