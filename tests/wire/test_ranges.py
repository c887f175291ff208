"""Which spans a Range field asks for: RFC 9110 section 14, row by row."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.wire.ranges import Span, spans, unsatisfied_range

IGNORED = None
UNSATISFIABLE: list[tuple[int, int]] = []

# (section of RFC 9110, field, size, (offset, length) of each span)
ROWS: list[tuple[str, str, int, list[tuple[int, int]] | None]] = [
    ("14.1.2 the first 500 bytes", "bytes=0-499", 10000, [(0, 500)]),
    ("14.1.2 the second 500 bytes", "bytes=500-999", 10000, [(500, 500)]),
    ("14.1.2 the final 500 bytes", "bytes=-500", 10000, [(9500, 500)]),
    ("14.1.2 the final 500 bytes, open", "bytes=9500-", 10000, [(9500, 500)]),
    ("14.1.2 the first and the last", "bytes=0-0,-1", 10000, [(0, 1), (9999, 1)]),
    ("14.1.2 last-pos beyond the end", "bytes=9500-20000", 10000, [(9500, 500)]),
    ("14.1.2 suffix longer than the file", "bytes=-20000", 10000, [(0, 10000)]),
    ("14.1.2 first-pos at the end", "bytes=10000-", 10000, UNSATISFIABLE),
    ("14.1.2 suffix of nothing", "bytes=-0", 10000, UNSATISFIABLE),
    ("14.1.2 one of two satisfiable", "bytes=20000-,0-1", 10000, [(0, 2)]),
    ("14.1.2 overlapping", "bytes=0-9,5-14", 10000, [(0, 10), (5, 10)]),
    ("14.1.1 last before first", "bytes=10-9", 10000, IGNORED),
    ("14.1.1 one of two not well formed", "bytes=0-1,10-9", 10000, IGNORED),
    ("14.1 units in any case", "Bytes=0-1", 10, [(0, 2)]),
    ("14.2 another unit", "lines=0-1", 10, IGNORED),
    ("14.1.1 nothing at all", "bytes=-", 10, IGNORED),
    ("14.1.1 an empty set", "bytes=", 10, IGNORED),
    ("14.1.1 no set", "bytes", 10, IGNORED),
    ("14.1.1 a space inside", "bytes=0 - 1", 10, IGNORED),
    ("14.1.1 a sign", "bytes=+0-1", 10, IGNORED),
    ("14.1.1 digits that are not ASCII", "bytes=\u0660-1", 10, IGNORED),
    ("5.6.1 white space and empty elements", "bytes=, 0-1 ,\t, 4-5,", 10, [(0, 2), (4, 2)]),
    ("14.1.2 leading zeros", "bytes=0000000000000000000001-000000000000000000002", 10, [(1, 2)]),
    ("14.1.2 a huge last-pos", "bytes=0-" + "9" * 5000, 10, [(0, 10)]),
    ("14.1.2 a huge first-pos", "bytes=" + "9" * 5000 + "-", 10, UNSATISFIABLE),
    ("14.1.2 a huge suffix", "bytes=-" + "9" * 5000, 10, [(0, 10)]),
    ("14.1.2 first-pos in an empty file", "bytes=0-", 0, UNSATISFIABLE),
    ("14.1.2 the whole of an empty file", "bytes=-5", 0, IGNORED),
    ("14.1.2 a suffix of nothing of an empty file", "bytes=-0", 0, UNSATISFIABLE),
]


class RangeTests(SynchronousTestCase):
    def test_rows(self) -> None:
        for rule, field, size, expected in ROWS:
            with self.subTest(rule=rule, field=field[:40]):
                found = spans(field, size)
                self.assertEqual(None if found is None else [(span.offset, span.length) for span in found], expected)

    def test_content_range(self) -> None:
        self.assertEqual(Span(500, 500).content_range(1234), "bytes 500-999/1234")
        self.assertEqual(unsatisfied_range(1234), "bytes */1234")

    @given(st.text(), st.integers(0, 2**60))
    def test_no_text_crashes(self, text: str, size: int) -> None:
        for field in (text, f"bytes={text}"):
            self.inside(spans(field, size), size)

    @given(st.lists(st.from_regex(r"[0-9]{0,25}-[0-9]{0,25}", fullmatch=True)), st.integers(0, 1000))
    @example(["0-"], 0)
    def test_never_out_of_bounds(self, specs: list[str], size: int) -> None:
        self.inside(spans("bytes=" + ",".join(specs), size), size)

    @given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 100))
    def test_agrees_with_slices(self, first: int, last: int, size: int) -> None:
        content = bytes(size)
        found = spans(f"bytes={first}-{last}", size)
        if last < first:
            self.assertIsNone(found)
            return
        assert found is not None
        self.assertEqual([span.length for span in found], [len(content[first : last + 1])] if first < size else [])

    def inside(self, found: list[Span] | None, size: int) -> None:
        for span in found or ():
            self.assertTrue(0 <= span.offset < span.offset + span.length <= size, (span, size))
