"""S3's real clients with their defaults, over http and https: what they put they get, list, compare and delete."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import urllib3
from botocore.exceptions import ClientError

from tests.real.case import sha256
from tests.real.clients import Curl, missing
from tests.real.harness import DESTINATION, LOGIN
from tests.real.s3_clients import SCHEMES, S3TestCase


def fetch(method: str, url: str, body: bytes | None = None) -> Any:
    """One request by itself, such as a browser's."""
    return urllib3.PoolManager(cert_reqs="CERT_NONE").request(method, url, body=body, timeout=20, retries=False)


def attempts(client: Any) -> list[Any]:
    """Something of each kind."""
    there, forged = {"Bucket": DESTINATION, "Key": "there"}, {"Bucket": DESTINATION, "Key": "forged"}
    return [
        client.list_buckets,
        lambda: client.list_objects_v2(Bucket=DESTINATION),
        lambda: client.get_object(**there),
        lambda: client.put_object(**forged, Body=b"x"),
        lambda: client.delete_object(**there),
        lambda: client.create_multipart_upload(**forged),
    ]


class AwsCli(S3TestCase):
    def test_copy_sync_presign_and_remove(self) -> None:
        root, content = self.tree()
        for scheme in SCHEMES:
            bucket = f"s3://{DESTINATION}/cli-{scheme}"
            self.aws(scheme, "s3", "sync", "--quiet", str(root), bucket)
            back = self.folder / f"back-{scheme}"
            self.aws(scheme, "s3", "sync", "--quiet", bucket, str(back))
            self.assertEqual(self.read_tree(back), content)
            self.assertEqual(self.aws(scheme, "s3", "sync", str(root), bucket), "", "nothing has changed")
            self.aws(scheme, "s3", "cp", "--quiet", f"{bucket}/a.bin", f"{bucket}/copied")
            listed = self.aws(scheme, "s3", "ls", "--recursive", bucket + "/")
            self.assertEqual(len(listed.splitlines()), len(content) + 1)
            self.aws(scheme, "s3", "rm", "--quiet", "--recursive", bucket + "/")
            self.assertEqual(self.node.ecpds("file", "ls", f"/{DESTINATION}/", "--json"), "")


