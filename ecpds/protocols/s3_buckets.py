"""What is asked of a bucket besides its lists: that it is there, and settings, each of which is answered by what is true.

A destination has one version of each object, one owner, no policy that a client could write, and no rules: so the
replies are fixed, and a wish to change one is refused as not implemented.
"""

from __future__ import annotations

import re

from ecpds.errors import AlreadyExists, DirectoryNotEmpty, InvalidName, NotFound, NotPermitted
from ecpds.http.message import Response
from ecpds.options import BUCKET_LOCATION, BUCKET_OBJECTS, LOCATION
from ecpds.protocols import s3_acl
from ecpds.protocols.s3_call import Call, xml_of, xml_response
from ecpds.protocols.s3_errors import S3Error
from ecpds.wire import s3xml
from ecpds.wire.s3xml import Node

NAME = re.compile(r"(?!.*(?:\.\.|\.-|-\.))(?![0-9]+(?:\.[0-9]+){3}$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""What a bucket that is made here may be called (S3, "General purpose bucket naming rules")."""

ABSENT: dict[str, tuple[str, str]] = {
    "policy": ("NoSuchBucketPolicy", "The bucket policy does not exist"),
    "cors": ("NoSuchCORSConfiguration", "The CORS configuration does not exist"),
    "lifecycle": ("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
    "encryption": ("ServerSideEncryptionConfigurationNotFoundError", "The server side encryption configuration was not found"),
    "website": ("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration"),
    "object-lock": ("ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket"),
    "replication": ("ReplicationConfigurationNotFoundError", "The replication configuration was not found"),
    "publicAccessBlock": ("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found"),
    "ownershipControls": ("OwnershipControlsNotFoundError", "The bucket ownership controls were not found"),
}
"""Settings that a destination has not."""

EMPTY: dict[str, tuple[str, list[Node]]] = {
    "versioning": ("VersioningConfiguration", []),
    "logging": ("BucketLoggingStatus", []),
    "notification": ("NotificationConfiguration", []),
    "accelerate": ("AccelerateConfiguration", []),
    "requestPayment": ("RequestPaymentConfiguration", [("Payer", "BucketOwner")]),
}
"""Settings that are as they always are."""

POLICY_STATUS = "policyStatus"
NOWHERE = "us-east-1"
"""The region that is spelt as nothing (S3, "GetBucketLocation")."""

SETTINGS = frozenset((*ABSENT, *EMPTY, POLICY_STATUS, "location"))


async def exists(call: Call) -> None:
    """Raises `S3Error` when there is no such bucket for this user."""
    try:
        await call.files.stat(f"/{call.bucket}")
    except NotFound as refusal:
        raise no_such_bucket() from refusal


def no_such_bucket() -> S3Error:
    return S3Error("NoSuchBucket", 404, "The specified bucket does not exist")


async def head_bucket(call: Call) -> Response:
    await exists(call)
    identity = call.files.identity
    if identity.visits and not identity.may("dir"):
        raise NotPermitted
    return Response(200, [("x-amz-bucket-region", await _location(call))])


async def read_setting(call: Call, name: str) -> Response:
    """Answer GET of a bucket's setting."""
    await exists(call)
    if name in ABSENT:
        code, sentence = ABSENT[name]
        raise S3Error(code, 404, sentence)
    if name in EMPTY:
        return xml_response(*EMPTY[name])
    if name == POLICY_STATUS:
        return xml_response("PolicyStatus", [("IsPublic", await s3_acl.is_public(call))])
    location = await _location(call)
    return Response(200, [s3xml.TYPE], s3xml.text_document("LocationConstraint", "" if location == NOWHERE else location))


async def _location(call: Call) -> str:
    """Where a bucket was said to be made. One of which nothing was said is in no region, so in the one that was signed for."""
    if call.files.identity.visits:
        return call.signed.scope.region
    return (await call.objects.bucket(call.bucket)).get(BUCKET_LOCATION, call.signed.scope.region)


async def delete_setting(call: Call) -> Response:
    """Answer DELETE of a setting that no bucket has: it is not there, which is what was asked for."""
    await exists(call)
    if call.files.identity.visits:
        raise NotPermitted
    return Response(204)


async def create_bucket(call: Call) -> Response:
    """Answer CreateBucket, for users who may make destinations.

    A user's own bucket, as it is, may be made again, also by who makes no others: it is what was asked for.
    """
    if call.files.identity.visits:
        raise NotPermitted
    acl = s3_acl.asked(call) or s3_acl.Acl()
    made = Response(200, [("Location", f"/{call.bucket}")])
    if await _is_made(call, acl):
        return made
    if not NAME.fullmatch(call.bucket):
        raise S3Error("InvalidBucketName", 400, "The specified bucket is not valid.")
    settings = {BUCKET_OBJECTS: "own", **await _wanted_location(call)}
    settings |= {name: text for name, text in s3_acl.settings_of(acl).items() if text is not None}
    try:
        await call.objects.create_bucket(call.bucket, settings)
    except InvalidName as refusal:
        raise S3Error("InvalidBucketName", 400, "The specified bucket is not valid.") from refusal
    except AlreadyExists as refusal:
        if not await _is_made(call, acl):
            raise _in_the_way() from refusal
    return made


async def _wanted_location(call: Call) -> dict[str, str]:
    """What a request says of where the bucket is to be, if anything. Raises `S3Error`."""
    if not call.request.length:
        return {}
    location = (await xml_of(call, "CreateBucketConfiguration")).text("LocationConstraint")
    if not location or location == NOWHERE:
        return {}
    if not LOCATION.fits(location):
        raise S3Error("InvalidLocationConstraint", 400, "The specified location-constraint is not valid")
    return {BUCKET_LOCATION: location}


async def _is_made(call: Call, acl: s3_acl.Acl) -> bool:
    """Whether it is the user's own bucket, as it is. Raises `S3Error` for one that is open to others than asked for."""
    if await call.files.find(f"/{call.bucket}") is None:
        return False
    if s3_acl.of_bucket(await call.objects.bucket(call.bucket)) != acl:
        raise _in_the_way()
    return True


def _in_the_way() -> S3Error:
    return S3Error("BucketAlreadyExists", 409, "The requested bucket name is not available.")


async def delete_bucket(call: Call) -> Response:
    """Answer DeleteBucket, for users who may make destinations."""
    await exists(call)
    try:
        await call.objects.remove_bucket(call.bucket)
    except DirectoryNotEmpty as refusal:
        raise S3Error("BucketNotEmpty", 409, "The bucket you tried to delete is not empty.") from refusal
    return Response(204)
