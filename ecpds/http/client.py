"""Requests to HTTP/1.1 servers, over connections that are kept for the next one.

Who tells whom: we send a request with its whole (small) body, the server a head and a body, which the caller pulls by
`read_into`, with back-pressure to the server. At the body's end `close` keeps the connection for the next request to the
same server; before it, `close` ends it. Redirects and logins are the caller's, who knows what they may lead to.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Protocol

from attrs import field, frozen
from zope.interface import implementer

from ecpds.errors import ConnectionLost, InvalidRequest, Refusal, Stalled, TooLarge
from ecpds.http.body import WASTE, RequestBody, request_body
from ecpds.http.headers import AGENT, Headers
from ecpds.http.inbox import Inbox
from ecpds.http.message import HttpError
from ecpds.http.reply_head import ReplyHead, parse_reply
from ecpds.interfaces import IByteSource, IChannel, ITimeouts, IWatch
from ecpds.limits import Limits

KEPT = 15.0
"""Seconds that a connection is kept without use: less than most servers do, so that a request rarely meets its end."""

KEPT_EACH = 16
"""Connections to one server that are kept."""

INTERIM = 8
"""1xx replies before the one that counts."""

PIECE = 64 << 10
"""Bytes of a short answer that are taken at a time."""


class Dialer(Protocol):
    """What connects, such as `transports.outgoing.Outgoing`."""

    async def connect(self, host: str, port: int, secure: bool = False, public: bool = False) -> IChannel: ...


@frozen
class Ask:
    """One request. `host` is a name or an address without brackets; `target` is percent-encoded, with the query."""

    method: str
    host: str
    port: int
    secure: bool
    target: str
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    public: bool = False
    """Whether only a server with an address of the world's will do."""
    repeatable: bool = False
    """Whether a POST does no harm when it is done twice, as may happen over a kept connection that the server closes."""

    @property
    def authority(self) -> str:
        """The Host field."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.secure else 80) else f"{name}:{self.port}"

    @property
    def place(self) -> tuple[str, int, bool, bool]:
        """Requests of one place may share connections."""
        return self.host, self.port, self.secure, self.public

    def encoded(self) -> bytes:
        """The request as it crosses the wire. Raises `InvalidRequest` for what would be read as more than one."""
        lines = [f"{self.method} {self.target} HTTP/1.1", f"Host: {self.authority}", f"User-Agent: {AGENT}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body or self.method == "POST":
            lines.append(f"Content-Length: {len(self.body)}")
        if " " in self.target or not all(line.isprintable() and line.isascii() for line in lines):
            raise InvalidRequest("a URL or header has characters that may not stand there")
        return "\r\n".join([*lines, "\r\n"]).encode("ascii") + self.body


@frozen(eq=False)
class Line:
    """One connection and what came over it unread."""

    channel: IChannel
    inbox: Inbox
    watch: IWatch | None = field(default=None)


@implementer(IByteSource)
class UntilClose:
    """A body that ends when the server closes."""

    rest: int | None = None

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def read_into(self, view: memoryview) -> int:
        return await self._inbox.read_into(view)


@implementer(IByteSource)
class Reply:
    """One answer. Pull its body, then `close` it; `abort` gives up whatever is under way."""

    def __init__(self, client: HttpClient, ask: Ask, line: Line, head: ReplyHead) -> None:
        self.status = head.status
        self.headers: Headers = head.headers
        self.length = head.length
        self.peer = line.channel.peer
        self._client = client
        self._ask = ask
        self._line: Line | None = line
        self._keep = head.keep_alive
        self._body: RequestBody | UntilClose = (
            UntilClose(line.inbox) if head.until_close else request_body(line.inbox, head.length, False)
        )

    async def read_into(self, view: memoryview) -> int:
        return await self._body.read_into(view)

    async def text(self, most: int) -> bytes:
        """The whole body, held as it comes. Raises `TooLarge` past `most` bytes."""
        found = bytearray()
        # The limit is no size to begin with: to clear 64 MiB for each short answer takes longer than the answer.
        with memoryview(bytearray(min(most + 1, PIECE))) as view:
            while count := await self.read_into(view):
                found += view[:count]
                if len(found) > most:
                    self.abort()
                    raise TooLarge(f"the answer has more than {most} bytes")
        self.close()
        return bytes(found)

    async def discard(self) -> None:
        """Read a short rest away, so that the connection can be kept; a long one costs more than another connection."""
        if self._keep and (self._body.rest or 0) <= len(WASTE):
            while self._body.rest and await self.read_into(WASTE):
                pass
        self.close()

    def close(self) -> None:
        """Keep the connection where the body is at its end, else end it. May be called repeatedly."""
        line, self._line = self._line, None
        if line is None:
            return
        if self._keep and self._body.rest == 0 and not line.inbox:
            self._client.keep(self._ask, line)
        else:
            line.channel.abort()

    def abort(self) -> None:
        self._keep = False
        self.close()


class HttpClient:
    """Keeps connections to servers. `limits` bound heads and times as they do at our own doors."""

    def __init__(self, dialer: Dialer, timeouts: ITimeouts, limits: Limits) -> None:
        self._dialer = dialer
        self._timeouts = timeouts
        self._limits = limits
        self._idle: defaultdict[tuple[str, int, bool, bool], deque[Line]] = defaultdict(deque)

    async def send(self, ask: Ask) -> Reply:
        """Send a request and wait for the head of its reply. Raises what connecting raises, `InvalidRequest`, `Stalled`."""
        data = ask.encoded()
        while (line := self._take(ask)) is not None:
            try:
                return await self._exchange(ask, line, data)
            except ConnectionLost:
                # The server had closed while nobody looked; only a request that may be repeated takes a kept connection.
                line.channel.abort()
        channel = await self._dialer.connect(ask.host, ask.port, ask.secure, ask.public)
        inbox = Inbox(channel, self._limits.header_bytes, self._limits.request_line)
        return await self._exchange(ask, Line(channel, inbox), data)

    async def _exchange(self, ask: Ask, line: Line, data: bytes) -> Reply:
        try:
            await line.channel.write(data)
            return Reply(self, ask, line, await self._head(ask, line))
        except BaseException:
            line.channel.abort()
            raise

    async def _head(self, ask: Ask, line: Line) -> ReplyHead:
        """The first head that is not an interim one."""
        late: list[Refusal] = []

        def expire() -> None:
            late.append(Stalled("the server did not answer in time"))
            line.channel.abort()

        watch = self._timeouts.watch(self._limits.stall, expire)
        try:
            for _ in range(INTERIM):
                head = await self._one_head(ask, line)
                if head.status >= 200:
                    return head
        except ConnectionLost:
            if late:
                raise late[0] from None
            raise
        finally:
            watch.cancel()
        raise InvalidRequest("the server sends only interim replies")

    async def _one_head(self, ask: Ask, line: Line) -> ReplyHead:
        try:
            while (head := line.inbox.take_head()) is None:
                if not await line.inbox.fill():
                    raise ConnectionLost("the server closed without an answer")
        except HttpError as error:
            raise InvalidRequest("the head of the server's reply is malformed or too long") from error
        return parse_reply(head, ask.method, self._limits.headers)

    def keep(self, ask: Ask, line: Line) -> None:
        """Hold a connection at rest for the next request to the same place."""
        idle = self._idle[ask.place]
        if len(idle) >= KEPT_EACH:
            line.channel.abort()
            return
        kept = Line(line.channel, line.inbox, self._timeouts.watch(KEPT, lambda: self._drop(ask, kept)))
        idle.append(kept)

    def _take(self, ask: Ask) -> Line | None:
        idle = self._idle.get(ask.place)
        if not (ask.repeatable or ask.method in ("GET", "HEAD")) or not idle:
            return None
        line = idle.pop()
        if line.watch is not None:
            line.watch.cancel()
        return line

    def _drop(self, ask: Ask, line: Line) -> None:
        idle = self._idle[ask.place]
        if line in idle:
            idle.remove(line)
            line.channel.abort()

    def close(self) -> None:
        """End what is kept."""
        for idle in self._idle.values():
            for line in idle:
                if line.watch is not None:
                    line.watch.cancel()
                line.channel.abort()
        self._idle.clear()
