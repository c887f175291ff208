"""The S3 door: a destination is a bucket, a path in it a key. Path style; the reference is docs.aws.amazon.com/AmazonS3.

Who tells whom, in what order: the client sends a head, signed; the door asks the portal whose access key that is and gets
the key of the signature's scope, with which it checks the signature before anything else is looked at. Then one function
answers, by method and by the parameter that names what is asked of the bucket or object. A byte of the body is read only
there, which is what lets a client that waits for `100 Continue` send it. Every refusal becomes S3's XML here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from urllib.parse import unquote_to_bytes

from twisted.logger import Logger

from ecpds.config import Limits
from ecpds.errors import NotFound, Refusal
from ecpds.http.message import HttpError, Request, Response
from ecpds.interfaces import IFileSystem, IObjects, IPortal, IThreads
from ecpds.model import Origin
from ecpds.protocols import s3_buckets, s3_lists, s3_multipart, s3_read, s3_tags, s3_write
from ecpds.protocols.s3_call import Call
from ecpds.protocols.s3_errors import S3Error, as_s3, error_response, not_implemented
from ecpds.wire.sigv4 import (
    Query,
    SignatureError,
    Signed,
    agree,
    canonical_request,
    check_headers,
    check_time,
    parse_query,
    signature,
    signed_by,
)

Verb = Callable[[Call], Awaitable[Response]]

BUCKET: dict[tuple[str, str], Verb] = {
    ("GET", ""): s3_lists.list_objects,
    ("GET", "list-type"): s3_lists.list_objects_v2,
    ("GET", "versions"): s3_lists.list_versions,
    ("GET", "uploads"): s3_lists.list_uploads,
    ("HEAD", ""): s3_buckets.head_bucket,
    ("PUT", ""): s3_buckets.create_bucket,
    ("DELETE", ""): s3_buckets.delete_bucket,
    ("POST", "delete"): s3_write.delete_objects,
}
OBJECT: dict[tuple[str, str], Verb] = {
    ("GET", ""): s3_read.get_object,
    ("HEAD", ""): s3_read.get_object,
    ("GET", "attributes"): s3_read.object_attributes,
    ("GET", "uploadId"): s3_multipart.list_parts,
    ("GET", "acl"): s3_tags.object_acl,
    ("GET", "tagging"): s3_tags.get_tags,
    ("PUT", ""): s3_write.put_object,
    ("PUT", "copy"): s3_write.copy_object,
    ("PUT", "uploadId"): s3_multipart.put_part,
    ("PUT", "uploadId copy"): s3_multipart.copy_part,
    ("POST", "uploads"): s3_multipart.create,
    ("POST", "uploadId"): s3_multipart.complete,
    ("DELETE", ""): s3_write.delete_object,
    ("DELETE", "uploadId"): s3_multipart.abort,
}
"""What answers: by method, and by the parameter that names what is asked of a bucket or an object."""

SUBRESOURCES = frozenset(
    {name for table in (BUCKET, OBJECT) for _, name in table if name.isalpha() and name != "copy"}
    | s3_buckets.SETTINGS
    | {"list-type", "analytics", "intelligent-tiering", "inventory", "metrics", "select", "torrent", "restore"}
    | {"retention", "legal-hold", "metadataTable", "session"}
)
"""Parameters that ask for something else than the bucket or object itself."""


class S3Door:
    """Answers requests. `node` is this daemon's name, for the records; `now` are seconds since the epoch."""

    log = Logger()

    def __init__(self, portal: IPortal, node: str, limits: Limits, threads: IThreads, now: Callable[[], float]) -> None:
        self._portal = portal
        self._node = node
        self._limits = limits
        self._threads = threads
        self._now = now
        self._requests = count(1)

    async def handle(self, request: Request) -> Response:
        """Answer one request, whatever comes of it."""
        number = f"{next(self._requests):016X}"
        try:
            response = await self._answer(request)
        except (S3Error, SignatureError, HttpError, Refusal) as error:
            response = error_response(as_s3(error), request.path, number)
        response.headers.append(("x-amz-request-id", number))
        return response

    async def _answer(self, request: Request) -> Response:
        origin = Origin("s3", request.peer, self._node)
        try:
            query = parse_query(request.query)
            signed = signed_by(request.headers, query)
            if signed is None:
                raise S3Error("AccessDenied", 403, "Access Denied")
            files, key = await self._login(request, query, signed, origin)
        except (SignatureError, S3Error) as error:
            self._portal.refused("", str(error), origin)
            raise
        try:
            return await self._verb(_call(request, query, files, signed, key, self._limits, self._threads))
        except (S3Error, SignatureError) as error:
            # What the portal refused is on record already.
            if not isinstance(error.__cause__, Refusal) and not (isinstance(error, S3Error) and error.status == 304):
                self._portal.refused(files.identity.login, f"{request.method} {request.path}: {error}", origin)
            raise

    async def _login(self, request: Request, query: Query, signed: Signed, origin: Origin) -> tuple[IFileSystem, bytes]:
        """Who sent the request. Nobody, unless its signature is right. Raises `SignatureError` and refusals."""
        check_time(signed, self._now())
        check_headers(signed, [name for name, _ in request.headers.items()])
        scope = signed.scope
        files, key = await self._portal.login_with_signature(signed.access_key, scope.date, scope.region, scope.service, origin)
        fields = {name: ",".join(request.headers.get_all(name)) for name in signed.headers}
        canonical = canonical_request(request.method, request.path, query, fields, signed)
        if not agree(signature(key, signed, canonical), signed.signature):
            sentence = "The request signature we calculated does not match the signature you provided."
            raise SignatureError("SignatureDoesNotMatch", sentence)
        return files, key

    async def _verb(self, call: Call) -> Response:
        owner = call.header("x-amz-expected-bucket-owner")
        if owner is not None and owner != call.files.identity.login:
            raise S3Error("AccessDenied", 403, "Access Denied")
        if not call.bucket:
            if call.request.method != "GET":
                raise S3Error("MethodNotAllowed", 405, "The specified method is not allowed against this resource.")
            return await s3_lists.list_buckets(call)
        try:
            return await _chosen(call)(call)
        except NotFound as refusal:
            if await call.files.find(f"/{call.bucket}") is None:
                raise s3_buckets.no_such_bucket() from refusal
            raise


