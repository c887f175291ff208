"""The signatures of answers."""

from __future__ import annotations

from random import Random

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from ecpds.datasources import Candidate, TransferReport
from ecpds.errors import InvalidRequest
from ecpds.sources.tokens import LIFE, Tokens

A = Candidate("http://a/f", "http", source_id=7)
B = Candidate("http://b/f", "http", source_id=8)


class Signatures(SynchronousTestCase):
    def setUp(self) -> None:
        self.tokens = Tokens(b"k" * 32, Random(1))
        self.report = TransferReport(A.url, True, 10, 5.0, source_id=7, token=self.tokens.sign([A, B], 3, 100.0))

    def refused(self, report: TransferReport, now: float, why: str) -> None:
        error = self.assertRaises(InvalidRequest, self.tokens.check, report, now)
        self.assertIn(why, str(error))

    def test_a_report_of_what_was_answered(self) -> None:
        signed = self.tokens.check(self.report, 106.0)
        self.assertEqual((signed.made, signed.site), (100.0, 3))

    def test_each_candidate_once(self) -> None:
        self.tokens.check(self.report, 106.0)
        self.refused(self.report, 107.0, "already")
        self.tokens.check(evolve(self.report, url=B.url, source_id=8), 107.0)

    def test_what_was_not_answered(self) -> None:
        for other in (
            evolve(self.report, url="http://a/g"),
            evolve(self.report, source_id=8),
            evolve(self.report, source_id=None),
        ):
            self.refused(other, 106.0, "another answer")

    def test_no_transfer_takes_longer_than_since_the_answer(self) -> None:
        self.refused(evolve(self.report, seconds=60.0), 106.0, "begun before")

    def test_a_token_ends(self) -> None:
        self.refused(self.report, 101.0 + LIFE, "too old")
        self.refused(self.report, 90.0, "too old")

    def test_another_key_signs_otherwise(self) -> None:
        other = Tokens(b"x" * 32, Random(1)).sign([A, B], 3, 100.0)
        self.refused(evolve(self.report, token=other), 106.0, "not one of ours")

    @given(some.text(max_size=200))
    def test_any_other_text_is_none(self, text: str) -> None:
        self.assertRaises(InvalidRequest, self.tokens.check, evolve(self.report, token=text), 106.0)

    @given(some.integers(0, 60))
    def test_a_changed_letter_is_found(self, place: int) -> None:
        token = self.report.token
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        self.assertRaises(InvalidRequest, self.tokens.check, evolve(self.report, token=changed), 106.0)
