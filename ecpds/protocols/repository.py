"""The repository at the HTTPS door: the ancestor's routes and the pages below `/repository/`, the API below `/api/v1/sources`.

Who tells whom: a request is matched with the table of routes; where it has credentials or a session, the gate says who that
is; then its body is read, as far as its kind may be long; and the repository is asked. Strangers may ask and report. Changes
are for users whose option `repository.edit` is true, and from a browser they carry the session's token, in the form.
"""

from __future__ import annotations

from ecpds.datasource_interfaces import IRepository
from ecpds.errors import NotPermitted, Refusal
from ecpds.http.message import HttpError, Request, Response, text_response
from ecpds.http.replies import STATUS
from ecpds.http.routing import Routes
from ecpds.limits import Limits
from ecpds.model import Identity
from ecpds.options import EDITS_SOURCES
from ecpds.protocols.data_login import Gate
from ecpds.protocols.repository_api import Api
from ecpds.protocols.repository_call import API, EDITORS, FORM, PREFIX, SAFE, Call, Fields, Route, as_json, read_form
from ecpds.protocols.repository_compat import Compatible
from ecpds.protocols.repository_edit import Fetch
from ecpds.protocols.repository_pages import Pages

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")


class RepositoryDoor:
    """Answers what is below its two prefixes; `gate` says who a request is from, `fetch` gets a configuration by its URL."""

    def __init__(self, repository: IRepository, gate: Gate, limits: Limits, fetch: Fetch) -> None:
        self._gate = gate
        self._limits = limits
        compatible, pages, api = Compatible(repository), Pages(repository, fetch), Api(repository, limits)
        self._pages = pages
        own = [(PREFIX, route) for route in (*compatible.routes, *pages.routes)]
        self.table = [*own, *((API, route) for route in api.routes)]
        self._compiled = [(prefix, route, route.pattern) for prefix, route in self.table]

    def add_to(self, routes: Routes) -> None:
        for prefix in (PREFIX, API):
            routes.add(METHODS, prefix, self.handle)

    async def handle(self, request: Request) -> Response:
        """Answer one request. Raises `HttpError` for who has to log in, or may not."""
        prefix = API if request.path.startswith(API) else PREFIX
        try:
            route, ids = self._route(request, prefix)
            call = await self._call(request, route, ids)
            return await route.answer(call)
        except Refusal as refusal:
            status, text = STATUS[type(refusal)], refusal.sentence
        except HttpError as error:
            if error.status in (303, 401):
                raise
            status, text = error.status, error.text
            return self._refused(request, prefix, status, text, error.headers)
        return self._refused(request, prefix, status, text)

    def _route(self, request: Request, prefix: str) -> tuple[Route, dict[str, int]]:
        """Raises `HttpError` 404, and 405 with `Allow`."""
        path, allowed = request.path.removeprefix(prefix), []
        method = "GET" if request.method == "HEAD" else request.method
        for at, route, pattern in self._compiled:
            found = pattern.fullmatch(path.rstrip("/")) if at == prefix else None
            if found is not None:
                if route.method == method:
                    return route, {name: int(text) for name, text in found.groupdict().items()}
                allowed.append(route.method)
        if allowed:
            raise HttpError(405, "That method is not allowed here.", [("Allow", ", ".join(sorted(set(allowed)))), *SAFE])
        raise HttpError(404, "There is nothing of that name here.", SAFE)

    async def _call(self, request: Request, route: Route, ids: dict[str, int]) -> Call:
        """Only what an editor sends may be long, so it is read when that is known.

        A session's token is in its form: that is read by what the user might do at the login, and asked for anew then.
        """
        session = None if "authorization" in request.headers else self._gate.session(request)
        known = session is not None or "authorization" in request.headers
        if not known and route.access != EDITORS:
            return Call(request, ids, form=await self._form(request, route, False))
        form = await self._form(request, route, _edits(session.identity)) if session is not None else {}
        identity = (await self._gate.enter(request, form.get("token", [""])[-1])).files.identity
        edits = _edits(identity)
        if route.access == EDITORS and not edits:
            raise NotPermitted(f"this is for users whose option {EDITS_SOURCES} is true")
        if session is None:
            form = await self._form(request, route, edits)
        return Call(request, ids, identity.login, edits, session.token if session else None, form)

    async def _form(self, request: Request, route: Route, edits: bool) -> Fields:
        if route.body != "form":
            return {}
        return await read_form(request, self._limits.source_body if edits and route.path.endswith("/import") else FORM)

    def _refused(
        self, request: Request, prefix: str, status: int, text: str, headers: tuple[tuple[str, str], ...] = SAFE
    ) -> Response:
        """In the words of who asked: JSON for programs, a page for browsers."""
        accept = request.headers.get("accept") or ""
        if prefix == API or "application/json" in accept:
            return as_json({"error": text}, status, tuple(each for each in headers if each not in SAFE))
        if "text/html" in accept:
            return self._pages.refusal(status, text, headers)
        return text_response(status, text, headers)


def _edits(identity: Identity) -> bool:
    return identity.options.get(EDITS_SOURCES) == "true"
