"""Lists: the buckets, the objects of one (three forms), and the uploads under way."""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from urllib.parse import quote

from ecpds.http.message import Response
from ecpds.model import INITIATOR, DataFile, Entry, KeyPage, MultipartUpload
from ecpds.protocols import s3_headers
from ecpds.protocols.s3_call import EMPTY_MD5, Call, xml_response
from ecpds.protocols.s3_errors import invalid_argument
from ecpds.wire import checksums, s3xml
from ecpds.wire.s3xml import Node

PAGE = 1000
ONLY_VERSION = s3xml.written([("VersionId", "null"), ("IsLatest", True)])


def person(element: str, login: str) -> Node:
    """A user, as S3 shows one."""
    return (element, [("ID", login), ("DisplayName", login)])


def owner(call: Call) -> Node:
    """What is listed belongs to who asks, as far as anybody is told."""
    return person("Owner", call.files.identity.login)


def of_upload(call: Call, upload: MultipartUpload) -> list[Node]:
    """Who began an upload; its parts are that user's until it is complete."""
    login = upload.metadata.get(INITIATOR, call.files.identity.login)
    return [person("Initiator", login), person("Owner", login)]


async def list_buckets(call: Call) -> Response:
    prefix = call.query.get("prefix", "")
    most = call.number("max-buckets", 10_000, 1, 10_000)
    after = _untoken(call.query["continuation-token"]) if "continuation-token" in call.query else None
    found: list[Entry] = []
    while len(found) <= most:
        page = await call.files.list("/", after)
        found += [entry for entry in page.entries if entry.is_directory and entry.name.startswith(prefix)]
        after = page.after
        if after is None:
            break
    nodes: list[Node] = [
        ("Bucket", [("Name", entry.name), ("CreationDate", s3xml.timestamp(entry.mtime))]) for entry in found[:most]
    ]
    last = found[most - 1].name if len(found) > most else None
    tail: list[Node] = [("ContinuationToken", _token(last))] if last else []
    return xml_response("ListAllMyBucketsResult", [owner(call), ("Buckets", nodes), *tail, ("Prefix", prefix or None)])


async def list_objects(call: Call) -> Response:
    """ListObjects, the first version."""
    marker = call.query.get("marker", "")
    most, page = await _page(call, marker)
    name = _encoding(call)
    delimiter = call.query.get("delimiter", "")
    return xml_response(
        "ListBucketResult",
        [
            # boto3 and the AWS CLI decode all that is encoded here, but not this.
            *_head(call, most, call.query.get("prefix", "")),
            ("Marker", name(marker)),
            ("NextMarker", name(page.after) if page.after is not None and delimiter else None),
            ("IsTruncated", page.after is not None),
            _keys(call, page, "Contents", owned=True),
            *_prefixes(call, page),
        ],
    )


async def list_objects_v2(call: Call) -> Response:
    token, start = call.query.get("continuation-token"), call.query.get("start-after", "")
    most, page = await _page(call, _untoken(token) if token else start)
    name = _encoding(call)
    shown = call.query.get("fetch-owner", "").lower() == "true"
    return xml_response(
        "ListBucketResult",
        [
            *_head(call, most),
            ("KeyCount", len(page.entries) + len(page.prefixes)),
            ("StartAfter", name(start) if start else None),
            ("ContinuationToken", token),
            ("NextContinuationToken", _token(page.after) if page.after is not None else None),
            ("IsTruncated", page.after is not None),
            _keys(call, page, "Contents", shown),
            *_prefixes(call, page),
        ],
    )


async def list_versions(call: Call) -> Response:
    """ListObjectVersions, of a bucket that has one version of each."""
    marker = call.query.get("key-marker", "")
    most, page = await _page(call, marker)
    name = _encoding(call)
    return xml_response(
        "ListVersionsResult",
        [
            *_head(call, most),
            ("KeyMarker", name(marker)),
            ("VersionIdMarker", call.query.get("version-id-marker", "")),
            ("NextKeyMarker", name(page.after) if page.after is not None else None),
            ("NextVersionIdMarker", "null" if page.after is not None else None),
            ("IsTruncated", page.after is not None),
            _keys(call, page, "Version", owned=True, first=ONLY_VERSION),
            *_prefixes(call, page),
        ],
    )


