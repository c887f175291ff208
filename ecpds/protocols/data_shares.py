"""Share links: `/share/TOKEN/…` for who has one, `/shares` for who makes them.

Who tells whom: a user's page POSTs what is to be shared and gets the link, this once. Whoever has it asks below `/share/` as a
user does below `/data`, without logging in; a link with a password asks a browser for it once, and remembers that in a
cookie for this link alone; a program sends it as the password of Basic, with any user name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random

from ecpds.errors import LoginFailed, NotPermitted
from ecpds.events import timestamp
from ecpds.http.message import HttpError, Request, Response, text_response
from ecpds.http.routing import Routes
from ecpds.model import Page
from ecpds.people import NewShare, Share
from ecpds.portal_interfaces import IFileSystem, IPortal
from ecpds.protocols.data import DataDoor, looks_of
from ecpds.protocols.data_headers import SAFE
from ecpds.protocols.data_html import Shown
from ecpds.protocols.data_login import HARMLESS, NO_TOKEN, TOKEN, Visitor, is_form, read_form, refuse_other_sites
from ecpds.protocols.data_place import place_of, redirect
from ecpds.protocols.data_sessions import Sessions, same_token
from ecpds.protocols.data_tus import is_creation
from ecpds.wire.credentials import parse_basic

SHARE, SHARES = "/share/", "/shares"
COOKIE = "__Secure-ecpds-share"
METHODS = ("GET", "HEAD", "PUT", "POST", "MKCOL", "OPTIONS")
ALLOW = ("Allow", ", ".join(METHODS))

FETCH = ("get", "dir")
BRING = ("put", "mkdir")
KINDS = {"download": FETCH, "upload": BRING, "both": (*FETCH, *BRING)}

_MOUNT = re.compile(r"/share/([A-Za-z0-9_-]{24})(?=/|$)")
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)


class ShareDoor:
    """Answers below `/share/`, by the data door's own verbs. The sessions are those of links with passwords."""

    def __init__(self, door: DataDoor, portal: IPortal, sessions: Sessions) -> None:
        self._door = door
        self._portal = portal
        self._sessions = sessions

    def add_to(self, routes: Routes) -> None:
        """Answer what concerns share links."""
        routes.add(METHODS, SHARE, self.handle)
        routes.add(("GET", "POST"), SHARES, self.shares)
        routes.add(("DELETE",), f"{SHARES}/", self.remove)

    async def handle(self, request: Request) -> Response:
        """Answer one request of who has a link. Raises `HttpError` and refusals of who did not get in."""
        found = _MOUNT.match(request.path)
        if found is None:
            raise HttpError(404, "There is no such link.", SAFE)
        mount = found[0]
        if request.method == "OPTIONS":
            return Response(204, [ALLOW, *SAFE])
        if request.method == "POST" and not is_form(request):
            return await self._log_in(request, found[1], mount)
        try:
            visitor = await self._enter(request, found[1])
        except LoginFailed as refusal:
            return self._ask_password(request, mount, refusal)
        except NotPermitted as refusal:
            return self._over(request, refusal)
        return await self._serve(visitor, request, mount)

    async def _serve(self, visitor: Visitor, request: Request, mount: str) -> Response:
        place = place_of(request, mount)
        files = visitor.files
        if request.method == "POST" and is_creation(request):
            raise HttpError(405, "What comes by a link comes whole.", [ALLOW])
        if request.method in ("GET", "HEAD") and place.path.endswith("/") and not files.identity.may("dir"):
            # Who may only bring files sees the page to do so, and none of what is there.
            return self._door.pages.listing(place, Shown(Page(())), files.identity, looks_of(visitor))
        if request.method in ("GET", "HEAD") and place.path and not files.identity.may("get"):
            raise HttpError(403, NotPermitted().sentence, SAFE)
        return await self._door.serve(visitor, request, mount)

    async def _enter(self, request: Request, token: str) -> Visitor:
        origin = self._door.gate.origin(request)
        session = self._sessions.find(request.headers.get("cookie")) if request.secure else None
        if session is not None:
            shown = request.method in HARMLESS or same_token(session, request.headers.get(TOKEN))
            if not shown and not is_form(request):
                raise HttpError(403, NO_TOKEN, SAFE)
            return Visitor(await self._portal.resume(session.identity, origin), session, shown)
        return Visitor(await self._portal.login_with_share(token, _password(request), origin))

    async def _log_in(self, request: Request, token: str, mount: str) -> Response:
        if not request.secure:
            raise HttpError(403, "Send the password over HTTPS.", SAFE)
        fields = await read_form(request)
        refuse_other_sites(request)
        try:
            files = await self._portal.login_with_share(token, fields.get("password", ""), self._door.gate.origin(request))
        except LoginFailed as refusal:
            return self._ask_password(request, mount, refusal)
        except NotPermitted as refusal:
            return self._over(request, refusal)
        answer = redirect(f"{mount}/", 303)
        answer.headers.append(("Set-Cookie", self._sessions.begin(files.identity, mount)))
        return answer

    def _ask_password(self, request: Request, mount: str, refusal: LoginFailed) -> Response:
        if not refusal.detail:
            return self._message(request, 404, "There is no such link, or it was taken back.")
        if not _browser(request):
            raise HttpError(401, "This link has a password.", [("WWW-Authenticate", 'Basic realm="link", charset="UTF-8"')])
        message = "" if request.method == "GET" else "The password is wrong."
        return self._door.pages.ask_password(f"{mount}/", message)

    def _over(self, request: Request, refusal: NotPermitted) -> Response:
        return self._message(request, 410, refusal.detail[:1].upper() + refusal.detail[1:] + ".")

    def _message(self, request: Request, status: int, text: str) -> Response:
        if _browser(request):
            return self._door.pages.message(status, text)
        return text_response(status, text, SAFE)

    # Who makes links.

    async def shares(self, request: Request) -> Response:
        """GET: the user's links. POST: a new one."""
        files = (await self._door.gate.enter(request)).files
        if request.method == "GET":
            return _json(200, [_shown(share) for share in await files.shares()])
        fields = await read_form(request)
        if fields.get("for", "download") not in KINDS:
            raise HttpError(400, f"A link is for one of: {', '.join(KINDS)}.", SAFE)
        days, uses = _whole(fields.get("days")), _whole(fields.get("uses"))
        life = None if days is None else days * 86400.0
        wanted = NewShare("", "", KINDS[fields.get("for", "download")], life, uses, fields.get("password") or None)
        share, token = await files.add_share(fields.get("path", ""), wanted)
        return _json(201, {**_shown(share), "url": f"{SHARE}{token}/"})

    async def remove(self, request: Request) -> Response:
        """Take a link back."""
        files: IFileSystem = (await self._door.gate.enter(request)).files
        id_ = _whole(request.path.removeprefix(f"{SHARES}/"))
        if id_ is None:
            raise HttpError(404, "There is no such link.", SAFE)
        await files.remove_share(id_)
        return Response(204, list(SAFE))


