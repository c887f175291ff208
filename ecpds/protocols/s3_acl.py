"""Canned ACLs: who else than its user may use a bucket or an object.

A destination is private, open to everybody for reading or for writing too, or readable for every user of the portal; that is
its option `s3.acl`. An object may have an ACL of its own, which the portal obeys; one that has none is as open as its bucket,
or, in a bucket that an S3 client made, private, as everywhere in S3. What is no canned ACL is refused: what is shown is true.
"""

from __future__ import annotations

from ecpds.errors import NotPermitted
from ecpds.http.message import Response
from ecpds.model import OBJECT_ACL, VISITOR, DataFile
from ecpds.options import BUCKET_ACL, BUCKET_OBJECTS
from ecpds.protocols.s3_call import Call, xml_of
from ecpds.protocols.s3_errors import S3Error, invalid_argument, malformed_xml, not_implemented
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
"""The canned ACLs: which group is granted what."""

OF_OBJECTS = (*GRANTS, "bucket-owner-read", "bucket-owner-full-control", "aws-exec-read")


def canned(call: Call, known: tuple[str, ...] = tuple(GRANTS)) -> str | None:
    """The ACL that a request's headers ask for. Raises `S3Error` for one that is not known, and for grants one by one."""
    if any(name.startswith("x-amz-grant-") for name, _ in call.request.headers.items()):
        raise not_implemented("grants other than canned ACLs")
    acl = call.header("x-amz-acl")
    if acl is not None and acl not in known:
        raise invalid_argument("The x-amz-acl is none that is known.")
    return acl


async def wanted(call: Call, known: tuple[str, ...] = tuple(GRANTS)) -> str:
    """The ACL that is to be set, by a header or by a document. Raises `S3Error` for what no canned ACL is."""
    acl = canned(call, known)
    return _granted(call, await xml_of(call, "AccessControlPolicy")) if acl is None else acl


def _granted(call: Call, policy: s3xml.Element) -> str:
    """The canned ACL that grants the same."""
    owned, to_groups = False, set()
    for grant in (each for grants in policy.all("AccessControlList") for each in grants.all("Grant")):
        right, grantees = grant.text("Permission") or "", grant.all("Grantee")
        if len(grantees) != 1:
            raise malformed_xml("a Grant has one Grantee")
        group = grantees[0].text("URI")
        if grantees[0].text("EmailAddress") is not None:
            raise S3Error("UnresolvableGrantByEmailAddress", 400, "No user here is known by an email address.")
        if group is not None:
            to_groups.add((group.removeprefix(GROUPS), right))
        elif (grantees[0].text("ID"), right) == (call.files.identity.login, "FULL_CONTROL"):
            owned = True
        else:
            raise not_implemented("a grant to a single user")
    same = [acl for acl, grants in GRANTS.items() if set(grants) == to_groups]
    if not same or not owned:
        raise not_implemented("grants that no canned ACL has")
    return same[0]


def of_object(call: Call) -> dict[str, str]:
    """What is kept of the ACL that an object is put with. The rest of `OF_OBJECTS` opens it to nobody else."""
    acl = canned(call, OF_OBJECTS)
    return {OBJECT_ACL: acl} if acl in GRANTS else {}


async def bucket_acl(call: Call) -> Response:
    """Answer GetBucketAcl."""
    return document(call, GRANTS[await _acl_of_bucket(call)])


async def _acl_of_bucket(call: Call) -> str:
    if call.files.identity.user_id == VISITOR:
        raise S3Error("AccessDenied", 403, "Access Denied")
    return (await call.objects.bucket(call.bucket)).get(BUCKET_ACL, PRIVATE)


async def is_public(call: Call) -> bool:
    """Whether others than its users may use a bucket."""
    return await _acl_of_bucket(call) != PRIVATE


async def put_bucket_acl(call: Call) -> Response:
    """Answer PutBucketAcl: what a bucket is already anybody may ask for."""
    acl = await wanted(call)
    if (await _acl_of_bucket(call)) != acl:
        await call.objects.set_bucket(call.bucket, {BUCKET_ACL: None if acl == PRIVATE else acl})
    return Response(200)


async def object_acl(call: Call, file: DataFile) -> Response:
    """Answer GetObjectAcl: the object's own ACL, or what its bucket makes of it."""
    of_bucket = await _acl_of_bucket(call)
    has_own = (await call.objects.bucket(call.bucket)).get(BUCKET_OBJECTS) == "own"
    own = file.metadata.get(OBJECT_ACL, PRIVATE if has_own else None)
    if not has_own and PRIVATE in (of_bucket, own):
        own = PRIVATE
    return document(call, [grant for grant in GRANTS[of_bucket] if grant[1] == "READ"] if own is None else GRANTS[own])


async def put_object_acl(call: Call) -> Response:
    """Answer PutObjectAcl."""
    if call.files.identity.user_id == VISITOR:
        raise NotPermitted
    acl = await wanted(call, OF_OBJECTS)
    await call.objects.annotate(call.path, {OBJECT_ACL: acl if acl in GRANTS else None})
    return Response(200)


def document(call: Call, granted: list[tuple[str, str]]) -> Response:
    """The document that says what is granted; everything belongs to who asks."""
    login = call.files.identity.login
    owner: Node = ("Owner", [("ID", login), ("DisplayName", login)])
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
