"""S3's XML: what is written is read back the same, and nothing in a text becomes markup."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.wire import s3xml

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]) | st.sampled_from("&<>\"'\r\n\t]"), max_size=30)


class Written(SynchronousTestCase):
    @given(TEXT, st.integers(), st.booleans())
    def test_what_is_written_is_read_back(self, text: str, number: int, flag: bool) -> None:
        inner: list[s3xml.Node] = [("Text", text), ("None", None), ("Flag", flag)]
        data = s3xml.document("Root", [("Number", number), ("Inner", inner), ("Empty", [])])
        root = ElementTree.fromstring(data)
        names = [each.tag.rpartition("}")[2] for each in root.iter()]
        self.assertEqual(names, ["Root", "Number", "Inner", "Text", "Flag", "Empty"])
        inside = {each.tag.rpartition("}")[2]: each.text or "" for each in root.iter()}
        self.assertEqual((inside["Text"], inside["Number"], inside["Flag"]), (text, str(number), str(flag).lower()))
        self.assertEqual(root.tag, f"{{{s3xml.NAMESPACE}}}Root")

    @given(TEXT)
    def test_what_is_written_already_stands_as_it_is(self, text: str) -> None:
        ready = s3xml.written([("Text", text), ("Flag", True)])
        plain = s3xml.document("Root", [("Before", 1), ("Text", text), ("Flag", True)])
        self.assertEqual(s3xml.document("Root", [("Before", 1), ready]), plain)

    @given(TEXT)
    def test_a_root_of_text(self, text: str) -> None:
        self.assertEqual(ElementTree.fromstring(s3xml.text_document("Place", text)).text or "", text)

    @given(st.floats(0, 4e9))
    def test_times(self, seconds: float) -> None:
        read = datetime.strptime(s3xml.timestamp(seconds), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()
        self.assertTrue(-0.0001 <= seconds - read < 0.0011, (seconds, read))

    def test_without_a_namespace(self) -> None:
        self.assertTrue(
            s3xml.document("Error", [("Code", "a&b")], namespace="").endswith(b"<Error><Code>a&amp;b</Code></Error>")
        )


class Read(SynchronousTestCase):
    def test_what_is_no_document_of_that_name_or_has_entities(self) -> None:
        for bad in (
            b"",
            b"<a>",
            b"<b/>",
            b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
            b"<a>" * 100_000,
            b'<?xml version="1.0" encoding="nonsense"?><a/>',
        ):
            with self.assertRaises(ValueError):
                s3xml.parse(bad, "a")
        self.assertEqual(s3xml.parse(b'<a xmlns="x"><b>1</b></a>', "a").text("b"), "1")
