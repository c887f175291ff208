"""Canned ACLs: who else than its user may use a bucket or an object.

A destination is private, open to everybody for reading or for writing too, or readable for every user of the portal; that is
its option `s3.acl`. An object is as open as its bucket, unless it was put as `private`. So what an ACL shows is what is.
"""

from __future__ import annotations

from ecpds.errors import NotPermitted
from ecpds.http.message import Response
from ecpds.model import VISITOR, DataFile
from ecpds.options import BUCKET_ACL
from ecpds.protocols.s3_call import Call
from ecpds.protocols.s3_errors import S3Error, invalid_argument, not_implemented
from ecpds.protocols.s3_headers import ACL
from ecpds.wire import s3xml
from ecpds.wire.s3xml import Node

XSI = "http://www.w3.org/2001/XMLSchema-instance"
GROUPS = "http://acs.amazonaws.com/groups/global/"
PRIVATE = "private"

GRANTS: dict[str, list[tuple[str, str]]] = {
    PRIVATE: [],
    "public-read": [("AllUsers", "READ")],
    "public-read-write": [("AllUsers", "READ"), ("AllUsers", "WRITE")],
    "authenticated-read": [("AuthenticatedUsers", "READ")],
}
"""A bucket's canned ACLs: which group is granted what."""

OF_OBJECTS = (*GRANTS, "bucket-owner-read", "bucket-owner-full-control", "aws-exec-read")


def canned(call: Call, known: tuple[str, ...] = tuple(GRANTS)) -> str | None:
    """The ACL that a request asks for. Raises `S3Error` for one that is not known, and for grants one by one."""
    if any(name.startswith("x-amz-grant-") for name, _ in call.request.headers.items()):
        raise not_implemented("grants other than canned ACLs")
    acl = call.header("x-amz-acl")
    if acl is not None and acl not in known:
        raise invalid_argument("The x-amz-acl is none that is known.")
    return acl


def of_object(call: Call) -> dict[str, str]:
    """What is kept of the ACL that an object is put with: whether it is not as open as its bucket."""
    return {ACL: PRIVATE} if canned(call, OF_OBJECTS) == PRIVATE else {}


def check_visitor(call: Call, file: DataFile) -> None:
    """Raises `S3Error` for an object that is its users' alone, where everybody may come in."""
    if file.metadata.get(ACL) == PRIVATE and call.files.identity.user_id == VISITOR:
        raise S3Error("AccessDenied", 403, "Access Denied")


async def bucket_acl(call: Call) -> Response:
    """Answer GetBucketAcl."""
    return document(call, await _acl_of_bucket(call))


async def _acl_of_bucket(call: Call) -> str:
    if call.files.identity.user_id == VISITOR:
        raise S3Error("AccessDenied", 403, "Access Denied")
    return (await call.objects.bucket(call.bucket)).get(BUCKET_ACL, PRIVATE)


async def is_public(call: Call) -> bool:
    """Whether others than its users may use a bucket."""
    return await _acl_of_bucket(call) != PRIVATE


async def put_bucket_acl(call: Call) -> Response:
    """Answer PutBucketAcl, by canned ACLs."""
    acl = canned(call)
    if acl is None:
        raise not_implemented("an ACL in the body")
    await set_bucket_acl(call, acl)
    return Response(200)


async def set_bucket_acl(call: Call, acl: str) -> None:
    """Open or close a bucket; what it is already anybody may ask for."""
    if (await _acl_of_bucket(call)) != acl:
        await call.objects.set_bucket(call.bucket, {BUCKET_ACL: None if acl == PRIVATE else acl})


async def object_acl(call: Call, file: DataFile) -> Response:
    """Answer GetObjectAcl."""
    return document(call, PRIVATE if file.metadata.get(ACL) == PRIVATE else await _acl_of_bucket(call), of_object=True)


async def put_object_acl(call: Call) -> Response:
    """Answer PutObjectAcl, by canned ACLs: an object is as open as its bucket, or private."""
    acl = canned(call, OF_OBJECTS)
    if acl is None:
        raise not_implemented("an ACL in the body")
    if call.files.identity.user_id == VISITOR:
        raise NotPermitted
    await call.objects.annotate(call.path, {ACL: PRIVATE if acl == PRIVATE else None})
    return Response(200)


def document(call: Call, acl: str, of_object: bool = False) -> Response:
    """The document that says what is granted; everything belongs to who asks."""
    login = call.files.identity.login
    owner: Node = ("Owner", [("ID", login), ("DisplayName", login)])
    granted = [(group, right) for group, right in GRANTS[acl] if not (of_object and right == "WRITE")]
    grants: list[Node] = [
        ("Grant", [("Grantee:Group", [("URI", GROUPS + group)]), ("Permission", right)]) for group, right in granted
    ]
    grants.append(
        ("Grant", [("Grantee:CanonicalUser", [("ID", login), ("DisplayName", login)]), ("Permission", "FULL_CONTROL")])
    )
    body = s3xml.document("AccessControlPolicy", [owner, ("AccessControlList", grants)])
    for kind in ("Group", "CanonicalUser"):
        typed = f'<Grantee xmlns:xsi="{XSI}" xsi:type="{kind}">'.encode()
        body = body.replace(f"<Grantee:{kind}>".encode(), typed).replace(f"</Grantee:{kind}>".encode(), b"</Grantee>")
    return Response(200, [s3xml.TYPE], body)
