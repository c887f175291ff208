"""PUT, DELETE and copy of objects, and DeleteObjects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import unquote_to_bytes

from attrs import frozen

from ecpds.errors import (
    AlreadyExists,
    DigestMismatch,
    IsADirectory,
    NotADirectory,
    NotFound,
    Refusal,
)
from ecpds.held import SMALL_FILE
from ecpds.http.message import Response
from ecpds.model import ANYTHING, EMPTY, OBJECT_ACL, OBJECT_GRANTS, Condition, DataFile
from ecpds.portal_interfaces import IDownload, IUpload
from ecpds.protocols import s3_headers, s3_tags
from ecpds.protocols.copying import FromDownload
from ecpds.protocols.held_upload import HeldUpload
from ecpds.protocols.s3_acl import of_object
from ecpds.protocols.s3_call import EMPTY_MD5, Body, Call, body_of, xml_of, xml_response
from ecpds.protocols.s3_conditions import check_read, deletion_condition, failed, write_condition
from ecpds.protocols.s3_errors import S3Error, as_s3, invalid_argument, malformed_xml
from ecpds.terms import Terms
from ecpds.wire import checksums, s3xml
from ecpds.wire.dates import parse_http_date
from ecpds.wire.ranges import Span, spans
from ecpds.wire.sigv4 import STREAMING, UNSIGNED

MOST_DELETED = 1000
MADE_OF_PARTS = (s3_headers.PARTS, s3_headers.PART_SUMS)
SOURCE = "x-amz-copy-source"
SOURCE_IF = "x-amz-copy-source-"
COPY_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})")


async def put_object(call: Call) -> Response:
    """Answer PutObject. An empty object whose key ends in a slash makes a folder, where there is none yet."""
    body = body_of(call)
    if call.key.endswith("/") and body.size == 0 and not _has_notes(call) and await _make_folders(call, body):
        return Response(200, [("ETag", f'"{EMPTY_MD5}"')])
    condition = await write_condition(call)
    file = await store(call, body, condition)
    return Response(200, [("ETag", s3_headers.etag(file)), *s3_headers.checksum_headers(file)])


async def store(call: Call, body: Body, condition: Condition) -> DataFile:
    """Take the body as the object."""
    metadata = {**s3_headers.kept(call.request.headers), **s3_tags.of_headers(call), **of_object(call)}
    if body.asked is not None:
        metadata[s3_headers.CHECKSUM] = body.asked.algorithm
    asked = body.size, Terms(condition, body.expected, metadata, wanted(body))
    upload: IUpload
    if body.size is not None and body.size < SMALL_FILE and call.files.takes_now(call.path):
        upload = HeldUpload(call.files, call.path, *asked)
    else:
        upload = await call.files.open_write(call.path, *asked)
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


def _has_notes(call: Call) -> bool:
    """Whether something is to be kept with the object, which a folder can't."""
    noted = s3_headers.kept(call.request.headers).keys() - {"content-type"}
    return bool(noted or s3_tags.of_headers(call) or of_object(call))


async def _make_folders(call: Call, body: Body) -> bool:
    """Make the folder of a key, and those above it. False where the key has to be kept as an object: for it was one, or the
    folder is there and came with what is in it."""
    there = await call.files.find(call.path, "put")
    if there is not None:
        page = await call.objects.keys(call.bucket, call.key, "", "/", 1)
        return there.is_directory and bool(page.entries) and page.entries[0].path == call.key
    # The end of the body, where the checksums may be that are to be checked.
    await body.source.read_into(memoryview(bytearray(1)))
    names = call.key.removesuffix("/").split("/")
    for depth in range(1, len(names) + 1):
        path = f"/{call.bucket}/{'/'.join(names[:depth])}"
        above = await call.files.find(path, "mkdir")
        if above is None or not above.is_directory:
            await _make_folder(call, path)
    return True


async def _make_folder(call: Call, path: str) -> None:
    try:
        await call.files.make_directory(path)
    except AlreadyExists as refusal:
        # A file; or a folder that somebody else has made meanwhile.
        if not (await call.files.stat(path)).is_directory:
            raise NotADirectory from refusal


@frozen
class Deletion:
    """A key that is to go, and what must be true of it: its ETag, its size, its time in seconds."""

    key: str
    version: str = ""
    tag: str | None = None
    size: str | None = None
    modified: float | None = None


def _time(text: str | None) -> float | None:
    """A time in a request, as headers or as XML writes it. Raises `S3Error`."""
    if text is None:
        return None
    found = parse_http_date(text)
    if found is None:
        try:
            found = int(datetime.fromisoformat(text).timestamp())
        except ValueError:
            raise invalid_argument("A time of the request is malformed.") from None
    return float(found)


