"""HTTP and HTTPS (RFC 9110): one GET, with a Range where a part is wanted and If-Match where it must be the same file.

We send the GET; a server that wants a login answers 401 and gets it with the next try; one that redirects is followed, a few
times, never from https to http nor to another scheme, and to another server only where its address is public. The reply
tells of the file: its size, entity tag, date and, from servers that know them, digests.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from urllib.parse import urljoin

from attrs import evolve, frozen
from zope.interface import implementer

from ecpds.datasources import Candidate
from ecpds.errors import (
    InvalidRequest,
    LoginFailed,
    NotFound,
    NotPermitted,
    NotSupported,
    PreconditionFailed,
    Refusal,
    TooManyConnections,
    Unavailable,
)
from ecpds.http.client import Ask, HttpClient, Reply
from ecpds.interfaces import IThreads
from ecpds.sources.mechanisms.base import (
    About,
    Credentials,
    ILister,
    IMechanism,
    IOpened,
    Listed,
    Place,
    Secret,
    parse_url,
    shown,
)
from ecpds.sources.mechanisms.cookies import Cookies
from ecpds.sources.mechanisms.indexes import links
from ecpds.sources.mechanisms.told import RANGE, WANTED, about

REDIRECTS = 10

INDEX = 4 << 20
"""Bytes of the page that lists a folder."""

_UNSAFE = re.compile(r"[^\x21-\x7e]")


@frozen
class Target:
    """Where a request goes by now: redirects change it. `moved`: whether one has."""

    place: Place
    secret: Secret | None = None
    moved: bool = False

    @property
    def secure(self) -> bool:
        return self.place.scheme == "https"

    @property
    def port(self) -> int:
        return self.place.port or (443 if self.secure else 80)

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.place.scheme, self.place.host, self.port

    @property
    def path(self) -> str:
        text = f"{self.place.path}?{self.place.query}" if self.place.query else self.place.path
        return _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogateescape")), text)

    @property
    def url(self) -> str:
        host = f"[{self.place.host}]" if ":" in self.place.host else self.place.host
        return f"{self.place.scheme}://{host}:{self.port}{self.path}"


@implementer(IOpened)
class HttpOpened:
    """The body of a reply, from `offset` on."""

    def __init__(self, reply: Reply, about: About, offset: int) -> None:
        self.about = about
        self.offset = offset
        self._reply = reply

    async def read_into(self, view: memoryview) -> int:
        return await self._reply.read_into(view)

    def close(self) -> None:
        self._reply.close()


@implementer(IMechanism, ILister)
class Http:
    """`private`: whether a redirect may lead to an address of this machine or a private network. Indexes of folders, which
    may be long, are read on `threads`."""

    many = True
    schemes: Sequence[str] = ("http", "https")

    def __init__(self, client: HttpClient, credentials: Credentials, threads: IThreads, private: bool = False) -> None:
        self._client = client
        self._threads = threads
        self._credentials = credentials
        self._private = private
        self._secrets: dict[tuple[str, str, int], Secret] = {}
        self.cookies = Cookies()

    async def stat(self, candidate: Candidate) -> About:
        reply = await self._ask("HEAD", candidate, [])
        reply.close()
        return about(reply.status, reply.headers)

    async def open(self, candidate: Candidate, offset: int = 0, end: int | None = None, version: str = "") -> IOpened:
        fields: list[tuple[str, str]] = []
        if offset or end is not None:
            fields.append(("Range", f"bytes={offset}-" if end is None else f"bytes={offset}-{end - 1}"))
            if version.startswith('"'):
                fields.append(("If-Match", version))
        reply = await self._ask("GET", candidate, fields)
        try:
            return _opened(reply, offset, version)
        except BaseException:
            reply.abort()
            raise

    async def list(self, candidate: Candidate, most: int) -> Sequence[Listed]:
        """The links of an index page to what stands in the folder itself."""
        folder = candidate.url if candidate.url.endswith("/") else f"{candidate.url}/"
        reply = await self._ask("GET", evolve(candidate, url=folder), [])
        if "html" not in (reply.headers.get("content-type") or ""):
            reply.abort()
            raise NotSupported(f"{shown(folder)} is no index of a folder")
        page = await reply.text(INDEX)
        found: Sequence[Listed] = await self._threads.run(links, page.decode("utf-8", "replace"), folder)
        return found[:most]

    # One request, redirects and logins

    def target(self, candidate: Candidate) -> Target:
        place = parse_url(candidate.url, self.schemes)
        return Target(place, place.secret)

    def signed(self, method: str, target: Target, candidate: Candidate, fields: Sequence[tuple[str, str]]) -> Ask:
        """The request, with what makes it ours."""
        headers = [*WANTED, *fields]
        if target.secret is not None:
            headers.append(("Authorization", _authorization(target.secret)))
        elif cookie := self.cookies.field(target.place.host, target.place.path, target.secure):
            headers.append(("Cookie", cookie))
        return Ask(
            method,
            target.place.host,
            target.port,
            target.secure,
            target.path,
            headers,
            public=target.moved and not self._private,
        )

    async def _ask(self, method: str, candidate: Candidate, fields: Sequence[tuple[str, str]]) -> Reply:
        """The reply of the server that has the file. Raises the refusal that another status means."""
        target = self.target(candidate)
        refused = 0
        for _ in range(REDIRECTS + 2):
            known = self._secrets.get(target.origin) if target.secret is None else None
            target = evolve(target, secret=known) if known else target
            reply = await self._client.send(self.signed(method, target, candidate, fields))
            self.cookies.take(reply.headers.get_all("set-cookie"), target.place.host)
            if reply.status == 401 and not target.moved and refused < 2:
                await reply.discard()
                target = await self._log_in(target, reply, refused)
                refused += 1
            elif reply.status in (301, 302, 303, 307, 308):
                await reply.discard()
                target = _redirected(target, reply.headers.get("location"))
            else:
                _check_status(reply)
                return reply
        raise InvalidRequest(f"more than {REDIRECTS} redirects")

    async def _log_in(self, target: Target, reply: Reply, refused: int) -> Target:
        """With a name and password for the next try. Raises `LoginFailed` when there is none."""
        self._secrets.pop(target.origin, None)
        wanted = (reply.headers.get("www-authenticate") or "").lower()
        if "basic" not in wanted and "bearer" not in wanted:
            raise LoginFailed("the server wants a login of a kind that is not known here")
        tried = refused + (target.secret is not None)
        secret = await self._credentials.find(target.place.scheme, target.place.host, target.place.login, tried)
        if secret is None:
            raise LoginFailed(f"{target.place.host} wants a name and password")
        self._secrets[target.origin] = secret
        return evolve(target, secret=secret)


def _opened(reply: Reply, offset: int, version: str) -> HttpOpened:
    told = about(reply.status, reply.headers)
    if reply.headers.get("content-encoding", "identity") != "identity":
        raise NotSupported("the server sends the file in a coding that was not asked for")
    if reply.status == 206:
        begins = _begins(reply, offset)
    else:
        begins = 0
    if version and told.version and told.version != version:
        raise PreconditionFailed("the file has changed")
    return HttpOpened(reply, told, begins)


def _begins(reply: Reply, offset: int) -> int:
    """Where the part that came begins. Raises `InvalidRequest` where that isn't what was asked for."""
    found = RANGE.fullmatch(reply.headers.get("content-range") or "")
    if found is None or int(found[1]) != offset:
        raise InvalidRequest("the server sent another part than was asked for")
    if reply.length is not None and reply.length != int(found[2]) - int(found[1]) + 1:
        raise InvalidRequest("the server's part has not the length that it says")
    return offset


