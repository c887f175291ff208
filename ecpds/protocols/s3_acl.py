"""ACLs: who else than its user may use a bucket or an object.

A destination is private, open to everybody for reading or for writing too, or readable for every user of the portal; that is
its option `s3.acl`, a canned ACL. Single users may have rights besides, which `s3.grants` lists. An object may have both of its
own, which the portal obeys; one that has none is as open as its bucket, or, in a bucket that an S3 client made, private, as
everywhere in S3. What groups are granted otherwise, or what leaves out the owner, is refused: what is shown is true.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from attrs import frozen

from ecpds.errors import NotPermitted
from ecpds.grants import FULL_CONTROL, MOST, READ_ACL, RIGHTS, WRITE_ACL, Grant, held, parsed, written
from ecpds.http.message import Response
from ecpds.model import OBJECT_ACL, OBJECT_GRANTS, VISITOR, DataFile
from ecpds.options import BUCKET_ACL, BUCKET_GRANTS, BUCKET_OBJECTS, BUCKET_OWNER
from ecpds.people import LOGIN
from ecpds.protocols.s3_call import Call, xml_of
from ecpds.protocols.s3_errors import S3Error, invalid_argument, malformed_xml, not_implemented
from ecpds.protocols.s3_lists import person
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


HEADERS = {f"x-amz-grant-{right.lower().replace('_', '-')}": right for right in RIGHTS}
"""The headers that grant a right to those whom they name."""

GRANTEE = re.compile(r'(id|uri|emailaddress)="?([^",]{1,256})"?', re.IGNORECASE)


@frozen
class Acl:
    """What is granted besides to the owner, who has full control: what a canned ACL grants, and rights of single users."""

    canned: str = PRIVATE
    single: tuple[Grant, ...] = ()


def _read(opened: str | None, single: str | None) -> Acl:
    """What is kept of an ACL."""
    return Acl(opened or PRIVATE, tuple(parsed(single or "")))


def asked(call: Call, known: tuple[str, ...] = tuple(GRANTS)) -> Acl | None:
    """The ACL that a request's headers ask for, if they do. Raises `S3Error`."""
    canned = call.header("x-amz-acl")
    granted = [(HEADERS.get(name), text) for name, text in call.request.headers.items() if name.startswith("x-amz-grant-")]
    if not granted:
        if canned is not None and canned not in known:
            raise invalid_argument("The x-amz-acl is none that is known.")
        return None if canned is None else Acl(canned)
    if canned is not None:
        raise S3Error("InvalidRequest", 400, "Specifying both Canned ACLs and Header Grants is not allowed")
    found = []
    for right, text in granted:
        for each in text.split(","):
            match = GRANTEE.fullmatch(each.strip())
            if right is None or match is None:
                raise invalid_argument("An x-amz-grant- header is malformed.")
            found.append((match[1].lower(), match[2], right))
    return _of_grants(call, found)


async def wanted(call: Call, known: tuple[str, ...] = tuple(GRANTS)) -> Acl:
    """The ACL that is to be set, by headers or by a document. Raises `S3Error`."""
    return asked(call, known) or _of_document(call, await xml_of(call, "AccessControlPolicy"), await owner(call))


def _of_document(call: Call, policy: s3xml.Element, owner: str) -> Acl:
    found = []
    for grant in (each for grants in policy.all("AccessControlList") for each in grants.all("Grant")):
        right, grantees = grant.text("Permission") or "", grant.all("Grantee")
        kinds = {"ID": "id", "URI": "uri", "EmailAddress": "emailaddress"}
        named = [(kind, text) for each in grantees for name, kind in kinds.items() if (text := each.text(name)) is not None]
        if len(grantees) != 1 or len(named) != 1 or right not in RIGHTS:
            raise malformed_xml("a Grant has one Grantee, who is named, and a Permission")
        found.append((*named[0], right))
    if ("id", owner, FULL_CONTROL) not in found:
        raise not_implemented("an ACL that does not leave the owner full control")
    return _of_grants(call, [each for each in found if each[:2] != ("id", owner)])


def _of_grants(call: Call, granted: Iterable[tuple[str, str, str]]) -> Acl:
    """The ACL of grants: what the grantee is named by, its name, and the right. Raises `S3Error`."""
    groups, single = set(), []
    for kind, name, right in granted:
        if kind == "emailaddress":
            raise S3Error("UnresolvableGrantByEmailAddress", 400, "No user here is known by an email address.")
        if kind == "uri":
            groups.add((name.removeprefix(GROUPS), right))
        else:
            single.append((name, right))
    same = [acl for acl, grants in GRANTS.items() if set(grants) == groups]
    if not same:
        raise not_implemented("grants to groups that no canned ACL has")
    if len(single) > MOST or any(not LOGIN.fullmatch(name) for name, _ in single):
        raise invalid_argument("Invalid id, or too many grants.")
    return Acl(same[0], tuple(dict.fromkeys(single)))


