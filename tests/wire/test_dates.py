"""HTTP dates in their three forms: RFC 9110 section 5.6.7."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.wire.dates import http_date, parse_http_date

ROWS: list[tuple[str, int | None]] = [
    ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
    ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
    ("Sun Nov  6 08:49:37 1994", 784111777),
    ("Sunday, 06-Nov-68 08:49:37 GMT", 3119417377),
    ("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800),
    ("Sun, 06 Nov 1994 08:49:61 GMT", None),
    ("Sun, 32 Nov 1994 08:49:37 GMT", None),
    ("Sun, 06 Nov 0000 08:49:37 GMT", None),
    ("Sun, 06 Nov 1994 24:00:00 GMT", None),
    ("Sun, 06 Nov 1994 08:49:37 +0100", None),
    ("Sun, 6 Nov 1994 08:49:37 GMT", None),
    ("sun, 06 nov 1994 08:49:37 gmt", None),
    ("1994-11-06T08:49:37Z", None),
    ("0", None),
    ("", None),
]


class DateTests(SynchronousTestCase):
    def test_rows(self) -> None:
        for text, expected in ROWS:
            with self.subTest(text=text):
                self.assertEqual(parse_http_date(text), expected)

    def test_fractions_are_cut_off(self) -> None:
        self.assertEqual(http_date(784111777.999), "Sun, 06 Nov 1994 08:49:37 GMT")

    @given(st.integers(0, 253402300799))
    def test_round_trip(self, seconds: int) -> None:
        self.assertEqual(parse_http_date(http_date(seconds)), seconds)

    @given(st.text())
    def test_no_text_crashes(self, text: str) -> None:
        parse_http_date(text)
