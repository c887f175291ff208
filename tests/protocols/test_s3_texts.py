"""Texts that are no ASCII in the fields of a request: signed, kept and told as the bytes that came."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import InvalidRequest
from ecpds.http.message import Headers, Request, Response
from ecpds.http.reply import Terms, head_bytes
from ecpds.model import DataFile
from ecpds.protocols import s3_headers
from ecpds.protocols.s3_errors import S3Error
from ecpds.protocols.s3_post import Form, as_put
from ecpds.wire.forms import FormDecoder
from ecpds.wire.sigv4 import UNSIGNED, Scope, Signed, canonical_request
from tests.protocols.test_s3_matrix import Bytes

SIGNED = Signed("A", Scope("20130524", "us-east-1", "s3"), "20130524T000000Z", ("host",), "0", UNSIGNED)


def field(text: str) -> str:
    """A field's value as a request's headers have it."""
    return text.encode().decode("latin-1")


class Signing(SynchronousTestCase):
    @given(st.sampled_from(["voilà", "Å", "à", "x\N{NO-BREAK SPACE}", "\N{NEXT LINE}y"]))
    def test_bytes_that_are_white_space_in_latin_1_are_signed(self, text: str) -> None:
        canonical = canonical_request("GET", "/", (), {"host": field(text)}, SIGNED)
        self.assertIn(f"host:{field(text)}\n", canonical)

    def test_spaces_around_are_not(self) -> None:
        self.assertIn("host:a b\n", canonical_request("GET", "/", (), {"host": " \ta   b "}, SIGNED))


class Forms(SynchronousTestCase):
    """What a form says of an object is what the header of a PUT would have said."""

    def told(self, name: str, value: str) -> dict[str, str]:
        """The headers of a reply that has the object."""
        decoder = FormDecoder(b"b")
        text = f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        text += '--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
        decoder.feed(text.encode())
        body = Bytes(b"")
        request = Request("POST", b"/d", "/d", "", Headers(()), "1.1", "192.0.2.1", True, 0, body)
        kept = s3_headers.kept(as_put(Form(decoder, body), request).headers)
        headers = s3_headers.object_headers(DataFile(1, 0, 0.0, 0.0, {}, kept, ()))
        head_bytes(Response(200, headers, b""), Terms("", True))
        return dict(headers)

    def test_metadata_of_any_language(self) -> None:
        for text in ("日本", "voilà", "é", "plain"):
            self.assertEqual(self.told("x-amz-meta-a", text)["x-amz-meta-a"], field(text))
            self.assertEqual(self.told("Content-Disposition", text)["Content-Disposition"], field(text))

    def test_a_name_that_no_header_can_have_is_left_out(self) -> None:
        for name in ("x-amz-meta-日本", "x-amz-meta-a b", "x-amz-meta-a\rb", "x-amz-meta-a: b", "x-amz-meta-"):
            self.assertEqual([each for each in self.told(name, "v") if each.startswith("x-amz-meta")], [])

    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.text(st.characters(exclude_categories=["Cs"])))
    def test_whatever_is_kept_can_be_told(self, name: str, value: str) -> None:
        try:
            self.told(f"x-amz-meta-{name}", value)
        except (InvalidRequest, S3Error):
            pass  # it is no form, or has too much
