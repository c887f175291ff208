"""Conditional requests: RFC 9110 section 13, row by row."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.model import ANYTHING, Condition, DataFile
from ecpds.wire.conditions import (
    Verdict,
    asked_condition,
    last_modified,
    needs_current,
    parse_tags,
    pinned_condition,
    range_applies,
    verdict,
)
from ecpds.wire.dates import http_date

MODIFIED = 784111777
FILE = DataFile(7, 10, MODIFIED + 0.5, MODIFIED + 0.5)

BEFORE = http_date(MODIFIED - 1)
THEN = http_date(MODIFIED)
AFTER = http_date(MODIFIED + 1)

GO, SAME, FAILED = Verdict.PROCEED, Verdict.NOT_MODIFIED, Verdict.FAILED

# (section of RFC 9110, fields, verdict of a GET)
READS: list[tuple[str, dict[str, str], Verdict]] = [
    ("13.2 no condition", {}, GO),
    ("13.1.1 the right tag", {"if-match": '"7"'}, GO),
    ("13.1.1 one of several", {"if-match": '"6", "7"'}, GO),
    ("13.1.1 another tag", {"if-match": '"8"'}, FAILED),
    ("13.1.1 any", {"if-match": "*"}, GO),
    ("13.1.1 a weak tag never matches strongly", {"if-match": 'W/"7"'}, FAILED),
    ("13.1.2 the right tag", {"if-none-match": '"7"'}, SAME),
    ("13.1.2 weak comparison", {"if-none-match": 'W/"7"'}, SAME),
    ("13.1.2 any", {"if-none-match": "*"}, SAME),
    ("13.1.2 another tag", {"if-none-match": '"8", W/"9"'}, GO),
    ("13.1.3 since then", {"if-modified-since": THEN}, SAME),
    ("13.1.3 since later", {"if-modified-since": AFTER}, SAME),
    ("13.1.3 since before", {"if-modified-since": BEFORE}, GO),
    ("13.1.3 no date is ignored", {"if-modified-since": "yesterday"}, GO),
    ("13.1.3 ignored beside If-None-Match", {"if-modified-since": AFTER, "if-none-match": '"8"'}, GO),
    ("13.1.4 until then", {"if-unmodified-since": THEN}, GO),
    ("13.1.4 until before", {"if-unmodified-since": BEFORE}, FAILED),
    ("13.1.4 no date is ignored", {"if-unmodified-since": "yesterday"}, GO),
    ("13.1.4 ignored beside If-Match", {"if-unmodified-since": BEFORE, "if-match": '"7"'}, GO),
    ("13.2.2 If-Match goes before If-None-Match", {"if-match": '"8"', "if-none-match": '"7"'}, FAILED),
    ("13.2.2 then If-None-Match", {"if-match": '"7"', "if-none-match": '"7"'}, SAME),
    ("13.2.2 If-Unmodified-Since goes before If-None-Match", {"if-unmodified-since": BEFORE, "if-none-match": '"7"'}, FAILED),
]

# (section of RFC 9110, If-Range, whether the range is honoured)
RANGES: list[tuple[str, str, bool]] = [
    ("13.1.5 the right tag", '"7"', True),
    ("13.1.5 another tag", '"8"', False),
    ("13.1.5 a weak tag", 'W/"7"', False),
    ("13.1.5 the very date", THEN, True),
    ("13.1.5 a later date", AFTER, False),
    ("13.1.5 an earlier date", BEFORE, False),
    ("13.1.5 neither", "seven", False),
]

# (section of RFC 9110, fields, condition of a PUT)
WRITES: list[tuple[str, dict[str, str], Condition]] = [
    ("13.2 no condition", {}, ANYTHING),
    ("13.1.2 only if absent", {"if-none-match": "*"}, Condition(absent=True)),
    ("13.1.1 only if there", {"if-match": "*"}, Condition(exists=True)),
    ("13.1.1 only this", {"if-match": '"7"'}, Condition(match=frozenset({7}))),
    ("13.1.1 one of several", {"if-match": '"7", "9"'}, Condition(match=frozenset({7, 9}))),
    ("13.1.1 a weak tag is none of ours", {"if-match": 'W/"7"'}, Condition(match=frozenset())),
    ("13.1.1 nor is another's", {"if-match": '"seven", "07", "0", ""'}, Condition(match=frozenset())),
    ("13.2.2 both can't be met", {"if-match": "*", "if-none-match": "*"}, Condition(absent=True, exists=True)),
]

SEEN_7 = Condition(match=frozenset({7}))
SEEN_NOTHING = Condition(absent=True)

# (section of RFC 9110, fields, what is there, condition of a PUT; None: it has failed)
PINNED: list[tuple[str, dict[str, str], DataFile | None, Condition | None]] = [
    ("13.1.4 until then", {"if-unmodified-since": THEN}, FILE, SEEN_7),
    ("13.1.4 until before", {"if-unmodified-since": BEFORE}, FILE, None),
    ("13.1.4 without a file", {"if-unmodified-since": BEFORE}, None, SEEN_NOTHING),
    ("13.1.2 anything but this", {"if-none-match": '"7"'}, FILE, None),
    ("13.1.2 anything but this, weakly", {"if-none-match": 'W/"7"'}, FILE, None),
    ("13.1.2 anything but another", {"if-none-match": '"8"'}, FILE, SEEN_7),
    ("13.1.2 anything but another, without a file", {"if-none-match": '"8"'}, None, SEEN_NOTHING),
    ("13.2.2 this but not that", {"if-match": '"7"', "if-none-match": '"8"'}, FILE, SEEN_7),
    ("13.2.2 that but not this", {"if-match": '"8"', "if-none-match": '"9"'}, FILE, None),
    ("13.1.1 this, without a file", {"if-match": '"7"', "if-none-match": '"8"'}, None, None),
]

# (field, tags; None: not well formed) by RFC 9110 section 8.8.3
TAGS: list[tuple[str, tuple[str, ...] | None]] = [
    ('"a"', ('"a"',)),
    ('W/"a"', ('W/"a"',)),
    ('"a","b"', ('"a"', '"b"')),
    (' "a" ,\t"b" ', ('"a"', '"b"')),
    (',, "a",', ('"a"',)),
    ('""', ('""',)),
    ('"a,b"', ('"a,b"',)),
    ("a", None),
    ('"a', None),
    ('"a"b', None),
    ('"a" "b"', None),
    ('w/"a"', None),
    ('*, "a"', None),
    ("", None),
    (",", None),
]


class ConditionTests(SynchronousTestCase):
    def test_reads(self) -> None:
        for rule, fields, expected in READS:
            with self.subTest(rule=rule):
                self.assertEqual(verdict(fields, FILE), expected)

    def test_ranges(self) -> None:
        self.assertTrue(range_applies({}, FILE))
        for rule, field, expected in RANGES:
            with self.subTest(rule=rule):
                self.assertEqual(range_applies({"if-range": field}, FILE), expected)

    def test_writes(self) -> None:
        for rule, fields, expected in WRITES:
            with self.subTest(rule=rule):
                self.assertFalse(needs_current(fields))
                self.assertEqual(asked_condition(fields), expected)

    def test_pinned(self) -> None:
        for rule, fields, seen, expected in PINNED:
            with self.subTest(rule=rule):
                self.assertTrue(needs_current(fields))
                self.assertEqual(pinned_condition(fields, seen), expected)

    def test_what_a_read_matches_a_write_does(self) -> None:
        for rule, fields, expected in READS:
            if set(fields) == {"if-match"}:
                with self.subTest(rule=rule):
                    self.assertEqual(asked_condition(fields).met_by(FILE.id), expected is GO)

    def test_last_modified_is_never_to_come(self) -> None:
        claimed = DataFile(7, 10, MODIFIED + 1e6, MODIFIED)
        self.assertEqual(last_modified(claimed), THEN)


class TagTests(SynchronousTestCase):
    def test_rows(self) -> None:
        for field, expected in TAGS:
            with self.subTest(field=field):
                if expected is None:
                    self.assertRaises(ValueError, parse_tags, field)
                else:
                    self.assertEqual(parse_tags(field).tags, expected)

    @given(st.text())
    def test_any_text_is_tags_or_refused(self, text: str) -> None:
        for fields in ({"if-match": text}, {"if-none-match": text}, {"if-match": f'"{text}"'}):
            try:
                needs_current(fields)
                asked_condition(fields)
                verdict(fields, FILE)
                pinned_condition(fields, FILE)
            except ValueError:
                continue

    @given(st.lists(st.from_regex(r'(W/)?"[!#-~]*"', fullmatch=True), min_size=1))
    def test_round_trip(self, tags: list[str]) -> None:
        self.assertEqual(parse_tags(", ".join(tags)).tags, tuple(tags))
