"""Fields that are those of an earlier head, but for some values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.http.same_fields import SameFields

FIELDS = b"\r\nHost: node\r\nX-Time: 123\r\nX-Proof:  abc d \r\nX-Else: 1\r\n\r\n"
VARYING = ("x-proof", "x-time")


def agrees(fields: SameFields, data: bytes, before: bytes = b"GET / HTTP/1.1") -> bool:
    buffer = bytearray(before + data + b"GET /more HTTP/1.1\r\n")
    return fields.agree(buffer, len(before), len(before) + len(data))


class SameFieldsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.fields = SameFields(FIELDS, VARYING)

    def test_the_very_same(self) -> None:
        for fields in (self.fields, SameFields(FIELDS)):
            self.assertTrue(agrees(fields, FIELDS))
        self.assertEqual(self.fields.values, {"x-time": "123", "x-proof": "abc d"})

    def test_other_values(self) -> None:
        other = FIELDS.replace(b"123", b"9:~").replace(b"abc d", b"fgh;i")
        self.assertFalse(agrees(SameFields(FIELDS), other))
        self.assertTrue(agrees(self.fields, other))
        self.assertEqual(self.fields.values, {"x-time": "9:~", "x-proof": "fgh;i"})

    def test_values_that_are_read_otherwise_than_they_stand(self) -> None:
        for value in (b" 23", b"12 ", b"1\n3", b"\r\n3", b"1\03", b"1\xe93", b"1\t3", b"\t12"):
            self.assertFalse(agrees(self.fields, FIELDS.replace(b"123", value)), value)
        self.assertEqual(self.fields.values, {})

    def test_anything_else_that_differs(self) -> None:
        for old, new in ((b"node", b"mode"), (b"Else: 1", b"Else: 2"), (b"X-Time", b"X-Tame"), (b"X-Proof", b"x-proof")):
            self.assertFalse(agrees(self.fields, FIELDS.replace(old, new)), new)

    def test_a_field_that_is_not_there_once_must_be_the_same(self) -> None:
        twice = FIELDS.replace(b"X-Else: 1", b"x-time: 456")
        fields = SameFields(twice, VARYING)
        self.assertTrue(agrees(fields, twice))
        self.assertEqual(fields.values, {"x-proof": "abc d"})
        self.assertFalse(agrees(fields, twice.replace(b"123", b"124")))
        self.assertTrue(agrees(SameFields(FIELDS, ("x-missing",)), FIELDS))
        empty = FIELDS.replace(b"123", b"")
        self.assertTrue(agrees(SameFields(empty, VARYING), empty))

    @given(st.integers(2, len(FIELDS) - 1), st.integers(0, 255))
    def test_one_changed_byte_never_changes_more_than_a_value(self, place: int, byte: int) -> None:
        changed = FIELDS[:place] + bytes((byte,)) + FIELDS[place + 1 :]
        fields = SameFields(FIELDS, VARYING)
        if agrees(fields, changed):
            lines = [line.split(b":", 1) for line in changed.split(b"\r\n") if line]
            self.assertEqual([name for name, _ in lines], [b"Host", b"X-Time", b"X-Proof", b"X-Else"])
            told = {name.decode().lower(): value.strip(b" \t").decode() for name, value in lines}
            self.assertEqual((told["host"], told["x-else"]), ("node", "1"))
            self.assertEqual(fields.values, {name: told[name] for name in VARYING})
