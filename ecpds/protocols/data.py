"""The HTTPS data door: GET, HEAD, PUT and DELETE on `/data/<destination>/<path>`, and listings where a path ends in a slash.

Who tells whom, in what order: the client sends a head with its login and password; the door asks the portal who that is,
then the user's file system whether what is asked may be done; only then is a byte of the request's body read, which is
what lets a client that waits for `100 Continue` send it. The reply comes last: after the commit of a PUT.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random, SystemRandom

from ecpds.config import Limits
from ecpds.errors import LoginFailed, NotFound
from ecpds.http.message import HttpError, Request, Response
from ecpds.http.routing import decode_path
from ecpds.interfaces import IFileSystem, IPortal
from ecpds.model import Origin
from ecpds.protocols.data_headers import PREFIX, redirect
from ecpds.protocols.data_listing import Listings
from ecpds.protocols.data_read import FileReader
from ecpds.protocols.data_write import delete, write_file
from ecpds.wire.credentials import parse_basic

CHALLENGE = ("WWW-Authenticate", 'Basic realm="ecpds", charset="UTF-8"')

ALLOWED = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")
REFUSED = ("POST", "PATCH", "TRACE", "CONNECT", "COPY", "MOVE", "MKCOL", "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK")
METHODS = (*ALLOWED, *REFUSED)
"""What a route table should send here: what is answered, and what is known but answered by 405."""

Verb = Callable[[IFileSystem, Request, str], Awaitable[Response]]


class DataDoor:
    """Answers requests below `/data`. `node` is this daemon's name, for the records; `random` must be unpredictable."""

    def __init__(self, portal: IPortal, node: str, limits: Limits, random: Random | None = None) -> None:
        self._portal = portal
        self._node = node
        self._listings = Listings(limits.listing_page)
        self._reader = FileReader(limits.ranges, random or SystemRandom())
        self._verbs: dict[str, Verb] = {"GET": self._get, "HEAD": self._get, "PUT": write_file, "DELETE": delete}

    async def handle(self, request: Request) -> Response:
        """Answer one request. Raises `HttpError`, and the refusals of the portal; either has left its record."""
        if request.method not in ALLOWED:
            raise _not_allowed(request.method)
        if request.method == "OPTIONS":
            return Response(204, [_allow()])
        files = await self._login(request)
        try:
            path = decode_path(request.path).removeprefix(PREFIX)
            return await self._verbs[request.method](files, request, path)
        except HttpError as error:
            message = f"{request.method} {request.path}: {error.text}"
            self._portal.refused(files.identity.login, message, files.origin)
            raise

    async def _login(self, request: Request) -> IFileSystem:
        origin = Origin("https" if request.secure else "http", request.peer, self._node)
        field = request.headers.get("authorization")
        if field is None:
            # Nobody has been refused yet: this is how clients are asked for a password.
            raise HttpError(401, "Log in with a user name and a password.", [CHALLENGE])
        try:
            login, password = parse_basic(field)
        except ValueError as error:
            self._portal.refused("", str(error), origin)
            raise HttpError(401, LoginFailed(str(error)).sentence, [CHALLENGE]) from None
        return await self._portal.login(login, password, origin)

    async def _get(self, files: IFileSystem, request: Request, path: str) -> Response:
        if not path:
            return redirect("/", request.query)
        if path.endswith("/"):
            return await self._listings.answer(files, request, path)
        return await self._reader.answer(files, request, path)


async def home(request: Request) -> Response:
    """The handler of `/`, which leads to the data; and of what is nowhere, since a prefix of `/` covers everything."""
    if request.path != "/":
        raise HttpError(404, NotFound().sentence)
    return redirect("/", status=302)


def _allow() -> tuple[str, str]:
    return ("Allow", ", ".join(ALLOWED))


def _not_allowed(method: str) -> HttpError:
    if method in REFUSED:
        return HttpError(405, "That method is not allowed here.", [_allow()])
    return HttpError(501, "That method is not supported.")