def of_object(call: Call) -> dict[str, str]:
    """What is kept of the ACL that an object is put with. The rest of `OF_OBJECTS` opens it to nobody else."""
    acl = asked(call, OF_OBJECTS)
    return {} if acl is None else {name: text for name, text in _notes(acl).items() if text is not None}


def _notes(acl: Acl) -> dict[str, str | None]:
    return {OBJECT_ACL: acl.canned if acl.canned in GRANTS else None, OBJECT_GRANTS: written(acl.single) or None}


async def owner(call: Call) -> str:
    """Whom the bucket belongs to: who asks, where that is one of its users; else who made it, if that is known."""
    identity = call.files.identity
    return (await call.objects.bucket(call.bucket)).get(BUCKET_OWNER, "") if identity.visits else identity.login


async def bucket_acl(call: Call) -> Response:
    """Answer GetBucketAcl."""
    _check(call, READ_ACL)
    return document(await owner(call), of_bucket(await call.objects.bucket(call.bucket)))


def _check(call: Call, right: str) -> None:
    """Who visits needs a right to see or change an ACL. Raises `NotPermitted`."""
    identity = call.files.identity
    if identity.visits and not identity.may(right):
        raise NotPermitted


def of_bucket(settings: Mapping[str, str]) -> Acl:
    """The ACL of a bucket, by its options."""
    return _read(settings.get(BUCKET_ACL), settings.get(BUCKET_GRANTS))


async def is_public(call: Call) -> bool:
    """Whether others than its users may use a bucket."""
    _check(call, READ_ACL)
    return of_bucket(await call.objects.bucket(call.bucket)).canned != PRIVATE


def settings_of(acl: Acl) -> dict[str, str | None]:
    """The options of a bucket that has an ACL."""
    return {BUCKET_ACL: None if acl.canned == PRIVATE else acl.canned, BUCKET_GRANTS: written(acl.single) or None}


async def put_bucket_acl(call: Call) -> Response:
    """Answer PutBucketAcl: what a bucket is already any of its users may ask for."""
    _check(call, WRITE_ACL)
    acl = await wanted(call)
    if of_bucket(await call.objects.bucket(call.bucket)) != acl:
        await call.objects.set_bucket(call.bucket, settings_of(acl))
    return Response(200)


async def object_acl(call: Call, file: DataFile) -> Response:
    """Answer GetObjectAcl: the object's own ACL, or what its bucket makes of it."""
    identity, single = call.files.identity, file.metadata.get(OBJECT_GRANTS, "")
    if identity.visits and "READ_ACP" not in held(single, identity.login if identity.user_id != VISITOR else ""):
        raise NotPermitted
    settings = await call.objects.bucket(call.bucket)
    bucket, has_own = of_bucket(settings).canned, settings.get(BUCKET_OBJECTS) == "own"
    own = file.metadata.get(OBJECT_ACL, PRIVATE if has_own or single else None)
    if not has_own and PRIVATE in (bucket, own):
        own = PRIVATE
    groups = [grant for grant in GRANTS[bucket] if grant[1] == "READ"] if own is None else GRANTS[own]
    return document(await owner(call), Acl(single=tuple(parsed(single))), groups)


async def put_object_acl(call: Call) -> Response:
    """Answer PutObjectAcl."""
    await call.objects.annotate(call.path, _notes(await wanted(call, OF_OBJECTS)))
    return Response(200)


def document(owner: str, acl: Acl, groups: list[tuple[str, str]] | None = None) -> Response:
    """The document that says what is granted: to `groups`, or to those of the canned ACL, to single users, and to the owner."""
    grants: list[Node] = [
        ("Grant", [("Grantee:Group", [("URI", GROUPS + group)]), ("Permission", right)])
        for group, right in (GRANTS[acl.canned] if groups is None else groups)
    ]
    for login, right in (*acl.single, (owner, FULL_CONTROL)):
        grants.append(("Grant", [person("Grantee:CanonicalUser", login), ("Permission", right)]))
    body = s3xml.document("AccessControlPolicy", [person("Owner", owner), ("AccessControlList", grants)])
    for kind in ("Group", "CanonicalUser"):
        typed = f'<Grantee xmlns:xsi="{XSI}" xsi:type="{kind}">'.encode()
        body = body.replace(f"<Grantee:{kind}>".encode(), typed).replace(f"</Grantee:{kind}>".encode(), b"</Grantee>")
    return Response(200, [s3xml.TYPE], body)
