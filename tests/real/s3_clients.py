"""What the tests of the S3 door need: a node that has it, an access key, and clients as people configure them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import boto3
from botocore.config import Config

from tests.real.case import RealTestCase
from tests.real.harness import LOGIN, Options, environment

ROLES = ["master", "mover", "ftp", "https", "s3"]
REGION = "us-east-1"
SCHEMES = {"http": "s3_plain", "https": "s3"}
AWS = Path(sys.executable).with_name("aws")


class S3TestCase(RealTestCase):
    """One node with all its doors, and an access key of its user."""

    options: ClassVar[Options] = {"node": {"roles": ROLES}, "s3": {"port": 0, "plain_port": 0}}
    key: ClassVar[dict[str, str]]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.key = cls.node.json("user", "s3key", LOGIN, "add")

    def endpoint(self, scheme: str) -> str:
        return f"{scheme}://127.0.0.1:{self.node.ports[SCHEMES[scheme]]}"

    def client(self, scheme: str, secret: str | None = None, **config: Any) -> Any:
        """boto3 with its defaults, but for retries: a test wants to see the first answer."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint(scheme),
            aws_access_key_id=self.key["access_key_id"],
            aws_secret_access_key=secret or self.key["secret_access_key"],
            region_name=REGION,
            verify=False,
            config=Config(retries={"max_attempts": 0}, **config),
        )

    def run_client(self, *command: str, **more: str) -> str:
        """Run a client with the credentials in its environment; its standard output."""
        variables = {
            **environment(),
            "AWS_ACCESS_KEY_ID": self.key["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": self.key["secret_access_key"],
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONWARNINGS": "ignore",
            "HOME": str(self.folder),
            **more,
        }
        variables.pop("AWS_CA_BUNDLE", None)  # rclone can't have it beside --no-check-certificate
        done = subprocess.run(command, cwd=self.folder, env=variables, capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def aws(self, scheme: str, *words: str) -> str:
        """The AWS CLI."""
        return self.run_client(str(AWS), "--endpoint-url", self.endpoint(scheme), "--no-verify-ssl", *words)

    def rclone(self, scheme: str, *words: str) -> str:
        """rclone, whose remote `node:` is the node."""
        return self.run_client(
            "rclone",
            "--no-check-certificate",
            "--retries=1",
            *words,
            RCLONE_CONFIG_NODE_TYPE="s3",
            RCLONE_CONFIG_NODE_PROVIDER="Other",
            RCLONE_CONFIG_NODE_ENV_AUTH="true",
            RCLONE_CONFIG_NODE_ENDPOINT=self.endpoint(scheme),
            RCLONE_CONFIG_NODE_REGION=REGION,
        )

    def tree(self) -> tuple[Path, dict[str, bytes]]:
        """A folder with small, large, empty and oddly named files, and what is in them."""
        root = self.folder / "tree"
        content = {
            "a.bin": os.urandom(10),
            "a/b.bin": os.urandom(70_000),
            "a/empty": b"",
            "a-b/c": b"before a/ in the order of keys",
            "deep/er/er/still/file": os.urandom(1000),
            "odd +%41 ü &;'.txt": b"odd",
            "large.bin": os.urandom(20_000_003),
        }
        for name, data in content.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
        return root, content

    def read_tree(self, root: Path) -> dict[str, bytes]:
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
