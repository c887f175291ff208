"""The control connection of FTP (RFC 959), on the wire.

We greet; the client sends command lines and we answer them in their order, one at a time, each by one last reply. Lines
that come while a command is obeyed wait in a bounded queue; when it is full, the connection is not read. Three commands
are seen to as they arrive: ABOR aborts the transfer at once, though its own reply waits for its turn (426, then 226);
STAT directly after a transfer's command is answered while the bytes cross; and whatever is of HTTP closes the
connection. QUIT waits for its turn, hence for the transfer before it. After the reply to AUTH TLS both sides speak TLS;
what had come in clear text behind it is dropped, for nobody knows who put it there.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime, ITCPTransport
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from ecpds.admission import Admission
from ecpds.config import Ftp
from ecpds.interfaces import IListeners, IThreads, ITimeouts, IWatch
from ecpds.keys import ssh_key
from ecpds.limits import Limits
from ecpds.portal_interfaces import IPortal
from ecpds.protocols import ftp_replies as replies
from ecpds.protocols.ftp_commands import HANDLERS, session_status
from ecpds.protocols.ftp_data import Ends, plain_address
from ecpds.protocols.ftp_interpreter import Door, Interpreter
from ecpds.protocols.ftp_outflow import Outflow
from ecpds.protocols.ftp_replies import Reply, reply
from ecpds.protocols.ftp_session import STATUS, VERBS, Command, State, is_http, parse
from ecpds.protocols.ftp_tls import ControlTls, Credentials
from ecpds.protocols.sessions import UserSessions
from ecpds.waiting import begun

BURST = 16
"""Commands of one client that are obeyed before the reactor sees to the others."""


class FtpProtocol(LineReceiver):
    """One control connection."""

    log = Logger()
    factory: FtpFactory
    transport: Any
    """A TCP connection, or TLS over one; their common interface has no name."""

    def __init__(self, door: Door, implicit: bool = False) -> None:
        """`implicit`: TLS begins with the connection."""
        self._door = door
        self._implicit = implicit
        self._limits = door.limits
        self._queue: deque[Command] = deque()
        self._outflow = Outflow()
        self._watches: list[IWatch] = []
        self._working = self._closing = self._lost = self._admitted = False
        self._unknown = self._in_burst = self._told = 0
        self._cut = b""
        self._socket: socket.socket | None = None
        self.MAX_LENGTH = door.limits.command_line

    # The connection

    def connectionMade(self) -> None:
        self._tune()
        ends = Ends(_host(self.transport.getHost()), _host(self.transport.getPeer()))
        self._interpreter = Interpreter(self._door, ends, self, HANDLERS)
        if self._implicit and self._door.credentials is not None:
            self._interpreter.secure(self._door.credentials.context())
            self._interpreter.session.protected = self._door.options.tls_data != "off"
            self._begin_tls()
        self._admitted = self.factory.admission.enter(ends.peer)
        self.factory.sessions.add(self)
        self._idle = self._watch(self._limits.idle, self._idled)
        if self.factory.draining:
            self._close(replies.GOING_DOWN)
        elif not self._admitted:
            self._interpreter.refused(replies.TOO_MANY_CONNECTIONS.lines[0])
            self._close(replies.TOO_MANY_CONNECTIONS)
        else:
            self._watch(self._limits.login_time, self._login_expired)
            self.send(reply(220, f"{self._door.node}: the FTP server is ready."))

    def _tune(self) -> None:
        if ITCPTransport.providedBy(self.transport):
            # 150 and 226 are two small writes: Nagle's algorithm would hold the second until the first is acknowledged.
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
            self._socket = _socket_of(self.transport)
        self.transport.registerProducer(self._outflow, True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = self._closing = True
        self._queue.clear()
        for watch in self._watches:
            watch.cancel()
        self._interpreter.lost()
        self._outflow.resumeProducing()
        if self._admitted:
            self.factory.admission.leave(self._interpreter.ends.peer)
        if not self._working:
            self.factory.left(self)

    def _watch(self, seconds: float, expired: Callable[[], None]) -> IWatch:
        watch = self._door.timeouts.watch(seconds, expired)
        self._watches.append(watch)
        return watch

    def _idled(self) -> None:
        if self._interpreter.transfer is not None or (self._working and not self._outflow.clogged):
            self._idle = self._watch(self._limits.idle, self._idled)
        else:
            self._close(replies.IDLE)

    def _login_expired(self) -> None:
        if self._interpreter.session.state is not State.LOGGED_IN:
            self._close(replies.LOGIN_TOO_SLOW)

    def _close(self, last: Reply | None) -> None:
        """Send the last reply and close; a client that does not take it is cut off."""
        if self._closing:
            return
        if last is not None:
            self.send(last)
        self._closing = True
        self._queue.clear()
        self._interpreter.abort()
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        self._watch(self._limits.stall, self.abort)

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self.transport.abortConnection()

    def drain(self) -> None:
        """Close as soon as the command that is being obeyed has its reply."""
        if not self._working:
            self._close(replies.GOING_DOWN)

    # What comes

    def dataReceived(self, data: bytes) -> None:
        self._told = 0
        if not self._working:
            self._in_burst = 0  # The reactor has looked at everybody else before these came.
        super().dataReceived(data)  # type: ignore[no-untyped-call]

    def lineReceived(self, line: bytes) -> None:
        if self._closing:
            return
        command = parse(line)
        if command.problem is not None and is_http(line):
            self._interpreter.refused("HTTP on an FTP control connection")
            self._close(None)
        else:
            self._take(command)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Answer, drop the rest of the line as it comes, and go on."""
        self._interpreter.refused(replies.LINE_TOO_LONG.lines[0])
        self._take(Command("", problem=replies.LINE_TOO_LONG))
        self.setRawMode()  # type: ignore[no-untyped-call]
        self.rawDataReceived(line)
        # Twisted looks at what stands behind the line only when more comes.
        self._door.clock.callLater(0, self.dataReceived, b"")

    def rawDataReceived(self, data: bytes) -> None:
        _, end, rest = (self._cut + data).partition(self.delimiter)
        self._cut = b"" if end else data[-1:]
        if end:
            self.setLineMode(rest)  # type: ignore[no-untyped-call]

    def _take(self, command: Command) -> None:
        self._idle.touch()
        if command.verb == "ABOR":
            self._interpreter.abort()  # A transfer that is only about to begin finds no data connection.
        if command == STATUS and self._tells_at_once():
            self.send(session_status(self._interpreter))
            return
        self._queue.append(command)
        if len(self._queue) >= self._limits.command_queue:
            self.pauseProducing()  # type: ignore[no-untyped-call]
        if not self._working:
            self._working = True
            if (working := begun(self._work())) is not None:
                working.addErrback(self._broken)

    def _tells_at_once(self) -> bool:
        """Whether STAT is answered amid a transfer: to who reads its replies, and not without end in one piece."""
        if self._interpreter.transfer is None or self._queue or self._outflow.clogged or self._told == BURST:
            return False
        self._told += 1
        return True

    @property
    def client_key(self) -> bytes | None:
        ask = getattr(self.transport, "getPeerCertificate", None)
        shown = None if ask is None else ask()
        return None if shown is None else ssh_key(shown.to_cryptography())

    @property
    def backlogged(self) -> bool:
        return bool(self.paused)

    @property
    def silent(self) -> bool:
        if self._socket is None:
            return False
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False  # It was lost, of which the reactor will tell.
        return False

    # What is answered

    async def _work(self) -> None:
        """Obey what is in the queue, until it is empty."""
        while self._queue and not self._closing:
            command = self._queue.popleft()
            if self.paused and len(self._queue) <= self._limits.command_queue // 2:
                self.resumeProducing()  # type: ignore[no-untyped-call]
            self._answered(command, await self._reply_to(command))
            if self._outflow.clogged:
                await self._outflow.clear()
            self._in_burst += 1
            if self._in_burst % BURST == 0:
                await self._door.turn()
        self._working = False
        if self._lost:
            self.factory.left(self)

    async def _reply_to(self, command: Command) -> Reply:
        if command.problem is not None:
            return command.problem
        if VERBS[command.verb].transfers and self._queue and any(later.verb == "ABOR" for later in self._queue):
            self._interpreter.end_transfer()
            return replies.ABORTED
        return await self._interpreter.answer(command)

    def _answered(self, command: Command, answer: Reply) -> None:
        """Send the last reply of a command, and close where that was the last of the connection."""
        self._unknown = self._unknown + 1 if answer.code == 500 else 0
        self._idle.touch()
        if answer.closes:
            self._close(answer)
            return
        self.send(answer)
        if answer.begins_tls:
            self._begin_tls()
        if 0 < self._limits.unknown_commands <= self._unknown:
            self._interpreter.refused(replies.TOO_MANY_ERRORS.lines[0])
            self._close(replies.TOO_MANY_ERRORS)
        elif self._limits.login_tries <= self._interpreter.session.failures:
            self._close(replies.TOO_MANY_TRIES)
        elif self.factory.draining:
            self._close(replies.GOING_DOWN)

    def _begin_tls(self) -> None:
        context = self._interpreter.context
        assert context is not None
        self._queue.clear()
        self.clearLineBuffer()  # type: ignore[no-untyped-call]
        self._cut = b""
        self.setLineMode()  # type: ignore[no-untyped-call]
        if self.paused:
            self.resumeProducing()  # type: ignore[no-untyped-call]
        self.transport.startTLS(ControlTls(context))

    def _broken(self, failure: Failure) -> None:
        self.log.failure("the control connection broke", failure=failure)
        self._working = False
        self.abort()
        if self._lost:
            self.factory.left(self)

    def send(self, answer: Reply) -> None:
        if not self._closing:
            self.transport.write(answer.encode())


