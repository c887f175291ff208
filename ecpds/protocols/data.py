"""The HTTPS data door: files and folders at `/data/<destination>/<path>`, and listings where a path ends in a slash.

Who tells whom, in what order: the client sends a head with what it logs in by; the door asks the portal who that is,
then the user's file system whether what is asked may be done; only then is a byte of the request's body read, which is
what lets a client that waits for `100 Continue` send it. The reply comes last: after the commit of a PUT.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from random import Random, SystemRandom

from attrs import evolve

from ecpds.errors import NotFound, Refusal
from ecpds.http.message import HttpError, Request, Response, text_response
from ecpds.http.replies import refusal_response
from ecpds.http.routing import Routes
from ecpds.interfaces import IThreads
from ecpds.limits import Limits
from ecpds.portal_interfaces import IFileSystem, IPortal
from ecpds.protocols.data_at_once import AtOnceReader
from ecpds.protocols.data_commands import Elsewhere, Numbers
from ecpds.protocols.data_copy import Copier
from ecpds.protocols.data_cors import let_read, preflight
from ecpds.protocols.data_headers import PREFIX, SAFE, SCRIPT, Header
from ecpds.protocols.data_html import HtmlPages, Looks
from ecpds.protocols.data_listing import Listings
from ecpds.protocols.data_login import LOGIN, LOGOUT, NO_TOKEN, Gate, Visitor
from ecpds.protocols.data_place import Place, place_of, redirect
from ecpds.protocols.data_post import post
from ecpds.protocols.data_read import FileReader
from ecpds.protocols.data_sessions import Sessions
from ecpds.protocols.data_state import STATES, set_state
from ecpds.protocols.data_tus import Resumable, is_creation, upload_url
from ecpds.protocols.data_write import delete, make_folder, move, write_file

ALLOWED = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "MKCOL", "MOVE", "COPY", "OPTIONS")
REFUSED = ("TRACE", "CONNECT", "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK")
METHODS = (*ALLOWED, *REFUSED)
"""What a route table should send here: what is answered, and what is known but answered by 405."""

Verb = Callable[[IFileSystem, Request, Place], Awaitable[Response]]


class DataDoor:
    """Answers requests below `/data`. `node` is this daemon's name, for the records; `random` must be unpredictable.

    `at_once` answers some of them without waiting; `always` are header fields that who serves this door adds under TLS.
    `alone` says whether there is no other connection, whose puts one more could be committed with.
    """

    def __init__(
        self,
        portal: IPortal,
        node: str,
        limits: Limits,
        seconds: Callable[[], float],
        threads: IThreads,
        random: Random | None = None,
        ports: Numbers = dict,
        always: Sequence[Header] = (),
        alone: Callable[[], bool] = lambda: False,
    ) -> None:
        self._portal = portal
        random = random or SystemRandom()
        self._ports = ports
        self.pages = HtmlPages()
        sessions = Sessions(random, seconds, limits.session_idle, limits.session_life)
        self.gate = Gate(portal, node, sessions, self.pages)
        self.at_once = AtOnceReader(portal, self.gate, always, alone)
        self._listings = Listings(limits.listing_page, self.pages)
        self._reader = FileReader(limits.ranges, random)
        self._verbs: dict[str, Verb] = {
            "PUT": write_file,
            "DELETE": delete,
            "MKCOL": make_folder,
            "MOVE": move,
            "COPY": Copier(threads, limits).copy,
        }
        self._tus = Resumable(limits, seconds)
        self._pieces = {"HEAD": self._tus.look, "PATCH": self._tus.add, "DELETE": self._tus.end}

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
            return Response(204, [_allow(), *self._tus.facts(), *preflight(request.headers, ", ".join(ALLOWED))])
        visitor = await self.gate.enter(request)
        self.at_once.remember(request, visitor)
        response = await self.serve(visitor, request, PREFIX)
        let_read(request, PREFIX, visitor.files.identity, response)
        return response

    async def serve(self, visitor: Visitor, request: Request, mount: str) -> Response:
        """Answer a request of somebody who was let in; `mount` is the part of the path that comes before the files'."""
        files = visitor.files
        try:
            return await self._answer(visitor, request, place_of(request, mount))
        except HttpError as error:
            message = f"{request.method} {request.path}: {error.text}"
            self._portal.refused(files.identity.login, message, files.origin)
            return text_response(error.status, error.text, error.headers)
        except Refusal as refusal:
            return refusal_response(refusal)

    async def _answer(self, visitor: Visitor, request: Request, place: Place) -> Response:
        url = upload_url(request)
        if url is not None and request.method in self._pieces:
            return await self._pieces[request.method](visitor.files, request, place, url)
        if request.method == "PATCH" and request.query in STATES:
            return await set_state(visitor.files, request, place)
        if request.method == "PATCH":
            raise HttpError(405, "Only an upload that was begun can be gone on with.", [_allow()])
        if request.method == "POST" and is_creation(request):
            if not visitor.shown:
                raise HttpError(403, NO_TOKEN, SAFE)
            return await self._tus.create(visitor.files, request, place)
        if request.method == "POST":
            return await post(visitor.files, request, place, None if visitor.shown else visitor.session)
        if request.method in self._verbs:
            return await self._verbs[request.method](visitor.files, request, place)
        return await self._get(visitor, request, place)

    async def _get(self, visitor: Visitor, request: Request, place: Place) -> Response:
        if not place.path:
            return place.redirect("/", request.query)
        files, plain = visitor.files, not visitor.files.identity.within
        elsewhere = Elsewhere(request.headers.get("host") or "", self._ports() if plain else {})
        if place.path.endswith("/"):
            commands = elsewhere.of_folder(files.identity.login, place.path, place.href(place.path), request.secure)
            return await self._listings.answer(files, request, place, looks_of(visitor), commands if plain else ())
        if request.query == "card":
            return await self._card(visitor, request, place, elsewhere)
        return await self._reader.answer(files, request, place, elsewhere)

    async def _card(self, visitor: Visitor, request: Request, place: Place, elsewhere: Elsewhere) -> Response:
        files = visitor.files
        entry = await files.stat(place.path, "get")
        if entry.file is None:
            return place.redirect(f"{place.path}/")
        looks, href = looks_of(visitor), place.href(place.path)
        commands = elsewhere.of_file(files.identity.login, place.path, href, request.secure)
        return self.pages.card(place, entry, files.identity, looks, () if looks.shared else commands)

    async def script(self, request: Request) -> Response:
        """The script of the page, under a name that changes with it."""
        if request.path != self.pages.script_path:
            raise HttpError(404, NotFound().sentence)
        return Response(200, list(SCRIPT), self.pages.script)


async def home(request: Request) -> Response:
    """The handler of `/`, which leads to the data; and of what is nowhere, since a prefix of `/` covers everything."""
    if request.path != "/":
        raise HttpError(404, NotFound().sentence)
    return redirect(f"{PREFIX}/", 302)


def looks_of(visitor: Visitor) -> Looks:
    """What a page shows of its visitor."""
    token = visitor.session.token if visitor.session is not None else None
    return evolve(visitor.looks, token=token, shared=bool(visitor.files.identity.share))


def _allow() -> tuple[str, str]:
    return ("Allow", ", ".join(ALLOWED))


def _not_allowed(method: str) -> HttpError:
    if method in REFUSED:
        return HttpError(405, "That method is not allowed here.", [_allow()])
    return HttpError(501, "That method is not supported.")
