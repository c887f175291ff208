"""HTTP after a login by a form: the form is posted once for each source, and the cookies that it sets are sent from then on."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote_plus

from twisted.internet.defer import DeferredLock

from ecpds.datasources import Candidate
from ecpds.errors import InvalidRequest, LoginFailed
from ecpds.http.client import Ask, HttpClient, Reply
from ecpds.interfaces import IThreads
from ecpds.sources.mechanisms.base import Credentials, Secret, parse_url
from ecpds.sources.mechanisms.http import Http, Target

NEEDED = ("auth_url", "username_field", "password_field")


class FormHttp(Http):
    """As HTTP; what a person is asked for are the form's own two fields."""

    def __init__(self, client: HttpClient, credentials: Credentials, threads: IThreads, private: bool = False) -> None:
        super().__init__(client, credentials, threads, private)
        self._doors: dict[str, DeferredLock] = {}
        self._entered: set[str] = set()

    async def _ask(self, method: str, candidate: Candidate, fields: Sequence[tuple[str, str]]) -> Reply:
        await self._enter(candidate)
        return await super()._ask(method, candidate, fields)

    async def _enter(self, candidate: Candidate) -> None:
        """Log in, unless that was done for this form; who comes while it is under way waits for it."""
        options = {name: str(candidate.options.get(name) or "") for name in NEEDED}
        if not all(options.values()):
            raise InvalidRequest(f"a login by a form needs {', '.join(NEEDED)}")
        form = options["auth_url"]
        door = self._doors.setdefault(form, DeferredLock())
        await door.acquire()
        try:
            if form not in self._entered:
                await self._post(options)
                self._entered.add(form)
        finally:
            door.release()

    async def _post(self, options: dict[str, str]) -> None:
        place = parse_url(options["auth_url"], ("http", "https"))
        secret = place.secret or await self._credentials.find(place.scheme, place.host, place.login, 0)
        if secret is None:
            raise LoginFailed(f"{place.host} wants a name and password")
        reply = await self._client.send(_form(Target(place), options, secret))
        self.cookies.take(reply.headers.get_all("set-cookie"), place.host)
        status = reply.status
        await reply.discard()
        if status >= 400 or not self.cookies.field(place.host, "/", True):
            raise LoginFailed(f"{place.host} did not take the name and password (it said {status})")


def _form(target: Target, options: dict[str, str], secret: Secret) -> Ask:
    pairs = {options["username_field"]: secret.login, options["password_field"]: secret.password}
    body = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs.items()).encode("ascii")
    headers = (("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "*/*"))
    return Ask("POST", target.place.host, target.port, target.secure, target.path, headers, body)
