"""The S3 door: a destination is a bucket, a path in it a key. Path style; the reference is docs.aws.amazon.com/AmazonS3.

Who tells whom, in what order: the client sends a head, signed; the door asks the portal whose access key that is and gets
the key of the signature's scope, with which it checks the signature before anything else is looked at. Then one function
answers, by method and by the parameter that names what is asked of the bucket or object. A byte of the body is read only
there, which is what lets a client that waits for `100 Continue` send it. Every refusal becomes S3's XML here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count

from attrs import define, evolve, frozen
from twisted.logger import Logger

from ecpds.errors import NotFound, NotPermitted, Refusal
from ecpds.http.message import HttpError, Request, Response
from ecpds.interfaces import IThreads
from ecpds.limits import Limits
from ecpds.model import Origin
from ecpds.portal_interfaces import IFileSystem, IObjects, IPortal
from ecpds.protocols import s3_acl, s3_buckets, s3_lists, s3_multipart, s3_post, s3_read, s3_tags, s3_write
from ecpds.protocols.s3_address import Addresses, is_own
from ecpds.protocols.s3_at_once import AtOnceObjects
from ecpds.protocols.s3_call import Call
from ecpds.protocols.s3_errors import S3Error, as_s3, error_response, not_implemented
from ecpds.wire.forms import boundary_of
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
    unsigned,
)

ONLY_OPEN_OBJECTS = frozenset(("get",))
"""What who visits a bucket holds where nothing but some of its objects may be open to it."""

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
    ("GET", "acl"): s3_acl.bucket_acl,
    ("PUT", "acl"): s3_acl.put_bucket_acl,
    ("GET", "tagging"): s3_tags.get_bucket_tags,
    ("PUT", "tagging"): s3_tags.put_bucket_tags,
    ("DELETE", "tagging"): s3_tags.delete_bucket_tags,
}
OBJECT: dict[tuple[str, str], Verb] = {
    ("GET", ""): s3_read.get_object,
    ("HEAD", ""): s3_read.get_object,
    ("GET", "attributes"): s3_read.object_attributes,
    ("GET", "uploadId"): s3_multipart.list_parts,
    ("GET", "acl"): s3_read.object_acl,
    ("GET", "torrent"): s3_read.torrent,
    ("PUT", "acl"): s3_acl.put_object_acl,
    ("GET", "tagging"): s3_tags.get_tags,
    ("PUT", "tagging"): s3_tags.put_tags,
    ("DELETE", "tagging"): s3_tags.delete_tags,
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
    """Answers requests. `node` is this daemon's name, for the records; `now` are seconds since the epoch.

    `domain` is the name below which a host's name begins with a bucket's; None: buckets are in the path only.
    """

    log = Logger()

    def __init__(
        self,
        portal: IPortal,
        node: str,
        limits: Limits,
        threads: IThreads,
        now: Callable[[], float],
        domain: str | None = None,
    ) -> None:
        self._portal = portal
        self._node = node
        self._limits = limits
        self._threads = threads
        self._now = now
        self._addresses = Addresses(domain)
        self._requests = count(1)
        self.at_once = AtOnceObjects(portal, self._addresses, self._number, now)

    async def handle(self, request: Request) -> Response:
        """Answer one request, whatever comes of it."""
        number = self._number()
        try:
            response = await self._answer(request)
        except (S3Error, SignatureError, HttpError, Refusal) as error:
            response = error_response(as_s3(error), request.path, number)
        response.headers.append(("x-amz-request-id", number))
        return response

    def _number(self) -> str:
        """What the next reply is called."""
        return f"{next(self._requests):016X}"

    async def _answer(self, request: Request) -> Response:
        origin = Origin("s3", request.peer, self._node)
        files: IFileSystem | None = None
        try:
            if request.method == "OPTIONS":
                raise preflight(request)
            query = parse_query(request.query)
            bucket, key = self._addresses.of(request.headers.get("host") or "", request.path)
            signed = signed_by(request.headers, query)
            if signed is not None:
                files, signing_key = await self._login(request, query, signed, origin)
                self.at_once.remember(request, files, signed, signing_key)
                return await self._verb(_Asked(request, query, bucket, key, signed, signing_key), _Views(self, origin, files))
            return await self._unsigned(_Asked(request, query, bucket, key, unsigned(request.headers)), origin)
        except (S3Error, SignatureError) as error:
            # What the portal refused is on record already.
            if not isinstance(error.__cause__, Refusal) and not (isinstance(error, S3Error) and error.status == 304):
                login = "" if files is None else files.identity.login
                self._portal.refused(login, f"{request.method} {request.path}: {error}", origin)
            raise

    async def _login(self, request: Request, query: Query, signed: Signed, origin: Origin) -> tuple[IFileSystem, bytes]:
        """Who sent the request. Nobody, unless its signature is right. Raises `SignatureError` and refusals."""
        check_time(signed, self._now())
        check_headers(signed, [name for name, _ in request.headers.items()])
        files, key = await self._login_with_key(signed, origin)
        fields = {name: ",".join(request.headers.get_all(name)) for name in signed.headers}
        canonical = canonical_request(request.method, request.path, query, fields, signed)
        if not agree(signature(key, signed, canonical), signed.signature):
            sentence = "The request signature we calculated does not match the signature you provided."
            raise SignatureError("SignatureDoesNotMatch", sentence)
        return files, key

    async def _login_with_key(self, signed: Signed, origin: Origin) -> tuple[IFileSystem, bytes]:
        scope = signed.scope
        return await self._portal.login_with_signature(signed.access_key, scope.date, scope.region, scope.service, origin)

    async def _unsigned(self, asked: _Asked, origin: Origin) -> Response:
        """A request of anybody, or a form, which has a signature of its own."""
        views = _Views(self, origin, None)
        if not asked.bucket:
            raise S3Error("AccessDenied", 403, "Access Denied")
        boundary = boundary_of(asked.request.headers.get("content-type")) if asked.request.method == "POST" else None
        if boundary is None or asked.key:
            return await self._verb(asked, views)
        form = await s3_post.read_form(asked.request.body, boundary)
        if "policy" in form.fields:
            login = partial(self._login_with_key, origin=origin)
            views.own = await s3_post.enter(form, asked.bucket, login, self._now())
        request = s3_post.as_put(form, asked.request)
        key = form.key()
        call = await self._call(evolve(asked, request=request, key=key), views)
        return await s3_post.post_object(call, form)

    async def _verb(self, asked: _Asked, views: _Views) -> Response:
        verb = chosen(asked)
        call = await self._call(asked, views, foreign=verb is s3_buckets.create_bucket or not asked.bucket)
        expected = call.header("x-amz-expected-bucket-owner")
        if expected is not None and expected != await s3_acl.owner(call):
            raise S3Error("AccessDenied", 403, "Access Denied")
        try:
            return await verb(call)
        except NotFound as refusal:
            if await call.files.find(f"/{call.bucket}") is None:
                raise s3_buckets.no_such_bucket() from refusal
            raise

    async def _call(self, asked: _Asked, views: _Views, foreign: bool = False) -> Call:
        """The call, with the view of its bucket; `foreign`: that of its user, whosever the bucket is."""
        files = views.own if foreign and views.own is not None else await views.of(asked.bucket, asked.key)
        left = {name: text for name, text in asked.query if not name.startswith("X-Amz-")}
        return Call(
            asked.request,
            files,
            IObjects(files),
            asked.bucket,
            asked.key,
            left,
            asked.signed,
            asked.signing_key,
            self._limits,
            self._threads,
            views.of,
        )

    async def visit(self, bucket: str, origin: Origin, login: str) -> IFileSystem:
        """The view of a bucket that is not the user's own."""
        return await self._portal.visit(bucket, origin, login)


