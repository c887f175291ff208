"""Signature V4 against the examples that AWS publishes ("Signature calculations: examples", S3's API reference)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.keys import signing_key
from ecpds.wire import sigv4
from ecpds.wire.sigv4 import ChunkSigner, SignatureError, Signed

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
STAMP = "20130524T000000Z"
NOW = datetime(2013, 5, 24, tzinfo=UTC).timestamp()
KEY = signing_key(SECRET, "20130524", "us-east-1", "s3")
CREDENTIAL = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
HOST = "examplebucket.s3.amazonaws.com"


def authorization(headers: str, signature: str = "0" * 64) -> str:
    return f"AWS4-HMAC-SHA256 Credential={CREDENTIAL},SignedHeaders={headers},Signature={signature}"


def signed_request(
    method: str, path: str, query: str, fields: dict[str, str], signed: Signed | None = None
) -> tuple[Signed, str]:
    """What the request says of its signature, and the one that it should have."""
    parsed = sigv4.parse_query(query)
    found = signed or sigv4.signed_by(fields, parsed)
    assert found is not None
    return found, sigv4.signature(KEY, found, sigv4.canonical_request(method, path, parsed, fields, found))


class PublishedExamples(SynchronousTestCase):
    def check(self, method: str, path: str, query: str, fields: dict[str, str], expected: str) -> None:
        names = ";".join(sorted(fields))
        _, computed = signed_request(method, path, query, {**fields, "authorization": authorization(names)})
        self.assertEqual(computed, expected)

    def test_get_object(self) -> None:
        fields = {
            "host": HOST,
            "range": "bytes=0-9",
            "x-amz-content-sha256": sigv4.EMPTY_SHA256,
            "x-amz-date": STAMP,
        }
        expected = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        self.check("GET", "/test.txt", "", fields, expected)

    def test_put_object(self) -> None:
        fields = {
            "date": "Fri, 24 May 2013 00:00:00 GMT",
            "host": HOST,
            "x-amz-content-sha256": hashlib.sha256(b"Welcome to Amazon S3.").hexdigest(),
            "x-amz-date": STAMP,
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
        }
        expected = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        self.check("PUT", "/test$file.text", "", fields, expected)

    def test_signed_by_the_date_alone(self) -> None:
        for date in ("Fri, 24 May 2013 00:00:00 GMT", "Fri, 24 May 2013 00:00:00 -0000"):
            fields = {"date": date, "host": HOST, "x-amz-content-sha256": sigv4.EMPTY_SHA256}
            signed = sigv4.signed_by({**fields, "authorization": authorization(";".join(sorted(fields)))}, [])
            assert signed is not None
            self.assertEqual((signed.stamp, sigv4.seconds(signed.stamp)), (STAMP, NOW))

    def test_get_bucket_lifecycle(self) -> None:
        fields = {"host": HOST, "x-amz-content-sha256": sigv4.EMPTY_SHA256, "x-amz-date": STAMP}
        expected = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        self.check("GET", "/", "lifecycle", fields, expected)

    def test_list_objects(self) -> None:
        fields = {"host": HOST, "x-amz-content-sha256": sigv4.EMPTY_SHA256, "x-amz-date": STAMP}
        expected = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        self.check("GET", "/", "max-keys=2&prefix=J", fields, expected)

    def test_presigned_get(self) -> None:
        query = (
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
            "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="
            "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        )
        found, computed = signed_request("GET", "/test.txt", query, {"host": HOST})
        self.assertEqual(computed, found.signature)
        self.assertEqual((found.payload, found.expires), (sigv4.UNSIGNED, 86400))

    def test_chunks(self) -> None:
        fields = {
            "content-encoding": "aws-chunked",
            "content-length": "66824",
            "host": "s3.amazonaws.com",
            "x-amz-content-sha256": sigv4.SIGNED_CHUNKS,
            "x-amz-date": STAMP,
            "x-amz-decoded-content-length": "66560",
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
        }
        seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
        self.check("PUT", "/examplebucket/chunkObject.txt", "", fields, seed)
        signed = sigv4.signed_by({**fields, "authorization": authorization(";".join(fields), seed)}, ())
        assert signed is not None
        signer = ChunkSigner(KEY, signed)
        digests = [hashlib.sha256(b"a" * size).hexdigest() for size in (65536, 1024, 0)]
        expected = [
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ]
        self.assertEqual([signer.chunk(digest) for digest in digests], expected)

    def test_a_trailer(self) -> None:
        seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
        signed = Signed("A", sigv4.Scope("20130524", "us-east-1", "s3"), STAMP, ("host",), seed, sigv4.SIGNED_CHUNKS_TRAILER)
        signer = ChunkSigner(KEY, signed)
        chunks = [signer.chunk(hashlib.sha256(b"a" * size).hexdigest()) for size in (65536, 1024, 0)]
        self.assertEqual(chunks[0], "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2")
        self.assertEqual(chunks[2], "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992")
        trailer = signer.trailer([("x-amz-checksum-crc32c", "sOO8/Q==")])
        self.assertEqual(trailer, "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435")


class Refused(SynchronousTestCase):
    fields: dict[str, str] = {  # noqa: RUF012
        "host": HOST,
        "x-amz-content-sha256": sigv4.UNSIGNED,
        "x-amz-date": STAMP,
        "authorization": authorization("host;x-amz-content-sha256;x-amz-date"),
    }

    def code(self, query: str = "", **changes: str | None) -> str:
        fields = {**self.fields, **{name.replace("_", "-"): value for name, value in changes.items()}}
        given_fields = {name: value for name, value in fields.items() if value is not None}
        with self.assertRaises(SignatureError) as caught:
            signed = sigv4.signed_by(given_fields, sigv4.parse_query(query))
            assert signed is not None
            sigv4.check_time(signed, NOW)
            sigv4.check_headers(signed, list(given_fields))
        return caught.exception.code

    def test_other_versions_and_doubled_signatures(self) -> None:
        self.assertEqual(self.code(authorization="AWS key:signature"), "InvalidRequest")
        self.assertEqual(self.code("AWSAccessKeyId=a&Expires=1&Signature=b", authorization=None), "InvalidRequest")
        self.assertEqual(self.code("X-Amz-Signature=0"), "InvalidArgument")
        self.assertEqual(self.code(x_amz_security_token="t"), "InvalidToken")
        self.assertEqual(self.code(authorization="Basic YTpi"), "InvalidArgument")

    def test_modes_that_are_not_known(self) -> None:
        for mode in ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "unsigned-payload", "0" * 63, "", "0" * 65):
            self.assertEqual(self.code(x_amz_content_sha256=mode), "InvalidRequest", mode)
        self.assertEqual(self.code(x_amz_content_sha256=None), "InvalidRequest")

    def test_times(self) -> None:
        for stamp in ("20130523T234459Z", "20130524T001501Z"):
            self.assertIn(self.code(x_amz_date=stamp), ("RequestTimeTooSkewed", "AuthorizationHeaderMalformed"))
        self.assertEqual(self.code(x_amz_date="20130524T001501Z"), "RequestTimeTooSkewed")
        self.assertEqual(self.code(x_amz_date="20139924T000000Z"), "AccessDenied")
        self.assertEqual(self.code(x_amz_date=None), "AccessDenied")
        date = "Fri, 24 May 2013 00:00:00 GMT"
        self.assertEqual(self.code(x_amz_date=None, date=date), "AccessDenied", "a Date that was not signed")
        by_date = authorization("date;host;x-amz-content-sha256")
        for wrong in (None, "", "yesterday"):
            self.assertEqual(self.code(x_amz_date=None, date=wrong, authorization=by_date), "AccessDenied")
        self.assertEqual(
            self.code(x_amz_date=None, date=date.replace("00:00:00", "01:00:00"), authorization=by_date), "RequestTimeTooSkewed"
        )
        other_day = authorization("host").replace("20130524", "20130525")
        self.assertEqual(self.code(authorization=other_day), "AuthorizationHeaderMalformed")

    def test_presigned_times(self) -> None:
        signed = Signed("A", sigv4.Scope("20130524", "r", "s3"), STAMP, ("host",), "0", sigv4.UNSIGNED, 60)
        sigv4.check_time(signed, NOW + 60)
        for now in (NOW + 60.1, NOW - 901):
            with self.assertRaises(SignatureError):
                sigv4.check_time(signed, now)

    def test_headers_that_were_not_signed(self) -> None:
        self.assertEqual(self.code(x_amz_acl="public-read"), "AccessDenied")
        self.assertEqual(self.code(authorization=authorization("x-amz-content-sha256;x-amz-date")), "AccessDenied")

    def test_scopes(self) -> None:
        for credential in ("A/20130524/us-east-1/iam/aws4_request", "A/20130524/us-east-1/s3", "/20130524/r/s3/aws4_request"):
            self.assertEqual(
                self.code(authorization=self.fields["authorization"].replace(CREDENTIAL, credential)),
                "AuthorizationHeaderMalformed",
            )

    def test_the_three_fields_in_any_order_and_with_any_space(self) -> None:
        algorithm, _, rest = authorization("host").partition(" ")
        one, two, three = rest.replace(" ", "").split(",")
        usual = sigv4.signed_by({**self.fields, "authorization": f"{algorithm} {rest}"}, ())
        for other in (f"{three}, {one},{two}", f" {two} ,\t{one},  {three}", f"{one},{two},{three}"):
            self.assertEqual(sigv4.signed_by({**self.fields, "authorization": f"{algorithm} {other}"}, ()), usual, other)
        for bad in (f"{one}, {two}", f"{one}, {two}, {two}", f"{one}, {two}, {three}, {three}", f"{one}, {two}, {three} x"):
            self.assertEqual(self.code(authorization=f"{algorithm} {bad}"), "AuthorizationHeaderMalformed", bad)
        self.assertEqual(self.code(authorization=f"AWS4-ECDSA-P256-SHA256 {rest}"), "InvalidArgument")

    @given(st.text(max_size=300))
    def test_any_authorization_is_nothing_or_a_refusal(self, text: str) -> None:
        with self.assertRaises(SignatureError):
            sigv4.signed_by({**self.fields, "authorization": "AWS4-HMAC-SHA256 " + text}, ())

    @given(st.integers(0, 63), st.sampled_from("0123456789abcdef"))
    def test_another_signature_does_not_agree(self, position: int, digit: str) -> None:
        right = hashlib.sha256(b"right").hexdigest()
        other: Any = right[:position] + digit + right[position + 1 :]
        self.assertEqual(sigv4.agree(right, other), right == other)
