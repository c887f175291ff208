"""What a Master and its companion say to each other."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import NotADirectory, Refusal, Unavailable, refusals
from ecpds.events import Event
from ecpds.master import shipping
from ecpds.master.history import Records
from ecpds.master.publishing import Publication
from ecpds.model import EMPTY, Condition, Copy, DataFile, Entry, Segment

TEXT = st.text(max_size=20)
NUMBER = st.integers(0, 2**63 - 1)
TIME = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.dictionaries(TEXT, TEXT, max_size=3)
COPIES = st.lists(st.builds(Copy, TEXT, st.integers(0, 99)), max_size=2).map(tuple)
SEGMENTS = st.lists(st.builds(Segment, NUMBER, NUMBER, COPIES), max_size=2).map(tuple)
FILES = st.builds(DataFile, NUMBER, NUMBER, TIME, TIME, TEXTS, TEXTS, SEGMENTS)
CONDITIONS = st.builds(Condition, st.booleans(), st.booleans(), st.none() | st.frozensets(NUMBER, max_size=3))
PUBLICATIONS = st.builds(Publication, NUMBER, TEXT, FILES, CONDITIONS, TIME, st.lists(TEXT, max_size=2).map(tuple))
FIELDS = st.dictionaries(TEXT, st.none() | st.booleans() | NUMBER | TEXT | TIME, max_size=3)
EVENTS = st.builds(Event, TEXT, TIME, FIELDS)
RECORDS = st.builds(
    Records, st.lists(EVENTS, max_size=3).map(tuple), st.integers(0, 99_999), st.integers(0, 99_999), st.integers(0, 99)
)
OPERATIONS = st.lists(PUBLICATIONS | RECORDS, max_size=5)

FILE = DataFile(7, 3, 1.0, 2.0, EMPTY, EMPTY, (Segment(7, 3, (Copy("m", 0),)),))
PUBLICATION = Publication(1, "a/b", FILE, Condition(), 9.0)


def body(message: bytes) -> bytes:
    return message[shipping.PREFIX :]


class ShippingTests(SynchronousTestCase):
    """`shipping`."""

    @given(OPERATIONS)
    def test_operations_come_as_they_were(self, operations: list[Any]) -> None:
        found = shipping.operations_of(body(shipping.batch(operations)))
        self.assertEqual(found, operations)
        self.assertEqual([type(each) for each in found], [type(each) for each in operations])

    def test_mappings_that_are_frozen_come_too(self) -> None:
        file = DataFile(1, 1, 1.0, 1.0, EMPTY, MappingProxyType({"k": "v"}), ())
        (found,) = shipping.operations_of(body(shipping.batch([Publication(1, "a", file, Condition(), 0.0)])))
        self.assertEqual((found.file.digests, found.file.metadata), ({}, {"k": "v"}))

    def test_what_is_no_unicode_stays_here(self) -> None:
        odd = Publication(1, "\udc80", FILE, Condition(), 0.0)
        with self.assertRaises(shipping.NotPortable):
            shipping.batch([PUBLICATION, odd])

    @given(EVENTS)
    def test_a_record_reads_the_same_there(self, event: Event) -> None:
        (records,) = shipping.operations_of(body(shipping.batch([Records((event,), 1, 0, 0)])))
        (found,) = records.events
        self.assertEqual((found.fields_text, found.as_line()), (event.fields_text, event.as_line()))

    def test_what_is_portable(self) -> None:
        self.assertTrue(shipping.is_portable(PUBLICATION))
        self.assertFalse(shipping.is_portable(lambda session: None))

    def answered(self, operations: list[Any], outcomes: list[Any]) -> list[Any]:
        told = shipping.answer_of(body(shipping.answer(operations, outcomes, ["a line"])))
        self.assertEqual(told.lines, ["a line"])
        return shipping.outcomes_of(operations, told)

    def test_outcomes(self) -> None:
        entry = Entry("a/b", 1.0, FILE, replaced=True)
        self.assertEqual(self.answered([PUBLICATION, Records((), 5, 0, 0)], [entry, 5]), [entry, 5])

    def test_every_refusal_comes_as_itself(self) -> None:
        for kind in refusals():
            (found,) = self.answered([PUBLICATION], [kind("for the user", "for the record")])
            self.assertIs(type(found), kind)
            self.assertEqual((found.detail, found.reason), ("for the user", "for the record"))

    def test_other_errors_keep_their_text(self) -> None:
        class Own(Refusal):
            """It is no one's but this room's."""

        failed, own = self.answered([PUBLICATION] * 2, [ZeroDivisionError("by zero"), Own("x")])
        for found, words in ((failed, "ZeroDivisionError: by zero"), (own, "Own: ")):
            self.assertIsInstance(found, shipping.OperationFailed)
            self.assertIn(words, str(found))

    def test_too_few_outcomes(self) -> None:
        told = shipping.answer_of(body(shipping.answer([PUBLICATION], [NotADirectory()], [])))
        with self.assertRaises(ValueError):
            shipping.outcomes_of([PUBLICATION] * 2, told)

    @given(st.lists(st.binary(max_size=40), max_size=5), st.data())
    def test_messages_in_any_pieces(self, sent: list[bytes], data: st.DataObject) -> None:
        stream = b"".join(map(shipping.message, sent))
        received, found = bytearray(), []
        while stream:
            size = data.draw(st.integers(1, len(stream)))
            received += stream[:size]
            stream = stream[size:]
            found += shipping.messages(received)
        self.assertEqual((found, bytes(received)), (sent, b""))

    @given(st.binary(max_size=200))
    def test_noise_is_no_answer_and_no_batch(self, noise: bytes) -> None:
        for read in (shipping.answer_of, shipping.operations_of):
            try:
                read(noise)
            except (msgspec.DecodeError, ValueError):
                continue

    def test_storage_that_failed(self) -> None:
        (found,) = self.answered([PUBLICATION], [Unavailable("the catalogue can't be reached")])
        self.assertEqual(found.sentence, Unavailable("the catalogue can't be reached").sentence)