@frozen
class _Asked:
    """A request, by what it is about and how it is signed."""

    request: Request
    query: Query
    bucket: str
    key: str
    signed: Signed
    signing_key: bytes = b""


@define
class _Views:
    """What a client may see: its own buckets, where it has shown who it is, and those that are open."""

    door: S3Door
    origin: Origin
    own: IFileSystem | None

    async def of(self, bucket: str, key: str) -> IFileSystem:
        """The view of a bucket, for what is asked of a key in it. Raises `S3Error`, the same where this client may see nothing
        and where it may not see this key; for users who make no buckets the same for one that is not there, too."""
        own = self.own
        if own is not None and is_own(own.identity, bucket):
            return own
        refused = s3_buckets.no_such_bucket()
        if own is None or await self._is_taken(own, bucket):
            refused = S3Error("AccessDenied", 403, "Access Denied")
        try:
            visited = await self.door.visit(bucket, self.origin, "" if own is None else own.identity.login)
        except NotFound as refusal:
            raise s3_buckets.no_such_bucket() from refusal
        except Refusal as refusal:
            raise refused from refusal
        if visited.identity.permissions == ONLY_OPEN_OBJECTS:
            await self._look(visited, f"/{bucket}/{key}", refused)
        return visited

    async def _look(self, visited: IFileSystem, path: str, refused: S3Error) -> None:
        """Whether an object is open: who may see nothing else does not learn what there is. Raises `refused`."""
        try:
            if (await visited.stat(path, "get")).is_directory:
                raise NotPermitted
        except Refusal as refusal:
            raise refused from refusal

    async def _is_taken(self, own: IFileSystem, bucket: str) -> bool:
        """Whether there is such a bucket, for users who may learn that."""
        try:
            await IObjects(own).bucket(bucket)
        except (NotPermitted, NotFound) as refusal:
            return isinstance(refusal, NotPermitted)
        return True


def preflight(request: Request) -> S3Error:
    """What a browser is told that asks, unsigned, what it may (Fetch standard, "CORS-preflight fetch"): no bucket has rules."""
    if request.headers.get("origin") is None or request.headers.get("access-control-request-method") is None:
        return S3Error("BadRequest", 400, "Insufficient information. Origin and Access-Control-Request-Method are needed.")
    return S3Error("AccessForbidden", 403, "CORSResponse: CORS is not enabled for this bucket.")


def chosen(asked: _Asked) -> Verb:
    """What answers a request. Raises `S3Error`."""
    method, request = asked.request.method, asked.request
    named = [name for name, _ in asked.query if name in SUBRESOURCES]
    what = named[0] if named else ""
    if len(named) > 1:
        raise not_implemented(" and ".join(sorted(named)))
    if not asked.bucket:
        if method != "GET":
            raise S3Error("MethodNotAllowed", 405, "The specified method is not allowed against this resource.")
        return s3_lists.list_buckets
    if not asked.key:
        if method == "GET" and what in s3_buckets.SETTINGS:
            return partial(s3_buckets.read_setting, name=what)
        if method == "DELETE" and what in s3_buckets.ABSENT:
            return s3_buckets.delete_setting
        return _listed(BUCKET, method, what)
    if method == "PUT" and request.headers.get(s3_write.SOURCE) is not None:
        what = f"{what} copy".strip()
    return _listed(OBJECT, method, what)


def _listed(table: dict[tuple[str, str], Verb], method: str, what: str) -> Verb:
    verb = table.get((method, what))
    if verb is None:
        if method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
            raise not_implemented(f"{method} {what}".strip())
        raise S3Error("MethodNotAllowed", 405, "The specified method is not allowed against this resource.")
    return verb
