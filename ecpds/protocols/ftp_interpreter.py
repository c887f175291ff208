"""The server's protocol interpreter (server-PI, RFC 959 section 2.2): obeys one command at a time for one session.

The client logs in by USER and PASS; from then on we hold its `IFileSystem`. The wire hands over one command, waits for
its reply and sends it; replies on the way (150) go out by `Wire.send`. While a transfer runs, the wire may abort it: that
closes the data connection, and whoever waits for bytes fails.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import count
from types import TracebackType
from typing import Protocol

from attrs import field, frozen
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ecpds.config import Ftp
from ecpds.errors import ConnectionLost, NotPermitted, Refusal, TooManyConnections
from ecpds.interfaces import IChannel, IListeners, IThreads, ITimeouts
from ecpds.limits import Limits
from ecpds.model import Origin
from ecpds.portal_interfaces import IFileSystem, IPortal
from ecpds.protocols import ftp_replies as replies
from ecpds.protocols.ftp_data import DataConnection, DataPort, Ends
from ecpds.protocols.ftp_replies import Reply, refusal_reply, reply
from ecpds.protocols.ftp_session import VERBS, Command, Session, Verb
from ecpds.protocols.ftp_tls import Credentials
from ecpds.protocols.sessions import UserSessions

GRACE = 0.25
"""How long after the end of an upload's data the loss of its control connection still counts, at most; in seconds.

A client that gives up may close its data connection properly first and end, or say ABOR, a little later.
"""

GRACE_SHARE = 25
"""The grace is the upload's own time divided by this."""

LEAST = 0.002
"""The least grace in seconds, where there is any."""

LEAST_HERE = 0.02
"""The same for a client on this machine: where that is busy, a killed client waits for a processor between its ends."""

QUICK = 0.002
"""An upload of fewer seconds may have no grace, which would be most of its time."""

BLOCK = 4096
"""Clients write in blocks of this size or a multiple of it, and the last one is shorter, mostly."""

LITTLE = 4 * BLOCK
"""A write of so few bytes is not cut where its process is killed."""


def grace(took: float, count: int, short: bool, here: bool) -> float:
    """Seconds for an upload of `count` bytes. `short`: ALLO had asked room for more; `here`: it came from this machine.

    What is quick and little, and ends with a part of a block, is whole.
    """
    if short:
        return GRACE
    if took < QUICK and count < LITTLE and count % BLOCK:
        return 0.0
    return min(max(took / GRACE_SHARE, LEAST_HERE if here else LEAST), GRACE)


@frozen
class Door:
    """What the sessions of one door share. `users` counts the sessions of each who is logged in."""

    portal: IPortal
    listeners: IListeners
    limits: Limits
    options: Ftp
    timeouts: ITimeouts
    clock: IReactorTime
    node: str
    name: str
    credentials: Credentials | None
    threads: IThreads
    users: UserSessions
    serial: Iterator[int] = field(factory=lambda: count(1))
    transferring: set[Transferring] = field(factory=set)
    """The transfers that are under way, of all sessions."""

    async def turn(self, seconds: float = 0.0) -> None:
        """Let the reactor see to everybody else first, for so long."""
        turned: Deferred[None] = Deferred()
        self.clock.callLater(seconds, turned.callback, None)
        await turned


class Wire(Protocol):
    """What an interpreter needs of its control connection."""

    def send(self, reply: Reply) -> None: ...

    @property
    def client_key(self) -> bytes | None:
        """The public key of the certificate that the client has shown, in SSH's form."""

    @property
    def backlogged(self) -> bool:
        """Whether commands lie there unread, so that nobody knows what stands behind them."""

    @property
    def silent(self) -> bool:
        """Whether it is certain, now, that nothing has come that was not read: no bytes, no end, no reset."""