async def delete_object(call: Call) -> Response:
    """Answer DeleteObject: a key that is not there is gone, which is what was asked for."""
    modified = _time(call.header("x-amz-if-match-last-modified-time"))
    version, size = call.query.get("versionId", ""), call.header("x-amz-if-match-size")
    await _delete(call, Deletion(call.key, version, call.header("if-match"), size, modified))
    return Response(204)


async def _delete(call: Call, asked: Deletion) -> None:
    path, folder = f"/{call.bucket}/{asked.key}", asked.key.endswith("/")
    there = await call.files.find(path, "rmdir" if folder else "delete")
    if there is None or (there.is_directory and not folder) or asked.version not in ("", "null"):
        await call.files.stat(f"/{call.bucket}")
        return
    try:
        if there.file is None:
            await call.objects.unmark(path)
        else:
            condition = deletion_condition(there.file, asked.tag, asked.size, asked.modified)
            await call.files.delete(path, condition)
            if folder and await call.files.find(path, "rmdir") is not None:
                await call.objects.unmark(path)
    except (NotFound, IsADirectory, NotADirectory):
        # The bucket is there, for the call has got this far; so it is the key that isn't.
        await call.files.stat(f"/{call.bucket}")


async def delete_objects(call: Call) -> Response:
    """Answer DeleteObjects: each key has an outcome of its own."""
    document = await xml_of(call, "Delete")
    objects = document.all("Object")
    quiet = (document.text("Quiet") or "").lower() == "true"
    if not 1 <= len(objects) <= MOST_DELETED:
        raise malformed_xml()
    await call.files.stat(f"/{call.bucket}")
    nodes: list[s3xml.Node] = []
    for each in objects:
        key, version = each.text("Key"), each.text("VersionId")
        if not key:
            raise malformed_xml("an Object has no Key")
        named: list[s3xml.Node] = [("Key", key), ("VersionId", version)]
        try:
            modified = _time(each.text("LastModifiedTime"))
            await _delete(call, Deletion(key, version or "", each.text("ETag"), each.text("Size"), modified))
        except (Refusal, S3Error) as error:
            refused = as_s3(error)
            nodes.append(("Error", [*named, ("Code", refused.code), ("Message", refused.sentence)]))
        else:
            if not quiet:
                nodes.append(("Deleted", named))
    return xml_response("DeleteResult", nodes)


# Copies.


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
        download = await (await call.view_of(bucket, key)).open_read(f"/{bucket}/{key}")
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
        if download.entry.path == call.path:
            copied = await _changed_in_place(call, file, condition, directive)
        else:
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


async def _changed_in_place(call: Call, file: DataFile, condition: Condition, directive: str) -> DataFile:
    """An object that is copied onto itself has other metadata from then on. Its bytes stay where they are."""
    if directive == "COPY" and call.header("x-amz-tagging-directive") != "REPLACE":
        raise S3Error("InvalidRequest", 400, "This copy request is illegal: it changes nothing of the object.")
    wanted = _copied_metadata(call, file.metadata, directive)
    own = {name: text for name, text in file.metadata.items() if name in (s3_headers.ETAG, s3_headers.CHECKSUM, *MADE_OF_PARTS)}
    notes: dict[str, str | None] = {**dict.fromkeys(file.metadata), **wanted, **own}
    pinned = Condition(match=frozenset((file.id,))) if condition == ANYTHING else condition
    entry = await call.objects.annotate(call.path, notes, pinned)
    assert entry.file is not None
    return entry.file


async def _copy(call: Call, download: IDownload, source: DataFile, condition: Condition, directive: str) -> DataFile:
    metadata = _copied_metadata(call, source.metadata, directive)
    digests = ("md5", *checksums.SIZES.keys() & {metadata.get(s3_headers.CHECKSUM, "crc64nvme")})
    upload = await call.files.open_write(call.path, source.size, Terms(condition, EMPTY, metadata, digests))
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
    for name in (s3_headers.ETAG, s3_headers.CHECKSUM, OBJECT_ACL, OBJECT_GRANTS, s3_headers.TAGGING, *MADE_OF_PARTS):
        kept.pop(name, None)
    kept |= of_object(call)
    if (call.header("x-amz-tagging-directive") or "").upper() == "REPLACE":
        kept |= s3_tags.of_headers(call)
    elif s3_headers.TAGGING in metadata:
        kept[s3_headers.TAGGING] = metadata[s3_headers.TAGGING]
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
