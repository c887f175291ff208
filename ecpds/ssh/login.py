"""Logging in with a public key (RFC 4252), and with nothing else.

The client names a user, the service it wants (ssh-connection) and a method. For `publickey` it may first ask whether a
key would do, and is told; then it signs, with that key, the session's identity and its request, and is in. Every other
method is answered with the one that there is. Requests are answered one at a time, in their order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import frozen
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.service import SSHService
from twisted.conch.ssh.transport import DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE as NO_MORE_METHODS
from twisted.conch.ssh.transport import DISCONNECT_PROTOCOL_ERROR, DISCONNECT_SERVICE_NOT_AVAILABLE
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ecpds.ssh.authorized import AuthorizedKey, shown
from ecpds.ssh.fields import Fields, Malformed
from ecpds.ssh.rules import USERAUTH_REQUEST
from ecpds.ssh.userkeys import BadKey, UserKey, wire_key

FAILURE, SUCCESS, PK_OK = 51, 52, 60

METHODS = b"publickey"
CONNECTION = b"ssh-connection"

FindKey = Callable[[UserKey], Awaitable[AuthorizedKey | None]]
"""The line of a key, if it may log in."""


@frozen
class Login:
    """Who has logged in. The user name is what the client claimed; the key is what proves anything."""

    user: str
    key: AuthorizedKey
    address: str

    @property
    def who(self) -> str:
        """One safe piece of a log line."""
        return f"{self.key.holder} at {self.address}"


@frozen
class Attempt:
    """One request to log in with a key: `signature` is None where the client only asks whether the key would do."""

    user: str
    algorithm: str
    key: UserKey
    signed: bytes
    signature: bytes | None


def read_attempt(packet: bytes, session: bytes) -> Attempt | str:
    """A request, or the name of a method that there is not. Raises `Malformed`, `BadKey`, `WrongService`."""
    fields = Fields(packet)
    user, service, method = fields.text(), fields.string(), fields.string()
    if service != CONNECTION:
        raise WrongService
    if method != METHODS:
        return method.decode("ascii", "backslashreplace")
    has_signature, algorithm, blob = fields.boolean(), fields.text(), fields.string()
    signature = fields.string() if has_signature else None
    fields.end()
    signed = b"".join(
        (NS(session), bytes([USERAUTH_REQUEST]), NS(user), NS(service), NS(method), b"\1", NS(algorithm), NS(blob))
    )
    return Attempt(user, algorithm, wire_key(blob), signed, signature)


class WrongService(Exception):
    """The client wants to log in to something else than ssh-connection."""


class LoginService(SSHService):
    """ssh-userauth for one connection; `admit` makes the service of who has logged in."""

    log = Logger()
    name = b"ssh-userauth"
    transport: Any

    def __init__(self, find: FindKey, admit: Callable[[Login], SSHService], tries: int) -> None:
        self._find = find
        self._admit = admit
        self._tries = tries
        self._failures = 0
        self._waiting: deque[bytes] = deque()
        self._busy = False
        self._over = False

    def serviceStopped(self) -> None:
        self._over = True
        self._waiting.clear()

    def packetReceived(self, messageNum: int, packet: bytes) -> None:
        """A USERAUTH_REQUEST; the rules let nothing else through."""
        self._waiting.append(packet)
        if len(self._waiting) > self._tries:
            self._give_up("too many requests at once", NO_MORE_METHODS)
        elif not self._busy:
            self._busy = True
            Deferred.fromCoroutine(self._answer_all()).addErrback(self._failed)

    async def _answer_all(self) -> None:
        try:
            while self._waiting:
                await self._answer(self._waiting.popleft())
        finally:
            self._busy = False

    def _failed(self, failure: Failure) -> None:
        self.log.failure("{address}: the login failed", failure, address=self.transport.address)
        self._give_up("the portal failed", NO_MORE_METHODS)

    async def _answer(self, packet: bytes) -> None:
        try:
            attempt = read_attempt(packet, self.transport.sessionID)
        except Malformed as error:
            self._give_up(str(error), DISCONNECT_PROTOCOL_ERROR)
        except WrongService:
            self._give_up("no such service", DISCONNECT_SERVICE_NOT_AVAILABLE)
        except BadKey as error:
            self._refuse(str(error))
        else:
            if isinstance(attempt, Attempt):
                await self._try(attempt)
            else:
                self._refuse(f"method {attempt!a}", counts=attempt != "none")

    async def _try(self, attempt: Attempt) -> None:
        offered = f"user {shown(attempt.user)!r}, key {attempt.key.fingerprint}"
        found = await self._find(attempt.key)
        if self._over:
            return
        if found is None:
            self._refuse(f"{offered}: not listed")
        elif attempt.signature is None:
            self.transport.sendPacket(PK_OK, NS(attempt.algorithm) + NS(attempt.key.blob))
        elif not attempt.key.verify(attempt.algorithm, attempt.signature, attempt.signed):
            self._refuse(f"{offered}: the signature is wrong")
        else:
            self._let_in(Login(attempt.user, found, self.transport.address))

    def _let_in(self, login: Login) -> None:
        self.log.info("{who} logged in as {user!r}", who=login.who, user=shown(login.user))
        self.transport.sendPacket(SUCCESS, b"")
        self.transport.logged_in(self._admit(login))

    def _refuse(self, reason: str, counts: bool = True) -> None:
        """Say no, `tries` times at most. That a client asks what methods there are (`none`) is no try."""
        if counts:
            self._failures += 1
            self.log.info("{address}: login refused: {reason}", address=self.transport.address, reason=reason)
        if self._failures >= self._tries:
            self._give_up("too many tries", NO_MORE_METHODS)
        else:
            self.transport.sendPacket(FAILURE, NS(METHODS) + b"\0")

    def _give_up(self, reason: str, code: int) -> None:
        self._over = True
        self._waiting.clear()
        self.transport.give_up(reason, code)
