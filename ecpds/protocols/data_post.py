"""POST: a file as the body of the request, or the files of a browser's form, one after the other.

Who tells whom, of a form: the browser sends the fields and files of one body in their order. The session's token must come
before the first file, for a form can't send headers. Each file is published by itself, as a PUT would be; when one is
refused, what is answered says so, and those before it are stored.
"""

from __future__ import annotations

from twisted.logger import Logger
from zope.interface import implementer

from ecpds.errors import ConnectionLost
from ecpds.http.message import HttpError, Request, Response, text_response
from ecpds.interfaces import IByteSource
from ecpds.model import Entry
from ecpds.portal_interfaces import IFileSystem
from ecpds.protocols.data_headers import SAFE, validators
from ecpds.protocols.data_place import Place, redirect
from ecpds.protocols.data_sessions import Session, same_token
from ecpds.protocols.data_write import write_file
from ecpds.wire.form_parts import Cutter, Field, Reached
from ecpds.wire.forms import boundary_of

PIECE = 65536
"""Bytes of a form that are looked through at a time."""

MOST_PARTS = 1000
"""Fields and files of one form."""

MOST_TEXT = 4096
"""Bytes of a field that is no file."""

TOKEN_FIELD = "token"


@implementer(IByteSource)
class FormSource:
    """The content of one part after the other. A part's content ends with 0, as a source does."""

    def __init__(self, body: IByteSource, boundary: bytes) -> None:
        self._body = body
        self._cutter = Cutter(boundary)
        self._room = memoryview(bytearray(PIECE))
        self._parts = 0

    async def next_part(self) -> Field | None:
        """The next part, when what is left of this one was read away; None at the end. Raises `HttpError`."""
        waste = memoryview(bytearray(PIECE))
        while await self.read_into(waste):
            pass
        if await self._reach() is Reached.END:
            return None
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise HttpError(413, f"The form has more than {MOST_PARTS} parts.", SAFE)
        try:
            return self._cutter.head()
        except ValueError as error:
            raise _malformed(error) from None

    async def read_into(self, view: memoryview) -> int:
        if await self._reach() is Reached.CONTENT:
            return self._cutter.take(view)
        return 0

    async def text(self) -> str:
        """The content of a field that is no file. Raises `HttpError`."""
        view = memoryview(bytearray(MOST_TEXT + 1))
        size = 0
        while size < len(view) and (count := await self.read_into(view[size:])):
            size += count
        if size > MOST_TEXT:
            raise HttpError(413, "A field of the form is too long.", SAFE)
        return bytes(view[:size]).decode("utf-8", "replace")

    async def _reach(self) -> Reached:
        while True:
            try:
                reached = self._cutter.reached()
            except ValueError as error:
                raise _malformed(error) from None
            if reached is not Reached.MORE:
                return reached
            count = await self._body.read_into(self._room)
            if not count:
                raise ConnectionLost("the form ends in the middle")
            self._cutter.feed(self._room[:count])


async def post(files: IFileSystem, request: Request, place: Place, session: Session | None) -> Response:
    """Answer a POST. `session` is that of the browser, where the request has not shown its token by a header."""
    kind = request.headers.get("content-type") or ""
    found = boundary_of(kind)
    if found is not None:
        return await Form(files, request, place, session).answer(FormSource(request.body, found))
    if kind.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        raise HttpError(415, "A file is posted as application/octet-stream, or by a form as multipart/form-data.", SAFE)
    if place.path.endswith("/"):
        raise HttpError(400, "The path must name the file, for the request does not.", SAFE)
    return await write_file(files, request, place)


class Form:
    """The files of one form, into the folder that it was sent to."""

    log = Logger()

    def __init__(self, files: IFileSystem, request: Request, place: Place, session: Session | None) -> None:
        self._files = files
        self._request = request
        self._place = place
        self._session = session
        self._stored: list[Entry] = []

    async def answer(self, form: FormSource) -> Response:
        """Store what comes. Raises `HttpError`, and refusals."""
        if not self._place.path.endswith("/"):
            raise HttpError(400, "A form is sent to a folder, whose path ends in a slash.", SAFE)
        while (field := await form.next_part()) is not None:
            if field.filename is None:
                text = await form.text()
                if field.name == TOKEN_FIELD and self._session is not None and same_token(self._session, text):
                    self._session = None
            elif field.filename:
                await self._store(field.filename, form)
        return self._done()

    async def _store(self, name: str, form: FormSource) -> None:
        if self._session is not None:
            self._files_refused()
            raise HttpError(403, "The form does not carry this session's token.", SAFE)
        upload = await self._files.open_write(self._place.path + name)
        try:
            await upload.receive(form)
            self._stored.append(await upload.commit())
        except Exception as failure:
            await upload.abort(failure)
            raise

    def _files_refused(self) -> None:
        self.log.info("a form without the token of the session of {login}", login=self._files.identity.login)

    def _done(self) -> Response:
        if not self._stored:
            raise HttpError(400, "The form has no file.", SAFE)
        if "text/html" in (self._request.headers.get("accept") or ""):
            return redirect(self._place.href(self._place.path), 303)
        headers = [*SAFE]
        if len(self._stored) == 1 and self._stored[0].file is not None:
            headers = [("Location", self._place.href(self._stored[0].path)), *validators(self._stored[0].file)]
        return text_response(201, "\n".join(entry.path for entry in self._stored), headers)


def _malformed(error: ValueError) -> HttpError:
    return HttpError(400, f"The form can't be understood: {error}.", SAFE)