async def list_uploads(call: Call) -> Response:
    """ListMultipartUploads."""
    query, name = call.query, _encoding(call)
    most = call.number("max-uploads", PAGE, 1, PAGE)
    marker, id_marker = query.get("key-marker", ""), query.get("upload-id-marker", "")
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    after_id = int(id_marker) if id_marker.isascii() and id_marker.isdigit() and len(id_marker) < 19 else (1 << 62)
    found = await call.objects.uploads(call.bucket, prefix, marker, after_id, most + 1)
    uploads: list[Node] = []
    prefixes: dict[str, None] = {}
    for each in found[:most]:
        end = each.path.find(delimiter, len(prefix)) if delimiter else -1
        if end >= 0:
            prefixes[each.path[: end + len(delimiter)]] = None
            continue
        times: list[Node] = [("StorageClass", "STANDARD"), ("Initiated", s3xml.timestamp(each.created))]
        uploads.append(("Upload", [("Key", name(each.path)), ("UploadId", str(each.id)), *of_upload(call, each), *times]))
    last = found[most - 1] if len(found) > most else None
    return xml_response(
        "ListMultipartUploadsResult",
        [
            ("Bucket", call.bucket),
            ("KeyMarker", name(marker)),
            ("UploadIdMarker", id_marker),
            ("NextKeyMarker", name(last.path) if last else None),
            ("NextUploadIdMarker", str(last.id) if last else None),
            ("Prefix", name(prefix)),
            ("Delimiter", name(delimiter) if delimiter else None),
            ("EncodingType", query.get("encoding-type")),
            ("MaxUploads", most),
            ("IsTruncated", last is not None),
            *uploads,
            *(("CommonPrefixes", [("Prefix", name(each))]) for each in prefixes),
        ],
    )


async def _page(call: Call, after: str) -> tuple[int, KeyPage]:
    """The number that is asked for, and so many keys."""
    most = call.number("max-keys", PAGE, 0, PAGE)
    prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
    if delimiter and call.query.get("allow-unordered") == "true":
        raise invalid_argument("What is grouped by a delimiter is in order.")
    page = await call.objects.keys(call.bucket, prefix, after, delimiter, max(most, 1))
    return most, page if most else KeyPage(())


def _head(call: Call, most: int, prefix: str | None = None) -> list[Node]:
    """What every list begins with; `prefix` as it is to be shown, where that is not encoded."""
    name, delimiter = _encoding(call), call.query.get("delimiter", "")
    return [
        ("Name", call.bucket),
        ("Prefix", name(call.query.get("prefix", "")) if prefix is None else prefix),
        ("Delimiter", name(delimiter) if delimiter else None),
        ("MaxKeys", most),
        ("EncodingType", call.query.get("encoding-type")),
    ]


def _keys(call: Call, page: KeyPage, element: str, owned: bool, first: str = "") -> s3xml.Written:
    """The keys of a page, files and marks of folders, each an element that begins with `first`.

    Straight as text: a page has a thousand keys, and a node for each of their fields costs three times as much.
    """
    name, is_plain = _encoding(call), "encoding-type" not in call.query
    last = s3xml.written([owner(call)]) if owned else ""
    found = []
    for entry in page.entries:
        file = entry.file
        time = s3xml.timestamp(s3_headers.modified(file) if file else entry.mtime)
        tag = s3_headers.etag(file) if file else f'"{EMPTY_MD5}"'
        found.append(
            f"<{element}>{first}<Key>{s3xml.escaped(entry.path) if is_plain else name(entry.path)}</Key>"
            f"<LastModified>{time}</LastModified>"
            f"<ETag>{tag}</ETag><Size>{entry.size}</Size><StorageClass>STANDARD</StorageClass>"
            f"{_checksum(file) if file else ''}{last}</{element}>"
        )
    return s3xml.Written("".join(found))


def _checksum(file: DataFile) -> str:
    """Which checksum of a file may be asked for, as XML."""
    if not file.metadata:
        return _PLAIN_CHECKSUM if "crc64nvme" in file.digests else ""
    kind = s3_headers.checksum_kind(file)
    return "" if kind is None else _algorithm(kind)


@lru_cache
def _algorithm(kind: tuple[str, str]) -> str:
    return f"<ChecksumAlgorithm>{kind[0].upper()}</ChecksumAlgorithm><ChecksumType>{kind[1]}</ChecksumType>"


_PLAIN_CHECKSUM = _algorithm(("crc64nvme", checksums.FULL))


def _prefixes(call: Call, page: KeyPage) -> list[Node]:
    name = _encoding(call)
    return [("CommonPrefixes", [("Prefix", name(each))]) for each in page.prefixes]


class _Encoding:
    def __init__(self, url: bool) -> None:
        self._url = url

    def __call__(self, key: str) -> str:
        return quote(key, safe="/") if self._url else key


def _encoding(call: Call) -> _Encoding:
    kind = call.query.get("encoding-type")
    if kind not in (None, "url"):
        raise invalid_argument("Invalid Encoding Method specified in Request")
    return _Encoding(kind == "url")


def _token(after: str) -> str:
    return base64.urlsafe_b64encode(after.encode()).decode("ascii")


def _untoken(token: str) -> str:
    try:
        return base64.b64decode(token.encode("ascii"), b"-_", validate=True).decode("utf-8")
    except (UnicodeError, binascii.Error):
        raise invalid_argument("The continuation token provided is incorrect") from None
