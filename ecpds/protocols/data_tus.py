"""Uploads that can be resumed: tus 1.0 (https://tus.io/protocols/resumable-upload), with creation, creation-with-upload,
expiration, checksum and termination.

Who tells whom: the client POSTs how long the file will be, and gets a URL for it; PATCHes bytes to that URL, each time from
the offset that is stored; after a broken connection asks by HEAD what arrived. The last byte publishes the file, and only
then is it seen. The bytes are kept as those of an FTP upload that broke off: for their user alone, for
`limits.partial_life` since the last of them.

The URL is the file's own, and its query says which upload this is, how long the file will be, and whether it may replace
one. A client that changes these changes only its own upload, so nothing of it needs to be remembered here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlencode

from attrs import frozen

from ecpds.errors import ConnectionLost, DigestMismatch, NotFound, Stalled, TooLarge
from ecpds.http.message import HttpError, Request, Response
from ecpds.limits import Limits
from ecpds.model import ANYTHING, EMPTY, Condition, Entry
from ecpds.portal_interfaces import IFileSystem, IUpload
from ecpds.protocols.data_headers import SAFE, Header, digests, validators
from ecpds.protocols.data_place import Place
from ecpds.wire.dates import http_date

VERSION = "1.0.0"
RESUMABLE: Header = ("Tus-Resumable", VERSION)
OFFSETS = "application/offset+octet-stream"
ALGORITHMS = ("sha1", "sha256", "sha512", "md5", "crc32")
FACTS: tuple[Header, ...] = (
    RESUMABLE,
    ("Tus-Version", VERSION),
    ("Tus-Extension", "creation,creation-with-upload,expiration,checksum,termination"),
    ("Tus-Checksum-Algorithm", ",".join(ALGORITHMS)),
)

NEVER_KEPT: tuple[Header, ...] = (*SAFE[:-1], ("Cache-Control", "no-store"))
"""As the protocol wants it of what HEAD tells: an old answer would spoil the file."""

_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
ABSENT = Condition(absent=True)


@frozen
class UploadUrl:
    """What the URL of an upload says: its id, the length of the file, and what must be true of the name."""

    upload: int
    length: int
    condition: Condition = ANYTHING

    @property
    def query(self) -> str:
        found = {"upload": self.upload, "length": self.length}
        return urlencode({**found, "new": 1} if self.condition.absent else found)


def upload_url(request: Request) -> UploadUrl | None:
    """What a URL says of an upload; None where it is no upload's. Raises `HttpError` 400."""
    if "upload=" not in request.query:
        return None
    try:
        found = dict(parse_qsl(request.query, max_num_fields=8))
    except ValueError:
        raise HttpError(400, "The query can't be understood.", SAFE) from None
    if "upload" not in found:
        return None
    return UploadUrl(number(found["upload"]), number(found.get("length")), ABSENT if "new" in found else ANYTHING)


def is_creation(request: Request) -> bool:
    """Whether a POST begins an upload."""
    return "tus-resumable" in request.headers


