"""One HTTP connection, from its first byte to its last.

Who tells whom: the client sends a head, and a body if the head announces one; we answer; then, if both want to, the next. A
client may send further requests before it has the answers (pipelining); they wait in its socket, and are read and answered one
after the other. When we end it and leave a body unread, the reply says so, and we take and discard for a while what still
comes: the client may read the reply only when it has sent all, and a reset would have destroyed it by then.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Protocol

from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ecpds.errors import Refusal
from ecpds.http.body import WASTE, RequestBody, discard, request_body
from ecpds.http.familiar import Familiar
from ecpds.http.head import Head, parse_head
from ecpds.http.inbox import Inbox
from ecpds.http.lane import Lane
from ecpds.http.message import AtOnce, Handler, HttpError, Request, Response, text_response
from ecpds.http.replies import refusal_response
from ecpds.http.reply import Reply, Terms, head_bytes
from ecpds.interfaces import IChannel, IPromptChannel, ITimeouts
from ecpds.limits import Limits
from ecpds.transports.channel import Channel

DISCARDED = 65536
"""Bytes of a body that a handler left unread which are read away to keep the connection."""

FAIR = 32
"""Requests of one connection after which others get their turn: a client that pipelines must not hold the reactor."""

NEVER = float("inf")


class Server(Protocol):
    """What a connection needs of its server."""

    handler: Handler
    at_once: AtOnce | None
    answered_at_once: int
    familiar: Familiar | None
    limits: Limits
    timeouts: ITimeouts
    seconds: Callable[[], float]
    draining: bool

    def own_headers(self) -> str:
        """The header lines Date and Server."""

    def last_fields(self) -> bytes:
        """The same as bytes, and the empty line."""

    async def give_way(self) -> None:
        """Let the reactor turn to other connections."""

    def refused(self, peer: str, message: str) -> None:
        """A client did not keep to the protocol."""


class Connection:
    """Serves one channel. Two things run: the requests, one after the other, and a look at the clock now and then."""

    log = Logger()

    def __init__(self, server: Server, channel: IChannel) -> None:
        limits = server.limits
        self._server = server
        self._channel = channel
        self._inbox = Inbox(channel, limits.header_bytes, limits.request_line)
        self._patience = limits.login_time
        self._stall = channel.patience
        self._deadline = NEVER
        self._idle = False
        self._answered = 0
        self._lane = self._make_lane()
        self._in_head = False
        self._farewell: Deferred[None] | None = None
        # No state sets a deadline earlier than this from now, so a look this often is never late.
        self._look_every = min(limits.header_time, limits.keep_alive, limits.login_time)
        self._watch = server.timeouts.watch(self._look_every, self._look)

    def _make_lane(self) -> Lane | None:
        channel = IPromptChannel(self._channel, None)
        if channel is None or self._server.at_once is None:
            return None
        told = self._may_answer, self._wait_anew, self._let_leave, self._is_anonymous
        return Lane(self._server, channel, self._inbox, *told)

    def _may_answer(self) -> bool:
        return self._farewell is None and not self._server.draining

    def _is_anonymous(self) -> bool:
        return self._certificate is None

    def _wait_anew(self) -> None:
        """A request was answered beside `_requests`, which waits on."""
        self._patience = self._server.limits.keep_alive
        self._set_deadline(self._patience)

    def _let_leave(self, leaving: bool) -> None:
        """An answer that was made beside `_requests` is on its way: who takes it is not idle, and is not to be cut off."""
        self._idle = not leaving
        if leaving:
            self._set_deadline(NEVER)
        else:
            self._wait_anew()

    async def run(self) -> None:
        """Serve until one side ends it. Raises nothing."""
        try:
            if await self._requests():
                await self._linger()
            if self._farewell is None:
                await self._channel.finish()
        except Refusal:
            # The client is gone, or a reply was cut short: then a reset is all that can still be said.
            self._cut()
        except Exception:
            self.log.failure("an HTTP connection of {peer} failed", peer=self._channel.peer)
            self._cut()
        self._watch.cancel()
        # It knows us, and we it: without this the collector would have to find out that nobody else does.
        self._lane = None
        if self._farewell is not None:
            await self._farewell

    def leave_if_idle(self) -> None:
        """End the connection if it is between two requests."""
        if self._idle:
            self._leave(b"")

    def abort(self) -> None:
        """End it now."""
        self._channel.abort()

    def _cut(self) -> None:
        if self._farewell is None:
            self._channel.abort()

    async def _requests(self) -> bool:
        """Answer requests until there are no more; says whether the client may still be sending a body."""
        while True:
            try:
                raw = await self._next_head()
                if raw is None:
                    return False
                head = parse_head(raw, self._server.limits.headers)
            except HttpError as error:
                self._set_deadline(NEVER)
                self._server.refused(self._channel.peer, error.text)
                await Reply(self._channel, self._terms()).send(error_response(error))
                return False
            body = request_body(self._inbox, head.length, head.expects)
            if not await self._answer(head, body):
                return body.rest != 0
            self._answered += 1
            if self._answered % FAIR == 0:
                await self._server.give_way()

    # One request.

    @cached_property
    def _certificate(self) -> x509.Certificate | None:
        """Known when the first bytes have come, and the same until the end."""
        return _shown_by(self._channel)

    async def _next_head(self) -> bytes | None:
        """The next head; None when the connection is at its end."""
        # Between requests the deadlines here are the ones that count, and a quiet client is no stalled transfer.
        self._channel.patience = NEVER
        head = await self._arriving_head()
        self._channel.patience = self._stall
        return head

    async def _arriving_head(self) -> bytes | None:
        inbox = self._inbox
        if not inbox:
            if self._server.draining:
                return None
            self._set_deadline(self._patience)
            self._idle = True
            await self._something()
            if self._server.draining and not inbox:
                return None  # It began while an answer of the lane's left.
            count = len(inbox) or await inbox.fill()
            self._idle = False
            if not count or self._farewell is not None:
                return None
        head = inbox.take_head()
        if head is None:
            # An empty line before a request is no part of its head: who sends only that is idle.
            self._set_deadline(self._server.limits.header_time, in_head=len(inbox) > 0)
            while head is None:
                if not await inbox.fill() or self._farewell is not None:
                    return None
                head = inbox.take_head()
        self._set_deadline(NEVER)
        self._patience = self._server.limits.keep_alive
        return head

    async def _something(self) -> None:
        """Wait until something has come that is answered the long way."""
        if self._lane is not None:
            await self._lane.wait(self._stall, first=not self._answered)
        elif self._answered:
            # A client that has just got its answer has seldom sent the next request already.
            await self._channel.readable()

    async def _answer(self, head: Head, body: RequestBody) -> bool:
        """Have one request answered; says whether another may follow."""
        channel = self._channel
        request = _request(head, body, channel, self._certificate)
        response = await self._ask(request)
        rest = body.rest
        clear = rest is not None and rest <= DISCARDED
        terms = self._terms(head, keep_alive=clear and head.keep_alive and not self._server.draining)
        reply = Reply(channel, terms)
        try:
            await reply.send(response)
        except Exception as error:
            if reply.started:
                raise
            await Reply(channel, terms).send(self._response_to(error))
        if terms.keep_alive and rest:
            self._set_deadline(self._server.limits.header_time)
            await discard(body)
        if self._lane is not None:
            self._lane.remember(head, request)
        return terms.keep_alive and self._farewell is None

    async def _ask(self, request: Request) -> Response:
        try:
            return await self._server.handler(request)
        except Exception as error:
            return self._response_to(error)

    def _response_to(self, error: Exception) -> Response:
        if isinstance(error, HttpError):
            return error_response(error)
        if isinstance(error, Refusal):
            return refusal_response(error)
        self.log.failure("a request of {peer} failed", peer=self._channel.peer)
        return text_response(500, "Something went wrong here; it was recorded.")

    def _terms(self, head: Head | None = None, keep_alive: bool = False) -> Terms:
        own = self._server.own_headers()
        if head is None:
            return Terms(own, keep_alive)
        return Terms(own, keep_alive, modern=head.version != "1.0", head_only=head.method == "HEAD")

    # The end, and the clock.

    async def _linger(self) -> None:
        """Take what the client still sends, until it closes, is silent, or has had time enough to read the reply."""
        self._set_deadline(self._server.limits.header_time)
        silence = self._server.timeouts.watch(self._server.limits.linger, self._time_is_up)
        try:
            while self._farewell is None and await self._inbox.read_into(WASTE):
                silence.touch()
        finally:
            silence.cancel()

    def _set_deadline(self, seconds: float, in_head: bool = False) -> None:
        self._deadline = NEVER if seconds == NEVER else self._server.seconds() + seconds
        self._in_head = in_head

    def _look(self) -> None:
        left = self._deadline - self._server.seconds()
        if left > 0:
            self._watch = self._server.timeouts.watch(min(left, self._look_every), self._look)
        else:
            self._time_is_up()

    def _time_is_up(self) -> None:
        if not self._in_head:
            self._leave(b"")
            return
        self._server.refused(self._channel.peer, "The head of the request took too long.")
        self._leave(head_bytes(Response(408), self._terms()))

    def _leave(self, last: bytes) -> None:
        """End it beside a read that waits: `last` first, then what `finish` says; who reads then sees it closed."""
        if self._farewell is None:
            self._farewell = Deferred()
            Deferred.fromCoroutine(self._say_farewell(self._farewell, last))

    async def _say_farewell(self, done: Deferred[None], last: bytes) -> None:
        guard = self._server.timeouts.watch(self._server.limits.linger, self._channel.abort)
        try:
            if last:
                await self._channel.write(last)
            await self._channel.finish()
        except Refusal:
            # It is gone already.
            pass
        except Exception:
            self.log.failure("an HTTP connection of {peer} could not be ended", peer=self._channel.peer)
        finally:
            guard.cancel()
            self._channel.abort()
            done.callback(None)


def _shown_by(channel: IChannel) -> x509.Certificate | None:
    """The certificate that the client has shown, if it was asked for one."""
    return channel.link.certificate if isinstance(channel, Channel) else None


def _request(head: Head, body: RequestBody, channel: IChannel, certificate: x509.Certificate | None) -> Request:
    return Request(
        method=head.method,
        target=head.target,
        path=head.path,
        query=head.query,
        headers=head.headers,
        version=head.version,
        peer=channel.peer,
        secure=channel.secure,
        length=head.length,
        body=body,
        certificate=certificate,
    )


def error_response(error: HttpError) -> Response:
    """The answer that an `HttpError` stands for."""
    return text_response(error.status, error.text, error.headers)
