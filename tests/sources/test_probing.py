"""Probing from the movers of a fleet: who is asked, what is filed, and what one mover's trouble spoils."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ecpds.cluster.calls import handlers
from ecpds.cluster.fleet import ProberCalls
from ecpds.datasource_interfaces import IFleetProbe, IProber
from ecpds.datasources import Candidate, Measured, MoverProbe, Site, TestFile
from ecpds.errors import ConnectionLost, InvalidRequest, NotFound, NotSupported, Unavailable
from ecpds.limits import Limits
from ecpds.sources.fetch.probe import NodeProber
from ecpds.sources.probing import ANSWER, FleetProbe, Prospect, turned
from tests.cluster.pb import PbLink
from tests.contracts.sources import now
from tests.sources.fetch.support import MIB, FetchCase
from tests.sources.test_repository import FILE, RepositoryCase

ORG = "http://example.org/file.txt"


@implementer(IProber)
class Standing:
    """Measures nothing: its rates are by URL, and it can be held, or broken."""

    def __init__(self, **rates: float) -> None:
        self.rates = rates
        self.asked: list[str] = []
        self.trouble: Exception | None = None
        self.held: Deferred[None] | None = None

    async def measure(self, candidate: Candidate, most: int, longest: float) -> Measured:
        self.asked.append(candidate.url)
        if self.held is not None:
            await self.held
        if self.trouble is not None:
            raise self.trouble
        rate = self.rates.get(candidate.source or "", 0.0)
        return Measured(most, most / rate) if rate else Measured(0, 0.1, "The connection was lost.")


def gather(outcomes: AsyncIterator[MoverProbe], found: list[MoverProbe]) -> Deferred[None]:
    async def collect() -> None:
        async for each in outcomes:
            found.append(each)

    return Deferred.fromCoroutine(collect())


class Rounds(RepositoryCase):
    """Movers `a` and `b`, of which b is in the network of the destination D; `gone` is one that is away."""

    def setUp(self) -> None:
        super().setUp()
        now(self.repository.add_test_file(self.origin, TestFile(0, FILE), "ann"))
        self.a, self.b = Standing(origin=1e6, org=4e6), Standing(origin=8e6, org=1e6, net=2e6)
        self.movers = {"a": Prospect("10.0.0.1", self.a), "b": Prospect("192.0.2.9", self.b), "gone": Prospect()}
        self.limits = Limits(probe_movers=2, probe_files=3, probe_bytes=MIB, probe_seconds=20.0)
        self.fleet = self.fleet_of(self.limits)
        self.found: list[MoverProbe] = []

    def fleet_of(self, limits: Limits) -> FleetProbe:
        return FleetProbe(self.repository, lambda: self.movers, ["curl"], limits, self.clock)

    def probe(self, *movers: str, **more: Any) -> Deferred[None]:
        given = {"urls": (), "site": None, "most": 1000, "longest": 5.0, **more}
        return gather(self.fleet.probe(movers, **given), self.found)

    def outcomes(self, mover: str) -> dict[str, str]:
        """Reasons by source of what one mover said."""
        said = [each for each in self.found if each.mover == mover]
        return {each.candidate.source or "" if each.candidate else "": each.measured.reason for each in said}

    def reports(self, source: int) -> list[Any]:
        return list(now(self.repository.reports(source, None, 100)))

    def test_it_is_one(self) -> None:
        verifyObject(IFleetProbe, self.fleet)
        verifyObject(IProber, self.a)

    def test_each_is_asked_and_each_outcome_is_a_report_of_its_own(self) -> None:
        self.successResultOf(self.probe())
        self.assertEqual(self.outcomes("a"), {"org": "", "origin": ""})
        self.assertEqual(self.outcomes("b"), {"org": "", "net": "", "origin": ""})
        self.assertEqual(list(self.outcomes("gone")), [""])
        kept = self.reports(self.origin)
        self.assertEqual(
            {(each.address, each.site, each.weight) for each in kept}, {("10.0.0.1", None, 1.0), ("192.0.2.9", self.site, 1.0)}
        )
        self.assertEqual({each.report.output for each in kept}, {"probed from mover a", "probed from mover b"})

    def test_the_order_of_a_destination_follows_what_its_movers_measured(self) -> None:
        """From b the origin is the fastest, from a it is not; each stands in a destination's network."""
        now(self.repository.add_site(Site(0, "E", networks=("10.0.0.0/8",)), "ann"))
        for _ in range(8):
            self.clock.advance(3600)
            self.successResultOf(self.probe("a", "b"))
        self.assertEqual(self.ids(address="192.0.2.77")[0], self.origin)
        self.assertEqual(self.ids(address="10.0.0.5")[0], self.org)

    def test_each_begins_with_another_candidate(self) -> None:
        self.successResultOf(self.probe("a", "b"))
        self.assertEqual([self.a.asked[0], self.b.asked[0]], [ORG, "http://example.net/file.txt"])
        self.assertEqual([turned([], 3), turned([1, 2, 3], 4)], [[], [2, 3, 1]])

    def test_a_mover_that_refuses_is_one_line_and_not_the_end(self) -> None:
        self.a.trouble = Unavailable("node a was restarted")
        self.successResultOf(self.probe())
        self.assertEqual(self.outcomes("a"), {"": self.a.trouble.sentence})
        self.assertEqual((len(self.a.asked), len(self.outcomes("b"))), (1, 3))

    def test_one_that_breaks_is_told_by_the_log_alone(self) -> None:
        self.a.trouble = ZeroDivisionError()
        self.successResultOf(self.probe("a", "b"))
        self.assertEqual((self.outcomes("a"), len(self.outcomes("b"))), ({}, 3))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_one_that_does_not_answer_is_left_alone(self) -> None:
        self.a.held = Deferred()
        running = self.probe("a", "b")
        self.assertEqual(len(self.outcomes("b")), 3)
        self.clock.advance(5.0 + ANSWER - 0.1)
        self.assertNoResult(running)
        self.clock.advance(0.2)
        self.successResultOf(running)
        self.assertIn("does not answer", self.outcomes("a")[""])
        self.assertEqual(len(self.a.asked), 1)

    def test_no_more_than_so_many_at_a_time(self) -> None:
        self.fleet = self.fleet_of(evolve(self.limits, probe_movers=1))
        self.a.held = Deferred()
        running = self.probe("a", "b")
        self.assertEqual((len(self.a.asked), self.b.asked), (1, []))
        held, self.a.held = self.a.held, None
        held.callback(None)
        self.successResultOf(running)
        self.assertEqual((len(self.a.asked), len(self.b.asked)), (2, 3))

    def test_one_round_at_a_time_and_whoever_leaves_ends_it(self) -> None:
        self.a.held = Deferred()
        stream = self.fleet.probe(("a", "b"), (), None, None, None)
        first = self.successResultOf(Deferred.fromCoroutine(anext(stream)))  # type: ignore[arg-type]
        self.assertEqual(first.mover, "b")
        self.failureResultOf(self.probe(), Unavailable)
        del stream
        self.a.held = None
        self.successResultOf(self.probe("a"))
        self.assertEqual(len(self.outcomes("a")), 2)

    def test_what_is_wrong_is_refused_before_anybody_is_asked(self) -> None:
        too_many = tuple(f"http://example.com/{number}" for number in range(4))
        for kind, movers, given in (
            (NotFound, ("c",), {}),
            (InvalidRequest, (), {"most": MIB + 1}),
            (InvalidRequest, (), {"longest": 20.5}),
            (InvalidRequest, (), {"urls": too_many}),
        ):
            self.failureResultOf(self.probe(*movers, **given), kind)
        now(self.repository.remove_test_file(self.origin, self.repository.source(self.origin).test_files[0].id, "ann"))
        self.failureResultOf(self.probe(), InvalidRequest)
        self.fleet = self.fleet_of(evolve(self.limits, probe_movers=0))
        self.failureResultOf(self.probe(), NotSupported)
        self.assertEqual((self.a.asked, self.b.asked, self.found), ([], [], []))

    def test_urls_that_nothing_can_fetch_say_so(self) -> None:
        self.successResultOf(self.probe("a", urls=("no url", FILE)))
        self.assertEqual((self.found[0].url, bool(self.found[0].measured.reason)), ("no url", True))
        self.assertEqual(len(self.found), 3)


