"""Logging in with a public key, a password (RFC 4252), or the answer to a question for it (RFC 4256), as a gate allows.

Who was asked for the password, and has one-time codes behind it, is asked for a code next.

The client names a user, the service it wants (ssh-connection) and a method. For `publickey` it may first ask whether a
key, or a certificate of one, would do, and is told; then it signs, with that key, the session's identity and its request,
and is in. Where the gate
wants a key and a password, who has shown one of them is told to go on with the other. Every other method is answered with
those that there are. Requests are answered one at a time, in their order.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from attrs import field, frozen
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.service import SSHService
from twisted.conch.ssh.transport import DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE as NO_MORE_METHODS
from twisted.conch.ssh.transport import DISCONNECT_PROTOCOL_ERROR, DISCONNECT_SERVICE_NOT_AVAILABLE
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ecpds.errors import CodeNeeded
from ecpds.ssh.authorized import AuthorizedKey, shown
from ecpds.ssh.certificates import Certificate, offered_key
from ecpds.ssh.fields import Fields, Malformed
from ecpds.ssh.quiet import UNHEARD
from ecpds.ssh.rules import USERAUTH_INFO_RESPONSE, USERAUTH_REQUEST
from ecpds.ssh.trust import Offered
from ecpds.ssh.userkeys import BadKey, UserKey

FAILURE, SUCCESS, PK_OK, INFO_REQUEST = 51, 52, 60, 60

PUBLICKEY, PASSWORD, INTERACTIVE = b"publickey", b"password", b"keyboard-interactive"


def _question(text: bytes) -> bytes:
    """One question, whose answer is not shown."""
    return NS(b"") * 3 + struct.pack(">L", 1) + NS(text) + b"\0"


QUESTION, CODE_QUESTION = _question(b"Password: "), _question(b"One-time code: ")
CONNECTION = b"ssh-connection"

FindKey = Callable[[UserKey], Awaitable[AuthorizedKey | None]]
"""The line of a key, if it may log in."""


class Admitted(Protocol):
    """Somebody who has logged in."""

    @property
    def who(self) -> str:
        """One safe piece of a log line."""

    @property
    def needs_both(self) -> bool:
        """Whether one of key and password is not enough."""


class Gate(Protocol):
    """Who may log in. `methods` are separated by commas, as the client is told them. None as an answer says no."""

    methods: bytes

    async def knows(self, user: str, key: Offered, address: str) -> bool:
        """Whether a signature by `key` is worth sending; whoever asks has proved nothing."""

    async def with_key(self, user: str, key: Offered, address: str) -> Admitted | None:
        """Log in somebody who holds `key`, or the key that it is a certificate of."""

    async def with_password(self, user: str, password: str, address: str) -> Admitted | None:
        """Log in somebody who knows `password`. Raises `CodeNeeded` where that is right, and a code behind it is missing."""


@frozen
class Login:
    """Who has logged in. The user name is what the client claimed; the key is what proves anything."""

    user: str
    key: AuthorizedKey
    address: str
    needs_both = False

    @property
    def who(self) -> str:
        """One safe piece of a log line."""
        return f"{self.key.holder} at {self.address}"


class KeyGate:
    """Lets in whoever holds a key that is listed, under any name."""

    methods = PUBLICKEY

    def __init__(self, find: FindKey) -> None:
        self._find = find

    async def knows(self, user: str, key: Offered, address: str) -> bool:
        return await self.with_key(user, key, address) is not None

    async def with_key(self, user: str, key: Offered, address: str) -> Admitted | None:
        found = await self._find(key) if not isinstance(key, Certificate) else None
        return Login(user, found, address) if found is not None else None

    async def with_password(self, user: str, password: str, address: str) -> Admitted | None:
        return None


@frozen
class Attempt:
    """One request to log in with a key: `signature` is None where the client only asks whether the key would do."""

    user: str
    algorithm: str
    key: Offered
    signed: bytes
    signature: bytes | None


@frozen
class PasswordAttempt:
    """One request to log in with a password; `may_ask`: whether the client can be asked for what is missing."""

    user: str
    password: str = field(repr=False)
    may_ask: bool = False


@frozen
class Interactive:
    """One request to be asked."""

    user: str


def read_attempt(packet: bytes, session: bytes, methods: bytes) -> Attempt | PasswordAttempt | Interactive | str:
    """A request by one of `methods`, or the name of another. Raises `Malformed`, `BadKey`, `WrongService`."""
    fields = Fields(packet)
    user, service, method = fields.text(), fields.string(), fields.string()
    if service != CONNECTION:
        raise WrongService
    if method not in methods.split(b","):
        return method.decode("ascii", "backslashreplace")
    if method == INTERACTIVE:
        fields.string(), fields.string()
        fields.end()
        return Interactive(user)
    return _read_password(user, fields) if method == PASSWORD else _read_key(user, fields, session)


def read_answer(packet: bytes) -> str:
    """The answer to our one question. Raises `Malformed`."""
    fields = Fields(packet)
    if fields.number() != 1:
        raise Malformed("one question, another number of answers")
    text = fields.text()
    fields.end()
    return text


def _read_password(user: str, fields: Fields) -> PasswordAttempt | str:
    """A change of the password, which comes by the same message, is another method to us."""
    changes, password = fields.boolean(), fields.text()
    if changes:
        return "password change"
    fields.end()
    return PasswordAttempt(user, password)


def _read_key(user: str, fields: Fields, session: bytes) -> Attempt:
    has_signature, algorithm, blob = fields.boolean(), fields.text(), fields.string()
    signature = fields.string() if has_signature else None
    fields.end()
    head = (NS(session), bytes([USERAUTH_REQUEST]), NS(user), NS(CONNECTION), NS(PUBLICKEY))
    return Attempt(user, algorithm, offered_key(blob), b"".join((*head, b"\1", NS(algorithm), NS(blob))), signature)


class WrongService(Exception):
    """The client wants to log in to something else than ssh-connection."""


class LoginService(SSHService):
    """ssh-userauth for one connection; `admit` makes the service of who has logged in."""

    log = Logger()
    _log = UNHEARD
    name = b"ssh-userauth"
    transport: Any

    def __init__(self, gate: Gate, admit: Callable[[Any], SSHService], tries: int) -> None:
        self._gate = gate
        self._admit = admit
        self._tries = tries
        self._failures = 0
        self._asked = ""
        self._password = ""
        self._passed: tuple[str, bytes] | None = None
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._busy = False
        self._over = False

    def serviceStopped(self) -> None:
        self._over = True
        self._waiting.clear()

    def packetReceived(self, messageNum: int, packet: bytes) -> None:
        """A USERAUTH_REQUEST, or the answer to a question; the rules let nothing else through."""
        self._waiting.append((messageNum, packet))
        if len(self._waiting) > self._tries:
            self._give_up("too many requests at once", NO_MORE_METHODS)
        elif not self._busy:
            self._busy = True
            Deferred.fromCoroutine(self._answer_all()).addErrback(self._failed)

    async def _answer_all(self) -> None:
        try:
            while self._waiting:
                await self._answer(*self._waiting.popleft())
        finally:
            self._busy = False

    def _failed(self, failure: Failure) -> None:
        self.log.failure("{address}: the login failed", failure, address=self.transport.address)
        self._give_up("the portal failed", NO_MORE_METHODS)

    def _read(self, message: int, packet: bytes) -> Attempt | PasswordAttempt | Interactive | str:
        self.transport.rules.asked = False
        if message == USERAUTH_INFO_RESPONSE:
            password, self._password = self._password, ""
            return PasswordAttempt(self._asked, password + read_answer(packet), may_ask=not password)
        return read_attempt(packet, self.transport.sessionID, self._gate.methods)

    async def _answer(self, message: int, packet: bytes) -> None:
        try:
            attempt = self._read(message, packet)
        except Malformed as error:
            self._give_up(str(error), DISCONNECT_PROTOCOL_ERROR)
        except WrongService:
            self._give_up("no such service", DISCONNECT_SERVICE_NOT_AVAILABLE)
        except BadKey as error:
            self._refuse(str(error))
        else:
            if isinstance(attempt, Attempt):
                await self._try_key(attempt)
            elif isinstance(attempt, PasswordAttempt):
                await self._try_password(attempt)
            elif isinstance(attempt, Interactive):
                self._ask(attempt.user)
            else:
                self._refuse(f"method {attempt!a}", counts=attempt != "none")

    def _ask(self, user: str, password: str = "") -> None:
        """For the password, or, where that is known, for the code behind it."""
        self._asked, self._password = user, password
        self.transport.rules.asked = True
        self.transport.sendPacket(INFO_REQUEST, CODE_QUESTION if password else QUESTION)

    async def _try_key(self, attempt: Attempt) -> None:
        offered = f"user {shown(attempt.user)!r}, key {attempt.key.fingerprint}"
        if attempt.signature is None:
            known = await self._gate.knows(attempt.user, attempt.key, self.transport.address)
            if self._over:
                return
            if known:
                self.transport.sendPacket(PK_OK, NS(attempt.algorithm) + NS(attempt.key.blob))
            else:
                self._refuse(f"{offered}: not listed")
        elif not attempt.key.verify(attempt.algorithm, attempt.signature, attempt.signed):
            self._refuse(f"{offered}: the signature is wrong")
        else:
            login = await self._gate.with_key(attempt.user, attempt.key, self.transport.address)
            self._decide(login, attempt.user, PUBLICKEY, offered)

    async def _try_password(self, attempt: PasswordAttempt) -> None:
        offered = f"user {shown(attempt.user)!r}, password"
        try:
            login = await self._gate.with_password(attempt.user, attempt.password, self.transport.address)
        except CodeNeeded:
            if self._over:
                return
            if attempt.may_ask:
                self._ask(attempt.user, attempt.password)
            else:
                self._refuse(f"{offered}: a one-time code is missing")
        else:
            self._decide(login, attempt.user, PASSWORD, offered)

    def _decide(self, login: Admitted | None, user: str, method: bytes, offered: str) -> None:
        if self._over:
            return
        if login is None:
            self._refuse(f"{offered}: not let in")
            return
        if (login.needs_both and self._passed not in ((user, PUBLICKEY), (user, PASSWORD))) or self._passed == (user, method):
            self._half_way(user, method)
            return
        self.log.info("{who} logged in as {user!r}", who=login.who, user=shown(user))
        self.transport.sendPacket(SUCCESS, b"")
        self.transport.logged_in(self._admit(login))

    def _half_way(self, user: str, method: bytes) -> None:
        """Tell the client what it has yet to do (RFC 4252, section 5.1: partial success)."""
        self._passed = (user, method)
        left = [each for each in self._gate.methods.split(b",") if (each == PUBLICKEY) != (method == PUBLICKEY)]
        self.transport.sendPacket(FAILURE, NS(b",".join(left)) + b"\1")

    def _refuse(self, reason: str, counts: bool = True) -> None:
        """Say no, `tries` times at most. That a client asks what methods there are (`none`) is no try."""
        if counts:
            self._failures += 1
            self.log.info("{address}: login refused: {reason}", address=self.transport.address, reason=reason)
        if self._failures >= self._tries:
            self._give_up("too many tries", NO_MORE_METHODS)
        else:
            self.transport.sendPacket(FAILURE, NS(self._gate.methods) + b"\0")

    def _give_up(self, reason: str, code: int) -> None:
        self._over = True
        self._waiting.clear()
        self.transport.give_up(reason, code)