class Rclone(S3TestCase):
    def test_sync_check_and_purge(self) -> None:
        if reason := missing("rclone"):
            self.skipTest(reason)
        root, content = self.tree()
        for scheme in SCHEMES:
            remote = f"node:{DESTINATION}/rclone-{scheme}"
            self.rclone(scheme, "sync", str(root), remote)
            self.rclone(scheme, "check", "--download", str(root), remote)
            self.rclone(scheme, "check", str(root), remote)
            back = self.folder / f"back-{scheme}"
            self.rclone(scheme, "copy", remote, str(back))
            self.assertEqual(self.read_tree(back), content)
            times = {path.name: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
            self.assertEqual({path.name: path.stat().st_mtime_ns for path in back.rglob("*") if path.is_file()}, times)
            self.rclone(scheme, "purge", remote)
            self.assertEqual(self.rclone(scheme, "lsf", remote), "")


class Boto3(S3TestCase):
    def test_objects_come_back_as_they_were(self) -> None:
        for scheme in SCHEMES:
            client = self.client(scheme)
            for key, size in (("one", 1), ("none", 0), ("a/b c+%41 ü", 70_001), ("more", 3_000_017)):
                data = os.urandom(size)
                put = client.put_object(
                    Bucket=DESTINATION,
                    Key=key,
                    Body=data,
                    Metadata={"colour": "green"},
                    ContentType="text/x-test",
                    CacheControl="no-store",
                )
                self.assertEqual(put["ETag"], f'"{hashlib.md5(data).hexdigest()}"')
                got = client.get_object(Bucket=DESTINATION, Key=key)
                self.assertEqual(got["Body"].read(), data)
                self.assertEqual((got["Metadata"], got["ContentType"]), ({"colour": "green"}, "text/x-test"))
                self.assertEqual((got["CacheControl"], got["ETag"]), ("no-store", put["ETag"]))
                self.assertEqual(got["ChecksumCRC32"], put["ChecksumCRC32"])
                self.assertNotIn("ContentEncoding", got)
                shown = self.node.json("file", "show", f"/{DESTINATION}/{key}")
                self.assertEqual((shown["size"], shown["digests"]["sha256"]), (size, hashlib.sha256(data).hexdigest()))

    def test_each_checksum_is_verified_kept_and_returned(self) -> None:
        plain = self.client("http")
        for algorithm in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"):
            for scheme in SCHEMES:
                client = self.client(scheme)
                put = client.put_object(Bucket=DESTINATION, Key=algorithm, Body=b"summed", ChecksumAlgorithm=algorithm)
                head = client.head_object(Bucket=DESTINATION, Key=algorithm, ChecksumMode="ENABLED")
                self.assertEqual(head[f"Checksum{algorithm}"], put[f"Checksum{algorithm}"])
            wrong = {f"Checksum{algorithm}": put[f"Checksum{algorithm}"]}
            code = self.refused(lambda wrong=wrong: plain.put_object(Bucket=DESTINATION, Key="bad", Body=b"else", **wrong))
            self.assertEqual(code, ("BadDigest", 400))
        self.assertEqual(self.refused(lambda: plain.head_object(Bucket=DESTINATION, Key="bad"))[1], 404)

    def test_the_transfer_manager_puts_and_gets_in_parts(self) -> None:
        source, digest = self.random_file(40_000_009)
        for scheme in SCHEMES:
            client = self.client(scheme)
            client.upload_file(str(source), DESTINATION, "parts")
            target = self.folder / f"target-{scheme}"
            client.download_file(DESTINATION, "parts", str(target))
            self.assertEqual(sha256(target), digest)
            head = client.head_object(Bucket=DESTINATION, Key="parts", ChecksumMode="ENABLED")
            self.assertRegex(head["ETag"], r'^"[0-9a-f]{32}-5"$')
            part = client.get_object(Bucket=DESTINATION, Key="parts", PartNumber=2)
            self.assertEqual((part["PartsCount"], part["ContentLength"]), (5, 8 << 20))
            whole = self.folder / f"https-{scheme}"
            Curl(self.node, "https").get("parts", whole)
            self.assertEqual(sha256(whole), digest, "the other doors see one file")

    def test_presigned_by_version_4(self) -> None:
        for scheme in SCHEMES:
            client = self.client(scheme, signature_version="s3v4")
            where = {"Bucket": DESTINATION, "Key": "signed ü+"}
            put = client.generate_presigned_url("put_object", Params=where)
            self.assertEqual(fetch("PUT", put, b"content").status, 200)
            got = fetch("GET", client.generate_presigned_url("get_object", Params=where))
            self.assertEqual((got.status, got.data), (200, b"content"))
            self.assertEqual(fetch("GET", put).status, 403, "signed for another method")
            late = client.generate_presigned_url("get_object", Params=where, ExpiresIn=1)
            altered = late.replace("X-Amz-Expires=1&", "X-Amz-Expires=600&")
            self.assertEqual(fetch("GET", altered).status, 403)

    def test_conditions_on_read_and_on_write(self) -> None:
        client = self.client("https")
        where: dict[str, Any] = {"Bucket": DESTINATION, "Key": "conditional"}
        tag = client.put_object(**where, Body=b"1", IfNoneMatch="*")["ETag"]
        self.assertEqual(self.refused(lambda: client.put_object(**where, Body=b"2", IfNoneMatch="*"))[1], 412)
        self.assertEqual(self.refused(lambda: client.put_object(**where, Body=b"2", IfMatch='"other"'))[1], 412)
        self.assertEqual(self.refused(lambda: client.get_object(**where, IfNoneMatch=tag))[1], 304)
        self.assertEqual(self.refused(lambda: client.get_object(**where, IfMatch='"other"'))[1], 412)
        client.put_object(**where, Body=b"3", IfMatch=tag)
        self.assertEqual(client.get_object(**where)["Body"].read(), b"3")
        missing_key = {"Bucket": DESTINATION, "Key": "missing"}
        self.assertEqual(self.refused(lambda: client.put_object(**missing_key, Body=b"2", IfMatch=tag))[1], 404)

    def test_ranges(self) -> None:
        client = self.client("http")
        where = {"Bucket": DESTINATION, "Key": "ranged"}
        client.put_object(**where, Body=bytes(range(100)))
        for text, expected in (("bytes=10-19", range(10, 20)), ("bytes=-5", range(95, 100)), ("bytes=90-", range(90, 100))):
            got = client.get_object(**where, Range=text)
            self.assertEqual((got["Body"].read(), got["ResponseMetadata"]["HTTPStatusCode"]), (bytes(expected), 206))
        self.assertEqual(self.refused(lambda: client.get_object(**where, Range="bytes=100-")), ("InvalidRange", 416))

    def test_lists_page_by_page_in_the_order_of_keys(self) -> None:
        client = self.client("http")
        names = sorted(f"list/{name}" for name in ("a", "a-b/c", "a.txt", "a/b", "a/c/d", "a0", "b/x", "z ü+"))
        names.sort(key=str.encode)
        names.remove("list/a")  # a name is a file or a folder
        for name in names:
            client.put_object(Bucket=DESTINATION, Key=name, Body=b"x")
        for size in (1, 2, 3, 1000):
            pages = client.get_paginator("list_objects_v2").paginate(
                Bucket=DESTINATION, Prefix="list/", PaginationConfig={"PageSize": size}
            )
            self.assertEqual([key["Key"] for page in pages for key in page.get("Contents", ())], names)
            found = []
            for page in client.get_paginator("list_objects").paginate(
                Bucket=DESTINATION, Prefix="list/", Delimiter="/", PaginationConfig={"PageSize": size}
            ):
                found += [each["Key"] for each in page.get("Contents", ())]
                found += [each["Prefix"] for each in page.get("CommonPrefixes", ())]
            self.assertEqual(
                sorted(found), ["list/a-b/", "list/a.txt", "list/a/", "list/a0", "list/b/", "list/z ü+"], f"pages of {size}"
            )
        middle = client.list_objects_v2(Bucket=DESTINATION, Delimiter="b", Prefix="list/a")
        self.assertEqual([each["Prefix"] for each in middle["CommonPrefixes"]], ["list/a-b", "list/a/b"])

    def test_the_life_of_an_upload_in_parts(self) -> None:
        client = self.client("https")
        where = {"Bucket": DESTINATION, "Key": "mp/parts"}
        upload = client.create_multipart_upload(**where, ChecksumAlgorithm="SHA256", Metadata={"a": "b"})["UploadId"]
        sizes = [5 << 20, 5 << 20, 10]
        parts = []
        for number, size in enumerate(sizes, 1):
            done = client.upload_part(
                **where, UploadId=upload, PartNumber=number, Body=bytes([number]) * size, ChecksumAlgorithm="SHA256"
            )
            parts.append({"PartNumber": number, "ETag": done["ETag"], "ChecksumSHA256": done["ChecksumSHA256"]})
        listed = client.list_parts(**where, UploadId=upload)
        self.assertTrue(all("LastModified" in part for part in listed["Parts"]))
        self.assertEqual([part["Size"] for part in listed["Parts"]], sizes)
        uploads = client.list_multipart_uploads(Bucket=DESTINATION, Prefix="mp/")["Uploads"]
        self.assertEqual([(each["Key"], each["UploadId"]) for each in uploads], [("mp/parts", upload)])
        self.assertEqual(self.refused(lambda: client.head_object(**where))[1], 404, "nobody sees it yet")
        wrong = [{**parts[0], "ETag": '"0"'}, *parts[1:]]
        complete = {**where, "UploadId": upload}
        refused = self.refused(lambda: client.complete_multipart_upload(**complete, MultipartUpload={"Parts": wrong}))
        self.assertEqual(refused, ("InvalidPart", 400))
        refused = self.refused(lambda: client.complete_multipart_upload(**complete, MultipartUpload={"Parts": parts[::-1]}))
        self.assertEqual(refused, ("InvalidPartOrder", 400))
        first = client.complete_multipart_upload(**complete, MultipartUpload={"Parts": parts})
        again = client.complete_multipart_upload(**complete, MultipartUpload={"Parts": parts})
        self.assertEqual((first["ETag"], first["ChecksumSHA256"]), (again["ETag"], again["ChecksumSHA256"]))
        self.assertTrue(first["ChecksumSHA256"].endswith("-3"))
        head = client.head_object(**where, ChecksumMode="ENABLED")
        self.assertEqual((head["ContentLength"], head["Metadata"]), (sum(sizes), {"a": "b"}))
        self.assertEqual(head["ChecksumType"], "COMPOSITE")
        spanning = client.get_object(**where, Range=f"bytes={(5 << 20) - 2}-{(5 << 20) + 1}")
        self.assertEqual(spanning["Body"].read(), b"\1\1\2\2")

    def test_a_destination_whose_etags_are_no_md5(self) -> None:
        client = self.client("http")
        self.node.ecpds("destination", "set", DESTINATION, "--option", "s3.etag=opaque")
        try:
            tag = client.put_object(Bucket=DESTINATION, Key="opaque", Body=b"x")["ETag"]
            self.assertRegex(tag, '^"[0-9a-f]+-0"$')
            self.assertEqual(client.head_object(Bucket=DESTINATION, Key="opaque", IfMatch=tag)["ETag"], tag)
            self.assertNotIn("md5", self.node.json("file", "show", f"/{DESTINATION}/opaque")["digests"])
            client.put_object(Bucket=DESTINATION, Key="opaque", Body=b"y", IfMatch=tag)
            wrong = {"Body": b"y", "ContentMD5": "rL0Y20xC+Fzt72VPzMSk2A=="}
            self.assertEqual(self.refused(lambda: client.put_object(Bucket=DESTINATION, Key="opaque", **wrong))[0], "BadDigest")
            source, digest = self.random_file(20_000_000)
            client.upload_file(str(source), DESTINATION, "opaque parts")
            self.assertRegex(client.head_object(Bucket=DESTINATION, Key="opaque parts")["ETag"], '^"[0-9a-f]+-3"$')
            client.download_file(DESTINATION, "opaque parts", str(self.folder / "back"))
            self.assertEqual(sha256(self.folder / "back"), digest)
        finally:
            self.node.ecpds("destination", "set", DESTINATION, "--option", "s3.etag=md5")

    def test_an_upload_in_parts_that_is_given_up(self) -> None:
        client = self.client("http")
        where = {"Bucket": DESTINATION, "Key": "given-up"}
        upload = client.create_multipart_upload(**where)["UploadId"]
        client.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"x")
        client.abort_multipart_upload(**where, UploadId=upload)
        self.assertEqual(self.refused(lambda: client.list_parts(**where, UploadId=upload)), ("NoSuchUpload", 404))
        self.assertEqual(self.refused(lambda: client.head_object(**where))[1], 404)

    def test_copies_with_and_without_new_metadata(self) -> None:
        client = self.client("http")
        client.put_object(Bucket=DESTINATION, Key="source", Body=b"copied", Metadata={"a": "1"})
        source = {"Bucket": DESTINATION, "Key": "source"}
        client.copy_object(Bucket=DESTINATION, Key="copy", CopySource=source)
        self.assertEqual(client.head_object(Bucket=DESTINATION, Key="copy")["Metadata"], {"a": "1"})
        client.copy_object(**source, CopySource=source, MetadataDirective="REPLACE", Metadata={"b": "2"})
        got = client.get_object(**source)
        self.assertEqual((got["Body"].read(), got["Metadata"]), (b"copied", {"b": "2"}))
        absent = {"Bucket": DESTINATION, "Key": "absent"}
        self.assertEqual(self.refused(lambda: client.copy_object(**source, CopySource=absent))[0], "NoSuchKey")

    def test_buckets_of_those_who_may_make_them(self) -> None:
        client = self.client("http")
        self.assertEqual(self.refused(lambda: client.create_bucket(Bucket="mine")), ("AccessDenied", 403))
        client.create_bucket(Bucket=DESTINATION)
        self.node.ecpds("user", "set", LOGIN, "--option", "portal.makesBuckets=true")
        self.aws("http", "s3", "mb", "s3://mine")
        self.assertEqual([each["Name"] for each in client.list_buckets()["Buckets"]], [DESTINATION, "mine"])
        client.put_object(Bucket="mine", Key="k", Body=b"x")
        client.create_multipart_upload(Bucket="mine", Key="never")
        self.assertEqual(self.refused(lambda: client.delete_bucket(Bucket="mine")), ("BucketNotEmpty", 409))
        client.delete_object(Bucket="mine", Key="k")
        self.aws("http", "s3", "rb", "s3://mine")
        self.assertEqual(self.refused(lambda: client.head_bucket(Bucket="mine"))[1], 404)
        self.assertEqual(self.refused(lambda: client.create_bucket(Bucket="-no")), ("InvalidBucketName", 400))

    def test_folders_are_keys_where_somebody_made_them(self) -> None:
        client = self.client("http")
        client.put_object(Bucket=DESTINATION, Key="marked/")
        client.put_object(Bucket=DESTINATION, Key="unmarked/file", Body=b"x")
        client.head_object(Bucket=DESTINATION, Key="marked/")
        self.assertEqual(self.refused(lambda: client.head_object(Bucket=DESTINATION, Key="unmarked/"))[1], 404)
        keys = [key["Key"] for key in client.list_objects_v2(Bucket=DESTINATION, Prefix="marked")["Contents"]]
        self.assertEqual(keys, ["marked/"])
        client.delete_object(Bucket=DESTINATION, Key="marked/")
        self.assertEqual(self.refused(lambda: client.head_object(Bucket=DESTINATION, Key="marked/"))[1], 404)

    def test_keys_that_can_be_no_path_have_one_answer(self) -> None:
        client = self.client("http")
        client.put_object(Bucket=DESTINATION, Key="plain", Body=b"x")
        for key in ("a//b", "a/../b", "./a", "nul\0"):
            for verb in (
                lambda key=key: client.put_object(Bucket=DESTINATION, Key=key, Body=b"x"),
                lambda key=key: client.get_object(Bucket=DESTINATION, Key=key),
                lambda key=key: client.create_multipart_upload(Bucket=DESTINATION, Key=key),
            ):
                self.assertEqual(self.refused(verb), ("InvalidURI", 400), key)
        below = self.refused(lambda: client.put_object(Bucket=DESTINATION, Key="plain/below", Body=b"x"))
        self.assertEqual(below, ("OperationAborted", 409))

    def test_a_wrong_secret_reads_and_writes_nothing(self) -> None:
        for scheme in SCHEMES:
            client = self.client(scheme, secret="wrong" * 8)
            self.client(scheme).put_object(Bucket=DESTINATION, Key="there", Body=b"x")
            for verb in attempts(client):
                self.assertEqual(self.refused(verb), ("SignatureDoesNotMatch", 403))
            unsigned = fetch("GET", f"{self.endpoint(scheme)}/{DESTINATION}/there")
            self.assertEqual(unsigned.status, 403)
        self.assertEqual(self.refused(lambda: self.client("http").head_object(Bucket=DESTINATION, Key="forged"))[1], 404)

    def test_what_is_not_ours_is_refused_at_once(self) -> None:
        client = self.client("http")
        rule = {"Status": "Enabled"}
        refused = self.refused(lambda: client.put_bucket_versioning(Bucket=DESTINATION, VersioningConfiguration=rule))
        self.assertEqual(refused, ("NotImplemented", 501))
        self.assertEqual(client.get_bucket_location(Bucket=DESTINATION)["LocationConstraint"], None)
        self.assertNotIn("Status", client.get_bucket_versioning(Bucket=DESTINATION))
        self.assertEqual(client.get_bucket_acl(Bucket=DESTINATION)["Grants"][0]["Permission"], "FULL_CONTROL")
        self.assertEqual(self.refused(lambda: client.get_bucket_policy(Bucket=DESTINATION)), ("NoSuchBucketPolicy", 404))
        self.assertEqual(self.refused(lambda: client.list_objects_v2(Bucket="other"))[0], "NoSuchBucket")

    def refused(self, verb: Any) -> tuple[str, int]:
        """The code and the status of a call that must fail."""
        with self.assertRaises(ClientError) as caught:
            verb()
        answer = caught.exception.response
        return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]
