"""Probing: a bounded part of each candidate, and a report of each."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from ecpds.datasources import Candidate, Resolution, TransferReport
from ecpds.errors import Unavailable
from ecpds.sources.fetch.probe import Prober
from tests.sources.fetch.support import MIB, FetchCase


class Answers:
    """A repository that has one answer, and keeps what it is told."""

    def __init__(self, answer: Resolution) -> None:
        self.answer = answer
        self.reports: list[TransferReport] = []

    async def resolve(self, urls: Sequence[str], mechanisms: frozenset[str], site: str | None) -> dict[str, Resolution]:
        return {self.answer.url: self.answer}

    def report(self, report: TransferReport) -> None:
        self.reports.append(report)


class Probing(FetchCase):
    def test_each_candidate_is_measured_and_reported(self) -> None:
        for host, rate in (("a", 4.0 * MIB), ("b", 1.0 * MIB), ("c", 1000.0)):
            self.servers.serve(f"http://{host}/f", bytes(6 * MIB), rate=rate)
        self.servers.serve("http://d/f", b"", refusals=[Unavailable("503")])
        candidates = tuple(Candidate(f"http://{host}/f", "http", source_id=7, source=host) for host in "abcd")
        answers = Answers(Resolution("http://a/f", candidates, token="signed", site="here"))
        prober = Prober(self.tools, answers, most=2 * MIB, longest=5.0)
        planned = self.successResultOf(Deferred.fromCoroutine(prober.plan(["http://a/f"], None)))
        self.assertEqual([candidate.source for _, candidate in planned], ["a", "b", "c", "d"])
        found = []
        for answer, candidate in planned:
            running = Deferred.fromCoroutine(prober.probe(answer, candidate))
            self.turn(10, step=0.01)
            found.append(self.successResultOf(running))
        self.assertEqual([each.ok for each in found], [True, True, False, False])
        self.assertGreater(found[0].rate, 2 * found[1].rate)
        self.assertLessEqual(max(each.size for each in found), 2 * MIB + 65536)
        self.assertEqual([each.success for each in answers.reports], [True, True, False, False])
        self.assertEqual({(each.token, each.site, each.source_id) for each in answers.reports}, {("signed", "here", 7)})
        self.assertEqual((self.servers.connections, self.pool.lent), (0, 0))
