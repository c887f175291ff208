"""What S3's reference says of buckets, objects, lists, conditions, copies, parts, forms, tags and strangers, asked by boto3.

The field's own suite (`test_s3_suite.py`) has to be fetched; this one, written from the reference, is always there.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, ClassVar

import boto3
import urllib3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from ecpds.keys import signing_key
from ecpds.wire.sigv4 import sign
from tests.real.harness import DESTINATION
from tests.real.s3_clients import REGION, S3TestCase

MAKES_BUCKETS = ("--option", "portal.makesBuckets=true")
HTTP = urllib3.PoolManager()


class Conformance(S3TestCase):
    """Two users who make buckets, and one who has not said who it is."""

    alt_key: ClassVar[dict[str, str]]
    numbers: ClassVar[count[int]] = count(1)

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.node.ecpds("user", "set", "ann", *MAKES_BUCKETS)
        cls.node.add_user("alt")
        cls.node.ecpds("user", "set", "alt", *MAKES_BUCKETS)
        cls.alt_key = cls.node.json("user", "s3key", "alt", "add")

    def setUp(self) -> None:
        super().setUp()
        self.main = self.client("http")
        self.alt = self.as_user(self.alt_key)
        self.stranger = boto3.client(
            "s3",
            endpoint_url=self.endpoint("http"),
            region_name=REGION,
            config=Config(signature_version=UNSIGNED, retries={"max_attempts": 0}),
        )

    def as_user(self, key: dict[str, str]) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint("http"),
            aws_access_key_id=key["access_key_id"],
            aws_secret_access_key=key["secret_access_key"],
            region_name=REGION,
            config=Config(retries={"max_attempts": 0}),
        )

    def bucket(self, **named: Any) -> str:
        name = f"bucket-{next(self.numbers)}"
        self.main.create_bucket(Bucket=name, **named)
        return name

    def put(self, bucket: str, *keys: str) -> None:
        for key in keys:
            self.main.put_object(Bucket=bucket, Key=key, Body=key)

    def refused(self, verb: Any, /, **named: Any) -> tuple[str, int]:
        with self.assertRaises(ClientError) as caught:
            verb(**named)
        answer = caught.exception.response
        return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]

    def body(self, bucket: str, key: str) -> bytes:
        content: bytes = self.main.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content


class Buckets(Conformance):
    def test_names(self) -> None:
        for name in ("a", "aa", "_x1", "alpha_beta", "foo-", "foo..bar", "foo.-bar", "foo-.bar", "192.168.5.123", "Upper"):
            self.assertEqual(self.refused(self.main.create_bucket, Bucket=name), ("InvalidBucketName", 400), name)
        for length in (3, 60, 63):
            self.main.create_bucket(Bucket="l" * length)
            self.main.delete_bucket(Bucket="l" * length)

    def test_one_that_is_there(self) -> None:
        mine, open_one = self.bucket(), self.bucket(ACL="public-read")
        self.assertEqual(self.refused(self.main.create_bucket, Bucket=mine), ("BucketAlreadyOwnedByYou", 409))
        self.assertEqual(self.refused(self.main.create_bucket, Bucket=mine, ACL="public-read"), ("BucketAlreadyExists", 409))
        self.assertEqual(self.refused(self.main.create_bucket, Bucket=open_one), ("BucketAlreadyExists", 409))
        self.assertEqual(self.refused(self.alt.create_bucket, Bucket=mine), ("BucketAlreadyExists", 409))

    def test_another_s_is_not_mine_to_use(self) -> None:
        mine = self.bucket()
        for verb in (self.alt.delete_bucket, self.alt.list_objects, self.alt.head_bucket):
            self.assertEqual(self.refused(verb, Bucket=mine)[1], 403)
        self.assertEqual(self.refused(self.alt.put_object, Bucket=mine, Key="k", Body=b"")[1], 403)
        self.assertEqual(self.refused(self.alt.list_objects, Bucket="never-made"), ("NoSuchBucket", 404))

    def test_what_is_gone_is_gone(self) -> None:
        name = self.bucket()
        self.main.delete_bucket(Bucket=name)
        for verb, more in (
            (self.main.delete_bucket, {}),
            (self.main.list_objects_v2, {}),
            (self.main.get_object, {"Key": "k"}),
        ):
            self.assertEqual(self.refused(verb, Bucket=name, **more), ("NoSuchBucket", 404))

    def test_pages_of_buckets(self) -> None:
        names = sorted(self.bucket() for _ in range(3))
        found, token = [], {}
        while True:
            page = self.main.list_buckets(MaxBuckets=1, Prefix="bucket-", **token)
            found += [each["Name"] for each in page["Buckets"]]
            if "ContinuationToken" not in page:
                break
            token = {"ContinuationToken": page["ContinuationToken"]}
        self.assertLessEqual(set(names), set(found))

    def test_tags(self) -> None:
        name = self.bucket()
        self.assertEqual(self.refused(self.main.get_bucket_tagging, Bucket=name), ("NoSuchTagSet", 404))
        tags = [{"Key": "Hello ü", "Value": "&=+ World"}]
        self.main.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
        self.assertEqual(self.main.get_bucket_tagging(Bucket=name)["TagSet"], tags)
        self.main.delete_bucket_tagging(Bucket=name)
        self.assertEqual(self.refused(self.main.get_bucket_tagging, Bucket=name), ("NoSuchTagSet", 404))

    def test_the_expected_owner(self) -> None:
        name = self.bucket()
        owner = self.main.get_bucket_acl(Bucket=name)["Owner"]["ID"]
        self.main.list_objects(Bucket=name, ExpectedBucketOwner=owner)
        self.assertEqual(self.refused(self.main.list_objects, Bucket=name, ExpectedBucketOwner="x")[1], 403)
        self.assertEqual(self.refused(self.main.put_object, Bucket=name, Key="k", ExpectedBucketOwner="x")[1], 403)

    def test_how_suites_clean_up(self) -> None:
        name = self.bucket()
        self.put(name, *(f"k{number}" for number in range(5)), "folder/a")
        self.main.put_object(Bucket=name, Key="folder/")
        pages = self.main.get_paginator("list_object_versions").paginate(Bucket=name, PaginationConfig={"PageSize": 2})
        for page in pages:
            objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in page["Versions"]]
            done = self.main.delete_objects(
                Bucket=name, Delete={"Objects": objects, "Quiet": True}, BypassGovernanceRetention=True
            )
            self.assertNotIn("Errors", done)
        self.main.delete_bucket(Bucket=name)


class Lists(Conformance):
    def test_an_empty_continuation_token_begins(self) -> None:
        name = self.bucket()
        self.put(name, "a", "b")
        page = self.main.list_objects_v2(Bucket=name, ContinuationToken="")
        self.assertEqual((page["ContinuationToken"], page["KeyCount"]), ("", 2))

    def test_what_can_not_be_printed(self) -> None:
        name = self.bucket()
        self.put(name, "bar", "foo")
        for verb, marker in ((self.main.list_objects, "Marker"), (self.main.list_objects_v2, "StartAfter")):
            page = verb(Bucket=name, Delimiter="\n", Prefix="", **{marker: "\n"})
            self.assertEqual((page["Delimiter"], page[marker]), ("\n", "\n"))
            self.assertEqual([each["Key"] for each in page["Contents"]], ["bar", "foo"])
        self.assertNotIn("Contents", self.main.list_objects(Bucket=name, Prefix="\n"))

    def test_encoded(self) -> None:
        name = self.bucket()
        self.put(name, "foo+1/bar", "foo/bar/xyzzy", "quux ab/thud", "asdf+b")
        for verb in (self.main.list_objects, self.main.list_objects_v2):
            page = verb(Bucket=name, Delimiter="/", EncodingType="url")
            self.assertEqual([each["Key"] for each in page["Contents"]], ["asdf%2Bb"])
            self.assertEqual([each["Prefix"] for each in page["CommonPrefixes"]], ["foo%2B1/", "foo/", "quux%20ab/"])

    def test_every_page_size_gives_the_same_list(self) -> None:
        name = self.bucket()
        keys = ["a", "b-c", "b/a", "b/b/c", "b/d", "b0", "c/", "d"]
        for key in keys:
            self.main.put_object(Bucket=name, Key=key)
        for size in range(1, 9):
            for verb in ("list_objects", "list_objects_v2"):
                pages = self.main.get_paginator(verb).paginate(Bucket=name, PaginationConfig={"PageSize": size})
                found = [each["Key"] for page in pages for each in page.get("Contents", [])]
                self.assertEqual(found, keys, (verb, size))

    def test_odd_names(self) -> None:
        name = self.bucket()
        keys = sorted([" ", '"', "$", "%", "&", "'", "<", ">", "_", "_ ", "_ _", "__", "ü", "a+b c"])
        self.put(name, *keys)
        self.assertEqual([each["Key"] for each in self.main.list_objects(Bucket=name)["Contents"]], keys)
        for key in keys:
            self.assertEqual(self.body(name, key), key.encode())

    def test_numbers_that_are_none(self) -> None:
        answer = HTTP.request("GET", self.presigned("list_objects", Bucket=self.bucket()) + "&max-keys=blah")
        self.assertEqual(answer.status, 403, "it was not signed")
        self.assertEqual(self.main.list_objects(Bucket=self.bucket(), MaxKeys=0)["IsTruncated"], False)

    def presigned(self, verb: str, **named: Any) -> str:
        client = self.client("http", signature_version="s3v4")
        url: str = client.generate_presigned_url(verb, Params=named)
        return url


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


class Strangers(Conformance):
    def test_nobody_comes_in_where_nothing_is_open(self) -> None:
        bucket = self.bucket()
        self.put(bucket, "k")
        for name in (bucket, "never-made"):
            for verb, more in ((self.stranger.list_objects, {}), (self.stranger.get_object, {"Key": "k"})):
                self.assertEqual(self.refused(verb, Bucket=name, **more), ("AccessDenied", 403))
        self.assertEqual(self.refused(self.stranger.put_object, Bucket=bucket, Key="k", Body=b"y")[1], 403)
        self.assertEqual(self.body(bucket, "k"), b"k")

    def test_what_is_open_for_reading(self) -> None:
        bucket = self.bucket(ACL="public-read")
        self.put(bucket, "k")
        self.main.put_object(Bucket=bucket, Key="mine", ACL="private")
        self.assertEqual(self.stranger.get_object(Bucket=bucket, Key="k")["Body"].read(), b"k")
        self.assertEqual(self.alt.get_object(Bucket=bucket, Key="k")["Body"].read(), b"k")
        self.assertEqual(len(self.stranger.list_objects_v2(Bucket=bucket)["Contents"]), 2)
        self.assertEqual(self.refused(self.stranger.get_object, Bucket=bucket, Key="mine"), ("AccessDenied", 403))
        self.assertEqual(self.refused(self.stranger.get_object, Bucket=bucket, Key="none"), ("NoSuchKey", 404))
        self.assertEqual(self.refused(self.stranger.put_object, Bucket=bucket, Key="k", Body=b"")[1], 403)
        self.main.put_object_acl(Bucket=bucket, Key="mine", ACL="public-read")
        self.stranger.get_object(Bucket=bucket, Key="mine")

    def test_what_is_open_for_writing(self) -> None:
        bucket = self.bucket(ACL="public-read-write")
        self.stranger.put_object(Bucket=bucket, Key="from", Body=b"anybody")
        self.assertEqual(self.body(bucket, "from"), b"anybody")
        self.assertEqual(self.refused(self.stranger.create_multipart_upload, Bucket=bucket, Key="k")[1], 403)

    def test_acls_read_back_what_is(self) -> None:
        bucket = self.bucket()
        for acl, rights in (("public-read", {"READ"}), ("public-read-write", {"READ", "WRITE"}), ("private", set())):
            self.main.put_bucket_acl(Bucket=bucket, ACL=acl)
            grants = self.main.get_bucket_acl(Bucket=bucket)["Grants"]
            self.assertEqual({each["Permission"] for each in grants if each["Grantee"]["Type"] == "Group"}, rights)
            self.assertEqual(grants[-1]["Grantee"]["ID"], "ann")


class Forms(Conformance):
    def policy(self, *conditions: Any, hours: float = 1.0, **more: Any) -> dict[str, Any]:
        ends = (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"expiration": ends, "conditions": list(conditions), **more}

    def send(self, bucket: str, policy: Any, fields: dict[str, str], file: Any = b"bar", forge: bool = False) -> Any:
        """A form as a browser sends it, signed by hand."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        signed = {
            "x-amz-algorithm": "AWS4-HMAC-SHA256",
            "x-amz-credential": f"{self.key['access_key_id']}/{stamp[:8]}/{REGION}/s3/aws4_request",
            "x-amz-date": stamp,
        }
        if isinstance(policy, dict) and isinstance(policy.get("conditions"), list):
            policy["conditions"] += [{name: value} for name, value in signed.items()]
        encoded = base64.b64encode(json.dumps(policy).encode()).decode()
        key = signing_key(self.key["secret_access_key"], stamp[:8], REGION, "s3")
        signature = sign(key, encoded)
        fields = {**fields, **signed, "policy": encoded, "x-amz-signature": signature[::-1] if forge else signature}
        return HTTP.request("POST", f"{self.endpoint('http')}/{bucket}", fields={**fields, "file": file}, redirect=False)

    def test_by_boto3(self) -> None:
        bucket = self.bucket()
        for scheme in ("http", "https"):
            client = self.client(scheme, signature_version="s3v4")
            form = client.generate_presigned_post(bucket, "up/${filename}", Conditions=[["content-length-range", 1, 9]])
            pool = urllib3.PoolManager(cert_reqs="CERT_NONE")
            url = f"{self.endpoint(scheme)}/{bucket}"
            done = pool.request("POST", url, fields={**form["fields"], "file": (f"{scheme}.txt", b"bar")})
            self.assertEqual(done.status, 204, done.data)
            self.assertEqual(self.body(bucket, f"up/{scheme}.txt"), b"bar")
            for size, code in ((0, b"EntityTooSmall"), (10, b"EntityTooLarge")):
                done = pool.request("POST", url, fields={**form["fields"], "file": ("bad", b"x" * size)})
                self.assertEqual((done.status, code in done.data), (400, True), done.data)
        self.assertEqual(len(self.main.list_objects_v2(Bucket=bucket)["Contents"]), 2)

    def test_large_ones(self) -> None:
        bucket, content = self.bucket(), b"foo\r\n--" * 500_000
        done = self.send(bucket, self.policy({"bucket": bucket}, ["starts-with", "$key", "k"]), {"key": "k"}, content)
        self.assertEqual(done.status, 204, done.data)
        self.assertEqual(self.body(bucket, "k"), content)

    def test_what_the_fields_say(self) -> None:
        bucket = self.bucket()
        policy = self.policy({"bUcKeT": bucket}, ["StArTs-WiTh", "$KeY", "k"], ["starts-with", "$x-amz-meta-a", ""])
        policy["conditions"] += [["eq", "$Content-Type", "text/x"], {"success_action_status": "201"}, {"tagging": TAGS}]
        fields = {"kEy": "k", "x-amz-meta-a": "1", "Content-Type": "text/x", "success_action_status": "201", "tagging": TAGS}
        done = self.send(bucket, policy, {**fields, "x-ignore-this": "y"})
        self.assertEqual((done.status, b"<Key>k</Key>" in done.data), (201, True), done.data)
        head = self.main.head_object(Bucket=bucket, Key="k")
        self.assertEqual((head["Metadata"], head["ContentType"], head["TagCount"]), ({"a": "1"}, "text/x", 1))

    def test_redirects(self) -> None:
        bucket, there = self.bucket(), "http://127.0.0.1/there"
        policy = self.policy({"bucket": bucket}, {"key": "k"}, {"success_action_redirect": there})
        done = self.send(bucket, policy, {"key": "k", "success_action_redirect": there})
        self.assertEqual(done.status, 303)
        tag = self.main.head_object(Bucket=bucket, Key="k")["ETag"].strip('"')
        self.assertEqual(done.headers["Location"], f"{there}?bucket={bucket}&key=k&etag=%22{tag}%22")

    def test_what_a_policy_does_not_allow(self) -> None:
        bucket = self.bucket()
        where = [{"bucket": bucket}, ["starts-with", "$key", "foo"]]
        key = {"key": "foo"}
        for status, policy, fields in (
            (403, self.policy(*where, hours=-1.0), key),
            (403, self.policy(*where), {"key": "bar"}),
            (403, self.policy(where[1]), key),
            (403, self.policy(*where), {**key, "x-amz-meta-a": "1"}),
            (403, self.policy(*where, {"x-amz-meta-a": "1"}), key),
            (400, self.policy(*where), {}),
            (400, self.policy(*where, {}), key),
            (400, self.policy(*where, ["content-length-range", 0]), key),
            (400, self.policy(*where, ["content-length-range", -1, 0]), key),
            (400, self.policy(*where, ["content-length-range", 0, 0]), key),
            (400, self.policy(*where, ["content-length-range", 512, 1000]), key),
            (400, self.policy(*where, expiration="2030-01-01 00:00:00"), key),
            (400, {"expiration": "2030-01-01T00:00:00Z"}, key),
            (400, {"conditions": where}, key),
            (400, {"CONDITIONS": where, "expiration": "2030-01-01T00:00:00Z"}, key),
        ):
            done = self.send(bucket, policy, fields)
            self.assertEqual(done.status, status, (policy, done.data))
        self.assertEqual(self.send(bucket, self.policy(*where), key, forge=True).status, 403)
        self.assertNotIn("Contents", self.main.list_objects_v2(Bucket=bucket))

    def test_from_anybody(self) -> None:
        fields = {"key": "foo.txt", "acl": "public-read", "Content-Type": "text/plain", "file": "bar"}
        url = f"{self.endpoint('http')}/"
        opened = self.bucket(ACL="public-read-write")
        self.assertEqual(HTTP.request("POST", url + opened, fields=fields).status, 204)
        self.assertEqual(self.body(opened, "foo.txt"), b"bar")
        closed = self.bucket()
        self.assertEqual(HTTP.request("POST", url + closed, fields=fields).status, 403)
        self.assertNotIn("Contents", self.main.list_objects_v2(Bucket=closed))


TAGS = "<Tagging><TagSet><Tag><Key>t</Key><Value>v</Value></Tag></TagSet></Tagging>"