class EarlyReply(Exception):
    """A command can't go on; this is its reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.lines[0])
        self.reply = reply


@frozen
class Transfer:
    """The transfer under way: what STAT says of it, and its data connection."""

    description: str
    data: DataConnection


class Transferring:
    """One transfer of a session, from the taking of its data connection to the end of that."""

    __slots__ = ("_data", "_description", "_pi")

    def __init__(self, pi: Interpreter, description: str) -> None:
        self._pi = pi
        self._description = description

    def __enter__(self) -> DataConnection:
        if not self._pi.data.offered:
            raise EarlyReply(replies.ABORTED)  # What was offered when the command came is closed by ABOR, or by the end.
        self._data = self._pi.data.take()
        self._pi.transfer = Transfer(self._description, self._data)
        self._pi.door.transferring.add(self)
        return self._data

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        aborted = self._data.aborted
        self._pi.transfer = None
        self._pi.door.transferring.discard(self)
        self._data.abort()
        if isinstance(error, Refusal):
            raise EarlyReply(replies.ABORTED if aborted else refusal_reply(error)) from error


class Interpreter:
    """One session. `wire` takes replies on the way."""

    log = Logger()

    def __init__(self, door: Door, ends: Ends, wire: Wire, handlers: Mapping[str, Handler]) -> None:
        self.door = door
        self.ends = ends
        self.session = Session()
        self.data = DataPort(door.listeners, door.options, door.limits, ends, door.timeouts)
        self.origin = Origin(door.name, ends.peer, door.node)
        self.transfer: Transfer | None = None
        self.gone = False
        self.context: SSL.Context | None = None
        self._wire = wire
        self._handlers = handlers
        self._files: IFileSystem | None = None

    @property
    def files(self) -> IFileSystem:
        """The user's file system. Raises `NotPermitted` before the login, which the verb table prevents."""
        if self._files is None:
            raise NotPermitted("log in first")
        return self._files

    def enter(self, files: IFileSystem) -> None:
        """Raises `TooManyConnections` when the user has as many sessions as it may, `ConnectionLost` where nobody is there."""
        self._leave()
        if self.gone:
            raise ConnectionLost
        try:
            self.door.users.enter(files.identity)
        except TooManyConnections as refusal:
            self.refused(refusal.reason)
            raise
        self._files = files
        self.session.log_in()

    def leave(self) -> None:
        """Nobody is logged in any more."""
        self._leave()
        self.data.close()

    def _leave(self) -> None:
        if self._files is not None:
            files, self._files = self._files, None
            self.door.users.leave(files.identity)

    @property
    def client_key(self) -> bytes | None:
        """The public key of a certificate by which the client may log in, in SSH's form."""
        return self._wire.client_key if self.door.options.client_certificates and self.session.secure else None

    def secure(self, context: SSL.Context) -> None:
        """From the next reply on the control connection uses TLS. The session begins again: what was said is forgotten."""
        self.context = context
        self.session = Session(failures=self.session.failures, secure=True)

    @property
    def data_context(self) -> SSL.Context | None:
        """What the next data connection is protected with, if it is."""
        return self.context if self.session.protected else None

    def send(self, answer: Reply) -> None:
        self._wire.send(answer)

    def refused(self, message: str) -> None:
        """Record what the door refused by itself."""
        self.door.portal.refused(self.session.login, message, self.origin)

    async def answer(self, command: Command) -> Reply:
        """Obey one command; returns its last reply, whatever happens."""
        verb = VERBS[command.verb]
        if verb.name != "RNTO":
            self.session.renaming = None
        try:
            return self._refusal(verb, command) or await self._handlers[verb.name](self, command.argument)
        except EarlyReply as early:
            return early.reply
        except Refusal as refusal:
            return refusal_reply(refusal)
        except Exception:
            self.log.failure("{verb} failed for {login}@{peer}", verb=verb.name, login=self.session.login, peer=self.ends.peer)
            return replies.FAILED
        finally:
            if verb.transfers:
                self.end_transfer()

    def end_transfer(self) -> None:
        """Whatever has become of a command that transfers, nothing of what was said for it is for the next one."""
        self.data.close()
        self.session.forget_transfer()

    def _refusal(self, verb: Verb, command: Command) -> Reply | None:
        """Why the command is refused before its handler sees it, if it is."""
        options = self.door.options
        if verb.name == "USER" and options.tls == "required" and not self.session.secure:
            return replies.TLS_FIRST
        refused = self.session.refuse(verb, command.argument)
        if refused is not None:
            return refused
        if verb.permission is not None and not self.files.identity.may(verb.permission):
            denied = NotPermitted(f"{verb.name} needs the permission {verb.permission}")
            self.refused(denied.sentence)
            raise denied
        if verb.transfers and options.tls_data == "required" and not self.session.protected:
            return replies.PROTECTION_NEEDED
        return replies.NO_DATA_CONNECTION if verb.transfers and not self.data.offered else None

    def transferring(self, description: str) -> Transferring:
        """The data connection for one transfer; unless it was finished, it is reset at the end, whatever that is."""
        return Transferring(self, description)

    async def connect(self, data: DataConnection, announcement: str) -> IChannel:
        """Announce the transfer and wait for the client's data connection.

        Raises `EarlyReply`: 425 if it does not come, or TLS is not agreed on, and 522 if it can't prove whose it is.
        """
        self.send(reply(150, announcement))
        try:
            channel = await data.channel()
            self._check_resumed(channel)
            return channel
        except Refusal as refusal:
            if data.aborted:
                raise
            raise EarlyReply(refusal_reply(refusal, 425)) from refusal

    def _check_resumed(self, channel: IChannel) -> None:
        if not channel.secure or channel.resumed:
            return
        if self.door.options.tls_session_reuse == "required":
            self.refused(replies.NOT_RESUMED.lines[0])
            raise EarlyReply(replies.NOT_RESUMED)
        self.log.info(
            "a data connection of {login}@{peer} did not resume the TLS session of its control connection",
            login=self.session.login,
            peer=self.ends.peer,
        )

    async def heard_out(self, data: DataConnection, ended: float, grace: float) -> None:
        """Make sure that the client is there and wants what it sent to be kept. Raises `ConnectionLost`.

        The end of a data connection looks the same whether its file was complete or its client died. But who died, or
        says ABOR, does so on the control connection as well, within `grace` seconds of when the data `ended`. Where that is
        not silent it is read once more: the second turn comes after one whole look at all sockets. With commands unread,
        what stands behind them can't be known.
        """
        left = ended + grace - self.door.clock.seconds()
        if left > 0:
            await self.door.turn(min(left, GRACE))
        if not self._wire.silent:
            await self.door.turn()
            await self.door.turn()
        if data.aborted or self.gone or self._wire.backlogged:
            raise ConnectionLost("the end of the control connection, or ABOR, came before the end of the transfer")

    def abort(self) -> None:
        """Abort the transfer that is under way, if one is, and close the data port."""
        if self.transfer is not None:
            self.transfer.data.abort()
        self.data.close()

    def lost(self) -> None:
        """The control connection is gone: nothing that it began is finished."""
        self.gone = True
        self.abort()
        self._leave()


Handler = Callable[[Interpreter, str], Awaitable[Reply]]
