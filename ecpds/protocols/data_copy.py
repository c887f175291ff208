"""COPY (RFC 4918 section 9.8): of a file, and of a folder with what is in it.

A folder's copy goes file by file: each is wholly there or not, and is recorded as any download and upload is. What is to be
copied is written down first, so that a folder that is too large, or whose listing is refused, leaves nothing behind. What
can't be copied after that is told in a 207 (section 9.8.3), and the rest goes on.
"""

from __future__ import annotations

from http import HTTPStatus
from xml.sax.saxutils import escape

from ecpds.errors import AlreadyExists, InvalidRequest, NotFound, PreconditionFailed, Refusal
from ecpds.http.message import HttpError, Request, Response, text_response
from ecpds.http.replies import STATUS
from ecpds.interfaces import IThreads
from ecpds.limits import Limits
from ecpds.model import ANYTHING, EMPTY, Condition, Entry
from ecpds.portal_interfaces import IDownload, IFileSystem
from ecpds.protocols.copying import FromDownload
from ecpds.protocols.data_headers import SAFE
from ecpds.protocols.data_place import Place
from ecpds.protocols.data_write import pinned, refuse_conditions, stored
from ecpds.terms import Terms
from ecpds.wire.ranges import Span

FAILURES = 100
"""What may fail before a folder's copy ends; the answer names each."""

ABSENT = Condition(absent=True)


class Copier:
    """Answers COPY; the bytes go through buffers, and `threads` read them from the disk."""

    def __init__(self, threads: IThreads, limits: Limits) -> None:
        self._threads = threads
        self._most = limits.copied_entries
        self._page = limits.listing_page

    async def copy(self, files: IFileSystem, request: Request, place: Place) -> Response:
        """Answer a COPY into any destination that the user may write to; of a folder where the path ends in a slash.

        The copy of a file is one of its own, with times, metadata and a lifetime of its own; the digest that is known of
        the first is checked on the way. Conditions are about the file that is copied, as it is opened.
        """
        target = place.target(request)
        if place.path.endswith("/"):
            refuse_conditions(request)
            return await self._folder(files, request, place, target)
        condition = ABSENT if request.headers.get("overwrite") == "F" else ANYTHING
        return stored(request, target, await self._file(files, place.path, target.path, condition, request), condition)

    async def _file(
        self, files: IFileSystem, source: str, target: str, condition: Condition, request: Request | None = None
    ) -> Entry:
        download = await files.open_read(source)
        failure: BaseException | None = None
        try:
            if request is not None:
                pinned(request, download.entry.file)
            return await self._bytes(files, download, target, condition)
        except HttpError as error:
            failure = PreconditionFailed() if error.status == 412 else InvalidRequest(error.text)
            raise
        except BaseException as error:
            failure = error
            raise
        finally:
            download.close(failure)

    async def _bytes(self, files: IFileSystem, download: IDownload, target: str, condition: Condition) -> Entry:
        source = download.entry.file
        assert source is not None
        known = source.digests.get("sha256")
        expected = EMPTY if known is None else {"sha256": known}
        upload = await files.open_write(target, source.size, Terms(condition, expected, source.metadata))
        try:
            await upload.receive(FromDownload(download, Span(0, source.size), self._threads))
            return await upload.commit()
        except Exception as failure:
            await upload.abort(failure)
            raise

    async def _folder(self, files: IFileSystem, request: Request, place: Place, to: Place) -> Response:
        """Copy a folder to a name that is free: none is replaced, or mixed with another."""
        source, target = place.path.rstrip("/"), to.path.rstrip("/")
        if f"{target}/".startswith(f"{source}/"):
            raise HttpError(403, "A folder can't be copied to itself, or below itself.", SAFE)
        inside = await self._plan(files, source, _deep(request))
        if await files.find(target) is not None:
            raise HttpError(412, AlreadyExists().sentence, SAFE)
        try:
            await files.make_directory(target)
        except AlreadyExists as refusal:
            return text_response(412, refusal.sentence, SAFE)
        except NotFound:
            return text_response(409, "There is no folder that it could be copied into.", SAFE)
        failed = await self._members(files, source, target, inside)
        if failed:
            return _multistatus(to, failed)
        return Response(201, [("Location", to.href(f"{target}/")), *SAFE])

    async def _plan(self, files: IFileSystem, source: str, deep: bool) -> list[str]:
        """What is in a folder, by paths relative to it, folders with a slash behind them and before what they hold."""
        found: list[str] = []
        left = [""]
        while left:
            inside, after, more = left.pop(), None, True
            while more:
                page = await files.list(f"{source}/{inside}", after, self._page)
                if deep:
                    names = [f"{inside}{each.name}{'/' if each.is_directory else ''}" for each in page.entries]
                    found += names
                    left += [name for name in names if name.endswith("/")]
                if len(found) > self._most:
                    raise HttpError(413, f"A folder of more than {self._most} entries is copied part by part.", SAFE)
                after = page.after
                more = deep and after is not None
        return found

    async def _members(self, files: IFileSystem, source: str, target: str, inside: list[str]) -> dict[str, Refusal]:
        """What could not be copied, by its path at the target, and why; nothing is tried below a folder that was refused."""
        failed: dict[str, Refusal] = {}
        skipped: tuple[str, ...] = ()
        for name in inside:
            if name.startswith(skipped):
                continue
            path = f"{target}/{name}"
            try:
                if name.endswith("/"):
                    await files.make_directory(path.rstrip("/"))
                else:
                    await self._file(files, f"{source}/{name}", path, ABSENT)
            except Refusal as refusal:
                failed[path] = refusal
                skipped += (name,) if name.endswith("/") else ()
                if len(failed) == FAILURES:
                    break
        return failed


def _deep(request: Request) -> bool:
    """Whether what a folder holds is copied too: RFC 4918 section 9.8.3."""
    depth = (request.headers.get("depth") or "infinity").lower()
    if depth not in ("0", "infinity"):
        raise HttpError(400, "The Depth of a folder's copy is 0 or infinity.", SAFE)
    return depth == "infinity"


def _multistatus(place: Place, failed: dict[str, Refusal]) -> Response:
    """RFC 4918 section 13: what failed, and nothing of what did not."""
    rows = "".join(_row(place.href(path), refusal) for path, refusal in failed.items())
    body = f'<?xml version="1.0" encoding="utf-8"?>\n<multistatus xmlns="DAV:">\n{rows}</multistatus>\n'
    return Response(207, [("Content-Type", "application/xml; charset=utf-8"), *SAFE], body.encode())


def _row(href: str, refusal: Refusal) -> str:
    status = HTTPStatus(STATUS[type(refusal)])
    said = f"<status>HTTP/1.1 {status.value} {status.phrase}</status>"
    return (
        f"<response><href>{href}</href>{said}<responsedescription>{escape(refusal.sentence)}</responsedescription></response>\n"
    )
