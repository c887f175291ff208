"""GET and HEAD of a file: conditions, ranges, and the bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from attrs import frozen
from zope.interface import implementer

from ecpds.errors import Incomplete, NotPermitted, PreconditionFailed
from ecpds.http.message import HttpError, IBody, Request, Response
from ecpds.interfaces import IByteSink
from ecpds.model import DataFile, Entry
from ecpds.options import registered
from ecpds.portal_interfaces import IDownload, IFileSystem
from ecpds.protocols.data_commands import Elsewhere
from ecpds.protocols.data_headers import SAFE, Header, digests, media_type, representation, validators
from ecpds.protocols.data_metalink import answer as metalink
from ecpds.protocols.data_metalink import is_asked, links
from ecpds.protocols.data_place import Place
from ecpds.wire.byteranges import ByteRanges
from ecpds.wire.conditions import Verdict, range_applies, verdict
from ecpds.wire.ranges import Span, coalesced, spans, unsatisfied_range

MOST_RANGES = "portal.maxRangesAllowed"


@frozen
class Reply:
    """What a file's state makes of a request; without a part there is no body."""

    status: int
    headers: list[Header]
    part: Span | ByteRanges | None = None


@implementer(IBody)
class FileBody:
    """A span of an open file, or several. Closing it gives the file back and records the pull."""

    def __init__(self, download: IDownload, part: Span | ByteRanges) -> None:
        self.length: int | None = part.length
        self._download = download
        self._part = part

    async def send(self, sink: IByteSink) -> None:
        part = self._part
        if isinstance(part, Span):
            await self._download.send(sink, part.offset, part.length)
            return
        for span in part.spans:
            await sink.write(part.before(span))
            await self._download.send(sink, span.offset, span.length)
        await sink.write(part.end)

    def close(self, failure: BaseException | None = None) -> None:
        self._download.close(failure)


@implementer(IBody)
class UnsentBody:
    """A body of which HEAD tells only the length; no file is opened for it, so no pull is recorded."""

    def __init__(self, length: int) -> None:
        self.length: int | None = length

    async def send(self, sink: IByteSink) -> None:
        raise Incomplete("only its length is known")

    def close(self, failure: BaseException | None = None) -> None:
        """Nothing is open."""


class FileReader:
    """Answers GET and HEAD of files. `most_ranges` are sent in one reply; `random` must be unpredictable."""

    def __init__(self, most_ranges: int, random: Random) -> None:
        self._most_ranges = most_ranges
        self._random = random

    async def answer(self, files: IFileSystem, request: Request, place: Place, elsewhere: Elsewhere) -> Response:
        """Without a trailing slash a directory is elsewhere: at the slash.

        The request is decided on what is there before a file is opened, for an opened file is a pull on record.
        """
        path = place.path
        entry = await files.stat(path)
        if entry.file is None:
            return place.redirect(f"{path}/", request.query)
        if not files.identity.may("get"):
            raise HttpError(403, NotPermitted().sentence)
        if is_asked(request):
            return metalink(request, place, entry, elsewhere)
        options = files.identity.options
        most = min(self._most_ranges, int(options.get(MOST_RANGES, self._most_ranges)))

        def decided(entry: Entry, file: DataFile) -> Reply:
            reply = self.decide(request, entry, file, most)
            if isinstance(reply.part, Span) and (others := registered(options, entry.name)):
                put_over(reply.headers, others)
            reply.headers.extend(links(request, place, entry, elsewhere))
            return reply

        reply = decided(entry, entry.file)
        if reply.part is not None and request.method == "GET":
            return await self._open(files, path, entry.file, reply, decided)
        return Response(reply.status, reply.headers, b"" if reply.part is None else UnsentBody(reply.part.length))

    async def _open(
        self, files: IFileSystem, path: str, looked_at: DataFile, reply: Reply, decided: Callable[[Entry, DataFile], Reply]
    ) -> Response:
        """The reply of what was opened, which need no longer be what was looked at."""
        download = await files.open_read(path)
        try:
            file = download.entry.file
            assert file is not None
            if file.id != looked_at.id:
                reply = decided(download.entry, file)
        except BaseException as failure:
            download.close(failure)
            raise
        if reply.part is None:
            download.close()
            return Response(reply.status, reply.headers)
        return Response(reply.status, reply.headers, FileBody(download, reply.part))

    def decide(self, request: Request, entry: Entry, file: DataFile, most: int) -> Reply:
        """Evaluate a request in the order of RFC 9110 section 13.2.2. Raises `HttpError` 400, 412 and 416."""
        try:
            found = verdict(request.headers, file)
        except ValueError as error:
            raise HttpError(400, f"A condition of the request is malformed: {error}.") from None
        if found is Verdict.FAILED:
            raise HttpError(412, PreconditionFailed().sentence, validators(file))
        if found is Verdict.NOT_MODIFIED:
            return Reply(304, validators(file))
        headers = [*representation(entry.name, file), *digests(file, request.headers)]
        wanted = _ranges(request, file, most)
        if wanted is None:
            return Reply(200, headers, Span(0, file.size))
        if len(wanted) > 1:
            return self._several(entry.name, file, headers, wanted)
        return Reply(206, [*headers, ("Content-Range", wanted[0].content_range(file.size))], wanted[0])

    def _several(self, name: str, file: DataFile, headers: list[Header], wanted: list[Span]) -> Reply:
        parts = ByteRanges(tuple(wanted), media_type(name)[0], file.size, self._random.randbytes(16).hex())
        others = [header for header in headers if header[0] != "Content-Type"]
        return Reply(206, [("Content-Type", parts.content_type), *others], parts)


def put_over(headers: list[Header], others: Mapping[str, str]) -> None:
    """Set header fields, in the place of those of the same names. What keeps a file from acting stays as it is."""
    names = {name.lower() for name in others}
    headers[:] = [header for header in headers if header[0].lower() not in names]
    headers.extend(others.items())


def _ranges(request: Request, file: DataFile, most: int) -> list[Span] | None:
    """The spans that are asked for; None: the whole file. Raises `HttpError` 416.

    More than `most` are answered by the whole file, as RFC 9110 section 14.2 lets a server do; and a Range means nothing
    but in a GET.
    """
    field = request.headers.get("range")
    if field is None or request.method != "GET" or not range_applies(request.headers, file):
        return None
    if field.count(",") >= max(most, 1):
        return None
    found = spans(field, file.size)
    if found == []:
        unsatisfied = ("Content-Range", unsatisfied_range(file.size))
        raise HttpError(416, "The file has no such bytes.", [unsatisfied, ("ETag", file.etag), *SAFE])
    return None if found is None else coalesced(found)
