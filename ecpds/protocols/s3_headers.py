"""What S3's requests say of an object and its replies repeat: content headers, user metadata, ETag, checksum.

The catalogue keeps them with the data file, each under the header's own name; `s3-` names are the door's own, which no
client can send.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from ecpds.http.message import Headers
from ecpds.model import DataFile
from ecpds.protocols.s3_call import EMPTY_MD5
from ecpds.protocols.s3_errors import Header, S3Error
from ecpds.wire import checksums
from ecpds.wire.dates import http_date

CONTENT = ("content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires")
META = "x-amz-meta-"
TAGGING = "x-amz-tagging"
DEFAULT_TYPE = "binary/octet-stream"
META_BYTES = 2048
"""Bytes of all user metadata of an object, names and values (S3, "Object metadata")."""

ETAG = "s3-etag"
"""The ETag of an object that came in parts."""

CHECKSUM = "s3-checksum"
"""The algorithm that the client chose: `crc32`, or, of an object in parts, `COMPOSITE crc32 base64-N`."""

PARTS = "s3-parts"
"""The number of parts of an object that came in parts."""

PART_SUMS = "s3-part-sums"
"""The checksums of the parts of such an object, in base64, of the algorithm that the client chose."""


def kept(headers: Headers) -> dict[str, str]:
    """What is kept of a request's headers. Raises `S3Error` when the user metadata is too large."""
    found = {name: value for name in CONTENT if (value := headers.get(name))}
    coding = [each.strip() for each in found.pop("content-encoding", "").split(",")]
    left = ", ".join(each for each in coding if each and each.lower() != "aws-chunked")
    if left:
        found["content-encoding"] = left
    meta = {name: headers.get(name) or "" for name, _ in headers.items() if name.startswith(META)}
    if sum(len(name) - len(META) + len(value) for name, value in meta.items()) > META_BYTES:
        raise S3Error("MetadataTooLarge", 400, "Your metadata headers exceed the maximum allowed metadata size")
    return {**found, **meta}


def etag(file: DataFile) -> str:
    """The ETag of a file, with its quotes: the MD5 where it is known, that of its parts, or else one that is no MD5."""
    return f'"{file.metadata.get(ETAG) or tag(file.id, file.size, file.digests)}"'


def tag(id_: int, size: int, digests: Mapping[str, str]) -> str:
    """The ETag, without quotes, of a file or a part that came in one piece."""
    return digests.get("md5") or (f"{id_:x}-0" if size else EMPTY_MD5)


def checksum(file: DataFile) -> tuple[str, str, str] | None:
    """A file's checksum: algorithm, value in base64, and type."""
    kind = checksum_kind(file)
    if kind is None:
        return None
    algorithm, type_ = kind
    if type_ == checksums.COMPOSITE:
        return algorithm, file.metadata[CHECKSUM].split(" ")[2], type_
    return algorithm, checksums.encoded(file.digests[algorithm]), type_


def checksum_kind(file: DataFile) -> tuple[str, str] | None:
    """The algorithm and the type of a file's checksum."""
    chosen = file.metadata.get(CHECKSUM, "crc64nvme")
    if chosen.startswith(checksums.COMPOSITE):
        return chosen.split(" ")[1], checksums.COMPOSITE
    return (chosen, checksums.FULL) if chosen in file.digests else None


def checksum_headers(file: DataFile) -> list[Header]:
    found = checksum(file)
    if found is None:
        return []
    return [(checksums.PREFIX + found[0], found[1]), ("x-amz-checksum-type", found[2])]


def modified(file: DataFile) -> float:
    """Never later than now, whatever time its owner gave it."""
    return file.mtime if file.mtime < file.created else file.created


@frozen
class Represented:
    """A file as conditions see it, by S3's ETag."""

    id: int
    etag: str
    mtime: float
    created: float


def represented(file: DataFile) -> Represented:
    return Represented(file.id, etag(file), file.mtime, file.created)


def object_headers(file: DataFile) -> list[Header]:
    """What a reply says of an object, but for its checksum and its range."""
    found = [("Content-Type", file.metadata.get("content-type", DEFAULT_TYPE))]
    found += [(name.title(), file.metadata[name]) for name in CONTENT[1:] if name in file.metadata]
    found += [(name, value) for name, value in file.metadata.items() if name.startswith(META)]
    count = file.metadata.get(TAGGING, "").count("=")
    if count:
        found.append(("x-amz-tagging-count", str(count)))
    return [*found, ("Accept-Ranges", "bytes"), *validators(file)]


def whole_headers(file: DataFile, checksums: bool) -> list[Header]:
    """What a reply says that has a whole object in whatever state it is, with its checksum where that was asked for."""
    return object_headers(file) + checksum_headers(file) if checksums else object_headers(file)


def checksums_wanted(headers: Headers) -> bool:
    return (headers.get("x-amz-checksum-mode") or "").upper() == "ENABLED"


def validators(file: DataFile) -> list[Header]:
    return [("ETag", etag(file)), ("Last-Modified", http_date(int(modified(file))))]
