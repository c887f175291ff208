"""Conditions of S3's requests, by its ETags (S3, "Conditional requests"); they are decided as HTTP's are."""

from __future__ import annotations

from ecpds.errors import NotFound
from ecpds.model import ANYTHING, Condition, DataFile
from ecpds.protocols.s3_call import Call
from ecpds.protocols.s3_errors import S3Error, invalid_argument, not_implemented
from ecpds.protocols.s3_headers import etag, represented, validators
from ecpds.protocols.s3_headers import modified as last_modified
from ecpds.wire.conditions import Verdict, parse_tags, pinned_condition, verdict

FAILED = "At least one of the pre-conditions you specified did not hold"


class ConditionFields:
    """The conditions of a request under HTTP's names; an ETag may stand there without its quotes.

    `prefix` is what stands before the names, such as that of a copy's source.
    """

    def __init__(self, call: Call, prefix: str = "") -> None:
        self._call = call
        self._prefix = prefix

    def get(self, name: str) -> str | None:
        field = self._call.header(self._prefix + name)
        if field is None or name not in ("if-match", "if-none-match"):
            return field
        field = field.strip()
        return field if field == "*" or '"' in field else f'"{field}"'


def check_read(call: Call, file: DataFile, prefix: str = "") -> bool:
    """Whether a file is to be sent; False: the client has it. Raises `S3Error` 412."""
    try:
        found = verdict(ConditionFields(call, prefix), represented(file))
    except ValueError:
        raise invalid_argument("A condition of the request is malformed.") from None
    if found is Verdict.FAILED:
        raise failed()
    return found is Verdict.PROCEED


def not_modified(file: DataFile) -> S3Error:
    return S3Error("NotModified", 304, "Not Modified", validators(file))


def failed() -> S3Error:
    return S3Error("PreconditionFailed", 412, FAILED)


async def write_condition(call: Call) -> Condition:
    """What the commit is to check. Raises `S3Error` where it is clear now that it would be refused."""
    fields = ConditionFields(call)
    match, none_match = fields.get("if-match"), fields.get("if-none-match")
    if none_match is not None and match is not None:
        raise not_implemented("If-Match and If-None-Match together")
    if match is None and none_match is None:
        return ANYTHING
    if none_match == "*":
        return Condition(absent=True)
    try:
        parse_tags(match or none_match or "")
    except ValueError:
        raise invalid_argument("The If-Match or If-None-Match is malformed.") from None
    entry = await call.files.find(call.path, "put")
    seen = entry.file if entry is not None else None
    if seen is None and match is not None:
        await call.files.stat(f"/{call.bucket}")
        raise NotFound
    pinned = pinned_condition(fields, represented(seen) if seen is not None else None)
    if pinned is None:
        raise failed()
    return pinned


def deletion_condition(file: DataFile, tag: str | None, size: str | None, modified: float | None) -> Condition:
    """That a file is what is to be deleted: by its ETag, its size, and its time in seconds. Raises `S3Error`."""
    asked = (tag, size, modified) != (None, None, None)
    fits = (
        tag in (None, "*", etag(file), etag(file).strip('"'))
        and size in (None, str(file.size))
        and modified in (None, float(int(last_modified(file))))
    )
    if not fits:
        raise failed()
    return Condition(match=frozenset((file.id,))) if asked else ANYTHING
