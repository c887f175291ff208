"""Open Access users by path: `/open/LOGIN/…` is what such a user may read, for everybody and without logging in.

Who tells whom: the door logs the user of the path in without a password, which only a user of the mode `open` lets it; for
any other name the answer is that of one that is not there. A host name can lead here too (`https.open_hosts`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ecpds.errors import LoginFailed, NotPermitted
from ecpds.http.message import Handler, HttpError, Request, Response
from ecpds.http.routing import Routes
from ecpds.portal_interfaces import IPortal
from ecpds.protocols.data import DataDoor
from ecpds.protocols.data_cors import let_read, preflight
from ecpds.protocols.data_headers import SAFE
from ecpds.protocols.data_html import Looks
from ecpds.protocols.data_login import Visitor
from ecpds.protocols.data_place import redirect

OPEN = "/open/"
METHODS = ("GET", "HEAD", "OPTIONS")

_MOUNT = re.compile(r"/open/([A-Za-z0-9_][A-Za-z0-9._@-]{0,62})(?=/|$)")


class OpenDoor:
    """Answers below `/open/`, by the data door's own verbs, as far as they only read."""

    def __init__(self, door: DataDoor, portal: IPortal) -> None:
        self._door = door
        self._portal = portal

    def add_to(self, routes: Routes) -> None:
        """Answer what is read without a login."""
        routes.add(METHODS, OPEN, self.handle)

    async def handle(self, request: Request) -> Response:
        """Answer one request. Raises `HttpError` 404 for a user that is not open."""
        found = _MOUNT.match(request.path)
        if found is None:
            raise HttpError(404, "There is no such user.", SAFE)
        if request.method == "OPTIONS":
            return Response(204, [("Allow", ", ".join(METHODS)), *preflight(request.headers, ", ".join(METHODS))])
        try:
            files = await self._portal.login(found[1], "", self._door.gate.origin(request))
        except (LoginFailed, NotPermitted):
            raise HttpError(404, "There is no such user.", SAFE) from None
        response = await self._door.serve(Visitor(files, looks=Looks(open=True)), request, found[0])
        let_read(request, found[0], files.identity, response)
        return response


def open_hosts(pairs: tuple[str, ...]) -> Mapping[str, str]:
    """`HOST=LOGIN` each, as a mapping."""
    return {host.lower(): login for host, _, login in (pair.partition("=") for pair in pairs)}


def led_by_host(handler: Handler, hosts: Mapping[str, str]) -> Handler:
    """A handler whose front page is, for some names of this server, that of an open user."""

    async def answer(request: Request) -> Response:
        host = (request.headers.get("host") or "").rpartition(":")[0] or (request.headers.get("host") or "")
        login = hosts.get(host.lower()) if request.path == "/" and request.method in ("GET", "HEAD") else None
        return redirect(f"{OPEN}{login}/", 302) if login is not None else await handler(request)

    return answer