def _host(address: IAddress) -> str:
    return plain_address(address.host) if isinstance(address, IPv4Address | IPv6Address) else ""


def _socket_of(transport: Any) -> socket.socket:
    sock: socket.socket = transport.getHandle()
    # Clients send a byte of ABOR as urgent data (Telnet's Synch, RFC 959 section 4.1.3); without this it would be left out.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    return sock


class FtpFactory(Factory["FtpProtocol"]):
    """The FTP door. `name` is what records call its protocol.

    `admission` counts its connections, `users` the sessions of each user. `clock` is the reactor; `threads` read what is
    copied; data connections come from `listeners`. Without `credentials` there is no TLS.
    """

    noisy = False

    def __init__(
        self,
        portal: IPortal,
        listeners: IListeners,
        limits: Limits,
        options: Ftp,
        timeouts: ITimeouts,
        clock: IReactorTime,
        admission: Admission,
        node: str,
        threads: IThreads,
        users: UserSessions,
        name: str = "ftp",
        credentials: Credentials | None = None,
    ) -> None:
        self.admission = admission
        self.sessions: set[FtpProtocol] = set()
        self.draining = False
        self._door = Door(portal, listeners, limits, options, timeouts, clock, node, name, credentials, threads, users)
        self._empty: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> FtpProtocol:
        return self.build()

    def build(self, implicit: bool = False) -> FtpProtocol:
        """The protocol of one connection; `implicit`: one that speaks TLS from its first byte."""
        session = FtpProtocol(self._door, implicit)
        session.factory = self
        return session

    def left(self, session: FtpProtocol) -> None:
        """A connection has ended, and whatever it had begun."""
        self.sessions.discard(session)
        empty = self._empty
        if empty is not None and not self.sessions:
            self._empty = None
            empty.callback(None)

    async def drain(self) -> None:
        """Say 421 to everybody: idle sessions now, the others after their transfer. Returns when none is left. Asked for once.

        Who calls this stops listening first.
        """
        self.draining = True
        for session in list(self.sessions):
            session.drain()
        if self.sessions:
            self._empty = Deferred()
            await self._empty

    def abort(self) -> None:
        """Close every connection at once; what was being stored is given up."""
        for session in list(self.sessions):
            session.abort()


class ImplicitFactory(Factory[FtpProtocol]):
    """The port of an FTP door on which TLS is spoken from the first byte; its sessions are the door's."""

    noisy = False

    def __init__(self, door: FtpFactory) -> None:
        self._door = door

    def buildProtocol(self, addr: IAddress | None) -> FtpProtocol:
        return self._door.build(implicit=True)
