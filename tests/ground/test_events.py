"""The records' families and forms: nothing that anybody says can forge a field or a line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import InvalidRequest
from ecpds.events import FAMILIES, NONE, Event, Transfer, denial_event, family_event, moment, timestamp, transfer_event
from ecpds.portal.records import ancestor_line, json_line

TIME = 1_795_305_600.125

HOSTILE = st.text(
    st.one_of(st.sampled_from(";=%\n\r\t\0\x1b\x85\u2028\u202e\ud800\\\"'"), st.characters(exclude_categories=())), max_size=30
)


def parsed(line: bytes) -> tuple[str, dict[str, str]]:
    """A line of the ancestor's as any reader of it takes it apart."""
    text = line.decode("utf-8")
    assert text.endswith("\n") and len(text.splitlines()) == 1, text
    code, *pairs = text[:-1].split(";")
    return code, {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


class FamilyTests(SynchronousTestCase):
    def test_all_seven_with_the_ancestor_s_names(self) -> None:
        self.assertEqual(set(FAMILIES), {"INH", "DEA", "RET", "UPH", "ERR", "CPY", "PRS"})
        self.assertEqual(
            {name: len(fields) for name, fields in FAMILIES.items()},
            {"INH": 28, "DEA": 6, "RET": 28, "UPH": 35, "ERR": 23, "CPY": 24, "PRS": 9},
        )
        for name, fields in FAMILIES.items():
            self.assertEqual(len(set(fields)), len(fields), name)

    def test_what_is_not_known_is_a_dash(self) -> None:
        for name, fields in FAMILIES.items():
            event = family_event(name, TIME, {})
            self.assertEqual(list(event.fields), list(fields))
            self.assertEqual(event.fields["TimeStamp"], "2026-11-22T00:00:00.125Z")
            self.assertEqual({value for field, value in event.fields.items() if field != "TimeStamp"}, {"-"})

    def test_a_field_that_the_family_has_not(self) -> None:
        self.assertRaises(ValueError, family_event, "PRS", TIME, {"FileName": "x"})

    def test_a_transfer_has_all_fields_in_their_order(self) -> None:
        failed = Transfer("upload", "demo", "a", "joe", "ftp", "192.0.2.1", "node", TIME, TIME + 1, 0, failure="cut")
        event = transfer_event(failed)
        self.assertEqual(tuple(event.fields), FAMILIES["INH"])
        self.assertEqual([event.fields[name] for name in ("DataTransferId", "FileSize", "FileSystem")], [NONE] * 3)
        self.assertEqual((event.time, event.fields["Status"], event.fields["Message"]), (TIME + 1, "failed", "cut"))

    @given(st.floats(-6e10, 2.5e11) | st.integers(0, 4 * 10**9).map(lambda thousandth: thousandth / 1000))
    def test_times_as_datetime_writes_them(self, seconds: float) -> None:
        expected = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
        self.assertEqual(timestamp(seconds), expected.removesuffix("+00:00") + "Z")


class LineTests(SynchronousTestCase):
    def test_the_ancestor_s_form(self) -> None:
        transfer = Transfer("upload", "demo", "a;b=c%", "joe", "ftp", "192.0.2.1", "node", TIME, TIME + 1, 5, 7, 5, 0)
        code, fields = parsed(ancestor_line(transfer_event(transfer)))
        self.assertEqual((code, fields["Monitored"], fields["DataTransferId"]), ("INH", "false", "7"))
        self.assertEqual(fields["StartTime"], "2026-11-22 00:00:00.125")
        self.assertEqual((fields["FileName"], fields["MetaStream"], fields["Duration"]), ("a%3Bb=c%25", "-", "1000"))

    @given(HOSTILE, HOSTILE, HOSTILE)
    def test_no_value_can_forge_a_field_or_a_line(self, login: str, message: str, address: str) -> None:
        event = denial_event(TIME, login, message, "Using it", address, "ftp")
        code, fields = parsed(ancestor_line(event))
        self.assertEqual((code, tuple(fields)), ("DEA", FAMILIES["DEA"]))
        self.assertEqual(unquote(fields["Message"], errors="surrogatepass"), message)
        self.assertTrue(all(value.isprintable() for value in fields.values()))
        line = json_line(event)
        self.assertEqual((line.count(b"\n"), line.isascii()), (1, True))
        self.assertEqual(json.loads(line), event.as_json())

    def test_a_record_without_fields(self) -> None:
        self.assertEqual(json.loads(json_line(Event('a "kind"', TIME, {}))), {"Type": 'a "kind"'})

    @given(st.dictionaries(st.sampled_from(FAMILIES["INH"]), HOSTILE))
    def test_nor_in_any_field_of_a_transfer(self, known: dict[str, str]) -> None:
        _, fields = parsed(ancestor_line(family_event("INH", TIME, known)))
        self.assertEqual(tuple(fields), FAMILIES["INH"])

    def test_a_time_is_only_where_the_whole_value_is_one(self) -> None:
        line = Event("DEA", TIME, {"Message": "2026-11-22T00:00:00.125Z;x", "TimeStamp": "2026-11-22T00:00:00.125Z"}).as_line()
        self.assertEqual(line, "DEA;Message=2026-11-22T00:00:00.125Z%3Bx;TimeStamp=2026-11-22 00:00:00.125")


class MomentTests(SynchronousTestCase):
    def test_forms(self) -> None:
        for text, seconds in (
            ("1970-01-02", 86400.0),
            ("1970-01-01T01:00:00Z", 3600.0),
            ("1970-01-01T01:00:00+01:00", 0.0),
            ("1970-01-01 00:00:30", 30.0),
            ("90s", TIME - 90),
            ("2h", TIME - 7200),
            ("1w", TIME - 604800),
        ):
            self.assertEqual(moment(text, TIME), seconds, text)

    @given(st.text(max_size=30))
    def test_anything_else_is_one_sentence(self, text: str) -> None:
        try:
            moment(text, TIME)
        except InvalidRequest as refusal:
            self.assertTrue(str(refusal).isprintable())
