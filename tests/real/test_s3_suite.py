"""The field's own conformance suite (ceph/s3-tests, MIT), run against a node as it is, from a folder outside of this one.

No package registry has it. Where somebody has put a checkout, this runs its core scope and says what failed:

    ECPDS_S3_TESTS=~/s3-tests bin/test --all tests/real/test_s3_suite.py

The checkout's requirements must be in the environment that runs it (`ECPDS_S3_PYTHON`, by default ours).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import pytest

from tests.real.harness import PASSWORD, environment
from tests.real.s3_clients import S3TestCase
from tests.real.s3_users import MAKES_BUCKETS

FOLDER, PYTHON = "ECPDS_S3_TESTS", "ECPDS_S3_PYTHON"

PLACES = ("s3tests/functional", "s3tests_boto3/functional")
"""Where the suite has stood; the first is the newer."""

NOT_OURS = (
    "appendobject auth_aws2 bucket_encryption bucket_logging bucket_policy cloud_transition cors delete_marker encryption"
    " fails_on_aws group group_policy iam_account iam_cross_account iam_role iam_tenant iam_user lifecycle"
    " lifecycle_expiration lifecycle_transition object_lock object_ownership role_policy s3select s3website session_policy"
    " sns sse_s3 storage_class test_of_sts tenant user_policy versioning webidentity_test"
)
"""The suite's own marks of what is outside of the core scope."""

ENOUGH = 375
"""How many of the core scope's 393 must pass."""

CONFIG = """
[DEFAULT]
host = 127.0.0.1
port = {port}
is_secure = False
ssl_verify = False

[fixtures]
bucket prefix = suite-{{random}}-
"""

USER = """
[s3 {section}]
display_name = {login}
user_id = {login}
email = {login}@example.org
tenant =
access_key = {access_key_id}
secret_key = {secret_access_key}
"""


@pytest.mark.long
class Suite(S3TestCase):
    users: ClassVar[tuple[str, ...]] = ("main", "alt", "tenant")

    def test_the_core_scope(self) -> None:
        folder = os.environ.get(FOLDER)
        if folder is None:
            self.skipTest(f"!!! S3's CONFORMANCE SUITE WAS NOT RUN: {FOLDER} names no checkout of ceph/s3-tests")
        place = next((each for each in PLACES if (Path(folder) / each / "test_s3.py").exists()), None)
        if place is None:
            self.skipTest(f"!!! S3's CONFORMANCE SUITE WAS NOT RUN: {folder} is no checkout of ceph/s3-tests")
        report = self.folder / "report.xml"
        files = [f"{place}/test_s3.py", f"{place}/test_headers.py"]
        marks = " and ".join(f"not {mark}" for mark in NOT_OURS.split())
        command = [os.environ.get(PYTHON, sys.executable), "-m", "pytest", "-q", "-m", marks, "--junitxml", str(report), *files]
        # The suite signs with times that the signer of boto3's optional C library will not sign with.
        variables = {**environment(), "S3TEST_CONF": str(self.config()), "BOTO_DISABLE_CRT": "true"}
        subprocess.run(command, cwd=folder, env=variables, check=False, timeout=3600)
        cases = list(ElementTree.parse(report).iter("testcase"))
        failed = sorted(
            case.get("name", "") for case in cases if case.find("failure") is not None or case.find("error") is not None
        )
        passed = len(cases) - len(failed) - sum(case.find("skipped") is not None for case in cases)
        print(f"{passed} of {len(cases)} passed; not:", *failed, sep="\n  ")
        self.assertGreaterEqual(passed, ENOUGH)

    def config(self) -> Path:
        """The suite's configuration: users that make buckets, each with a key."""
        text = CONFIG.format(port=self.node.ports["s3_plain"])
        sections = [*self.users, "iam", "iam root", "iam alt root"]
        for number, section in enumerate(sections):
            login = f"suite-{number}"
            self.node.ecpds("user", "add", login, "--password-stdin", *MAKES_BUCKETS, stdin=PASSWORD + "\n")
            name = f"s3 {section}" if " " not in section and section != "iam" else section
            key = self.node.json("user", "s3key", login, "add")
            text += USER.replace("[s3 {section}]", f"[{name}]").format(login=login, **key)
        file = self.folder / "suite.conf"
        file.write_text(text)
        return file
