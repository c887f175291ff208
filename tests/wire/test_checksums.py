"""S3's checksums: fields, and those of wholes from those of parts."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ecpds.wire import checksums


class Checksums(SynchronousTestCase):
    @given(st.lists(st.binary(max_size=300), min_size=1, max_size=6), st.sampled_from(["crc32", "crc32c", "crc64nvme"]))
    def test_combined_is_that_of_the_whole(self, parts: list[bytes], algorithm: str) -> None:
        known = [(checksums.digest_of(algorithm, part), len(part)) for part in parts]
        self.assertEqual(checksums.combined(algorithm, known), checksums.digest_of(algorithm, b"".join(parts)))

    def test_known_values(self) -> None:
        self.assertEqual(checksums.digest_of("crc32", b"123456789"), "cbf43926")
        self.assertEqual(checksums.digest_of("crc32c", b"123456789"), "e3069283")
        self.assertEqual(checksums.digest_of("crc64nvme", b"123456789"), "ae8b14860a799888")

    def test_composites(self) -> None:
        digests = [hashlib.md5(each).hexdigest() for each in (b"a", b"b")]
        joined = hashlib.md5(b"".join(bytes.fromhex(each) for each in digests)).hexdigest()
        self.assertEqual(checksums.multipart_etag(digests), f"{joined}-2")
        sums = [hashlib.sha256(each).hexdigest() for each in (b"a", b"b")]
        expected = checksums.encoded(hashlib.sha256(b"".join(bytes.fromhex(each) for each in sums)).hexdigest())
        self.assertEqual(checksums.composite("sha256", sums), f"{expected}-2")

    def test_fields(self) -> None:
        crc = checksums.encoded("cbf43926")
        self.assertEqual(checksums.asked({"x-amz-checksum-crc32": crc}, ()), checksums.Asked("crc32", "cbf43926"))
        self.assertEqual(checksums.asked({}, ("x-amz-checksum-sha1",)), checksums.Asked("sha1"))
        self.assertIsNone(checksums.asked({}, ()))
        for fields, trailers in (
            ({"x-amz-checksum-crc32": "AAAA"}, ()),
            ({"x-amz-checksum-crc32": "no base64"}, ()),
            ({"x-amz-checksum-crc32": crc}, ("x-amz-checksum-sha1",)),
            ({"x-amz-checksum-crc32": crc, "x-amz-sdk-checksum-algorithm": "SHA1"}, ()),
            ({}, ("x-amz-checksum-md4",)),
        ):
            self.assertRaises(ValueError, checksums.asked, fields, trailers)
