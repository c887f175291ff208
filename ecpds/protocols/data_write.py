"""PUT, DELETE, MKCOL, MOVE: what is asked is checked, then the bytes come, then the commit, and only then the reply."""

from __future__ import annotations

from collections.abc import Mapping

from ecpds.errors import AlreadyExists, PreconditionFailed
from ecpds.held import SMALL_FILE
from ecpds.http.message import HttpError, Request, Response, text_response
from ecpds.interfaces import IWholeSource
from ecpds.model import Condition, DataFile, Entry
from ecpds.portal_interfaces import IFileSystem
from ecpds.protocols.data_headers import SAFE, digests, validators
from ecpds.protocols.data_place import Place
from ecpds.terms import Terms
from ecpds.wire.conditions import asked_condition, needs_current, pinned_condition
from ecpds.wire.digests import announced

CONDITIONS = ("if-match", "if-none-match", "if-unmodified-since")
"""Fields that say when a change is not to be made (RFC 9110 section 13.1)."""


async def write_file(files: IFileSystem, request: Request, place: Place) -> Response:
    """Answer a PUT, or a POST of one file: 201 where nothing was before, 204 where a file was replaced.

    A request that is cut short publishes nothing.
    """
    _refuse_partial(request)
    expected = _expected(request)
    terms = Terms(await _condition(files, request, place.path), expected)
    short = IWholeSource(request.body, None)
    data = short.whole(SMALL_FILE) if short is not None else None
    if data is not None:
        entry = await files.write_whole(place.path, data, terms)
        return stored(request, place, entry, terms.condition)
    upload = await files.open_write(place.path, request.length, terms)
    try:
        await upload.receive(request.body)
        entry = await upload.commit()
    except Exception as failure:
        await upload.abort(failure)
        raise
    return stored(request, place, entry, terms.condition)


async def delete(files: IFileSystem, request: Request, place: Place) -> Response:
    """Answer a DELETE: of a file, or, with a trailing slash, of an empty directory."""
    path = place.path
    if path.endswith("/"):
        _refuse_tags(request)
        await files.remove_directory(path)
    else:
        await files.delete(path, await _condition(files, request, path))
    return Response(204, list(SAFE))


async def make_folder(files: IFileSystem, request: Request, place: Place) -> Response:
    """Answer a MKCOL (RFC 4918 section 9.3): a folder, and nothing in it yet."""
    if request.length != 0:
        raise HttpError(415, "A folder is made without a body.", SAFE)
    try:
        await files.make_directory(place.path.rstrip("/"))
    except AlreadyExists as refusal:
        return text_response(405, refusal.sentence, SAFE)
    return Response(201, [("Location", place.href(f"{place.path.rstrip('/')}/")), *SAFE])


async def move(files: IFileSystem, request: Request, place: Place) -> Response:
    """Answer a MOVE (RFC 4918 section 9.9): another name in the same destination.

    With `Overwrite: F` the name must be free; else a file of that name is replaced, a folder never. Other
    conditions would be about what is moved (RFC 9110 section 13.1), and are refused.
    """
    refuse_conditions(request)
    target = place.target(request).path
    taken = await files.find(target.rstrip("/")) is not None
    try:
        await files.rename(place.path.rstrip("/"), target.rstrip("/"), request.headers.get("overwrite") != "F")
    except AlreadyExists as refusal:
        return text_response(412, refusal.sentence, SAFE)
    return Response(204 if taken else 201, [("Location", place.href(target)), *SAFE])


def _refuse_partial(request: Request) -> None:
    """What would store something other than the file: RFC 9110 sections 14.5 and 8.4."""
    if "content-range" in request.headers:
        raise HttpError(400, "A part of a file can't be put; send the whole file, without Content-Range.")
    coding = request.headers.get("content-encoding", "identity") or "identity"
    if coding.lower() != "identity":
        raise HttpError(
            415, "Files are stored as they come; send it without Content-Encoding.", [("Accept-Encoding", "identity")]
        )


def _expected(request: Request) -> Mapping[str, str]:
    try:
        return announced(request.headers)
    except ValueError as error:
        raise HttpError(400, f"A digest of the request is malformed: {error}.") from None


async def _condition(files: IFileSystem, request: Request, path: str) -> Condition:
    """What the commit is to check. Raises `HttpError` 412 where it is clear now that it would be refused."""
    fields = request.headers
    try:
        if not needs_current(fields):
            return asked_condition(fields)
    except ValueError as error:
        raise _malformed(error) from None
    return pinned(request, await _present(files, path))


def pinned(request: Request, seen: DataFile | None) -> Condition:
    """That nothing changes from what was seen. Raises `HttpError` 412 where that is not what the request asks, and 400."""
    try:
        found = pinned_condition(request.headers, seen)
    except ValueError as error:
        raise _malformed(error) from None
    if found is None:
        raise HttpError(412, PreconditionFailed().sentence, SAFE)
    return found


def _malformed(error: ValueError) -> HttpError:
    return HttpError(400, f"A condition of the request is malformed: {error}.")


def refuse_conditions(request: Request) -> None:
    """For what can't be held to them at the moment of the change. Raises `HttpError` 501."""
    if any(name in request.headers for name in CONDITIONS):
        raise HttpError(501, "A move, or the copy of a folder, can't be made under conditions.", SAFE)


async def _present(files: IFileSystem, path: str) -> DataFile | None:
    entry = await files.find(path)
    return entry.file if entry is not None else None


def _refuse_tags(request: Request) -> None:
    """A directory has no entity tag, so none matches."""
    field = request.headers.get("if-match")
    if field is not None and field != "*":
        raise HttpError(412, PreconditionFailed().sentence, SAFE)


def stored(request: Request, place: Place, entry: Entry, condition: Condition) -> Response:
    """The answer after a commit."""
    assert entry.file is not None
    known = condition.exists or condition.match is not None
    headers = [
        ("Location", place.href(place.path)),
        *validators(entry.file),
        *digests(entry.file, request.headers),
    ]
    return Response(204 if entry.replaced or known else 201, headers)
