"""GET and HEAD of an object: conditions, one range or one part, what is known of it, and the bytes."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from zope.interface import implementer

from ecpds.errors import Incomplete, IsADirectory, NotADirectory, NotFound
from ecpds.http.message import IBody, Response
from ecpds.interfaces import IByteSink
from ecpds.model import DataFile, Entry, Segment
from ecpds.portal_interfaces import IDownload
from ecpds.protocols import s3_acl, s3_headers
from ecpds.protocols.s3_call import EMPTY_MD5, Call, xml_response
from ecpds.protocols.s3_conditions import ConditionFields, check_read, not_modified
from ecpds.protocols.s3_errors import Header, S3Error, invalid_argument
from ecpds.wire import checksums, s3xml
from ecpds.wire.conditions import range_applies
from ecpds.wire.dates import http_date
from ecpds.wire.ranges import Span, spans, unsatisfied_range

OVERRIDES = {f"response-{name}": name for name in s3_headers.CONTENT}
FOLDER_TYPE = "application/x-directory"
DECISIVE = ("range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
"""The header fields by which a request may be answered with something else than the whole file."""


@frozen
class Reply:
    """What a file's state makes of a request."""

    status: int
    headers: list[Header]
    span: Span


@implementer(IBody)
class ObjectBody:
    """A span of an open file; without one, HEAD's: only its length is told."""

    def __init__(self, span: Span, download: IDownload | None = None) -> None:
        self.length: int | None = span.length
        self._offset = span.offset
        self._download = download

    async def send(self, sink: IByteSink) -> None:
        if self._download is None:
            raise Incomplete("only its length is known")
        await self._download.send(sink, self._offset, self.length)

    def close(self, failure: BaseException | None = None) -> None:
        if self._download is not None:
            self._download.close(failure)


async def get_object(call: Call) -> Response:
    """Answer a GET or a HEAD."""
    _check_version(call)
    if call.key.endswith("/") and await _is_folder(call):
        return await _folder_mark(call)
    if _asks_for_all(call):
        return await _whole(call)
    entry = await found(call)
    assert entry.file is not None
    reply = decide(call, entry.file)
    if call.request.method == "HEAD":
        return Response(reply.status, reply.headers, ObjectBody(reply.span))
    download = await call.files.open_read(call.path)
    try:
        opened = download.entry.file
        assert opened is not None
        if opened.id != entry.file.id:
            reply = decide(call, opened)
    except BaseException as failure:
        download.close(failure)
        raise
    return Response(reply.status, reply.headers, ObjectBody(reply.span, download))


def _asks_for_all(call: Call) -> bool:
    """Whether a GET is for all of a file in whatever state it is, so that one look at it, as it is opened, is enough."""
    return call.request.method == "GET" and not call.query and not any(name in call.request.headers for name in DECISIVE)


async def _whole(call: Call) -> Response:
    try:
        download = await call.files.open_read(call.path)
    except (IsADirectory, NotADirectory):
        raise NotFound from None
    file = download.entry.file
    assert file is not None
    headers = s3_headers.whole_headers(file, _checksums_wanted(call))
    return Response(200, headers, ObjectBody(Span(0, file.size), download))


async def object_acl(call: Call) -> Response:
    """Answer GetObjectAcl. It may be told to who may not read the object."""
    file = (await found(call, None if call.files.identity.visits else "get")).file
    assert file is not None
    return await s3_acl.object_acl(call, file)


async def torrent(call: Call) -> Response:
    """Answer GetObjectTorrent: no object has one."""
    await found(call)
    raise S3Error("NoSuchKey", 404, "There is no torrent of this object.")


async def found(call: Call, permission: str | None = "get") -> Entry:
    """The file that the key names, for who holds `permission`. A path that only folders have is no key. Raises `NotFound`."""
    try:
        entry = await call.files.stat(call.path, permission)
    except NotADirectory:
        raise NotFound from None
    if entry.file is None:
        raise NotFound
    return entry


async def _is_folder(call: Call) -> bool:
    """Whether a key that ends in a slash has no bytes that a client put."""
    there = await call.files.find(call.path, "get")
    return there is None or there.is_directory


async def _folder_mark(call: Call) -> Response:
    """A folder that somebody made is an empty object whose key ends in a slash."""
    page = await call.objects.keys(call.bucket, call.key, "", "/", 1)
    if not page.entries or page.entries[0].path != call.key:
        raise NotFound
    made = http_date(int(page.entries[0].mtime))
    headers = [("Content-Type", FOLDER_TYPE), ("ETag", f'"{EMPTY_MD5}"'), ("Last-Modified", made), ("Accept-Ranges", "bytes")]
    return Response(200, headers, b"")


def _check_version(call: Call) -> None:
    if call.query.get("versionId", "null") not in ("null", ""):
        raise S3Error("NoSuchVersion", 404, "The specified version does not exist.")


def decide(call: Call, file: DataFile) -> Reply:
    """Evaluate a request against a file. Raises `S3Error` 304, 412 and 416."""
    if not check_read(call, file):
        raise not_modified(file)
    headers = _overridden(call, s3_headers.object_headers(file))
    span = _span(call, file)
    if span is None:
        if _checksums_wanted(call):
            headers += s3_headers.checksum_headers(file)
        return Reply(200, headers, Span(0, file.size))
    if "partNumber" in call.query:
        headers += _of_part(call, file)
    if not span.length:
        return Reply(200, headers, span)
    return Reply(206, [*headers, ("Content-Range", span.content_range(file.size))], span)


