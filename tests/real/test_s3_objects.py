"""What S3's reference says of objects: conditions, digests, tags, copies and parts, asked by boto3."""

from __future__ import annotations

import base64
import zlib
from datetime import UTC, datetime
from typing import Any

from tests.real.harness import DESTINATION
from tests.real.s3_users import HTTP, Conformance


class Objects(Conformance):
    def test_conditions_on_write(self) -> None:
        where = {"Bucket": self.bucket(), "Key": "k"}
        tag = self.main.put_object(**where, IfNoneMatch="*")["ETag"]
        for failing in ({"IfNoneMatch": "*"}, {"IfNoneMatch": tag}, {"IfMatch": "bad"}):
            self.assertEqual(self.refused(self.main.put_object, **where, **failing), ("PreconditionFailed", 412), failing)
        for good in ({"IfNoneMatch": "bad"}, {"IfMatch": tag}, {"IfMatch": tag.strip('"')}, {"IfMatch": "*"}):
            self.main.put_object(**where, **good)
        self.main.delete_object(**where)
        for failing in ({"IfMatch": "*"}, {"IfMatch": tag}):
            self.assertEqual(self.refused(self.main.put_object, **where, **failing), ("NoSuchKey", 404))
        self.main.put_object(**where, IfNoneMatch=tag)

    def test_conditions_on_completion(self) -> None:
        where = {"Bucket": self.bucket(), "Key": "k"}
        tag = self.in_parts(where, IfNoneMatch="*")["ETag"]
        for failing in ({"IfNoneMatch": "*"}, {"IfNoneMatch": tag}, {"IfMatch": "bad"}):
            self.assertEqual(self.refused(lambda failing=failing: self.in_parts(where, **failing)), ("PreconditionFailed", 412))
        self.in_parts(where, IfMatch=tag)
        self.main.delete_object(**where)
        self.assertEqual(self.refused(lambda: self.in_parts(where, IfMatch="*")), ("NoSuchKey", 404))

    def in_parts(self, where: dict[str, str], **condition: str) -> Any:
        upload = self.main.create_multipart_upload(**where)["UploadId"]
        tag = self.main.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"abc")["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
        return self.main.complete_multipart_upload(**where, UploadId=upload, MultipartUpload=parts, **condition)

    def test_conditions_on_delete(self) -> None:
        where = {"Bucket": self.bucket(), "Key": "k"}
        self.main.put_object(**where, Body=b"1")
        head = self.main.head_object(**where)
        long_ago = datetime(2015, 1, 1, tzinfo=UTC)
        bad = ({"IfMatch": "bad"}, {"IfMatchSize": 9}, {"IfMatchLastModifiedTime": long_ago})
        good = ({"IfMatch": head["ETag"]}, {"IfMatchSize": 1}, {"IfMatchLastModifiedTime": head["LastModified"]})
        for failing in bad:
            self.assertEqual(self.refused(self.main.delete_object, **where, **failing), ("PreconditionFailed", 412), failing)
        for fitting in good:
            self.main.put_object(**where, Body=b"1")
            fresh = {"IfMatchLastModifiedTime": self.main.head_object(**where)["LastModified"]}
            self.main.delete_object(**where, **(fresh if "IfMatchLastModifiedTime" in fitting else fitting))
            self.assertEqual(self.refused(self.main.head_object, **where)[1], 404)
        for late in bad:
            self.main.delete_object(**where, **late)

    def test_conditions_on_delete_of_many(self) -> None:
        bucket = self.bucket()
        tag = self.main.put_object(Bucket=bucket, Key="k")["ETag"]
        for more in ({"ETag": "bad"}, {"Size": 5}, {"LastModifiedTime": datetime(2015, 1, 1, tzinfo=UTC)}):
            done = self.main.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", **more}]})
            self.assertEqual([each["Code"] for each in done["Errors"]], ["PreconditionFailed"], more)
        done = self.main.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", "ETag": tag}]})
        self.assertEqual([each["Key"] for each in done["Deleted"]], ["k"])

    def test_bodies_are_what_their_digests_say(self) -> None:
        where = {"Bucket": self.bucket(), "Key": "k", "Body": b"bar"}
        self.assertEqual(self.refused(self.main.put_object, **where, ContentMD5="YWJyYWNhZGFicmE=")[0], "InvalidDigest")
        self.assertEqual(self.refused(self.main.put_object, **where, ContentMD5="rL0Y20xC+Fzt72VPzMSk2A==")[0], "BadDigest")

    def test_what_is_no_digest_is_not_the_body_s(self) -> None:
        where = {"Bucket": self.bucket(), "Key": "k", "Body": b"bar"}
        for algorithm in ("SHA256", "CRC64NVME"):
            named = {"ChecksumAlgorithm": algorithm, f"Checksum{algorithm}": "bad"}
            self.assertEqual(self.refused(self.main.put_object, **where, **named), ("BadDigest", 400))

    def test_a_presigned_request_has_an_end(self) -> None:
        bucket = self.bucket()
        self.put(bucket, "foo")
        client = self.client("http", signature_version="s3v4")
        for seconds, status in ((100_000, 200), (609_901, 403)):
            where = {"Bucket": bucket, "Key": "foo"}
            url = client.generate_presigned_url("get_object", Params=where, ExpiresIn=seconds)
            self.assertEqual(HTTP.request("GET", url).status, status, seconds)

    def test_tags(self) -> None:
        where = {"Bucket": self.bucket(), "Key": "k"}
        self.main.put_object(**where, Tagging="a=1&b=%26")
        self.assertEqual(self.main.head_object(**where)["TagCount"], 2)
        tags = [{"Key": str(number), "Value": "v" * 256} for number in range(10)]
        self.main.put_object_tagging(**where, Tagging={"TagSet": tags})
        self.assertEqual(self.main.get_object_tagging(**where)["TagSet"], tags)
        for bad in ([*tags, {"Key": "x", "Value": ""}], [{"Key": "k" * 129, "Value": ""}], [{"Key": "k", "Value": "v" * 257}]):
            refused = self.refused(self.main.put_object_tagging, **where, Tagging={"TagSet": bad})
            self.assertEqual(refused, ("InvalidTag", 400))
        self.main.delete_object_tagging(**where)
        self.assertEqual(self.main.get_object_tagging(**where)["TagSet"], [])
        self.main.put_object(**where, Tagging="foo=bar&bar")
        shown = [(each["Key"], each["Value"]) for each in self.main.get_object_tagging(**where)["TagSet"]]
        self.assertEqual(shown, [("bar", ""), ("foo", "bar")])

    def test_copies(self) -> None:
        bucket, other = self.bucket(), self.bucket()
        where = {"Bucket": bucket, "Key": "k"}
        self.main.put_object(**where, Body=b"x", Metadata={"a": "1"}, Tagging="t=1", ContentType="text/x")
        self.assertEqual(self.refused(self.main.copy_object, **where, CopySource=where), ("InvalidRequest", 400))
        self.main.copy_object(**where, CopySource=where, MetadataDirective="REPLACE", Metadata={"b": "2"})
        head = self.main.head_object(**where)
        self.assertEqual((head["Metadata"], head["TagCount"]), ({"b": "2"}, 1))
        self.main.copy_object(Bucket=other, Key="c", CopySource=where, TaggingDirective="REPLACE", Tagging="u=2")
        self.assertEqual(self.main.get_object_tagging(Bucket=other, Key="c")["TagSet"], [{"Key": "u", "Value": "2"}])
        tag = head["ETag"]
        for failing in ({"CopySourceIfMatch": "bad"}, {"CopySourceIfNoneMatch": tag}):
            self.assertEqual(self.refused(self.main.copy_object, Bucket=other, Key="d", CopySource=where, **failing)[1], 412)
        self.assertEqual(self.refused(self.alt.copy_object, Bucket=DESTINATION, Key="d", CopySource=where)[1], 403)
        absent = {"Bucket": "never-made", "Key": "k"}
        self.assertEqual(self.refused(self.main.copy_object, Bucket=other, Key="d", CopySource=absent)[1], 404)

    def test_parts_that_are_not_there(self) -> None:
        where = {"Bucket": self.bucket(), "Key": "k"}
        tag = self.main.put_object(**where, Body=b"body")["ETag"]
        self.assertEqual(self.refused(self.main.get_object, **where, PartNumber=2), ("InvalidPart", 400))
        got = self.main.get_object(**where, PartNumber=1)
        self.assertEqual((got["Body"].read(), got["ETag"]), (b"body", tag))

    def test_checksums_of_an_object_in_parts(self) -> None:
        """It is told with the list of parts, and each part of the object is sent with its own."""
        for algorithm, kind in (("SHA256", "COMPOSITE"), ("CRC32", "FULL_OBJECT")):
            name = f"Checksum{algorithm}"
            where = {"Bucket": self.bucket(), "Key": "k"}
            create = {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}
            upload = {**where, "UploadId": self.main.create_multipart_upload(**where, **create)["UploadId"]}
            bodies = [b"a" * (5 << 20), b"b" * 9]
            parts = []
            for number, body in enumerate(bodies, 1):
                done = self.main.upload_part(**upload, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm)
                parts.append({"PartNumber": number, "ETag": done["ETag"], name: done[name]})
            whole = {"MultipartUpload": {"Parts": parts}}
            for wrong in ("bad", parts[0][name]):
                refused = self.refused(self.main.complete_multipart_upload, **upload, **whole, **{name: wrong})
                self.assertEqual(refused, ("BadDigest", 400))
            value = self.main.complete_multipart_upload(**upload, **whole)[name]
            again = self.main.complete_multipart_upload(**upload, **whole, **{name: value})
            self.assertEqual((again[name], again["ChecksumType"]), (value, kind))
            for number, body in enumerate(bodies, 1):
                got = self.main.get_object(**where, PartNumber=number, ChecksumMode="ENABLED")
                self.assertEqual((got["ChecksumType"], got[name]), (kind, parts[number - 1][name]))
                self.assertEqual(got["Body"].read(), body)
        self.assertEqual(value, self.sum_of(b"".join(bodies)))

    def sum_of(self, data: bytes) -> str:
        return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()

    def test_of_a_part_that_is_listed_twice_the_last_counts(self) -> None:
        where = {"Bucket": self.bucket(), "Key": "k"}
        upload = {**where, "UploadId": self.main.create_multipart_upload(**where)["UploadId"]}
        first, last = (self.main.upload_part(**upload, PartNumber=1, Body=body)["ETag"] for body in (b"1", b"2"))
        parts = [{"PartNumber": 1, "ETag": tag} for tag in (first, last)]
        self.assertEqual(
            self.refused(self.main.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts[::-1]})[0],
            "InvalidPart",
        )
        self.main.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        self.assertEqual(self.body(where["Bucket"], "k"), b"2")

    def test_attributes_of_parts(self) -> None:
        where = {"Bucket": self.bucket(), "Key": "k"}
        upload = self.main.create_multipart_upload(**where, ChecksumAlgorithm="SHA256")["UploadId"]
        parts = []
        for number, size in ((1, 5 << 20), (2, 5 << 20), (3, 9)):
            done = self.main.upload_part(
                **where, UploadId=upload, PartNumber=number, Body=b"x" * size, ChecksumAlgorithm="SHA256"
            )
            parts.append({"PartNumber": number, "ETag": done["ETag"], "ChecksumSHA256": done["ChecksumSHA256"]})
        self.main.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
        wanted = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
        found = self.main.get_object_attributes(**where, ObjectAttributes=wanted)["ObjectParts"]
        self.assertEqual([each["Size"] for each in found["Parts"]], [5 << 20, 5 << 20, 9])
        sums = [each["ChecksumSHA256"] for each in found["Parts"]]
        self.assertEqual(sums, [each["ChecksumSHA256"] for each in parts])
        page = self.main.get_object_attributes(**where, ObjectAttributes=wanted, MaxParts=1, PartNumberMarker=1)["ObjectParts"]
        told = (page["TotalPartsCount"], page["IsTruncated"], page["NextPartNumberMarker"], page["Parts"][0]["PartNumber"])
        self.assertEqual(told, (3, True, 2, 2))
