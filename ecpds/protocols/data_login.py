"""Who a request of the data door is from.

Who tells whom: programs send a login and a password (Basic, RFC 7617) or an access key (Bearer, RFC 6750) with each request;
a browser sends a form once, gets a cookie, and sends that back. A browser that has neither is led to the form, any other
client is asked for a password. Before all that, where `https.client_certificates` has clients asked for certificates, TLS has
proved that the client holds a key: it is the login that the certificate names, or that Basic names without a password, if the
key is one of that user's. A bearer token is an access key's id and secret with a dot between: so it has that key's
expiry, permissions and destinations, and ends when the key is removed.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import parse_qsl, quote, urlsplit

from attrs import frozen
from cryptography.x509 import Certificate
from cryptography.x509.oid import NameOID

from ecpds.errors import LoginFailed, NotPermitted, Refusal
from ecpds.http.message import HttpError, Request, Response
from ecpds.keys import signing_key, ssh_key
from ecpds.model import Origin
from ecpds.portal_interfaces import IFileSystem, IPortal
from ecpds.protocols.data_cors import may_post
from ecpds.protocols.data_headers import PREFIX, SAFE
from ecpds.protocols.data_html import PLAIN, HtmlPages, Looks
from ecpds.protocols.data_sessions import Session, Sessions, same_token
from ecpds.wire.credentials import parse_basic

CHALLENGES = [("WWW-Authenticate", 'Basic realm="ecpds", charset="UTF-8"'), ("WWW-Authenticate", 'Bearer realm="ecpds"')]

LOGIN, LOGOUT = "/login", "/logout"

TOKEN = "X-Csrf-Token"
"""The header that carries a session's token."""

HARMLESS = ("GET", "HEAD", "OPTIONS")

NO_TOKEN = "The request does not carry this session's token."

MOST_FORM = 8192
"""Bytes of a form that logs in or out."""

_BEARER = re.compile(r"bearer +([A-Z0-9]{16,32})\.([A-Za-z0-9+/_~-]{16,128})", re.IGNORECASE)
_SCOPE = ("20000101", "portal", "https")
"""A signing key of no date and no region that a request could be signed for."""


@frozen
class Visitor:
    """Who sent a request. `session` is there where a cookie said so; `shown`: whether the request has its token.

    A form of a browser can't have it yet: it is one of the form's fields, and who reads the form must look for it.
    """

    files: IFileSystem
    session: Session | None = None
    shown: bool = True
    looks: Looks = PLAIN


