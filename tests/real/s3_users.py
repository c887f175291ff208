"""Several users of the S3 door, as the field's own suite has them: two who make buckets, and one who has not said who it is."""

from __future__ import annotations

from itertools import count
from typing import Any, ClassVar

import boto3
import urllib3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

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
