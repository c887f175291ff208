"""A member that says anything at all over the control link gets nothing for it, and harms nobody.

Who comes without a certificate never gets as far as Perspective Broker: `test_links` has strangers, expired certificates
and replayed proofs, `test_stream` tickets that are replayed, stolen or changed, and nonsense on the data stream.
"""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.spread.pb import Broker
from twisted.trial.unittest import SynchronousTestCase

from ecpds.cluster.authority import MASTER, MEMBER, Peer
from ecpds.cluster.codec import Answer, Ask, Batch, Piece, Refused, decode_batch, encode, encode_batch
from ecpds.cluster.exchange import Exchange
from ecpds.cluster.post import MESSAGE, Post, make_broker
from ecpds.errors import InvalidRequest


class Transport(StringTransport):
    """Knows whether it was cut."""

    cut = False

    def abortConnection(self) -> None:
        self.cut = True


class Master:
    """One end as a Master has it: an exchange that answers one call, and what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.exchange = Exchange(Clock(), {"master.finish": self.finish})

    async def finish(self, arguments: bytes | Raw) -> bytes:
        self.asked.append(bytes(arguments))
        return encode(7)

    def link(self) -> tuple[Broker, Transport]:
        """A new connection of a member that has been greeted."""

        def ready(post: Post) -> None:
            post.receive = self.exchange.receive

        broker = make_broker(Peer("node", MEMBER), False, ready)
        transport = Transport()
        broker.makeConnection(transport)
        broker.dataReceived(said(b""))
        return broker, transport


def said(batch: bytes) -> bytes:
    """What a good member puts on the wire: its part of the negotiation, or with a batch the call alone."""
    posts: list[Post] = []
    broker, transport = make_broker(Peer("master", MASTER), True, posts.append), StringTransport()
    broker.makeConnection(transport)
    other = make_broker(Peer("node", MEMBER), False, posts.append)
    there = StringTransport()
    other.makeConnection(there)
    broker.dataReceived(there.value())
    negotiation = transport.value()
    transport.clear()
    if not batch:
        return negotiation
    posts[0].send(batch).addErrback(lambda failure: None)
    return transport.value()


GOOD = encode_batch(Batch(1, [], [Ask(1, "master.finish", Raw(encode((7,))))]))


class Wire(SynchronousTestCase):
    def setUp(self) -> None:
        self.master = Master()

    def tearDown(self) -> None:
        """Whatever was said, the next member is answered."""
        self.flushLoggedErrors()
        asked = len(self.master.asked)
        broker, transport = self.master.link()
        number = 10**6
        broker.dataReceived(said(encode_batch(Batch(1, [], [Ask(number, "master.finish", Raw(encode((7,))))]))))
        self.assertEqual((len(self.master.asked), transport.cut), (asked + 1, False))
        self.assertIn(b"answer", transport.value())

    def hear(self, data: bytes) -> Transport:
        broker, transport = self.master.link()
        for start in range(0, len(data), 65536):
            if not transport.cut:
                broker.dataReceived(data[start : start + 65536])
        broker.connectionLost(None)  # type: ignore[arg-type]
        return transport

    def test_what_is_good_is_answered(self) -> None:
        self.hear(said(GOOD))
        self.assertEqual(self.master.asked, [encode((7,))])

    def test_anything_at_all(self) -> None:
        random = Random(6)
        for _ in range(2000):
            self.hear(random.randbytes(random.randrange(1, 300)))
        self.assertEqual(self.master.asked, [])

    def test_a_good_message_with_changes(self) -> None:
        """Bits that flip, bytes that are missing or come twice: nothing but what was meant is ever done."""
        random, good = Random(7), said(GOOD)
        for _ in range(2000):
            data = bytearray(good)
            for _ in range(random.randrange(1, 4)):
                where = random.randrange(len(data))
                change = random.randrange(3)
                if change == 0:
                    data[where] ^= 1 << random.randrange(8)
                elif change == 1:
                    del data[where : where + random.randrange(1, 9)]
                else:
                    data[where:where] = random.randbytes(random.randrange(1, 9))
                if not data:
                    break
            self.hear(bytes(data))
        self.assertLess(len(self.master.asked), 2000)

    def test_lists_in_lists_without_end(self) -> None:
        transport = self.hear(b"\x01\x80" * MESSAGE)
        self.assertTrue(transport.cut)

    def test_a_list_that_never_ends(self) -> None:
        transport = self.hear(b"\x7f\x7f\x27\x80" + b"\x01\x81" * MESSAGE)
        self.assertTrue(transport.cut)

    def test_a_string_that_is_too_long(self) -> None:
        self.assertTrue(self.hear(b"\x7f\x7f\x7f\x7f\x82" + b"x" * 100).cut)

    def test_many_good_messages_are_not_one_that_is_too_long(self) -> None:
        """More in all than one may have; each is asked anew, and an answer that is known is given again."""
        broker, transport = self.master.link()
        call = said(encode_batch(Batch(1, [], [Ask(1, "master.finish", Raw(encode(("x" * 300_000,))))])))
        for _ in range(8):
            for start in range(0, len(call), 65536):
                broker.dataReceived(call[start : start + 65536])
        self.assertEqual((len(self.master.asked), transport.cut), (1, False))


ITEMS = st.lists(
    st.one_of(
        st.builds(Ask, st.integers(-5, 9), st.sampled_from(["master.finish", "", "no.such"]), st.just(Raw(encode((1,))))),
        st.builds(Answer, st.integers(-5, 9), st.just(Raw(encode(1)))),
        st.builds(Refused, st.integers(-5, 9), st.sampled_from(["NotFound", "object", ""]), st.text(), st.text()),
        st.builds(Piece, st.just(False), st.binary(max_size=9)),
    ),
    max_size=6,
)


class Batches(SynchronousTestCase):
    """An exchange hears whatever is a batch, and refuses the rest."""

    @given(st.binary(max_size=200))
    @settings(max_examples=300)
    def test_bytes_that_are_no_batch(self, data: bytes) -> None:
        master = Master()
        try:
            batch = decode_batch(data)
        except InvalidRequest:
            self.assertRaises(InvalidRequest, master.exchange.receive, data)
        else:
            self.assertIsInstance(batch, Batch)
            master.exchange.receive(data)

    @given(st.lists(st.tuples(st.integers(-5, 9), st.lists(st.integers(-5, 9), max_size=4), ITEMS), max_size=5))
    @settings(max_examples=300)
    def test_batches_in_any_order_with_any_numbers(self, said: list[tuple[int, list[int], list[Any]]]) -> None:
        """No request is done twice, whatever numbers it comes under; nothing is answered that was not asked here."""
        master = Master()
        question: Deferred[Raw] = Deferred.fromCoroutine(master.exchange.ask("other.call", encode(()), True))
        question.addErrback(lambda failure: None)
        for answered, settled, items in said:
            back = decode_batch(master.exchange.receive(encode_batch(Batch(answered, settled, items))))
            asked = {item.id for item in items if isinstance(item, Ask)}
            self.assertLessEqual({item.id for item in back.items}, asked)
