"""What S3's reference says of forms that a browser sends, asked by boto3, and signed by hand."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import urllib3

from ecpds.keys import signing_key
from ecpds.wire.sigv4 import sign
from tests.real.s3_clients import REGION
from tests.real.s3_users import HTTP, Conformance

TAGS = "<Tagging><TagSet><Tag><Key>t</Key><Value>v</Value></Tag></TagSet></Tagging>"


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
        self.assertEqual((done.status, ElementTree.fromstring(done.data).findtext("Key")), (201, "k"), done.data)
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
