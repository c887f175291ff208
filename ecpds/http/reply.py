"""One reply on its way out: the head, the framing, and a body that is checked against what the head says.

The head goes out together with the first bytes of the body. So a short reply is one write, and a body that fails before its
first byte can still be answered with an honest status; one that fails later must break the connection, and does.
"""

from __future__ import annotations

import re
from functools import lru_cache
from http import HTTPStatus

from attrs import define
from zope.interface import implementer

from ecpds.errors import Incomplete
from ecpds.http.message import IBody, Response
from ecpds.interfaces import IChannel, IRelaySink
from ecpds.wire.chunked import LAST, size_line

JOINED = 65536
"""Bytes up to which a piece of a body is copied behind what must precede it, to save a write."""

FRAMING = frozenset(("connection", "content-length", "date", "server", "transfer-encoding"))
"""The header fields that are the server's own."""

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++")
_LINE = re.compile(r"[\t\x20-\x7e\x80-\xff]*+")


@define(eq=False)
class Terms:
    """How this request wants to be answered. `own` are the server's header lines: Date and Server.

    `keep_alive` turns false where the reply itself makes the connection end.
    """

    own: str
    keep_alive: bool
    modern: bool = True
    head_only: bool = False


def has_no_body(status: int) -> bool:
    """Whether a reply of this status ends with its head, always (RFC 9110 section 6.4.1)."""
    return status in (204, 304)


def head_bytes(response: Response, terms: Terms) -> bytes:
    """The head of a reply. Raises `ValueError` for a status or header that can't be sent as it is."""
    status, body = response.status, response.body
    if not 200 <= status <= 599:
        raise ValueError(f"{status} is no final status")
    for name, _ in response.headers:
        _check_name(name)
    lines = [f"{name}: {value}" for name, value in response.headers]
    if not _is_plain("".join(lines)) and not all(map(_LINE.fullmatch, lines)):
        raise ValueError("a header of the reply has a character that is not allowed")
    given = "\r\n".join([*lines, ""])
    length = len(body) if isinstance(body, bytes) else body.length
    framing = "" if has_no_body(status) else _framing(length, terms.modern)
    if not terms.keep_alive:
        framing += "Connection: close\r\n"
    elif not terms.modern:
        framing += "Connection: keep-alive\r\n"
    return f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n{terms.own}{given}{framing}\r\n".encode("latin-1")


def unfinished_head(response: Response) -> bytes:
    """The head of a reply that leaves the connection open, for whoever sends it again and again.

    It lacks the server's own lines, which change each second and come last here, and the empty line.
    """
    return head_bytes(response, Terms("", True)).removesuffix(b"\r\n")


@lru_cache(256)
def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name.lower() in FRAMING:
        raise ValueError(f"{name!a} is no header of a handler's")


def _is_plain(text: str) -> bool:
    """Whether it is printable ASCII, which most heads are and which is quickly seen."""
    return text.isascii() and text.isprintable()


def _framing(length: int | None, modern: bool) -> str:
    if length is not None:
        return f"Content-Length: {length}\r\n"
    return "Transfer-Encoding: chunked\r\n" if modern else ""


class Reply:
    """Sends one response. `started` says whether the client may have seen any of it."""

    def __init__(self, channel: IChannel, terms: Terms) -> None:
        self._channel = channel
        self._terms = terms
        self.started = False

    async def send(self, response: Response) -> None:
        """Send all of it and close its body, whatever happens.

        Raises what the body or the channel raises, and `ValueError` for a response that can't be sent.
        """
        body = response.body
        if isinstance(body, bytes):
            await self._send_bytes(response, body)
            return
        failure: BaseException | None = None
        try:
            await self._send_body(response, body)
        except BaseException as error:
            failure = error
            raise
        finally:
            body.close(failure)

    async def _send_bytes(self, response: Response, body: bytes) -> None:
        head = head_bytes(response, self._terms)
        self.started = True
        if self._terms.head_only or has_no_body(response.status):
            await self._channel.write(head)
        elif len(body) <= JOINED:
            await self._channel.write(head + body)
        else:
            await self._channel.write(head)
            await self._channel.write(body)

    async def _send_body(self, response: Response, body: IBody) -> None:
        if body.length is None and not self._terms.modern:
            # An HTTP/1.0 client knows the end of such a body only by the close.
            self._terms.keep_alive = False
        head = head_bytes(response, self._terms)
        if self._terms.head_only or has_no_body(response.status):
            self.started = True
            await self._channel.write(head)
            return
        chunked = body.length is None and self._terms.modern
        sink = BodySink(self, self._channel, head, body.length, chunked)
        await body.send(sink)
        await sink.end()


@implementer(IRelaySink)
class BodySink:
    """What a body is sent to: puts the head before it, the framing around it, and counts."""

    def __init__(self, reply: Reply, channel: IChannel, head: bytes, length: int | None, chunked: bool) -> None:
        self._reply = reply
        self._channel = channel
        self._before = head
        self._left = length
        self._chunked = chunked

    async def write(self, data: bytes | memoryview) -> None:
        if not len(data):
            return
        before = self._announce(len(data))
        if len(data) <= JOINED and before:
            await self._channel.write(b"".join((before, data)))
            return
        if before:
            await self._channel.write(before)
        await self._channel.write(data)

    async def send_file(self, fd: int, offset: int, length: int) -> None:
        if not length:
            return
        before = self._announce(length)
        if before:
            await self._channel.write(before)
        await self._channel.send_file(fd, offset, length)

    async def carry(self, source: IChannel, length: int) -> int:
        relay = IRelaySink(self._channel, None)
        if relay is None or self._chunked or self._left is None or length > self._left:
            return 0
        before = self._announce(0)
        if before:
            await self._channel.write(before)
        count: int = await relay.carry(source, length)
        self._left -= count
        return count

    async def end(self) -> None:
        """The body is complete. Raises `Incomplete` when it is shorter than the head says."""
        if self._left:
            raise Incomplete(f"{self._left} bytes of the reply are missing")
        last = self._before + LAST if self._chunked else self._before
        if last:
            self._reply.started = True
            await self._channel.write(last)

    def _announce(self, length: int) -> bytes:
        """Count `length` bytes that are about to go out and say what must go before them."""
        if self._left is not None:
            if length > self._left:
                raise ValueError(f"a body of the reply is {length - self._left} bytes longer than its head says")
            self._left -= length
        before = self._before
        self._before = b""
        if self._chunked:
            before += size_line(length)
            self._before = b"\r\n"
        self._reply.started = True
        return before
