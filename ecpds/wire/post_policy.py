"""The policy of a form that uploads (S3, "Creating an HTML form", "POST policy"): what it allows, and until when. Pure.

A policy is JSON in base64: a time at which it ends, and conditions, each about one field or about the size of the file.
Every field of the form must be named by a condition, but for the policy, its signature and those that begin with
`x-ignore-`; so whoever has the form can send nothing that its maker did not think of.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

UNNAMED = ("policy", "x-amz-signature", "file")
"""Fields that no condition names."""

IGNORED = "x-ignore-"

LARGEST = 5 << 30
"""Bytes of a file that one request may bring (S3, "POST Object")."""


class PolicyError(ValueError):
    """A policy that is malformed, or not met: S3's code, its status, and a sentence."""

    def __init__(self, code: str, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.status = status
        self.sentence = sentence


def _malformed(sentence: str) -> PolicyError:
    return PolicyError("InvalidPolicyDocument", 400, f"Invalid Policy: {sentence}")


def _unmet(sentence: str) -> PolicyError:
    return PolicyError("AccessDenied", 403, f"Invalid according to Policy: {sentence}")


@frozen
class Test:
    """One condition: `eq` or `starts-with`, the name of a field in lower case, and a text."""

    kind: str
    field: str
    text: str

    def met_by(self, value: str) -> bool:
        return value == self.text if self.kind == "eq" else value.startswith(self.text)


@frozen
class Policy:
    """What a form may bring. `expires` is seconds since the epoch; a file has `least` to `most` bytes."""

    expires: float
    tests: tuple[Test, ...]
    least: int = 0
    most: int = LARGEST

    def check(self, fields: Mapping[str, str], now: float) -> None:
        """Raises `PolicyError` unless the fields (by names in lower case, `bucket` among them) are allowed now."""
        if now > self.expires:
            raise _unmet("Policy expired.")
        for test in self.tests:
            if not test.met_by(fields.get(test.field, "")) or test.field not in fields:
                raise _unmet(f"Policy Condition failed: {test.kind} on {test.field}")
        named = {test.field for test in self.tests}
        for field in fields:
            if field not in named and field not in UNNAMED and not field.startswith(IGNORED):
                raise _unmet(f"Extra input fields: {field[:100]}")


def parse(encoded: str) -> Policy:
    """Read a policy. Raises `PolicyError`."""
    try:
        document = json.loads(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _malformed("it is not JSON in base64.") from None
    if not isinstance(document, dict) or not isinstance(document.get("expiration"), str):
        raise _malformed("it has no expiration.")
    conditions = document.get("conditions")
    if not isinstance(conditions, list):
        raise _malformed("its conditions are no list.")
    tests: list[Test] = []
    least, most = 0, LARGEST
    for condition in conditions:
        if isinstance(condition, list) and condition and str(condition[0]).lower() == "content-length-range":
            least, most = _range(condition)
        else:
            tests += _tests(condition)
    return Policy(_seconds(document["expiration"]), tuple(tests), least, most)


def _seconds(text: str) -> float:
    for form in ("%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%SZ"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    raise _malformed("its expiration is no time in ISO 8601.")


def _range(condition: list[Any]) -> tuple[int, int]:
    numbers = condition[1:]
    if len(numbers) != 2 or any(not str(each).isdigit() or len(str(each)) > 18 for each in numbers):
        raise _malformed("content-length-range needs two numbers.")
    return int(numbers[0]), int(numbers[1])


def _tests(condition: Any) -> list[Test]:
    if isinstance(condition, dict) and condition and all(isinstance(text, str) for text in condition.values()):
        return [Test("eq", name.lower(), text) for name, text in condition.items()]
    if isinstance(condition, list) and len(condition) == 3 and all(isinstance(each, str) for each in condition):
        kind, field, text = condition
        if kind.lower() in ("eq", "starts-with") and field.startswith("$"):
            return [Test(kind.lower(), field[1:].lower(), text)]
    raise _malformed("a condition is not one that is known.")
