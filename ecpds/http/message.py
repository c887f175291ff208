"""What a handler gets and what it gives back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from attrs import Factory, define, frozen
from cryptography import x509
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from ecpds.http.headers import Headers
from ecpds.interfaces import IByteSink, IByteSource

__all__ = ("AtOnce", "Handler", "Headers", "HttpError", "IBody", "Ready", "Request", "Response", "text_response")


class HttpError(Exception):
    """An answer other than the one that was wanted: a status, one sentence for the user, and headers it needs."""

    def __init__(self, status: int, text: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(f"{status} {text}")
        self.status = status
        self.text = text
        self.headers = tuple(headers)


@define(eq=False)
class Request:
    """One request, when its head is complete.

    `target` is the request-target as it came; `path` and `query` are its parts, still percent-encoded. `length` is what
    the client declared: 0 without a body, None when the body is chunked. The first read of `body` lets a client that
    waits for `100 Continue` go on, so a handler that refuses before it never has the body sent. `certificate` is the
    client's, where it has shown one. `memory` is the handler's own: what came of the fields, for requests of the same
    connection that have the very same ones (`AtOnce`). Those that the handler names in `varying` (in lower case) may then
    have other values, as long as these; none that frames a request may be among them. `anywhere`: the memory holds on other
    connections of the same peer, too.
    """

    method: str
    target: bytes
    path: str
    query: str
    headers: Headers
    version: str
    peer: str
    secure: bool
    length: int | None
    body: IByteSource
    certificate: x509.Certificate | None = None
    memory: object = None
    varying: Mapping[str, str] = Factory(dict)
    anywhere: bool = False


class IBody(Interface):
    """The body of a reply that is not in memory."""

    length: int | None = Attribute("its bytes; None when that is not known: chunked to a 1.1 client, else until the close")

    async def send(sink: IByteSink) -> None:
        """Hand all of it to `sink`: exactly `length` bytes where that is known."""

    def close(failure: BaseException | None = None) -> None:
        """Called once, whatever happened: after the last byte, instead of the first (HEAD), or with what went wrong."""


@define(eq=False)
class Response:
    """One answer. The server adds Date, Server, Connection and the framing; a handler may not set these itself."""

    status: int
    headers: list[tuple[str, str]] = Factory(list)
    body: bytes | IBody = b""


Handler = Callable[[Request], Awaitable[Response]]
"""Answers a request; may raise `HttpError` and any refusal of `ecpds.errors`."""


def _nothing(_: BaseException | None) -> None:
    """Nothing was open."""


@frozen(eq=False)
class Ready:
    """An answer that waits for nothing. `head` is as `reply.unfinished_head` makes it; `ended` is called when all of it has
    left, or with what kept it from that."""

    head: bytes
    body: bytes | memoryview
    ended: Callable[[BaseException | None], None] = _nothing


AtOnce = Callable[[str, str, Request, memoryview], Ready | Deferred[Ready] | None]
"""Answers a GET or HEAD of a path, which has no query, or a PUT to one, with its short body, where nothing has to be waited
for: else None, and a `Handler` is asked; then nothing was done. A Deferred is of an answer that is as good as certain and comes
by itself in a moment, such as after a commit; the body is not looked at any more by then, and it is not to be cancelled.

The request is an earlier one of the same connection, with the same fields, but for a body's length, and the memory of who
answered it; `varying` has the values of now. Or it is one without fields that stands for those of other connections
(`Request.anywhere`). An answer keeps the connection open. Raises nothing.
"""


def text_response(status: int, text: str, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """A sentence as plain text."""
    return Response(status, [("Content-Type", "text/plain; charset=utf-8"), *headers], f"{text}\n".encode())
