"""What a handler gets and what it gives back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

from attrs import Factory, define
from cryptography import x509
from zope.interface import Attribute, Interface

from ecpds.interfaces import IByteSink, IByteSource


class HttpError(Exception):
    """An answer other than the one that was wanted: a status, one sentence for the user, and headers it needs."""

    def __init__(self, status: int, text: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(f"{status} {text}")
        self.status = status
        self.text = text
        self.headers = tuple(headers)


class Headers:
    """Header fields by name, in any case; values are text decoded as latin-1, without the white space around them."""

    __slots__ = ("_fields",)

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in items:
            self.add(name, value)

    def add(self, name: str, value: str) -> None:
        """Add one line."""
        self._fields.setdefault(name.lower(), []).append(value)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value of a field; the values of its lines joined by commas where it has several (RFC 9110 section 5.3)."""
        values = self._fields.get(name.lower())
        if values is None:
            return default
        return values[0] if len(values) == 1 else ", ".join(values)

    def get_all(self, name: str) -> list[str]:
        """The value of each line of that name, in the order in which they came."""
        return list(self._fields.get(name.lower(), ()))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def items(self) -> Iterator[tuple[str, str]]:
        """Every line: the name in lower case, and the value. Lines of one name stand together."""
        return ((name, value) for name, values in self._fields.items() for value in values)

    def __repr__(self) -> str:
        # The values are left out, for one of them may be a password.
        return f"Headers({', '.join(self._fields)})"


@define(eq=False)
class Request:
    """One request, when its head is complete.

    `target` is the request-target as it came; `path` and `query` are its parts, still percent-encoded. `length` is what
    the client declared: 0 without a body, None when the body is chunked. The first read of `body` lets a client that
    waits for `100 Continue` go on, so a handler that refuses before it never has the body sent. `certificate` is the
    client's, where it has shown one.
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


def text_response(status: int, text: str, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """A sentence as plain text."""
    return Response(status, [("Content-Type", "text/plain; charset=utf-8"), *headers], f"{text}\n".encode())