def _check_status(reply: Reply) -> None:
    """Raises the refusal that a status means, unless it brings the file."""
    if reply.status in (200, 206):
        return
    reply.abort()
    words = f"the server said {reply.status}"
    refusal: type[Refusal] = InvalidRequest
    if reply.status in (404, 410):
        refusal = NotFound
    elif reply.status in (401, 407):
        refusal = LoginFailed
    elif reply.status == 403:
        refusal = NotPermitted
    elif reply.status in (412, 416):
        refusal = PreconditionFailed
    elif reply.status in (429, 503):
        refusal = TooManyConnections
    elif reply.status >= 500 or reply.status == 408:
        refusal = Unavailable
    raise refusal(words)


def _redirected(target: Target, location: str | None) -> Target:
    """Where a redirect leads. Raises `NotPermitted` where it may not."""
    if not location:
        raise InvalidRequest("the server redirects to nowhere")
    try:
        url = urljoin(target.url, location)
    except ValueError as error:
        raise InvalidRequest(f"the server redirects to what is no URL: {error}") from error
    scheme = url.partition(":")[0].lower()
    if scheme not in ("http", "https") or (target.secure and scheme == "http"):
        raise NotPermitted(f"the server redirects to {shown(url)}")
    there = Target(evolve(parse_url(url, ("http", "https")), login="", password=None))
    same = there.origin == target.origin
    return evolve(there, secret=target.secret if same else None, moved=target.moved or not same)


def _authorization(secret: Secret) -> str:
    if not secret.login:
        return f"Bearer {secret.password}"
    return "Basic " + base64.b64encode(f"{secret.login}:{secret.password}".encode()).decode("ascii")