def _call(
    request: Request, query: Query, files: IFileSystem, signed: Signed, key: bytes, limits: Limits, threads: IThreads
) -> Call:
    bucket, name = split_path(request.path)
    left = {name: text for name, text in query if not name.startswith("X-Amz-")}
    return Call(request, files, IObjects(files), bucket, name, left, signed, key, limits, threads)


def split_path(raw: str) -> tuple[str, str]:
    """The bucket and the key of a path as it came: decoded once, as a whole, so that all who look see the same."""
    try:
        path = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise S3Error("InvalidURI", 400, "Couldn't parse the specified URI.") from None
    bucket, _, key = path.removeprefix("/").partition("/")
    return bucket, key


def _chosen(call: Call) -> Verb:
    """What answers the call. Raises `S3Error`."""
    method = call.request.method
    named = [name for name in call.query if name in SUBRESOURCES]
    what = named[0] if named else ""
    if len(named) > 1:
        raise not_implemented(" and ".join(sorted(named)))
    if not call.key:
        if method == "GET" and what in s3_buckets.SETTINGS:
            return lambda call: s3_buckets.read_setting(call, what)
        return _listed(BUCKET, method, what)
    if method == "PUT" and call.header(s3_write.SOURCE) is not None:
        what = f"{what} copy".strip()
    return _listed(OBJECT, method, what)


def _listed(table: dict[tuple[str, str], Verb], method: str, what: str) -> Verb:
    verb = table.get((method, what))
    if verb is None:
        if method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
            raise not_implemented(f"{method} {what}".strip())
        raise S3Error("MethodNotAllowed", 405, "The specified method is not allowed against this resource.")
    return verb
