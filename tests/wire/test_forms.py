"""Forms that bring a file, cut anywhere, and their policies."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import InvalidRequest
from ecpds.wire.forms import FIELDS, FormDecoder, boundary_of
from ecpds.wire.post_policy import LARGEST, PolicyError, parse

BOUNDARY = b"xyz"
NAMES = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=8).filter(lambda name: name != "file")
TEXTS = st.text(max_size=20).filter(lambda text: "--xyz" not in text)


def form(fields: dict[str, str], filename: str, content: bytes) -> bytes:
    out = b""
    for name, value in fields.items():
        out += b"--xyz\r\nContent-Disposition: form-data; name=%b\r\n\r\n%b\r\n" % (name.encode(), value.encode())
    head = f'--xyz\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\nContent-Type: x\r\n\r\n'
    return out + head.encode() + content + b"\r\n--xyz--\r\n"


class Forms(SynchronousTestCase):
    @given(st.dictionaries(NAMES, TEXTS, max_size=5), st.binary(max_size=50), st.integers(1, 40))
    def test_however_it_is_cut(self, fields: dict[str, str], content: bytes, step: int) -> None:
        whole = form(fields, "a b.txt", content)
        decoder, position = FormDecoder(BOUNDARY), 0
        while not decoder.done:
            self.assertLess(position, len(whole))
            decoder.feed(whole[position : position + step])
            position += step
        self.assertEqual((decoder.fields, decoder.filename), (fields, "a b.txt"))
        self.assertEqual(decoder.rest + whole[position:], content + b"\r\n--xyz--\r\n")

    @given(st.binary(max_size=200))
    def test_nonsense_is_refused_or_waits(self, data: bytes) -> None:
        decoder = FormDecoder(BOUNDARY)
        try:
            decoder.feed(data)
        except InvalidRequest:
            return
        self.assertFalse(decoder.done)

    def test_fields_are_bounded(self) -> None:
        decoder = FormDecoder(BOUNDARY)
        decoder.feed(b'--xyz\r\nContent-Disposition: form-data; name="a"\r\n\r\n')
        with self.assertRaises(InvalidRequest):
            decoder.feed(b"x" * (FIELDS + 1))

    def test_what_is_no_form(self) -> None:
        twice = form({"a": "1"}, "f", b"")[: -len(b"\r\n--xyz--\r\n")].replace(b"--xyz\r\n", b"", 1)
        for bad in (
            b"--xyz--\r\n",
            b"--abc\r\n",
            b"--xyz\r\nContent-Type: x\r\n\r\n1\r\n--xyz\r\n",
            b'--xyz\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--xyz\r\n',
            (b'--xyz\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 2) + b"--xyz\r\n" + twice,
        ):
            with self.assertRaises(InvalidRequest):
                FormDecoder(BOUNDARY).feed(bad)

    def test_a_file_s_name_with_quotes(self) -> None:
        decoder = FormDecoder(BOUNDARY)
        decoder.feed(form({}, 'a\\"b%22c;d', b""))
        self.assertEqual(decoder.filename, 'a"b"c;d')

    def test_boundaries(self) -> None:
        self.assertEqual(boundary_of('multipart/form-data; boundary="a b"'), b"a b")
        self.assertEqual(boundary_of("Multipart/Form-Data; charset=x; boundary=----W"), b"----W")
        for other in (None, "", "text/plain; boundary=a", "multipart/mixed; boundary=a"):
            self.assertIsNone(boundary_of(other))
        for bad in ("multipart/form-data", 'multipart/form-data; boundary=""', "multipart/form-data; boundary=" + "a" * 71):
            with self.assertRaises(InvalidRequest):
                boundary_of(bad)


def policy(*conditions: Any, **more: Any) -> str:
    document = {"expiration": "2030-01-01T00:00:00Z", "conditions": list(conditions), **more}
    return base64.b64encode(json.dumps(document).encode()).decode()


class Policies(SynchronousTestCase):
    def refused(self, encoded: str, fields: dict[str, str] | None = None, now: float = 0.0) -> tuple[str, int]:
        with self.assertRaises(PolicyError) as caught:
            parse(encoded).check(fields or {}, now)
        return caught.exception.code, caught.exception.status

    def test_what_is_allowed(self) -> None:
        found = parse(policy({"Bucket": "b"}, ["Starts-With", "$Key", "a/"], ["content-length-range", 1, 9], ["eq", "$x", "1"]))
        self.assertEqual((found.least, found.most), (1, 9))
        found.check({"bucket": "b", "key": "a/b", "x": "1", "policy": "", "x-ignore-me": "2"}, 0.0)
        self.assertEqual(parse(policy()).most, LARGEST)

    def test_what_is_not_met(self) -> None:
        for fields in ({}, {"key": "b"}, {"key": "a", "more": ""}):
            self.assertEqual(self.refused(policy(["starts-with", "$key", "a"]), fields), ("AccessDenied", 403))
        self.assertEqual(self.refused(policy(), {}, 1_893_456_001.0), ("AccessDenied", 403))

    def test_a_field_of_any_value_must_still_be_there(self) -> None:
        self.assertEqual(self.refused(policy(["starts-with", "$key", ""]), {}), ("AccessDenied", 403))

    def test_what_is_malformed(self) -> None:
        for bad in (
            "*",
            base64.b64encode(b"{").decode(),
            base64.b64encode(b"[]").decode(),
            base64.b64encode(b"[" * 100_000).decode(),
            policy(expiration=1),
            policy(expiration="tomorrow"),
            policy(conditions={}),
            policy({}),
            policy({"a": 1}),
            policy(["eq", "key", "a"]),
            policy(["like", "$key", "a"]),
            policy(["eq", "$key"]),
            policy(["content-length-range", 0]),
            policy(["content-length-range", -1, 0]),
            policy(["content-length-range", "a", 0]),
            policy(7),
        ):
            self.assertEqual(self.refused(bad), ("InvalidPolicyDocument", 400), bad[:60])
