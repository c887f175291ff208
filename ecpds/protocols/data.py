"""The HTTPS data door: files and folders at `/data/<destination>/<path>`, and listings where a path ends in a slash.

Who tells whom, in what order: the client sends a head with what it logs in by; the door asks the portal who that is,
then the user's file system whether what is asked may be done; only then is a byte of the request's body read, which is
what lets a client that waits for `100 Continue` send it. The reply comes last: after the commit of a PUT.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random, SystemRandom

from ecpds.config import Limits
from ecpds.errors import NotFound, Refusal
from ecpds.http.message import HttpError, Request, Response, text_response
from ecpds.http.replies import refusal_response
from ecpds.http.routing import Routes, decode_path
from ecpds.interfaces import IFileSystem, IPortal
from ecpds.protocols.data_cors import let_read, preflight
from ecpds.protocols.data_headers import PREFIX, SCRIPT, redirect
from ecpds.protocols.data_html import HtmlPages
from ecpds.protocols.data_listing import Listings
from ecpds.protocols.data_login import LOGIN, LOGOUT, Gate
from ecpds.protocols.data_read import FileReader
from ecpds.protocols.data_sessions import Sessions
from ecpds.protocols.data_write import delete, make_folder, move, write_file

ALLOWED = ("GET", "HEAD", "PUT", "DELETE", "MKCOL", "MOVE", "OPTIONS")
REFUSED = ("POST", "PATCH", "TRACE", "CONNECT", "COPY", "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK")
METHODS = (*ALLOWED, *REFUSED)
"""What a route table should send here: what is answered, and what is known but answered by 405."""

Verb = Callable[[IFileSystem, Request, str], Awaitable[Response]]


class DataDoor:
    """Answers requests below `/data`. `node` is this daemon's name, for the records; `random` must be unpredictable."""

    def __init__(
        self, portal: IPortal, node: str, limits: Limits, seconds: Callable[[], float], random: Random | None = None
    ) -> None:
        self._portal = portal
        random = random or SystemRandom()
        self._pages = HtmlPages()
        sessions = Sessions(random, seconds, limits.session_idle, limits.session_life)
        self.gate = Gate(portal, node, sessions, self._pages)
        self._listings = Listings(limits.listing_page, self._pages)
        self._reader = FileReader(limits.ranges, random)
        self._verbs: dict[str, Verb] = {
            "GET": self._get,
            "HEAD": self._get,
            "PUT": write_file,
            "DELETE": delete,
            "MKCOL": make_folder,
            "MOVE": move,
        }

    def add_to(self, routes: Routes) -> None:
        """Answer what is the data door's: the data, the forms, the page's script, and `/`, which leads to the data."""
        routes.add(METHODS, PREFIX, self.handle)
        routes.add(("GET", "HEAD", "POST"), LOGIN, self.gate.login)
        routes.add(("POST",), LOGOUT, self.gate.logout)
        routes.add(("GET", "HEAD"), "/assets/", self.script)
        routes.add(("GET", "HEAD"), "/", home)

    async def handle(self, request: Request) -> Response:
        """Answer one request. Raises `HttpError` and refusals only of who did not get in; every one has left its record."""
        if request.method not in ALLOWED:
            raise _not_allowed(request.method)
        if request.method == "OPTIONS":
            return Response(204, [_allow(), *preflight(request.headers, ", ".join(ALLOWED))])
        files = await self.gate.enter(request)
        response = await self._answer(files, request)
        let_read(request.headers, files.identity, response)
        return response

    async def _answer(self, files: IFileSystem, request: Request) -> Response:
        try:
            path = decode_path(request.path).removeprefix(PREFIX)
            return await self._verbs[request.method](files, request, path)
        except HttpError as error:
            message = f"{request.method} {request.path}: {error.text}"
            self._portal.refused(files.identity.login, message, files.origin)
            return text_response(error.status, error.text, error.headers)
        except Refusal as refusal:
            return refusal_response(refusal)

    async def _get(self, files: IFileSystem, request: Request, path: str) -> Response:
        if not path:
            return redirect("/", request.query)
        if path.endswith("/"):
            session = self.gate.session(request)
            return await self._listings.answer(files, request, path, session.token if session else None)
        return await self._reader.answer(files, request, path)

    async def script(self, request: Request) -> Response:
        """The script of the page, under a name that changes with it."""
        if request.path != self._pages.script_path:
            raise HttpError(404, NotFound().sentence)
        return Response(200, list(SCRIPT), self._pages.script)


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
