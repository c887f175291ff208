"""A strict HTTP/1.1 server: gives every connection the same handler, and ends them all when it is told to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from email.utils import formatdate

from twisted.internet.defer import Deferred

from ecpds.http.connection import Connection
from ecpds.http.familiar import Familiar
from ecpds.http.message import AtOnce, Handler
from ecpds.interfaces import IChannel, ITimeouts
from ecpds.limits import Limits


class HttpServer:
    """Serves channels. `seconds` is the time of day, in seconds since the epoch, by which all of its time-outs go too.

    `on_refused` is told the peer and a sentence whenever a client does not keep to the protocol. `pause` returns in another
    turn of the reactor, such as `lambda: deferLater(reactor, 0)`; without it, a client that pipelines may hold up others.
    `at_once` is asked before the handler, where it may be (`lane`); `answered_at_once` counts what it answered. `familiar`
    remembers for new connections what was asked on others.
    """

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        timeouts: ITimeouts,
        seconds: Callable[[], float],
        server_name: str = "ecpds",
        on_refused: Callable[[str, str], None] | None = None,
        pause: Callable[[], Awaitable[None]] | None = None,
        at_once: AtOnce | None = None,
        familiar: Familiar | None = None,
    ) -> None:
        self.handler = handler
        self.at_once = at_once
        self.answered_at_once = 0
        self.familiar = familiar
        self.limits = limits
        self.timeouts = timeouts
        self.seconds = seconds
        self.draining = False
        self._server_name = server_name
        self._on_refused = on_refused
        self._pause = pause
        self._connections: set[Connection] = set()
        self._emptied: list[Deferred[None]] = []
        self._stamp = (-1, "")
        self._last = ("", b"")

    def serve(self, channel: IChannel) -> Deferred[None]:
        """Run one connection to its end, which fires the Deferred; it never fails."""
        return Deferred.fromCoroutine(self._serve(Connection(self, channel)))

    async def _serve(self, connection: Connection) -> None:
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
            while self._emptied and not self._connections:
                self._emptied.pop().callback(None)

    @property
    def is_alone(self) -> bool:
        """Whether no more than one connection is open."""
        return len(self._connections) <= 1

    async def drain(self) -> None:
        """Let running requests come to their end and close; returns when no connection is left."""
        self.draining = True
        for connection in list(self._connections):
            connection.leave_if_idle()
        if self._connections:
            emptied: Deferred[None] = Deferred()
            self._emptied.append(emptied)
            await emptied

    def abort(self) -> None:
        """Close every connection at once."""
        self.draining = True
        for connection in list(self._connections):
            connection.abort()

    def own_headers(self) -> str:
        """The header lines Date (RFC 9110 section 6.6.1) and Server."""
        now = int(self.seconds())
        if now != self._stamp[0]:
            self._stamp = (now, f"Date: {formatdate(now, usegmt=True)}\r\nServer: {self._server_name}\r\n")
        return self._stamp[1]

    def last_fields(self) -> bytes:
        """The same as bytes, with the empty line behind them."""
        own = self.own_headers()
        if own is not self._last[0]:
            self._last = (own, f"{own}\r\n".encode("latin-1"))
        return self._last[1]

    async def give_way(self) -> None:
        """Let the reactor turn to other connections."""
        if self._pause is not None:
            await self._pause()

    def refused(self, peer: str, message: str) -> None:
        """Pass on that a client did not keep to the protocol."""
        if self._on_refused is not None:
            self._on_refused(peer, message)