def share_sessions(random: Random, seconds: Callable[[], float], idle: float, life: float) -> Sessions:
    """Those of links with passwords."""
    return Sessions(random, seconds, idle, life, COOKIE)


def _password(request: Request) -> str:
    """What a program sends as the password of a link."""
    field = request.headers.get("authorization")
    if field is None:
        return ""
    try:
        return parse_basic(field)[1]
    except ValueError:
        return ""


def _browser(request: Request) -> bool:
    return "text/html" in (request.headers.get("accept") or "")


def _whole(text: str | None) -> int | None:
    """A number of 1 or more; None where none is said. Raises `HttpError` 400."""
    if not text:
        return None
    if not _NUMBER.fullmatch(text) or not int(text):
        raise HttpError(400, "That is not a whole number of 1 or more.", SAFE)
    return int(text)


def _shown(share: Share) -> dict[str, object]:
    return {
        "id": share.id,
        "path": f"/{share.destination}/{share.path}",
        "permissions": share.permissions,
        "expires": None if share.expires is None else timestamp(share.expires),
        "uses": share.most,
        "used": share.used,
        "password": share.has_password,
    }


def _json(status: int, found: object) -> Response:
    return Response(status, [("Content-Type", "application/json"), *SAFE], (json.dumps(found) + "\n").encode())
