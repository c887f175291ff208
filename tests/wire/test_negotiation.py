"""Which media type an Accept field likes best: RFC 9110 section 12.5.1."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.wire.negotiation import preferred

OFFERS = ("text/plain", "text/html", "application/json")
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

ROWS: list[tuple[str | None, str | None]] = [
    (None, "text/plain"),
    ("*/*", "text/plain"),
    ("text/*", "text/plain"),
    (BROWSER, "text/html"),
    ("application/json", "application/json"),
    ("Application/JSON ; q=1.0", "application/json"),
    ("application/json;charset=utf-8", "application/json"),
    ("application/json, text/html;q=0.5", "application/json"),
    ("application/json;q=0.1, text/html;q=0.5", "text/html"),
    ("text/*;q=0.3, text/html;q=0.7, */*;q=0.5", "text/html"),
    ("text/plain;q=0, */*;q=0.1", "text/html"),
    ("text/html;q=0.123, */*;q=0.122", "text/html"),
    ("image/png", None),
    ("*/*;q=0", None),
    ("text/html;q=2", None),
    ("text/html;q=nan", None),
    ("text/html;q=", None),
    ("html", None),
    ("", None),
    (",;,", None),
]


class AcceptTests(SynchronousTestCase):
    def test_rows(self) -> None:
        for accept, expected in ROWS:
            with self.subTest(accept=accept):
                self.assertEqual(preferred(accept, OFFERS), expected)

    @given(st.text(alphabet="tex/*plain;q=0.15, ") | st.text())
    def test_no_text_crashes(self, accept: str) -> None:
        self.assertIn(preferred(accept, OFFERS), (*OFFERS, None))
