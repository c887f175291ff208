"""Requests and answers over a wire that is cut, repeats itself, and carries nonsense."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from ecpds.cluster.codec import (
    BATCH,
    ITEM,
    LARGEST,
    Answer,
    Ask,
    Batch,
    Piece,
    Refused,
    cut,
    decode,
    decode_batch,
    encode,
    encode_batch,
    refusal_of,
    refused,
)
from ecpds.cluster.exchange import OUTSTANDING, Exchange
from ecpds.errors import InvalidRequest, NotFound, NotSupported, Unavailable, UploadQuotaExceeded, refusals
from tests.cluster.support import Conversation


class Exchanging(SynchronousTestCase):
    def setUp(self) -> None:
        self.begun: list[bytes] = []
        self.held: dict[bytes, Deferred[bytes]] = {}
        self.talk = Conversation({"echo": self.echo, "hold": self.hold, "refuse": self.refuse, "break": self.broken})

    async def echo(self, arguments: Any) -> bytes:
        self.begun.append(bytes(arguments))
        return bytes(arguments)

    async def hold(self, arguments: Any) -> bytes:
        self.begun.append(bytes(arguments))
        self.held[bytes(arguments)] = Deferred()
        return await self.held[bytes(arguments)]

    async def refuse(self, arguments: Any) -> bytes:
        raise UploadQuotaExceeded("3 of 3", "joe")

    async def broken(self, arguments: Any) -> bytes:
        raise RuntimeError("broken")

    def ask(self, call: str, value: Any = 1, repeatable: bool = False) -> Deferred[Raw]:
        return Deferred.fromCoroutine(self.talk.near.ask(call, encode(value), repeatable))

    def test_what_is_asked_in_one_turn_is_one_batch_begun_in_order(self) -> None:
        asked = [self.ask("echo", n) for n in range(100)]
        self.talk.pump()
        self.assertEqual([decode(self.successResultOf(each), int) for each in asked], list(range(100)))
        self.assertEqual((len(self.talk.out.batches), len(self.talk.back.batches)), (1, 0))
        self.assertEqual(self.begun, [encode(n) for n in range(100)])

    def test_an_answer_of_the_next_turn_comes_back_with_its_batch(self) -> None:
        """As that of a commit is, which is one for a turn."""
        asked = self.ask("hold", 1)
        self.talk.clock.advance(0)
        self.talk.clock.callLater(0, lambda: self.held[encode(1)].callback(encode("in time")))
        self.talk.out.carry()
        self.talk.pump()
        self.assertEqual(decode(self.successResultOf(asked), str), "in time")
        self.assertEqual(len(self.talk.back.batches), 0)

    def test_an_answer_that_is_ready_as_another_connection_is_there(self) -> None:
        asked = self.ask("hold", 1)
        self.talk.clock.advance(0)
        self.talk.out.carry()
        self.talk.cut()
        self.talk.connect()
        self.talk.clock.callLater(0, lambda: self.held[encode(1)].callback(encode("to this one")))
        self.talk.clock.advance(0)
        self.talk.pump()
        self.assertEqual(decode(self.successResultOf(asked), str), "to this one")
        self.assertEqual(self.begun, [encode(1)])

    def test_a_slow_answer_holds_no_other_up(self) -> None:
        slow, quick = self.ask("hold", "slow"), self.ask("echo", "quick")
        self.talk.pump()
        self.successResultOf(quick)
        self.assertNoResult(slow)
        self.held[encode("slow")].callback(encode("at last"))
        self.talk.pump()
        self.assertEqual(decode(self.successResultOf(slow), str), "at last")

    def test_a_refusal_is_the_item_s_own(self) -> None:
        one, two = self.ask("refuse"), self.ask("echo")
        self.talk.pump()
        refusal = self.failureResultOf(one, UploadQuotaExceeded).value
        self.assertEqual((refusal.detail, refusal.reason), ("3 of 3", "joe"))
        self.successResultOf(two)

    def test_what_breaks_there_is_unavailable_here(self) -> None:
        asked = self.ask("break")
        self.talk.pump()
        self.failureResultOf(asked, Unavailable)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_an_unknown_call(self) -> None:
        asked = self.ask("no such")
        self.talk.pump()
        self.failureResultOf(asked, NotSupported)

    def test_a_lost_answer_is_given_again_and_nothing_done_twice(self) -> None:
        asked = [self.ask("echo", "a"), self.ask("hold", "b")]
        self.talk.clock.advance(0)
        self.talk.out.carry(lose_answer=True)
        self.talk.cut()
        self.talk.connect()
        self.talk.pump()
        self.held[encode("b")].callback(encode("b"))
        self.talk.pump()
        self.assertEqual([decode(self.successResultOf(each), str) for each in asked], ["a", "b"])
        self.assertEqual(self.begun, [encode("a"), encode("b")])

    def test_an_answer_that_comes_while_nobody_is_connected(self) -> None:
        asked = self.ask("hold", "b")
        self.talk.pump()
        self.talk.cut()
        self.held[encode("b")].callback(encode("c"))
        self.talk.connect()
        self.talk.pump()
        self.assertEqual(decode(self.successResultOf(asked), str), "c")
        self.assertEqual(len(self.begun), 1)

    def test_what_is_asked_while_nobody_is_connected_waits(self) -> None:
        self.talk.cut()
        asked = self.ask("echo", "later")
        self.talk.clock.advance(1)
        self.assertNoResult(asked)
        self.talk.connect()
        self.talk.pump()
        self.successResultOf(asked)

    def test_answers_are_forgotten_when_they_have_come_even_beside_one_that_does_not(self) -> None:
        self.ask("hold")
        for n in range(50):
            self.ask("echo", n)
            self.talk.pump()
        self.ask("echo", "last")
        self.talk.pump()
        self.assertLessEqual(len(self.talk.far._answers), 3)

    def test_who_is_cancelled_leaves_nothing(self) -> None:
        asked = self.ask("hold")
        self.talk.pump()
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.assertEqual(len(self.talk.near._questions), 0)
        self.held[encode(1)].callback(encode(2))
        self.talk.pump()

    def test_too_much_outstanding(self) -> None:
        self.talk.cut()
        for _ in range(OUTSTANDING):
            self.ask("echo")
        self.failureResultOf(self.ask("echo"), Unavailable)

    def test_refused_all_but_what_may_be_repeated(self) -> None:
        self.talk.cut()
        once, again = self.ask("echo", 1), self.ask("echo", 2, repeatable=True)
        self.talk.near.refuse_all(Unavailable, unless_repeatable=True)
        self.failureResultOf(once, Unavailable)
        self.talk.connect()
        self.talk.pump()
        self.successResultOf(again)
        self.assertEqual(self.begun, [encode(2)])

    def test_who_will_not_be_back_is_not_waited_for(self) -> None:
        self.talk.cut()
        before = self.ask("echo", 1, repeatable=True)
        self.talk.near.end(Unavailable)
        self.failureResultOf(before, Unavailable)
        self.failureResultOf(self.ask("echo", 2, repeatable=True), Unavailable)

    def test_another_who_counts_from_the_beginning(self) -> None:
        old = self.ask("hold", "old")
        self.talk.pump()
        self.talk.cut()
        new = Exchange(self.talk.clock, {})
        self.talk.near = new
        self.talk.far.forget_asker()
        self.talk.connect()
        asked = self.ask("hold", "new")
        self.talk.pump()
        self.held[encode("old")].callback(encode("for the old one"))
        self.talk.pump()
        self.assertNoResult(asked)
        self.held[encode("new")].callback(encode("for the new one"))
        self.talk.pump()
        self.assertEqual(decode(self.successResultOf(asked), str), "for the new one")
        self.assertNoResult(old)

    def test_large_ones_are_cut_into_batches(self) -> None:
        asked = [self.ask("echo", b"x" * 200_000) for _ in range(9)]
        self.talk.pump()
        for each in asked:
            self.assertEqual(len(decode(self.successResultOf(each), bytes)), 200_000)
        self.assertTrue(all(len(batch) <= BATCH for batch in self.talk.out.batches + self.talk.back.batches))

    def test_what_is_longer_than_a_batch_crosses_in_pieces(self) -> None:
        """Both ways, beside others; what is short is not held up by an answer that is not there yet."""
        long = [bytes((n,)) * (ITEM * 3 + n) for n in range(3)]
        expected = [value for each in long for value in (each, 1)]
        asked = [self.ask("echo", value) for value in expected]
        held = self.ask("hold", long[0])
        self.talk.pump()
        self.held[encode(long[0])].callback(encode(long[1]))
        self.talk.pump()
        for each, value in zip(asked, expected, strict=True):
            self.assertEqual(decode(self.successResultOf(each), bytes | int), value)
        self.assertEqual(decode(self.successResultOf(held), bytes), long[1])
        self.assertTrue(all(len(batch) <= BATCH for batch in self.talk.out.batches + self.talk.back.batches))

    def test_a_link_that_is_lost_between_two_pieces(self) -> None:
        """What came of it is worth nothing; it comes again, whole, and is done once, and answered until that was heard."""
        value = b"x" * (5 * ITEM)
        asked = self.ask("echo", value)
        batches = 0
        while not asked.called:
            batches += 1
            for _ in range(batches):
                self.talk.clock.advance(0)
                wire = self.talk.out if self.talk.out.waiting else self.talk.back
                if wire.waiting:
                    wire.carry()
            self.talk.cut()
            self.talk.connect()
        self.assertEqual(decode(self.successResultOf(asked), bytes), value)
        self.assertGreater(batches, 6)
        self.assertEqual(self.begun, [encode(value)])

    def test_pieces_without_an_end(self) -> None:
        batch = encode_batch(Batch(1, [], [Piece(False, b"x" * ITEM)]))
        with self.assertRaises(InvalidRequest):
            for _ in range(LARGEST // ITEM + 2):
                self.talk.far.receive(batch)

    @given(st.binary(max_size=60))
    def test_pieces_of_nonsense(self, data: bytes) -> None:
        talk = Conversation({"echo": self.echo})
        try:
            talk.far.receive(encode_batch(Batch(1, [], [Piece(True, data)])))
        except InvalidRequest:
            pass
        asked = Deferred.fromCoroutine(talk.near.ask("echo", encode(1), False))
        talk.pump()
        self.assertEqual(decode(self.successResultOf(asked), int), 1)

    def test_both_may_ask(self) -> None:
        talk = Conversation({"echo": self.echo}, {"echo": self.echo})
        asked = [Deferred.fromCoroutine(end.ask("echo", encode(1), False)) for end in (talk.near, talk.far)]
        talk.pump()
        for each in asked:
            self.assertEqual(decode(self.successResultOf(each), int), 1)

    @given(st.binary(max_size=200))
    def test_nonsense_is_refused(self, data: bytes) -> None:
        talk = Conversation({"echo": self.echo})
        try:
            talk.far.receive(data)
        except InvalidRequest:
            pass
        asked = Deferred.fromCoroutine(talk.near.ask("echo", encode(1), False))
        talk.pump()
        self.assertEqual(decode(self.successResultOf(asked), int), 1)

    @given(st.integers(), st.integers(), st.binary(max_size=50))
    def test_answers_to_nothing(self, id_: int, other: int, data: bytes) -> None:
        if not -(2**63) <= min(id_, other) <= max(id_, other) < 2**63:
            return
        raw = Raw(encode(data))
        items = [Answer(id_, raw), Refused(other, "NoSuch", "", "")]
        self.talk.near.receive(encode_batch(Batch(id_, [other], items)))
        asked = Deferred.fromCoroutine(self.talk.near.ask("echo", encode(1), False))
        self.talk.pump()
        self.assertEqual(decode(self.successResultOf(asked), int), 1)


class Codec(SynchronousTestCase):
    def test_every_refusal_crosses(self) -> None:
        for kind in refusals():
            came = refusal_of(decode_batch(encode_batch(Batch(1, [], [refused(3, kind("a\udc80", "b"))]))).items[0])
            self.assertEqual((type(came), came.detail, came.reason), (kind, "a\\udc80", "b"))

    def test_a_refusal_that_is_not_known_there(self) -> None:
        class Unheard(NotFound):
            """Nobody else has this one."""

        self.assertEqual(refused(1, Unheard()).refusal, "NotFound")
        self.assertIsInstance(refusal_of(Refused(1, "FromTheFuture", "x", "")), Unavailable)

    def test_what_does_not_fit(self) -> None:
        self.assertRaises(Unavailable, encode, b"x" * LARGEST)
        self.assertRaises(Unavailable, encode, b"x" * ITEM, ITEM)
        self.assertRaises(InvalidRequest, encode, "\udc80")
        self.assertRaises(InvalidRequest, decode_batch, b"x" * (BATCH + 1))
        self.assertRaises(InvalidRequest, decode, encode("text"), int)

    @given(st.lists(st.integers(0, ITEM - 100), max_size=20))
    def test_every_batch_fits(self, sizes: list[int]) -> None:
        items = [Ask(2**40 + n, "call", Raw(encode(bytes(size)))) for n, size in enumerate(sizes)]
        batches = list(cut(items))
        self.assertEqual([item.id for batch in batches for item in batch], [item.id for item in items])
        for batch in batches:
            self.assertLessEqual(len(encode_batch(Batch(2**62, [2**62] * 4096, batch))), BATCH)
