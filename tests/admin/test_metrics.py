"""What is counted, shown and answered at `[admin] port`: by a real server over memory channels, on a clock of the test's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import evolve
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ecpds.admin.health import Questions, Watch
from ecpds.admin.metrics import LONG, CountedPortal, Lag, Metrics
from ecpds.errors import LoginFailed, Unavailable
from ecpds.events import Transfer, denial_event, expiry_event, release_event, transfer_event
from ecpds.interfaces import IEventSink
from ecpds.model import Origin, VolumeUse
from ecpds.portal_interfaces import IPortal
from tests.doubles import make_portal
from tests.http.support import Answer, Bench

TRANSFER = Transfer("download", "archive", "/x", "ann", "ftp", "192.0.2.1", "node-1", 100.0, 100.5, 1000)
WORKING = VolumeUse(0, "volumes/0", 1000, 400, None)
FAILED = VolumeUse(1, "volumes/1", 1000, 400, "Input/output error")


def answering(value: Any) -> Callable[[], Awaitable[Any]]:
    """A question whose answer is this, or that raises it."""

    async def ask() -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    return ask


QUIET = Questions(
    serving=lambda: True,
    sessions=lambda: {"ftp": 3, "https": 0},
    buffers=lambda: 65536,
    uploads=lambda: 2,
    backlog=answering(7),
    volumes=answering([WORKING, FAILED]),
    dropped=lambda: {"journal": 0},
    kept=lambda: 4096,
    reads=lambda: {"memory": 5, "copy": 2},
    scrub=lambda: {"copies": 9, "damaged": 1},
    damaged=answering({"mover-1": 1}),
    at_once=lambda: {"https": 4},
)


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.watch()

    def watch(self, **answers: Any) -> None:
        """Begin anew; the node answers this to the questions."""
        self.metrics = Metrics(self.clock.seconds)
        self.bench = Bench(Watch(self.metrics, evolve(QUIET, **answers)).routes)

    def ask(self, path: str) -> Answer:
        return self.bench.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

    def samples(self) -> dict[tuple[str, ...], float]:
        """What a scraper makes of the page: values by name and labels, these in the order of their names."""
        text = self.ask("/metrics").body.decode()
        families = text_string_to_metric_families(text)
        return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


class Counting(Case):
    def test_it_is_a_sink(self) -> None:
        verifyObject(IEventSink, self.metrics)

    def test_transfers_by_protocol_action_and_status(self) -> None:
        for transfer in (TRANSFER, TRANSFER, evolve(TRANSFER, failure="Connection lost", sent=10)):
            self.metrics.record(transfer_event(transfer))
        found = self.samples()
        self.assertEqual(found["ecpds_transfers_total", "download", "ftp", "done"], 2)
        self.assertEqual(found["ecpds_transfers_total", "download", "ftp", "failed"], 1)
        self.assertEqual(found["ecpds_transfer_bytes_total", "download", "ftp"], 2010)
        self.assertEqual(found["ecpds_transfer_seconds_sum", "download", "ftp"], 1.5)

    def test_how_long_transfers_took(self) -> None:
        for seconds, failure in ((0.0, ""), (0.001, ""), (0.002, "Stalled"), (60.0, ""), (7200.0, "")):
            self.metrics.record(transfer_event(evolve(TRANSFER, ended=TRANSFER.started + seconds, failure=failure)))
        found = self.samples()
        buckets = {bound: found["ecpds_transfer_seconds_bucket", "download", bound, "ftp"] for bound in map(str, LONG)}
        self.assertEqual(list(buckets.values()), [2, 3, 3, 3, 3, 4, 4, 4])
        self.assertEqual(found["ecpds_transfer_seconds_bucket", "download", "+Inf", "ftp"], 5)
        self.assertEqual(found["ecpds_transfer_seconds_count", "download", "ftp"], 5)
        self.assertEqual(found["ecpds_transfer_seconds_sum", "download", "ftp"], 7260.003)

    def test_a_file_whose_lifetime_is_over_is_no_transfer(self) -> None:
        self.metrics.record(expiry_event(2.0, "archive", "x", 7, 1000, 1.0))
        found = self.samples()
        self.assertEqual((found["ecpds_files_expired_total",], found["ecpds_events_total", "INH"]), (1, 1))
        self.assertFalse([key for key in found if key[0] == "ecpds_transfers_total"])

    def test_a_release_is_no_transfer(self) -> None:
        self.metrics.record(release_event(2.0, "archive", "x", 7, 1000))
        found = self.samples()
        self.assertEqual((found["ecpds_files_released_total",], found["ecpds_events_total", "INH"]), (1, 1))
        self.assertFalse([key for key in found if key[0] == "ecpds_transfers_total"])

    def test_refusals_by_protocol(self) -> None:
        self.metrics.record(denial_event(1.0, "ann", "Not found", "Using https", "192.0.2.1", "https"))
        self.assertEqual(self.samples()["ecpds_refusals_total", "https"], 1)

    def test_nothing_that_a_client_says_becomes_a_label(self) -> None:
        before = len(self.samples())
        for number in range(50):
            said = f"evil-{number}"
            self.metrics.record(transfer_event(evolve(TRANSFER, path=said, login=said, destination=said, failure=said)))
            self.metrics.record(denial_event(1.0, said, said, said, said, "ftp"))
        self.assertNotIn("evil", self.ask("/metrics").body.decode())
        grown = len(self.samples())
        self.metrics.record(transfer_event(evolve(TRANSFER, path="another", failure="another")))
        self.assertLess(before, grown)
        self.assertEqual(len(self.samples()), grown)

    def test_transactions_of_the_catalogue(self) -> None:
        with self.metrics.transaction(40):
            self.clock.advance(0.25)
        found = self.samples()
        self.assertEqual(found["ecpds_catalogue_commit_seconds_sum",], 0.25)
        self.assertEqual((found["ecpds_catalogue_batch_count",], found["ecpds_catalogue_batch_sum",]), (1, 40))

    def test_gauges_are_asked_when_somebody_looks(self) -> None:
        self.assertEqual(self.samples()["ecpds_sessions", "ftp"], 3)
        self.watch(sessions=lambda: {"ftp": 1}, backlog=answering(0))
        found = self.samples()
        self.assertEqual((found["ecpds_sessions", "ftp"], found["ecpds_reclaim_copies",]), (1, 0))
        self.assertNotIn(("ecpds_sessions", "https"), found)

    def test_a_failed_volume_has_no_room_to_show(self) -> None:
        found = self.samples()
        self.assertEqual(found["ecpds_volume_free_bytes", "0"], 400)
        self.assertNotIn(("ecpds_volume_free_bytes", "1"), found)

    def test_the_page_comes_without_what_can_not_be_asked(self) -> None:
        self.watch(volumes=answering(Unavailable("gone")), backlog=answering(Unavailable("gone")))
        found = self.samples()
        self.assertNotIn(("ecpds_volume_free_bytes", "0"), found)
        self.assertEqual(found["ecpds_uploads",], 2)

    def test_the_process_itself_is_there(self) -> None:
        self.assertGreater(self.samples()["process_resident_memory_bytes",], 0)


class Health(Case):
    def test_alive(self) -> None:
        self.watch(serving=lambda: False, backlog=answering(Unavailable()), volumes=answering([]))
        self.assertEqual(self.ask("/healthz").status, 200)

    def test_ready(self) -> None:
        answer = self.ask("/readyz")
        self.assertEqual((answer.status, answer.body), (200, b"ready\n"))

    def test_not_ready_says_each_reason(self) -> None:
        reasons: dict[str, dict[str, Any]] = {
            "The node is starting or stopping.": {"serving": lambda: False},
            "The catalogue does not answer: locked": {"backlog": answering(Unavailable("locked"))},
            "No volume works.": {"volumes": answering([FAILED])},
        }
        for reason, answers in reasons.items():
            self.watch(**answers)
            answer = self.ask("/readyz")
            self.assertEqual((answer.status, answer.body.decode()), (503, f"{reason}\n"))

    def test_nothing_else_is_served(self) -> None:
        self.assertEqual(self.ask("/api/v1/user/list").status, 404)


class Lateness(Case):
    def test_a_timer_that_is_late(self) -> None:
        late: list[float] = []
        lag = Lag(self.clock, late.append)
        lag.start()
        self.clock.advance(1.0)
        self.clock.advance(1.75)
        self.clock.advance(0.5)
        self.assertEqual(late, [0.0, 0.75])
        lag.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Logins(Case):
    def setUp(self) -> None:
        super().setUp()
        self.portal = CountedPortal(make_portal(), self.metrics.logged_in)

    def test_it_is_a_portal(self) -> None:
        verifyObject(IPortal, self.portal)

    def test_accepted_and_refused(self) -> None:
        origin = Origin("ftp", "192.0.2.1")
        files = self.successResultOf(ensureDeferred(self.portal.login("alice", "secret", origin)))
        self.assertEqual(files.identity.login, "alice")
        self.failureResultOf(ensureDeferred(self.portal.login("alice", "wrong", origin)), LoginFailed)
        found = self.samples()
        self.assertEqual(found["ecpds_logins_total", "accepted", "ftp"], 1)
        self.assertEqual(found["ecpds_logins_total", "refused", "ftp"], 1)
