"""POST Object: a form that a browser sends, which brings an object with it (S3, "Browser-based uploads using POST").

Who tells whom: the client sends the fields, then the file. The policy says what may come, and its signature, by an access
key, whose leave that is; only then is a byte of the file given to an upload. A form without a policy is allowed what
everybody is. The size is checked as the file comes: one that is too large, or ends too early, publishes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlencode, urlsplit

from attrs import evolve
from zope.interface import implementer

from ecpds.errors import ConnectionLost, InvalidRequest
from ecpds.http.message import Headers, Request, Response
from ecpds.interfaces import IByteSource
from ecpds.model import ANYTHING
from ecpds.portal_interfaces import IFileSystem
from ecpds.protocols import s3_headers
from ecpds.protocols.s3_call import Call, body_of
from ecpds.protocols.s3_errors import S3Error, invalid_argument, malformed_xml
from ecpds.protocols.s3_tags import checked, of_document
from ecpds.protocols.s3_write import store
from ecpds.wire import post_policy, s3xml
from ecpds.wire.forms import FormDecoder
from ecpds.wire.post_policy import PolicyError
from ecpds.wire.s3xml import Node
from ecpds.wire.sigv4 import UNSIGNED, SignatureError, Signed, agree, credential_of, seconds, sign

PIECE = 64 * 1024
AFTER = 64 * 1024
"""Bytes that may follow the file."""

TOKEN = r"[!#$%&'*+.^_`|~0-9a-z-]+"
"""What a header's name is made of, in lower case (RFC 9110 section 5.6.2)."""

AS_HEADERS = re.compile(
    rf"(?:{s3_headers.META}|x-amz-checksum-){TOKEN}|x-amz-sdk-checksum-algorithm|{'|'.join(s3_headers.CONTENT)}"
)
"""Fields that say what the headers of a PUT would."""

Login = Callable[[Signed], Awaitable[tuple[IFileSystem, bytes]]]


class Form:
    """The fields of a form, and the source of its file."""

    def __init__(self, decoder: FormDecoder, body: IByteSource) -> None:
        self.fields = decoder.fields
        self.filename = decoder.filename
        self.file = FormFile(body, decoder)

    def key(self) -> str:
        """The key, with the client's name for the file where it says `${filename}`. Raises `S3Error`."""
        key = self.fields.get("key")
        if not key:
            raise invalid_argument("Bucket POST must contain a field named 'key'.")
        return key.replace("${filename}", self.filename.replace("\\", "/").rsplit("/", 1)[-1])


async def read_form(body: IByteSource, boundary: bytes) -> Form:
    """Read a form up to the content of its file. Raises `InvalidRequest`."""
    decoder, room = FormDecoder(boundary), memoryview(bytearray(PIECE))
    while not decoder.done:
        count = await body.read_into(room)
        if not count:
            raise InvalidRequest("the form ends before its file")
        decoder.feed(room[:count])
    return Form(decoder, body)


@implementer(IByteSource)
class FormFile:
    """The content of a form's file: all up to the boundary. `least` and `most` are what the policy allows of it."""

    def __init__(self, body: IByteSource, decoder: FormDecoder) -> None:
        self._body = body
        self._delimiter = decoder.delimiter
        self._held = decoder.rest
        self._room = memoryview(bytearray(PIECE))
        self._ended = False
        self._size = 0
        self.least, self.most = 0, post_policy.LARGEST

    async def read_into(self, view: memoryview) -> int:
        """Raises `S3Error` for a file of a size that is not allowed, `ConnectionLost` for one without an end."""
        piece = await self._piece(len(view))
        view[: len(piece)] = piece
        self._size += len(piece)
        if self._size > self.most:
            raise S3Error("EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed size")
        if not piece and self._size < self.least:
            raise S3Error("EntityTooSmall", 400, "Your proposed upload is smaller than the minimum allowed size")
        return len(piece)

    async def _piece(self, most: int) -> bytes:
        """Some of the file: never what may be the beginning of the boundary."""
        while not self._ended:
            end = self._held.find(self._delimiter)
            safe = end if end >= 0 else len(self._held) - len(self._delimiter)
            if safe > 0:
                piece, self._held = self._held[: min(safe, most)], self._held[min(safe, most) :]
                return piece
            if end == 0:
                await self._drain()
                break
            count = await self._body.read_into(self._room)
            if not count:
                raise ConnectionLost("the form was cut short")
            self._held += self._room[:count]
        return b""

    async def _drain(self) -> None:
        """What follows the file is no part of the form, and should be short."""
        self._ended, after = True, 0
        while count := await self._body.read_into(self._room):
            after += count
            if after > AFTER:
                raise InvalidRequest("something long follows the file of the form")


