"""The short way of one connection: a request with the same fields as the one before it is answered where its bytes are read.

Who tells whom: the client sends a request as always, which the handler answers, and may remember on it what came of its fields
(`Request.memory`). When the next head differs in its request line alone, and in the values of fields that the handler has
named (`Request.varying`), whoever answers at once is asked with that, and hands over bytes; the kernel takes them in the same
turn, and the connection waits on. So it is with a PUT like an earlier one, whatever its length, if its short body is all there
with its head. Anything else (another field, a long body, a second request behind the first, an answer that is not ready, a
kernel that has no room) goes the long way, with nothing lost: what was read lies in the inbox.

What is remembered is the connection's own. For its first request, and for fields that it has not sent before, it is the
server's, of all its connections (`familiar`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ecpds.errors import ConnectionLost
from ecpds.http.familiar import Familiar
from ecpds.http.head import PLAIN_LINE, PUT_LINE, Head
from ecpds.http.inbox import SMALL, Inbox
from ecpds.http.message import AtOnce, Ready, Request
from ecpds.http.same_fields import NO_FIELDS, SameButLength, SameFields
from ecpds.interfaces import IPromptChannel

NO_BODY = memoryview(b"")


class Server(Protocol):
    """What a lane needs of its server."""

    at_once: AtOnce | None
    answered_at_once: int
    familiar: Familiar | None

    def last_fields(self) -> bytes:
        """The header lines Date and Server, and the empty line."""


class Lane:
    """`open` says whether requests are still answered, `answered` is told of each answer, `leaving` that one takes its time to
    leave, and that it has left.

    `anonymous` says whether the connection itself does not tell whose it is, as a client's certificate does.
    """

    log = Logger()

    def __init__(
        self,
        server: Server,
        channel: IPromptChannel,
        inbox: Inbox,
        open: Callable[[], bool],
        answered: Callable[[], None],
        leaving: Callable[[bool], None],
        anonymous: Callable[[], bool],
    ) -> None:
        self._server = server
        self._channel = channel
        self._inbox = inbox
        self._open = open
        self._answered = answered
        self._leaving = leaving
        self._anonymous = anonymous
        self._like: Request | None = None
        self._fields = NO_FIELDS
        self._put: tuple[Request, SameButLength] | None = None
        self._rest: tuple[Ready, memoryview] | None = None
        self._coming = False
        self._came: Deferred[None] | None = None

    def remember(self, head: Head, request: Request) -> None:
        """A request was answered the long way; the next may have the same fields."""
        if head.is_plain_put:
            short = request.memory is not None and len(head.fields) < SMALL
            self._put = (request, SameButLength(head.fields)) if short else None
            return
        short = head.is_plain and request.memory is not None and len(head.fields) < SMALL
        self._like = request if short else None
        self._fields = SameFields(head.fields, request.varying) if short else NO_FIELDS
        familiar = self._server.familiar
        if short and request.anywhere and familiar is not None and self._anonymous():
            familiar.keep(head.fields, request)

    async def wait(self, stall: float, first: bool) -> None:
        """Until something is there that goes the long way, or no more is answered; `stall` seconds for an answer to leave.

        The `first` request of a connection has often come before we look for it, the next ones seldom.
        """
        channel = self._channel
        if not first or self._attempt() or not (self._inbox or self._rest):
            await channel.attend(self._attempt)
        while self._coming or self._rest is not None:
            if self._coming:
                self._came = Deferred()
                await self._came
            if self._rest is not None:
                self._leaving(True)
                await self._let_leave(*self._rest, stall)
                self._rest = None
                self._leaving(False)
            if not self._open():
                return
            await channel.attend(self._attempt)

    async def _let_leave(self, ready: Ready, left: memoryview, stall: float) -> None:
        channel = self._channel
        patience, channel.patience = channel.patience, stall
        try:
            await channel.go_on(left)
        except BaseException as failure:
            ready.ended(failure)
            raise
        ready.ended(None)
        channel.patience = patience

    def _attempt(self) -> bool:
        at_once = self._server.at_once
        if self._coming or at_once is None or not self._open() or not (self._like or self._put or self._server.familiar):
            return False
        line = self._inbox.line_alone(self._channel, self._fields)
        if self._put is not None and self._inbox.begins_with(b"PUT "):
            ready = self._stored(at_once, *self._put)
        else:
            ready = self._got(at_once, line)
        if ready is None:
            return False
        self._inbox.clear()
        self._answered()
        self._server.answered_at_once += 1
        return self._send(ready) if isinstance(ready, Ready) else self._expect(ready)

    def _expect(self, answer: Deferred[Ready]) -> bool:
        """It is sent when it comes. A request that comes before it waits."""
        self._coming = True
        self._leaving(True)
        answer.addCallback(self._tell).addErrback(self._fail)
        return self._rest is None

    def _tell(self, ready: Ready) -> None:
        self._coming = False
        self._leaving(False)
        all_left = self._send(ready)
        if not self._go_on() and not (all_left and self._open()):
            self._channel.wake()

    def _fail(self, failure: Failure) -> None:
        """There is no answer, or nobody to tell it."""
        self._coming = False
        if not isinstance(failure.value, ConnectionLost):
            self.log.failure("an answer to {peer} failed", failure, peer=self._channel.peer)
        self._channel.abort()
        self._go_on()

    def _go_on(self) -> bool:
        """Wake who waits for an answer; False: nobody does."""
        came, self._came = self._came, None
        if came is None:
            return False
        came.callback(None)
        return True

    def _got(self, at_once: AtOnce, line: bytes | None) -> Ready | Deferred[Ready] | None:
        if line is None or self._like is None:
            line = self._recognised()
        like, match = self._like, PLAIN_LINE.fullmatch(line) if line is not None else None
        if like is None or match is None:
            return None
        if like.varying:
            like.varying = self._fields.values
        return at_once(match[1].decode("ascii"), match[2].decode("ascii"), like, NO_BODY)

    def _stored(self, at_once: AtOnce, like: Request, fields: SameButLength) -> Ready | Deferred[Ready] | None:
        found = self._inbox.line_and_body(self._channel, fields)
        match = PUT_LINE.fullmatch(found[0]) if found is not None else None
        if found is None or match is None:
            return None
        return at_once("PUT", match[1].decode("ascii"), like, found[1])

    def _recognised(self) -> bytes | None:
        """The request line of what is there, where its fields were seen on other connections."""
        familiar, channel = self._server.familiar, self._channel
        if not familiar or (head := self._inbox.line_and_fields()) is None or not self._anonymous():
            return None
        line, fields = head
        like = familiar.find(fields, channel.peer, channel.secure)
        if like is None:
            return None
        self._like, self._fields = like, SameFields(fields)
        return line

    def _send(self, ready: Ready) -> bool:
        """Whether all of it has left."""
        data = b"".join((ready.head, self._server.last_fields(), ready.body))
        try:
            sent = self._channel.send(data)
        except BaseException as failure:
            ready.ended(failure)
            raise
        if sent < len(data):
            self._rest = ready, memoryview(data)[sent:]
            return False
        ready.ended(None)
        return True
