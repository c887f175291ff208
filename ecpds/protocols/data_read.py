"""GET and HEAD of a file: conditions, one range, and the bytes."""

from __future__ import annotations

from attrs import frozen
from zope.interface import implementer

from ecpds.errors import Incomplete, NotPermitted, PreconditionFailed
from ecpds.http.message import HttpError, IBody, Request, Response
from ecpds.interfaces import IByteSink, IDownload, IFileSystem
from ecpds.model import DataFile, Entry
from ecpds.protocols.data_headers import SAFE, Header, redirect, representation, validators
from ecpds.wire.conditions import Verdict, range_applies, verdict
from ecpds.wire.ranges import Span, spans, unsatisfied_range


@frozen
class Reply:
    """What a file's state makes of a request; without a span there is no body."""

    status: int
    headers: list[Header]
    span: Span | None = None


@implementer(IBody)
class FileBody:
    """A span of an open file. Closing it gives the file back and records the pull."""

    def __init__(self, download: IDownload, span: Span) -> None:
        self.length: int | None = span.length
        self._download = download
        self._offset = span.offset

    async def send(self, sink: IByteSink) -> None:
        await self._download.send(sink, self._offset, self.length)

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


async def read_file(files: IFileSystem, request: Request, path: str) -> Response:
    """Answer a GET or HEAD. Without a trailing slash a directory is elsewhere: at the slash.

    The request is decided on what is there before a file is opened, for an opened file is a pull on record.
    """
    entry = await files.stat(path)
    if entry.file is None:
        return redirect(f"{path}/", request.query)
    if not files.identity.may("get"):
        raise HttpError(403, NotPermitted().sentence)
    reply = decide(request, entry, entry.file)
    if reply.span is not None and request.method == "GET":
        return await _open(files, request, path, entry.file, reply)
    return Response(reply.status, reply.headers, b"" if reply.span is None else UnsentBody(reply.span.length))


async def _open(files: IFileSystem, request: Request, path: str, looked_at: DataFile, reply: Reply) -> Response:
    """The reply of what was opened, which need no longer be what was looked at."""
    download = await files.open_read(path)
    try:
        file = download.entry.file
        assert file is not None
        if file.id != looked_at.id:
            reply = decide(request, download.entry, file)
    except BaseException as failure:
        download.close(failure)
        raise
    if reply.span is None:
        download.close()
        return Response(reply.status, reply.headers)
    return Response(reply.status, reply.headers, FileBody(download, reply.span))


def decide(request: Request, entry: Entry, file: DataFile) -> Reply:
    """Evaluate a request in the order of RFC 9110 section 13.2.2. Raises `HttpError` 400, 412 and 416."""
    try:
        found = verdict(request.headers, file)
    except ValueError as error:
        raise HttpError(400, f"A condition of the request is malformed: {error}.") from None
    if found is Verdict.FAILED:
        raise HttpError(412, PreconditionFailed().sentence, validators(file))
    if found is Verdict.NOT_MODIFIED:
        return Reply(304, validators(file))
    headers = representation(entry.name, file, request.headers.get("want-repr-digest"))
    span = _range(request, file)
    if span is None:
        return Reply(200, headers, Span(0, file.size))
    return Reply(206, [*headers, ("Content-Range", span.content_range(file.size))], span)


def _range(request: Request, file: DataFile) -> Span | None:
    """The one span that is asked for; None: the whole file. Raises `HttpError` 416.

    Several spans are answered by the whole file, as RFC 9110 section 14.2 lets a server do; and a Range means nothing
    but in a GET.
    """
    field = request.headers.get("range")
    if field is None or request.method != "GET" or not range_applies(request.headers, file):
        return None
    found = spans(field, file.size)
    if found == []:
        unsatisfied = ("Content-Range", unsatisfied_range(file.size))
        raise HttpError(416, "The file has no such bytes.", [unsatisfied, ("ETag", file.etag), *SAFE])
    return found[0] if found and len(found) == 1 else None
