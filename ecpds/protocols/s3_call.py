"""One request to the S3 door, when it is known who sent it and what it is about."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping

from attrs import frozen

from ecpds.http.message import Headers, Request, Response
from ecpds.interfaces import IByteSource, IThreads
from ecpds.limits import Limits
from ecpds.portal_interfaces import IFileSystem, IObjects
from ecpds.protocols.s3_body import AwsChunkedBody, whole
from ecpds.protocols.s3_errors import S3Error, invalid_argument
from ecpds.wire import checksums, s3xml
from ecpds.wire.digests import parse_content_md5
from ecpds.wire.sigv4 import STREAMING, UNSIGNED, UNSIGNED_CHUNKS_TRAILER, ChunkSigner, Signed

SMALL_BODY = 2 << 20
"""Bytes of a body of XML."""


@frozen
class Call:
    """`path` is what the portal calls the object; `query` holds the parameters that are not the signature's.

    `view_of` is what shows this client a key in another bucket; it raises `S3Error` where that may not be.
    """

    request: Request
    files: IFileSystem
    objects: IObjects
    bucket: str
    key: str
    query: Mapping[str, str]
    signed: Signed
    signing_key: bytes
    limits: Limits
    threads: IThreads
    view_of: Callable[[str, str], Awaitable[IFileSystem]]

    @property
    def path(self) -> str:
        return f"/{self.bucket}/{self.key}"

    def header(self, name: str) -> str | None:
        return self.request.headers.get(name)

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A parameter that is a number; one above `most` is `most`. Raises `S3Error`."""
        text = self.query.get(name)
        if text is None or text == "":
            return default
        if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) < least:
            raise invalid_argument(f"{name} is not a number that is allowed.")
        return min(int(text), most)


@frozen
class Body:
    """What comes with a request: `size` as announced, the digests that it must have, and those that are to be computed."""

    source: IByteSource
    size: int | None
    expected: Mapping[str, str]
    asked: checksums.Asked | None

    def late(self) -> Mapping[str, str]:
        """The checksum that came in the trailer. Raises `S3Error`."""
        if not isinstance(self.source, AwsChunkedBody) or self.asked is None or self.asked.digest is not None:
            return {}
        text = self.source.trailers.get(checksums.PREFIX + self.asked.algorithm)
        if text is None:
            return {}
        try:
            return {self.asked.algorithm: checksums.decoded(self.asked.algorithm, text)}
        except ValueError as error:
            raise _bad_checksum(error) from None


def _bad_checksum(error: ValueError) -> S3Error:
    return S3Error("BadDigest" if isinstance(error, checksums.NoDigest) else "InvalidRequest", 400, str(error))


def body_of(call: Call, of_object: bool = False) -> Body:
    """The body that a request announces; `of_object`: its checksum is that of an object, not of the body. Raises `S3Error`."""
    payload = call.signed.payload
    names = [name.strip().lower() for name in (call.header("x-amz-trailer") or "").split(",") if name.strip()]
    if any(not name.startswith(checksums.PREFIX) for name in names) or (names and not payload.endswith("-TRAILER")):
        raise S3Error("InvalidRequest", 400, "The x-amz-trailer is not what the payload mode allows.")
    try:
        asked = checksums.asked(Headers(()) if of_object else call.request.headers, names)
    except ValueError as error:
        raise _bad_checksum(error) from None
    expected = _content_md5(call)
    if asked is not None and asked.digest is not None:
        expected[asked.algorithm] = asked.digest
    if payload not in STREAMING:
        if payload != UNSIGNED and expected.setdefault("sha256", payload) != payload:
            raise S3Error("BadDigest", 400, "The SHA-256 you specified is not that of the signed payload.")
        return Body(call.request.body, call.request.length, expected, asked)
    length = _decoded_length(call)
    signer = None if payload == UNSIGNED_CHUNKS_TRAILER else ChunkSigner(call.signing_key, call.signed)
    source = AwsChunkedBody(call.request.body, length, signer, names, call.threads)
    return Body(source, length, expected, asked)


def _content_md5(call: Call) -> dict[str, str]:
    field = call.header("content-md5")
    try:
        return parse_content_md5(field) if field is not None else {}
    except ValueError:
        raise S3Error("InvalidDigest", 400, "The Content-MD5 you specified is not valid.") from None


def _decoded_length(call: Call) -> int:
    text = call.header("x-amz-decoded-content-length") or ""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise S3Error("MissingContentLength", 411, "An aws-chunked body needs x-amz-decoded-content-length.")
    return int(text)


async def xml_of(call: Call, name: str, of_object: bool = False) -> s3xml.Element:
    """The body, which is XML of that name, when its digests are checked. Raises `S3Error`."""
    body = body_of(call, of_object)
    data = await whole(body.source, SMALL_BODY)
    found: dict[str, str] = {}
    for algorithm, digest in {**body.expected, **body.late()}.items():
        found[algorithm] = await call.threads.run(checksums.digest_of, algorithm, data)
        if found[algorithm] != digest:
            raise S3Error("BadDigest", 400, f"The body does not have the {algorithm} that was announced.")
    try:
        return s3xml.parse(data, name)
    except ValueError as error:
        raise S3Error("MalformedXML", 400, str(error)) from None


def xml_response(name: str, children: list[s3xml.Node], status: int = 200) -> Response:
    return Response(status, [s3xml.TYPE], s3xml.document(name, children))


EMPTY_MD5 = hashlib.md5(usedforsecurity=False).hexdigest()