class Gate:
    """Lets requests in. `node` is this daemon's name, for the records."""

    def __init__(self, portal: IPortal, node: str, sessions: Sessions, pages: HtmlPages) -> None:
        self._portal = portal
        self._node = node
        self._sessions = sessions
        self._pages = pages

    async def enter(self, request: Request, sent: str | None = None) -> Visitor:
        """The view of the user that sent a request. Raises `HttpError` 303, 401 and 403, and what the portal raises.

        `sent` is the session's token, where a form that was read already has it.
        """
        field = request.headers.get("authorization")
        if field is not None:
            files = await self._with_credentials(field, self.origin(request), request.certificate)
            if request.method == "POST" and not may_post(request, PREFIX, files.identity):
                # A browser that knows a password sends it with other sites' forms, too.
                self._refuse_other_sites(request, files.identity.login)
            return Visitor(files)
        session = self.session(request)
        if session is not None:
            return await self._known(session, request, self.origin(request), sent)
        if request.certificate is not None:
            return Visitor(await self._by_certificate(request, request.certificate))
        raise self._stranger(request)

    async def _with_credentials(self, field: str, origin: Origin, certificate: Certificate | None) -> IFileSystem:
        if field.lower().startswith("bearer"):
            return await self._bearer(field, origin)
        try:
            login, password = parse_basic(field)
        except ValueError as error:
            raise self._malformed(error, origin) from None
        key = ssh_key(certificate) if certificate is not None and not password else None
        if key is not None:
            return await self._portal.login_with_key(login, key, origin)
        return await self._portal.login(login, password, origin)

    async def _by_certificate(self, request: Request, certificate: Certificate) -> IFileSystem:
        """A browser shows its certificate whatever page asks, so what changes anything may not come from other sites' pages."""
        if request.method not in HARMLESS:
            self._refuse_other_sites(request)
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        key = ssh_key(certificate)
        if len(names) != 1 or key is None:
            raise self._stranger(request)
        try:
            return await self._portal.login_with_key(str(names[0].value), key, self.origin(request))
        except LoginFailed:
            raise self._stranger(request) from None

    def _refuse_other_sites(self, request: Request, login: str = "") -> None:
        try:
            refuse_other_sites(request)
        except HttpError as error:
            self._portal.refused(login, f"{request.method} {request.path}: {error.text}", self.origin(request))
            raise

    def session(self, request: Request) -> Session | None:
        """The session of a request, which only HTTPS has."""
        return self._sessions.find(request.headers.get("cookie")) if request.secure else None

    async def login(self, request: Request) -> Response:
        """GET: the form. POST: what it sends; a cookie, and on to where the user wanted to go."""
        if request.method != "POST":
            return self._form(200, _place(dict(parse_qsl(request.query)).get("to")))
        if not request.secure:
            raise HttpError(403, "Log in over HTTPS.", SAFE)
        fields = await read_form(request)
        self._refuse_other_sites(request, fields.get("login", ""))
        to = _place(fields.get("to"))
        try:
            password = fields.get("password", "") + fields.get("code", "").strip()
            files = await self._portal.login(fields.get("login", ""), password, self.origin(request))
        except (LoginFailed, NotPermitted) as refusal:
            return self._form(403, to, refusal.sentence)
        headers = [("Location", to), ("Set-Cookie", self._sessions.begin(files.identity)), *SAFE]
        return Response(303, headers)

    async def logout(self, request: Request) -> Response:
        """Ends the session of a form that has its token."""
        fields = await read_form(request)
        session = self.session(request)
        headers = [("Location", LOGIN), *SAFE]
        if session is not None:
            if not same_token(session, fields.get("token")):
                raise HttpError(403, "The form is not of this session.", SAFE)
            headers.append(("Set-Cookie", self._sessions.end(session)))
        return Response(303, headers)

    def _form(self, status: int, to: str, message: str = "") -> Response:
        return self._pages.login(to, message, status)

    def origin(self, request: Request) -> Origin:
        """Where a request comes from."""
        return _origin("https" if request.secure else "http", request.peer, self._node)

    async def _known(self, session: Session, request: Request, origin: Origin, sent: str | None) -> Visitor:
        shown = request.method in HARMLESS or same_token(session, request.headers.get(TOKEN) or sent)
        # Only a form that was not read yet can still have it.
        if not shown and (sent is not None or not is_form(request)):
            self._portal.refused(session.identity.login, f"{request.method} without {TOKEN}", origin)
            raise HttpError(403, NO_TOKEN, SAFE)
        try:
            return Visitor(await self._portal.resume(session.identity, origin), session, shown)
        except NotPermitted:
            self._sessions.end(session)
            raise

    async def _bearer(self, field: str, origin: Origin) -> IFileSystem:
        match = _BEARER.fullmatch(field.strip(" \t"))
        if match is None:
            raise self._malformed(ValueError("the token is not one of ours"), origin)
        key, secret = match[1], match[2]
        try:
            files, derived = await self._portal.login_with_signature(key, *_SCOPE, origin)
        except Refusal as refusal:
            if isinstance(refusal, LoginFailed):
                raise HttpError(401, LoginFailed().sentence, CHALLENGES) from None
            raise
        if not hmac.compare_digest(derived, signing_key(secret, *_SCOPE)):
            self._portal.refused(key, "Bearer token is wrong", origin)
            raise HttpError(401, LoginFailed().sentence, CHALLENGES)
        return files

    def _malformed(self, error: ValueError, origin: Origin) -> HttpError:
        self._portal.refused("", str(error), origin)
        return HttpError(401, LoginFailed(str(error)).sentence, CHALLENGES)

    def _stranger(self, request: Request) -> HttpError:
        """Nobody has been refused yet: this is how a client is asked who it is."""
        if TOKEN in request.headers:
            # It is our own page's. Asked for a password, a browser would ask its user in words of its own, and keep it.
            return HttpError(403, "Your session has ended. Load the page anew, and log in.", SAFE)
        if request.secure and request.method == "GET" and "text/html" in (request.headers.get("accept") or ""):
            to = quote(request.path + (f"?{request.query}" if request.query else ""), safe="")
            return HttpError(303, "Log in first.", [("Location", f"{LOGIN}?to={to}"), ("Vary", "Accept"), *SAFE])
        return HttpError(401, "Log in with a user name and a password.", CHALLENGES)


@lru_cache(1024)
def _origin(protocol: str, address: str, node: str) -> Origin:
    """The same object for all requests of a client."""
    return Origin(protocol, address, node)


def is_form(request: Request) -> bool:
    """Whether a request brings the files of a browser's form."""
    kind = (request.headers.get("content-type") or "").partition(";")[0].strip().lower()
    return request.method == "POST" and kind == "multipart/form-data"


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a small form. Raises `HttpError` 400, 413 and 415."""
    kind = (request.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HttpError(415, "This takes a form.", SAFE)
    view = memoryview(bytearray(MOST_FORM + 1))
    size = 0
    while size < len(view) and (count := await request.body.read_into(view[size:])):
        size += count
    if size > MOST_FORM:
        raise HttpError(413, "The form is too long.", SAFE)
    try:
        return dict(parse_qsl(bytes(view[:size]).decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=16))
    except ValueError:
        raise HttpError(400, "The form can't be understood.", SAFE) from None


def refuse_other_sites(request: Request) -> None:
    """Nobody is logged in, or let act by what a browser sends by itself, by another site's page
    (https://www.w3.org/TR/fetch-metadata/). Raises `HttpError` 403."""
    came_from = request.headers.get("sec-fetch-site", "same-origin")
    origin, host = request.headers.get("origin"), request.headers.get("host")
    # Without TLS here, who stands before us may have had it.
    own = (f"https://{host}",) if request.secure else (f"https://{host}", f"http://{host}")
    if came_from not in ("same-origin", "none") or (origin is not None and origin not in own):
        raise HttpError(403, "The request was sent by another site.", SAFE)


def _place(wanted: str | None) -> str:
    """Where a login leads: to our own data or data sources, whatever was asked for."""
    home = f"{PREFIX}/"
    try:
        parts = urlsplit(wanted or home)
    except ValueError:
        return home
    if parts.scheme or parts.netloc or not parts.path.startswith((home, "/repository/")) or not (wanted or "").isprintable():
        return home
    if not (wanted or "").isascii() or "\\" in (wanted or "") or " " in (wanted or ""):
        return home
    return wanted or home