def _checksums_wanted(call: Call) -> bool:
    return s3_headers.checksums_wanted(call.request.headers)


def _of_part(call: Call, file: DataFile) -> list[Header]:
    """How many parts there are, and the checksum of the one that is asked for: its own, and the type is the object's."""
    count = file.metadata.get(s3_headers.PARTS)
    if count is None:
        return s3_headers.checksum_headers(file) if _checksums_wanted(call) else []
    told: list[Header] = [("x-amz-mp-parts-count", count)]
    kind, sums = s3_headers.checksum_kind(file), file.metadata.get(s3_headers.PART_SUMS)
    if sums is not None and kind is not None and _checksums_wanted(call):
        own = sums.split(",")[call.number("partNumber", 1, 1, len(file.segments)) - 1]
        told += [(checksums.PREFIX + kind[0], own), ("x-amz-checksum-type", kind[1])]
    return told


def _overridden(call: Call, headers: list[Header]) -> list[Header]:
    """With the response headers that a signed request asks for."""
    asked = {name: call.query[parameter] for parameter, name in OVERRIDES.items() if call.query.get(parameter)}
    if any(not value.isprintable() or not value.isascii() for value in asked.values()):
        raise invalid_argument("A response- parameter is not a header's value.")
    return [pair for pair in headers if pair[0].lower() not in asked] + [(name.title(), asked[name]) for name in asked]


def _span(call: Call, file: DataFile) -> Span | None:
    """The bytes that are asked for; None: all. Raises `S3Error` 416."""
    field = call.header("range")
    if "partNumber" in call.query:
        if field is not None:
            raise S3Error("InvalidRequest", 400, "Cannot specify both Range header and partNumber query parameter")
        return _part(call, file)
    if field is None or not range_applies(ConditionFields(call), s3_headers.represented(file)):
        return None
    ranges = spans(field, file.size)
    if ranges == []:
        unsatisfied = ("Content-Range", unsatisfied_range(file.size))
        raise S3Error("InvalidRange", 416, "The requested range is not satisfiable", [unsatisfied])
    return ranges[0] if ranges and len(ranges) == 1 else None


def _part(call: Call, file: DataFile) -> Span:
    number = call.number("partNumber", 1, 1, 10_001)
    parts: Sequence[Segment] = file.segments if s3_headers.PARTS in file.metadata else file.segments[:1]
    if number > max(len(parts), 1):
        raise S3Error("InvalidPart", 400, "The requested partnumber is not satisfiable")
    return Span(sum(part.length for part in parts[: number - 1]), parts[number - 1].length if parts else 0)


async def object_attributes(call: Call) -> Response:
    """Answer GetObjectAttributes."""
    _check_version(call)
    file = (await found(call)).file
    assert file is not None
    asked = {each.strip() for each in (call.header("x-amz-object-attributes") or "").split(",") if each.strip()}
    known = {"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}
    if not asked or not asked <= known:
        raise invalid_argument("x-amz-object-attributes holds none, or one that is not known.")
    nodes: list[s3xml.Node] = []
    if "ETag" in asked:
        nodes.append(("ETag", s3_headers.etag(file).strip('"')))
    checksum = s3_headers.checksum(file)
    if "Checksum" in asked and checksum is not None:
        nodes.append(("Checksum", [(f"Checksum{checksum[0].upper()}", checksum[1]), ("ChecksumType", checksum[2])]))
    if "ObjectParts" in asked and s3_headers.PARTS in file.metadata:
        nodes.append(("ObjectParts", _parts(call, file)))
    if "StorageClass" in asked:
        nodes.append(("StorageClass", "STANDARD"))
    if "ObjectSize" in asked:
        nodes.append(("ObjectSize", file.size))
    response = xml_response("GetObjectAttributesResponse", nodes)
    response.headers.append(("Last-Modified", http_date(int(s3_headers.modified(file)))))
    return response


def _parts(call: Call, file: DataFile) -> list[s3xml.Node]:
    """A page of the parts that an object came in."""
    marker, most = call.header("x-amz-part-number-marker") or "0", call.header("x-amz-max-parts") or "1000"
    if not marker.isdigit() or not most.isdigit() or max(len(marker), len(most)) > 9:
        raise invalid_argument("x-amz-part-number-marker or x-amz-max-parts is not a number that is allowed.")
    first, limit = int(marker), min(int(most), 1000)
    sums = file.metadata.get(s3_headers.PART_SUMS, "").split(",")
    checksum = s3_headers.checksum(file)
    page: list[s3xml.Node] = []
    for number, segment in enumerate(file.segments[first : first + limit], first + 1):
        told: list[s3xml.Node] = [("PartNumber", number), ("Size", segment.length)]
        if checksum is not None and len(sums) == len(file.segments):
            told.append((f"Checksum{checksum[0].upper()}", sums[number - 1]))
        page.append(("Part", told))
    return [
        ("PartsCount", file.metadata[s3_headers.PARTS]),
        ("PartNumberMarker", first),
        ("NextPartNumberMarker", first + len(page)),
        ("MaxParts", limit),
        ("IsTruncated", first + len(page) < len(file.segments)),
        *page,
    ]
