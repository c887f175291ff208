"""Objects that come in parts: create, put and copy parts, list them, complete, abort.

The Master keeps the parts; here are S3's own rules: numbers, the least size, ETags and checksums of parts and wholes.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from ecpds.errors import InvalidRequest, NotFound
from ecpds.http.message import Response
from ecpds.model import Completion, Condition, DataFile, Entry, MultipartUpload, UploadPart
from ecpds.protocols import s3_headers, s3_tags
from ecpds.protocols.copying import FromDownload
from ecpds.protocols.s3_acl import of_object
from ecpds.protocols.s3_call import Call, body_of, xml_of, xml_response
from ecpds.protocols.s3_conditions import write_condition
from ecpds.protocols.s3_errors import S3Error, invalid_argument, malformed_xml
from ecpds.protocols.s3_lists import of_upload
from ecpds.protocols.s3_write import mismatch, open_source, source_span, wanted
from ecpds.wire import checksums, s3xml
from ecpds.wire.ranges import Span
from ecpds.wire.s3xml import Node

LEAST_PART = 5 << 20
"""Bytes of every part but the last."""

MOST_PARTS = 10_000
PAGE = 1000
MOST_SUMS = 1000
"""Parts whose checksums are kept with the object; those of one that has more are told by nobody."""

CRCS = ("crc32", "crc32c", "crc64nvme")
"""What can be of the type FULL_OBJECT; then what can be COMPOSITE."""

COMPOSED = ("crc32", "crc32c", "sha1", "sha256")


def upload_id(call: Call) -> int:
    """Raises `S3Error` for what can be no upload."""
    text = call.query.get("uploadId", "")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise no_such_upload()
    return int(text)


def no_such_upload() -> S3Error:
    return S3Error("NoSuchUpload", 404, "The specified multipart upload does not exist.")


async def find(call: Call) -> MultipartUpload:
    try:
        return await call.objects.upload(call.path, upload_id(call))
    except NotFound as refusal:
        raise no_such_upload() from refusal


def algorithm_and_type(upload: MultipartUpload) -> tuple[str, str]:
    """The checksum that the upload was created for; the CRC that is always kept where it was for none."""
    kind, _, algorithm = upload.metadata.get(s3_headers.CHECKSUM, f"{checksums.FULL} crc64nvme").partition(" ")
    return algorithm, kind


async def create(call: Call) -> Response:
    """Answer CreateMultipartUpload."""
    metadata = {**s3_headers.kept(call.request.headers), **s3_tags.of_headers(call), **of_object(call)}
    algorithm, kind = call.header("x-amz-checksum-algorithm"), call.header("x-amz-checksum-type")
    headers = []
    if algorithm is not None:
        try:
            name = checksums.algorithm_named(algorithm)
        except ValueError as error:
            raise S3Error("InvalidRequest", 400, str(error)) from None
        kind = (kind or (checksums.FULL if name == "crc64nvme" else checksums.COMPOSITE)).upper()
        possible = CRCS if kind == checksums.FULL else COMPOSED if kind == checksums.COMPOSITE else ()
        if name not in possible:
            raise S3Error("InvalidRequest", 400, f"The checksum type cannot be used with the {name} algorithm.")
        metadata[s3_headers.CHECKSUM] = f"{kind} {name}"
        headers = [("x-amz-checksum-algorithm", name.upper()), ("x-amz-checksum-type", kind)]
    elif kind is not None:
        raise S3Error("InvalidRequest", 400, "The x-amz-checksum-type header needs x-amz-checksum-algorithm.")
    id_ = await call.objects.create_upload(call.path, metadata)
    response = xml_response(
        "InitiateMultipartUploadResult", [("Bucket", call.bucket), ("Key", call.key), ("UploadId", str(id_))]
    )
    response.headers += headers
    return response


def _part_number(call: Call) -> int:
    text = call.query.get("partNumber", "")
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MOST_PARTS:
        raise invalid_argument(f"Part number must be an integer between 1 and {MOST_PARTS}, inclusive")
    return int(text[:9])


async def put_part(call: Call) -> Response:
    """Answer UploadPart."""
    number, body = _part_number(call), body_of(call)
    algorithm, _ = algorithm_and_type(await find(call))
    digests = (*wanted(body), algorithm)
    upload = await call.objects.open_part(call.path, upload_id(call), number, body.size, body.expected, digests)
    try:
        await upload.receive(body.source)
        entry = await upload.commit(body.late())
    except Exception as failure:
        await upload.abort(failure)
        raise mismatch(call, failure) from failure
    file = _file(entry)
    shown = body.asked.algorithm if body.asked else algorithm
    checksum = (checksums.PREFIX + shown, checksums.encoded(file.digests[shown]))
    return Response(200, [("ETag", s3_headers.etag(file)), checksum])


async def copy_part(call: Call) -> Response:
    """Answer UploadPartCopy."""
    number = _part_number(call)
    algorithm, _ = algorithm_and_type(await find(call))
    download = await open_source(call)
    failure: BaseException | None = None
    try:
        span = source_span(call, _file(download.entry))
        source = FromDownload(download, span, call.threads)
        file = await _store_part(call, number, span, source, ("md5", algorithm))
    except BaseException as error:
        failure = error
        raise
    finally:
        download.close(failure)
    nodes: list[Node] = [("ETag", s3_headers.etag(file)), ("LastModified", s3xml.timestamp(s3_headers.modified(file)))]
    return xml_response("CopyPartResult", [*nodes, _checksum_node(algorithm, file.digests[algorithm])])


async def _store_part(call: Call, number: int, span: Span, source: FromDownload, digests: Sequence[str]) -> DataFile:
    upload = await call.objects.open_part(call.path, upload_id(call), number, span.length, {}, digests)
    try:
        await upload.receive(source)
        return _file(await upload.commit())
    except Exception as failure:
        await upload.abort(failure)
        raise


def _file(entry: Entry) -> DataFile:
    assert entry.file is not None
    return entry.file


def _checksum_node(algorithm: str, digest: str) -> Node:
    return (f"Checksum{algorithm.upper()}", checksums.encoded(digest))


async def list_parts(call: Call) -> Response:
    """Answer ListParts."""
    upload = await find(call)
    algorithm, kind = algorithm_and_type(upload)
    after = call.number("part-number-marker", 0, 0, MOST_PARTS)
    most = call.number("max-parts", 1000, 0, 1000)
    found = await call.objects.parts(call.path, upload.id, after, most + 1)
    parts = found[:most]
    nodes: list[Node] = []
    for part in parts:
        digest = part.digests.get(algorithm)
        told: list[Node] = [("PartNumber", part.number), ("ETag", _part_etag(part)), ("Size", part.size)]
        if part.created is not None:
            told.append(("LastModified", s3xml.timestamp(part.created)))
        if digest:
            told.append(_checksum_node(algorithm, digest))
        nodes.append(("Part", told))
    more = len(found) > most
    return xml_response(
        "ListPartsResult",
        [
            ("Bucket", call.bucket),
            ("Key", call.key),
            ("UploadId", str(upload.id)),
            ("PartNumberMarker", after),
            ("NextPartNumberMarker", parts[-1].number if parts else after),
            ("MaxParts", most),
            ("IsTruncated", more),
            ("ChecksumAlgorithm", algorithm.upper() if s3_headers.CHECKSUM in upload.metadata else None),
            ("ChecksumType", kind if s3_headers.CHECKSUM in upload.metadata else None),
            *of_upload(call, upload),
            ("StorageClass", "STANDARD"),
            *nodes,
        ],
    )


def _part_etag(part: UploadPart) -> str:
    return f'"{s3_headers.tag(part.segment, part.size, part.digests)}"'


async def abort(call: Call) -> Response:
    """Answer AbortMultipartUpload."""
    try:
        await call.objects.abort(call.path, upload_id(call))
    except NotFound as refusal:
        raise no_such_upload() from refusal
    return Response(204)


@frozen
class Listed:
    """A part as the client names it when it completes the upload."""

    number: int
    etag: str
    checksum: str | None


async def complete(call: Call) -> Response:
    """Answer CompleteMultipartUpload. One that is repeated, after its reply was lost, is answered again."""
    condition = await write_condition(call)
    document = await xml_of(call, "CompleteMultipartUpload", of_object=True)
    id_ = upload_id(call)
    try:
        upload = await call.objects.upload(call.path, id_)
    except NotFound as refusal:
        file = await _completed_before(call, id_)
        if file is None:
            raise no_such_upload() from refusal
    else:
        file = await _complete(call, upload, _listed(document, algorithm_and_type(upload)[0]), condition)
    nodes: list[Node] = [("Bucket", call.bucket), ("Key", call.key), ("ETag", s3_headers.etag(file))]
    checksum = s3_headers.checksum(file)
    if checksum is not None:
        nodes += [(f"Checksum{checksum[0].upper()}", checksum[1]), ("ChecksumType", checksum[2])]
    scheme, host = "https" if call.request.secure else "http", call.header("host") or ""
    nodes.insert(0, ("Location", f"{scheme}://{host}{call.request.path}"))
    return xml_response("CompleteMultipartUploadResult", nodes)


async def _completed_before(call: Call, id_: int) -> DataFile | None:
    entry = await call.files.find(call.path)
    file = entry.file if entry is not None else None
    return file if file is not None and file.id == id_ else None


def _listed(document: s3xml.Element, algorithm: str) -> list[Listed]:
    """The parts that make the object, in order. Of one that is listed more than once, the last counts, as it does when put."""
    found = []
    for part in document.all("Part"):
        number, etag = part.text("PartNumber") or "", part.text("ETag")
        if not number.isascii() or not number.isdigit() or etag is None:
            raise malformed_xml("a Part needs a PartNumber and an ETag")
        found.append(Listed(int(number[:9]), etag.strip().strip('"'), part.text(f"Checksum{algorithm.upper()}")))
    if not 1 <= len(found) <= MOST_PARTS:
        raise malformed_xml("there are no parts, or too many")
    numbers = [part.number for part in found]
    if sorted(numbers) != numbers:
        raise S3Error("InvalidPartOrder", 400, "The list of parts was not in ascending order.")
    return list({part.number: part for part in found}.values())


async def _complete(call: Call, upload: MultipartUpload, listed: Sequence[Listed], condition: Condition) -> DataFile:
    stored = await _stored(call, upload)
    algorithm, kind = algorithm_and_type(upload)
    parts = [_matching(stored.get(each.number), each, algorithm) for each in listed]
    if any(part.size < LEAST_PART for part in parts[:-1]):
        raise S3Error("EntityTooSmall", 400, "Your proposed upload is smaller than the minimum allowed size")
    try:
        entry = await call.objects.complete(call.path, upload.id, whole(call, upload, parts, algorithm, kind), condition)
    except InvalidRequest as refusal:
        raise _invalid_part() from refusal
    return _file(entry)


async def _stored(call: Call, upload: MultipartUpload) -> dict[int, UploadPart]:
    """Every part by its number, asked for in pages."""
    found: dict[int, UploadPart] = {}
    page = await call.objects.parts(call.path, upload.id, 0, PAGE)
    while page:
        found.update((part.number, part) for part in page)
        page = await call.objects.parts(call.path, upload.id, page[-1].number, PAGE)
    return found


def _matching(part: UploadPart | None, listed: Listed, algorithm: str) -> UploadPart:
    digest = part.digests.get(algorithm) if part else None
    if part is None or _part_etag(part).strip('"') != listed.etag:
        raise _invalid_part()
    if listed.checksum is not None and (digest is None or checksums.encoded(digest) != listed.checksum):
        raise _invalid_part()
    return part


def _invalid_part() -> S3Error:
    return S3Error("InvalidPart", 400, "One or more of the specified parts could not be found, or has another ETag.")


def chosen_by_client(upload: MultipartUpload) -> bool:
    """Whether the client named an algorithm when it created the upload."""
    return s3_headers.CHECKSUM in upload.metadata


def _etag_of_whole(upload: MultipartUpload, parts: Sequence[UploadPart]) -> str:
    """AWS's form, or, where parts have no MD5, one that only looks like it."""
    if all("md5" in part.digests for part in parts):
        return checksums.multipart_etag([part.digests["md5"] for part in parts])
    return f"{upload.id:x}-{len(parts)}"


