"""Asking the data door, without sockets: a request goes in, what the client would see comes out."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ecpds.errors import Refusal
from ecpds.http.message import Headers, HttpError, Request, Response, text_response
from ecpds.http.replies import refusal_response
from ecpds.interfaces import IByteSource
from ecpds.limits import Limits
from ecpds.protocols.data import DataDoor
from ecpds.threads import InlineThreads
from tests.doubles import MemoryPortal, MemorySink, MemorySource, make_identity

PASSWORD = "secret"


def basic(login: str, password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()


@frozen
class Seen:
    """A reply as the client sees it."""

    status: int
    headers: Headers
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class DoorTestCase(SynchronousTestCase):
    """A door on a portal in memory, with `alice`, who may do everything, and `bob`, who may only look at directories."""

    listing_page = 3

    def setUp(self) -> None:
        users = {
            "alice": (PASSWORD, make_identity("alice", ("demo", "other"))),
            "bob": (PASSWORD, make_identity("bob", ("demo",), ("dir",))),
        }
        self.portal = MemoryPortal(users)
        self.tree = self.portal.tree
        self.clock = Clock()
        self.door = DataDoor(self.portal, "node-1", Limits(listing_page=self.listing_page), self.clock.seconds, InlineThreads())

    def request(
        self,
        method: str,
        target: str,
        fields: Mapping[str, str] | None = None,
        body: bytes | IByteSource = b"",
        length: int | None = -1,
        login: str | None = "alice",
        secure: bool = True,
    ) -> Request:
        path, _, query = target.partition("?")
        headers = Headers((fields or {}).items())
        if login is not None:
            headers.add("Authorization", basic(login))
        source = MemorySource(body) if isinstance(body, bytes) else body
        if length == -1:
            length = len(body) if isinstance(body, bytes) else None
        return Request(method, target.encode(), path, query, headers, "1.1", "192.0.2.1", secure, length, source)

    def start(self, request: Request) -> Deferred[Response]:
        return Deferred.fromCoroutine(self.door.handle(request))

    def ask(self, *args: Any, **named: Any) -> Seen:
        """The reply to a request that nothing holds up."""
        return self.finish(self.start(self.request(*args, **named)), args[0] == "HEAD")

    def finish(self, answered: Deferred[Response], head: bool = False) -> Seen:
        return self.seen(self.successResultOf(answered.addErrback(_refused)), head)

    def seen(self, response: Response, head: bool) -> Seen:
        """Take the whole body, as the HTTP layer would; of HEAD, only its length."""
        body, headers = response.body, Headers(response.headers)
        if isinstance(body, bytes):
            headers.add("Content-Length", str(len(body)))
            return Seen(response.status, headers, b"" if head else body)
        sink = MemorySink()
        if not head:
            self.successResultOf(Deferred.fromCoroutine(body.send(sink)))
        body.close()
        if body.length is not None:
            headers.add("Content-Length", str(body.length))
            if not head:
                self.assertEqual(len(sink.value), body.length)
        return Seen(response.status, headers, sink.value)

    def denials(self) -> list[str]:
        return [fields["Message"] for fields in self.portal.sink.of("DEA")]

    def transfers(self) -> list[tuple[str, str, int]]:
        """Action, status and bytes of each transfer on record."""
        return [(fields["Action"], fields["Status"], fields["BytesSent"]) for fields in self.portal.sink.of("INH")]


def _refused(failure: Any) -> Response:
    failure.trap(HttpError, Refusal)
    error = failure.value
    if isinstance(error, HttpError):
        return text_response(error.status, error.text, error.headers)
    return refusal_response(error)
