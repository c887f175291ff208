"""PUT, DELETE and copy of objects, and DeleteObjects."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from zope.interface import implementer

from ecpds.errors import (
    AlreadyExists,
    DigestMismatch,
    DirectoryNotEmpty,
    IsADirectory,
    NotADirectory,
    NotFound,
    Refusal,
)
from ecpds.http.message import Response
from ecpds.interfaces import IByteSink, IByteSource, IDownload, IThreads
from ecpds.model import ANYTHING, Condition, DataFile
from ecpds.protocols import s3_headers
from ecpds.protocols.s3_call import EMPTY_MD5, Body, Call, body_of, xml_of, xml_response
from ecpds.protocols.s3_conditions import check_read, failed, write_condition
from ecpds.protocols.s3_errors import S3Error, as_s3, invalid_argument, malformed_xml
from ecpds.wire import checksums, s3xml
from ecpds.wire.ranges import Span, spans
from ecpds.wire.sigv4 import STREAMING, UNSIGNED

MOST_DELETED = 1000
SOURCE = "x-amz-copy-source"
SOURCE_IF = "x-amz-copy-source-"
COPY_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})")


async def put_object(call: Call) -> Response:
    """Answer PutObject, and, of a key that ends in a slash, make a folder."""
    body = body_of(call)
    if call.key.endswith("/"):
        return await _put_folder(call, body)
    condition = await write_condition(call)
    file = await store(call, body, condition)
    return Response(200, [("ETag", s3_headers.etag(file)), *s3_headers.checksum_headers(file)])


async def store(call: Call, body: Body, condition: Condition) -> DataFile:
    """Take the body as the object."""
    metadata = s3_headers.kept(call.request.headers)
    if body.asked is not None:
        metadata[s3_headers.CHECKSUM] = body.asked.algorithm
    if (tags := call.header(s3_headers.TAGGING)) is not None:
        metadata[s3_headers.TAGGING] = checked_tags(tags)
    digests = wanted(body)
    upload = await call.files.open_write(call.path, body.size, condition, body.expected, metadata, digests)
    try:
        await upload.receive(body.source)
        entry = await upload.commit(body.late())
    except Exception as failure:
        await upload.abort(failure)
        raise mismatch(call, failure) from failure
    assert entry.file is not None
    return entry.file


def wanted(body: Body) -> tuple[str, ...]:
    """The digests that S3 needs of an object."""
    return ("md5",) if body.asked is None else ("md5", body.asked.algorithm)


def mismatch(call: Call, failure: Exception) -> Exception:
    """A wrong SHA-256 of a signed payload has a code of its own."""
    payload = call.signed.payload
    if isinstance(failure, DigestMismatch) and failure.detail == "sha256" and payload not in (*STREAMING, UNSIGNED):
        return S3Error("XAmzContentSHA256Mismatch", 400, "The body does not have the SHA-256 that was signed.")
    return failure


def checked_tags(text: str) -> str:
    """The tags of a header, as they came. Raises `S3Error` when they are not at most ten `key=value`."""
    pairs = [pair.partition("=") for pair in text.split("&") if pair]
    if len(pairs) > 10 or len({pair[0] for pair in pairs}) != len(pairs):
        raise S3Error("BadRequest", 400, "Object tags cannot be greater than 10, and no key may stand twice")
    for key, _, value in pairs:
        if not key or len(unquote_to_bytes(key)) > 128 or len(unquote_to_bytes(value)) > 256:
            raise S3Error("InvalidTag", 400, "The tag provided was not a valid tag.")
    return text


async def _put_folder(call: Call, body: Body) -> Response:
    """Make the folder, and those above it; one that is there is no error, as of any other key."""
    if body.size or await body.source.read_into(memoryview(bytearray(1))):
        raise S3Error("InvalidObjectName", 400, "A key that ends in a slash is a folder and holds no bytes.")
    names = call.key.removesuffix("/").split("/")
    for depth in range(1, len(names) + 1):
        path = f"/{call.bucket}/{'/'.join(names[:depth])}"
        there = await call.files.find(path, "mkdir")
        if there is None or not there.is_directory:
            await _make_folder(call, path)
    return Response(200, [("ETag", f'"{EMPTY_MD5}"')])


async def _make_folder(call: Call, path: str) -> None:
    try:
        await call.files.make_directory(path)
    except AlreadyExists as refusal:
        # A file; or a folder that somebody else has made meanwhile.
        if not (await call.files.stat(path)).is_directory:
            raise NotADirectory from refusal


async def delete_object(call: Call) -> Response:
    """Answer DeleteObject: a key that is not there is gone, which is what was asked for."""
    condition = ANYTHING
    if call.header("if-match") is not None:
        condition = await write_condition(call)
    await _delete(call, call.key, condition)
    return Response(204)


async def _delete(call: Call, key: str, condition: Condition = ANYTHING) -> None:
    path, folder = f"/{call.bucket}/{key}", key.endswith("/")
    there = await call.files.find(path, "rmdir" if folder else "delete")
    if condition == ANYTHING and (there is None or there.is_directory != folder):
        await call.files.stat(f"/{call.bucket}")
        return
    try:
        if folder:
            await call.files.remove_directory(path)
        else:
            await call.files.delete(path, condition)
    except (NotFound, IsADirectory, NotADirectory):
        # The bucket is there, for the call has got this far; so it is the key that isn't.
        await call.files.stat(f"/{call.bucket}")
    except DirectoryNotEmpty as refusal:
        raise S3Error("OperationAborted", 409, "The folder is not empty; delete what is in it first.") from refusal


async def delete_objects(call: Call) -> Response:
    """Answer DeleteObjects: each key has an outcome of its own."""
    document = await xml_of(call, "Delete")
    objects = document.all("Object")
    quiet = (document.text("Quiet") or "").lower() == "true"
    if not 1 <= len(objects) <= MOST_DELETED:
        raise malformed_xml()
    await call.files.stat(f"/{call.bucket}")
    nodes: list[s3xml.Node] = []
    for each in sorted(objects, key=lambda element: element.text("Key") or "", reverse=True):
        key = each.text("Key")
        if not key:
            raise malformed_xml("an Object has no Key")
        try:
            await _delete(call, key, await _deletion_condition(call, key, each.text("ETag")))
        except (Refusal, S3Error) as error:
            refused = as_s3(error)
            nodes.append(("Error", [("Key", key), ("Code", refused.code), ("Message", refused.sentence)]))
        else:
            if not quiet:
                nodes.append(("Deleted", [("Key", key)]))
    return xml_response("DeleteResult", nodes)


async def _deletion_condition(call: Call, key: str, tag: str | None) -> Condition:
    if tag is None:
        return ANYTHING
    file = (await call.files.stat(f"/{call.bucket}/{key}")).file
    if file is None or tag not in ("*", s3_headers.etag(file), s3_headers.etag(file).strip('"')):
        raise failed()
    return Condition(match=frozenset((file.id,)))


# Copies.


@implementer(IByteSink)
class Into:
    """A sink that fills a buffer."""

    def __init__(self, view: memoryview, threads: IThreads) -> None:
        self._view = view
        self._threads = threads

    async def write(self, data: bytes | memoryview) -> None:
        self._view[: len(data)] = data
        self._view = self._view[len(data) :]

    async def send_file(self, fd: int, offset: int, length: int) -> None:
        while length:
            count = await self._threads.run(os.preadv, fd, [self._view[:length]], offset)
            if not count:
                raise NotFound("the source ended before its length")
            self._view = self._view[count:]
            offset, length = offset + count, length - count


@implementer(IByteSource)
class FromDownload:
    """A span of an open file as a source."""

    def __init__(self, download: IDownload, span: Span, threads: IThreads) -> None:
        self._download = download
        self._offset, self._left = span.offset, span.length
        self._threads = threads

    async def read_into(self, view: memoryview) -> int:
        count = min(len(view), self._left)
        if count:
            await self._download.send(Into(view[:count], self._threads), self._offset, count)
            self._offset += count
            self._left -= count
        return count


async def open_source(call: Call) -> IDownload:
    """The object that x-amz-copy-source names, when its conditions hold. Raises `S3Error`."""
    raw, _, version = (call.header(SOURCE) or "").partition("?versionId=")
    try:
        source = unquote_to_bytes(raw).decode("utf-8").removeprefix("/")
    except UnicodeDecodeError:
        raise invalid_argument("The x-amz-copy-source is not UTF-8.") from None
    bucket, slash, key = source.partition("/")
    if not (bucket and slash and key) or version not in ("", "null"):
        raise invalid_argument("The x-amz-copy-source must be BUCKET/KEY.")
    try:
        download = await call.files.open_read(f"/{bucket}/{key}")
    except (IsADirectory, NotADirectory):
        raise NotFound from None
    try:
        file = download.entry.file
        assert file is not None
        if not check_read(call, file, SOURCE_IF):
            raise failed()
    except BaseException as failure:
        download.close(failure)
        raise
    return download


async def copy_object(call: Call) -> Response:
    """Answer CopyObject: with the source's metadata, or the request's."""
    directive = (call.header("x-amz-metadata-directive") or "COPY").upper()
    if directive not in ("COPY", "REPLACE"):
        raise invalid_argument("Unknown metadata directive.")
    condition = await write_condition(call)
    download = await open_source(call)
    failure: BaseException | None = None
    try:
        file = download.entry.file
        assert file is not None
        if directive == "COPY" and download.entry.path == call.path:
            raise S3Error("InvalidRequest", 400, "This copy request is illegal: it changes nothing of the object.")
        copied = await _copy(call, download, file, condition, directive)
    except BaseException as error:
        failure = error
        raise
    finally:
        download.close(failure)
    nodes: list[s3xml.Node] = [
        ("ETag", s3_headers.etag(copied)),
        ("LastModified", s3xml.timestamp(s3_headers.modified(copied))),
    ]
    checksum = s3_headers.checksum(copied)
    if checksum is not None:
        nodes += [(f"Checksum{checksum[0].upper()}", checksum[1]), ("ChecksumType", checksum[2])]
    return xml_response("CopyObjectResult", nodes)


async def _copy(call: Call, download: IDownload, source: DataFile, condition: Condition, directive: str) -> DataFile:
    metadata = _copied_metadata(call, source.metadata, directive)
    digests = ("md5", *checksums.SIZES.keys() & {metadata.get(s3_headers.CHECKSUM, "crc64nvme")})
    upload = await call.files.open_write(call.path, source.size, condition, {}, metadata, digests)
    try:
        await upload.receive(FromDownload(download, Span(0, source.size), call.threads))
        entry = await upload.commit()
    except Exception as failure:
        await upload.abort(failure)
        raise
    assert entry.file is not None
    return entry.file


def _copied_metadata(call: Call, metadata: Mapping[str, str], directive: str) -> dict[str, str]:
    kept = s3_headers.kept(call.request.headers) if directive == "REPLACE" else dict(metadata)
    for name in (s3_headers.ETAG, s3_headers.CHECKSUM, s3_headers.PARTS):
        kept.pop(name, None)
    algorithm = call.header("x-amz-checksum-algorithm")
    chosen = metadata.get(s3_headers.CHECKSUM, "") if algorithm is None else algorithm.lower()
    if chosen in checksums.SIZES:
        kept[s3_headers.CHECKSUM] = chosen
    elif algorithm is not None:
        raise S3Error("InvalidRequest", 400, "Checksum algorithm provided is unsupported.")
    return kept


def source_span(call: Call, file: DataFile) -> Span:
    """The bytes of a part's source. Raises `S3Error`."""
    field = call.header("x-amz-copy-source-range")
    if field is None:
        return Span(0, file.size)
    match = COPY_RANGE.fullmatch(field)
    found = spans(field, file.size) if match else None
    if match is None or not found or int(match[2]) >= file.size:
        raise S3Error("InvalidRange" if match else "InvalidArgument", 416 if match else 400, "The range is not valid.")
    return found[0]