def signed_by(fields: dict[str, str]) -> Signed:
    """What a form says of its policy's signature. Raises `SignatureError`."""
    if "awsaccesskeyid" in fields and "x-amz-signature" not in fields:
        if "signature" not in fields:
            raise SignatureError("InvalidArgument", "Bucket POST must contain a field named 'Signature'.")
        raise SignatureError("AccessDenied", "Only Signature Version 4 is accepted here.")
    missing = {"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"} - fields.keys()
    if missing:
        raise SignatureError("InvalidArgument", f"Bucket POST must contain a field named {min(missing)!r}.")
    if fields["x-amz-algorithm"] != "AWS4-HMAC-SHA256":
        raise SignatureError("InvalidArgument", "The x-amz-algorithm is not known here.")
    access_key, scope = credential_of(fields["x-amz-credential"], "InvalidArgument")
    seconds(fields["x-amz-date"])
    return Signed(access_key, scope, fields["x-amz-date"], (), fields["x-amz-signature"], UNSIGNED)


async def enter(form: Form, bucket: str, login: Login, now: float) -> IFileSystem:
    """Whose leave a form with a policy has, when it is what the policy allows. Raises `S3Error`, `SignatureError`."""
    try:
        policy = post_policy.parse(form.fields["policy"])
        form.key()
        signed = signed_by(form.fields)
        files, key = await login(signed)
        if not agree(sign(key, form.fields["policy"]), signed.signature):
            sentence = "The request signature we calculated does not match the signature you provided."
            raise SignatureError("SignatureDoesNotMatch", sentence)
        policy.check({**form.fields, "bucket": bucket}, now)
    except PolicyError as error:
        raise S3Error(error.code, error.status, error.sentence) from error
    form.file.least, form.file.most = policy.least, policy.most
    return files


def as_put(form: Form, request: Request) -> Request:
    """The PUT of an object that says the same. Raises `S3Error`."""
    fields = [(name, value) for name, value in form.fields.items() if AS_HEADERS.fullmatch(name)]
    if "acl" in form.fields:
        fields.append(("x-amz-acl", form.fields["acl"]))
    if "tagging" in form.fields:
        try:
            fields.append((s3_headers.TAGGING, checked(of_document(s3xml.parse(form.fields["tagging"].encode(), "Tagging")))))
        except ValueError as error:
            raise malformed_xml(str(error)) from None
    # A form's texts are in UTF-8, and so are a header's, whose bytes are kept and told as they came.
    headers = Headers((name, value.encode().decode("latin-1")) for name, value in fields if value.isprintable())
    return evolve(request, method="PUT", headers=headers, length=None, body=form.file)


async def post_object(call: Call, form: Form) -> Response:
    """Answer a form that is allowed: `call` is of the PUT that it stands for."""
    file = await store(call, body_of(call), ANYTHING)
    etag = s3_headers.etag(file)
    location = f"/{quote(call.bucket)}/{quote(call.key)}"
    headers = [("ETag", etag), ("Location", location), *s3_headers.checksum_headers(file)]
    redirect = form.fields.get("success_action_redirect", form.fields.get("redirect", ""))
    if urlsplit(redirect).scheme in ("http", "https") and redirect.isascii() and redirect.isprintable():
        query = urlencode({"bucket": call.bucket, "key": call.key, "etag": etag})
        return Response(303, [("Location", f"{redirect}{'&' if '?' in redirect else '?'}{query}"), ("ETag", etag)])
    status = form.fields.get("success_action_status")
    if status == "201":
        told: list[Node] = [("Location", location), ("Bucket", call.bucket), ("Key", call.key), ("ETag", etag)]
        return Response(201, [s3xml.TYPE, *headers], s3xml.document("PostResponse", told, namespace=""))
    return Response(200 if status == "200" else 204, headers)