class ProberContract(FetchCase):
    """What measures, in process."""

    def setUp(self) -> None:
        super().setUp()
        limits = Limits(probe_bytes=2 * MIB, probe_seconds=5.0)
        self.real = NodeProber(self.tools, limits)
        self.prober = self.make_prober()

    def make_prober(self) -> IProber:
        return self.real

    def begin_to_measure(
        self, host: str, most: int = 100 * MIB, longest: float = 600.0, mechanism: str = "http"
    ) -> Deferred[Measured]:
        candidate = Candidate(f"http://{host}/f", mechanism, {"profile": "x"}, 7, host, "why", 3, {"md5": "0"})
        return Deferred.fromCoroutine(self.prober.measure(candidate, most, longest))

    def measured(self, host: str, **more: Any) -> Deferred[Measured]:
        running = self.begin_to_measure(host, **more)
        self.go_on()
        return running

    def go_on(self) -> None:
        """For longer than the node measures."""
        self.turn(6, step=0.01)

    def test_it_is_one(self) -> None:
        verifyObject(IProber, self.prober)

    def test_what_is_measured_is_bounded_by_who_asks_and_by_the_node(self) -> None:
        self.servers.serve("http://a/f", bytes(8 * MIB), rate=4.0 * MIB)
        whole = self.successResultOf(self.measured("a"))
        self.assertLessEqual(abs(whole.size - 2 * MIB), 65536)
        self.assertEqual(whole.reason, "")
        self.assertGreater(whole.rate, 2 * MIB)
        self.assertLessEqual(self.successResultOf(self.measured("a", most=65536)).size, 65536)
        self.servers.serve("http://b/f", bytes(8 * MIB), rate=1000.0)
        slow = self.successResultOf(self.measured("b"))
        self.assertEqual((slow.size, slow.reason != ""), (0, True))
        self.assertEqual((self.servers.connections, self.pool.lent), (0, 0))

    def test_a_server_s_refusal_is_measured_and_a_mechanism_s_absence_refused(self) -> None:
        self.servers.serve("http://a/f", b"", refusals=[ConnectionLost()])
        self.assertEqual(self.successResultOf(self.measured("a")).reason, ConnectionLost().sentence)
        self.failureResultOf(self.measured("a", mechanism="scp"), NotSupported)

    def test_one_at_a_time(self) -> None:
        self.servers.serve("http://a/f", bytes(MIB), thinks=1.0)
        running = self.begin_to_measure("a")
        self.failureResultOf(self.measured("a"), Unavailable)
        self.assertEqual(self.successResultOf(running).size, MIB)
        self.assertEqual(self.successResultOf(self.measured("a")).size, MIB)


class OverPb(ProberContract):
    """At the other end of a link."""

    def make_prober(self) -> IProber:
        self.link = PbLink(handlers(ProberCalls, self.real))
        return ProberCalls(self.link)

    def go_on(self) -> None:
        super().go_on()
        self.link.pump()
