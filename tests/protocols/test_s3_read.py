"""GET of a whole object, which is opened without a look at it first."""

from __future__ import annotations

from tests.protocols.test_s3_holes import Holes


class Whole(Holes):
    def test_it_is_what_a_look_first_would_have_told(self) -> None:
        """With a Range that is not one of bytes, all is sent too, after a look."""
        told = []
        for fields in ({}, {"range": "lines=1-2"}):
            request = self.signer(self.secret).request("get", "UNSIGNED-PAYLOAD", "header", "/d/other", **fields)
            response = self.answer(request)
            headers = [pair for pair in response.headers if pair[0] != "x-amz-request-id"]
            told.append((response.status, headers, response.body.length))  # type: ignore[union-attr]
        self.assertEqual(told[0], told[1])
        self.assertEqual((told[0][0], told[0][2]), (200, 3))

    def test_checksums_are_told_where_they_are_asked_for(self) -> None:
        for fields, expected in (({}, False), ({"x_amz_checksum_mode": "ENABLED"}, True)):
            request = self.signer(self.secret).request("get", "UNSIGNED-PAYLOAD", "header", "/d/other", **fields)
            response = self.answer(request)
            self.assertEqual("x-amz-checksum-crc64nvme" in dict(response.headers), expected)

    def test_what_only_folders_have_is_no_key(self) -> None:
        self.house.now(self.files.make_directory("/d/made"))
        for path in ("/d/made", "/d/other/below", "/d/missing"):
            status, body = self.ask("get", path)
            self.assertEqual((status, b"NoSuchKey" in body), (404, True), (path, body))