def whole(call: Call, upload: MultipartUpload, parts: Sequence[UploadPart], algorithm: str, kind: str) -> Completion:
    """What is known of the object without reading it: its ETag, its CRCs, and the checksum that was asked for."""
    metadata = {
        s3_headers.ETAG: _etag_of_whole(upload, parts),
        s3_headers.PARTS: str(len(parts)),
    }
    if len(parts) <= MOST_SUMS and chosen_by_client(upload):
        metadata[s3_headers.PART_SUMS] = ",".join(checksums.encoded(part.digests[algorithm]) for part in parts)
    digests = {"crc64nvme": checksums.combined("crc64nvme", [(part.digests["crc64nvme"], part.size) for part in parts])}
    if kind == checksums.FULL:
        digests[algorithm] = checksums.combined(algorithm, [(part.digests[algorithm], part.size) for part in parts])
        value = checksums.encoded(digests[algorithm])
        metadata[s3_headers.CHECKSUM] = algorithm
    else:
        value = checksums.composite(algorithm, [part.digests[algorithm] for part in parts])
        metadata[s3_headers.CHECKSUM] = f"{kind} {algorithm} {value}"
    announced = call.header(checksums.PREFIX + algorithm)
    if announced is not None and announced not in (value, value.partition("-")[0]):
        raise S3Error("BadDigest", 400, f"The {algorithm} you specified did not match the calculated checksum.")
    size = call.header("x-amz-mp-object-size")
    if size is not None and size != str(sum(part.size for part in parts)):
        raise S3Error("InvalidRequest", 400, "The x-amz-mp-object-size is not the size of the parts.")
    return Completion(tuple(parts), digests, metadata)