class Resumable:
    """Answers what is asked of uploads. `seconds` is the time since the epoch."""

    def __init__(self, limits: Limits, seconds: Callable[[], float]) -> None:
        self._life = limits.partial_life
        self._most = limits.file_size
        self._seconds = seconds
        self._busy: set[tuple[int, int]] = set()

    def facts(self) -> list[Header]:
        """What OPTIONS tells of all this."""
        return [*FACTS, *([("Tus-Max-Size", str(self._most))] if self._most else [])]

    async def create(self, files: IFileSystem, request: Request, place: Place) -> Response:
        """Answer a POST: begin an upload, with its first bytes if they came along."""
        check_version(request)
        length = number(request.headers.get("upload-length"))
        if place.path.endswith("/"):
            place = place.at(place.path + named(request.headers.get("upload-metadata")))
        condition = ABSENT if request.headers.get("if-none-match") == "*" else ANYTHING
        brings = (request.headers.get("content-type") or "") == OFFSETS
        url = UploadUrl(await files.begin_partial(place.path, length, condition), length, condition)
        headers = [("Location", f"{place.href(place.path)}?{url.query}"), *self._kept()]
        if not brings and length:
            return Response(201, headers)
        answered = await self._add(files, request, place, url, 0)
        return Response(201, [*headers[:1], *answered])

    async def look(self, files: IFileSystem, request: Request, place: Place, url: UploadUrl) -> Response:
        """Answer a HEAD: how much is stored."""
        check_version(request)
        self._check_free(files, url)
        offset = await self._offset(files, place, url)
        told = [
            ("Upload-Offset", str(offset)),
            ("Upload-Length", str(url.length)),
            ("Upload-Expires", self._until()),
            RESUMABLE,
        ]
        return Response(200, [*told, *NEVER_KEPT])

    async def add(self, files: IFileSystem, request: Request, place: Place, url: UploadUrl) -> Response:
        """Answer a PATCH: bytes from the offset that is stored."""
        check_version(request)
        if (request.headers.get("content-type") or "") != OFFSETS:
            raise HttpError(415, f"A piece is sent as {OFFSETS}.", [RESUMABLE, *SAFE])
        wanted = number(request.headers.get("upload-offset"))
        self._check_free(files, url)
        stored = await self._offset(files, place, url)
        if wanted != stored:
            raise HttpError(409, f"{stored} bytes are stored.", [("Upload-Offset", str(stored)), RESUMABLE, *SAFE])
        return Response(204, await self._add(files, request, place, url, stored))

    async def end(self, files: IFileSystem, request: Request, place: Place, url: UploadUrl) -> Response:
        """Answer a DELETE: nothing of it is kept."""
        check_version(request)
        self._check_free(files, url)
        await files.give_up(place.path, url.upload)
        return Response(204, [RESUMABLE, *SAFE])

    async def _add(self, files: IFileSystem, request: Request, place: Place, url: UploadUrl, stored: int) -> list[Header]:
        left = url.length - stored
        if left < 0 or (request.length or 0) > left:
            raise _too_long()
        if 0 < self._most < url.length:
            raise HttpError(413, TooLarge(f"more than {self._most} bytes").sentence, [RESUMABLE, *SAFE])
        expected = checksum(request.headers.get("upload-checksum"))
        with self._alone(files, url):
            upload = await files.resume_write(place.path, stored, url.upload, url.condition, expected)
            try:
                count, entry = await self._receive(upload, request, left)
            except (ConnectionLost, Stalled) as failure:
                await (upload.abort(failure) if expected else upload.keep(failure))
                raise
            except DigestMismatch as failure:
                raise HttpError(460, failure.sentence, [RESUMABLE, *SAFE]) from None
            except Exception as failure:
                await upload.abort(failure)
                raise
        told: list[Header] = [("Upload-Offset", str(stored + count)), *self._kept()]
        if entry is None or entry.file is None:
            return told
        return [told[0], RESUMABLE, *validators(entry.file), *digests(entry.file, request.headers)]

    async def _receive(self, upload: IUpload, request: Request, left: int) -> tuple[int, Entry | None]:
        """Take a piece; with the last one the file is published."""
        count = await upload.receive(request.body, left)
        if await request.body.read_into(memoryview(bytearray(1))):
            raise _too_long()
        if count == left:
            return count, await upload.commit()
        if count:
            await upload.pause()
        else:
            await upload.abort()
        return count, None

    async def _offset(self, files: IFileSystem, place: Place, url: UploadUrl) -> int:
        """What is stored. The answer to the last piece may have been lost: then the file is there by now."""
        try:
            return await files.kept(place.path, url.upload)
        except NotFound:
            entry = await files.find(place.path)
            if entry is None or entry.file is None or entry.file.id != url.upload:
                raise
            return entry.size

    def _kept(self) -> list[Header]:
        return [("Upload-Expires", self._until()), RESUMABLE, *SAFE]

    def _until(self) -> str:
        return http_date(self._seconds() + self._life)

    def _check_free(self, files: IFileSystem, url: UploadUrl) -> None:
        """Bytes that are on their way right now are neither stored nor lost; the client is to ask again."""
        if (files.identity.user_id, url.upload) in self._busy:
            raise HttpError(423, "Another request is sending bytes of this upload.", [("Retry-After", "1"), RESUMABLE, *SAFE])

    @contextmanager
    def _alone(self, files: IFileSystem, url: UploadUrl) -> Iterator[None]:
        key = (files.identity.user_id, url.upload)
        self._check_free(files, url)
        self._busy.add(key)
        try:
            yield
        finally:
            self._busy.discard(key)


def check_version(request: Request) -> None:
    """Raises `HttpError` 412 for another version of the protocol."""
    if request.headers.get("tus-resumable") != VERSION:
        raise HttpError(412, f"tus {VERSION} is spoken here.", [("Tus-Version", VERSION), RESUMABLE, *SAFE])


def number(text: str | None) -> int:
    """A number of bytes. Raises `HttpError` 400."""
    if text is None or not _NUMBER.fullmatch(text):
        raise HttpError(400, "A number of bytes is missing, or is none.", [RESUMABLE, *SAFE])
    return int(text)


def named(metadata: str | None) -> str:
    """The file's name, as an Upload-Metadata has it. Raises `HttpError` 400."""
    for pair in (metadata or "").split(","):
        key, _, value = pair.strip().partition(" ")
        if key in ("filename", "name"):
            try:
                return base64.b64decode(value.strip(), validate=True).decode("utf-8")
            except ValueError:
                break
    raise HttpError(400, "The upload has no name: neither its URL nor its metadata say one.", [RESUMABLE, *SAFE])


def checksum(field: str | None) -> Mapping[str, str]:
    """An Upload-Checksum: an algorithm, and a digest in base64. Raises `HttpError` 400."""
    if field is None:
        return EMPTY
    algorithm, _, value = field.strip().partition(" ")
    try:
        digest = base64.b64decode(value.strip(), validate=True).hex()
    except ValueError:
        digest = ""
    if algorithm not in ALGORITHMS or not digest:
        raise HttpError(400, "The checksum is of no algorithm that is known here, or is not base64.", [RESUMABLE, *SAFE])
    return {algorithm: digest}


def _too_long() -> HttpError:
    return HttpError(413, "That is more than the file was said to have.", [RESUMABLE, *SAFE])
