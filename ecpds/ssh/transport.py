"""One SSH connection (RFC 4253), server side: conch's transport with what is unsafe in it closed off.

Both sides send a version line, then KEXINIT; the client sends its half of the key exchange and we answer with ours,
signed; both send NEWKEYS. The client asks for ssh-userauth and logs in; then channels open. Either side may ask for new
keys later; we do after a GiB or an hour.

What differs from conch: `Rules` says which message may come when; strict key exchange; one clock from the connection to
the end of the login; packets and what comes before the login are capped; sequence numbers wrap; whatever can't be read
ends the connection; and a client that doesn't read its replies isn't read either.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Protocol

from twisted.conch.error import ConchError
from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.service import SSHService
from twisted.conch.ssh.transport import (
    DISCONNECT_BY_APPLICATION,
    DISCONNECT_MAC_ERROR,
    DISCONNECT_PROTOCOL_ERROR,
    DISCONNECT_SERVICE_NOT_AVAILABLE,
    MSG_DISCONNECT,
    MSG_NEWKEYS,
    MSG_SERVICE_ACCEPT,
    SSHServerTransport,
)
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.randbytes import secureRandom
from zope.interface import implementer

from ecpds.config import Limits
from ecpds.interfaces import ITimeouts, IWatch
from ecpds.ssh.algorithms import CIPHERS, COMPRESSIONS, KEY_EXCHANGES, MACS, STRICT_CLIENT, STRICT_SERVER, USER_KEYS
from ecpds.ssh.authorized import shown
from ecpds.ssh.ciphers import BadPacket, Opening, Protections, Sealing
from ecpds.ssh.fields import Fields
from ecpds.ssh.rules import OutOfOrder, Phase, Rules

VERSION = b"SSH-2.0-ecpds"

LONGEST_VERSION = 255
"""Bytes of the client's version line (RFC 4253, section 4.2)."""

SEQUENCE = 1 << 32
"""Sequence numbers wrap here (RFC 4253, section 6.4)."""

MOST_PACKETS = 1 << 31
"""Packets under one set of keys (RFC 4344, section 3.1)."""

BEFORE_LOGIN = 35000
"""Bytes of a packet before the login is over (RFC 4253, section 6.1, asks for these)."""

SHORTEST_PADDING = 4

MOST_QUEUED = 1024
"""Messages that may wait for the end of a key exchange."""

UNREADABLE = (struct.error, IndexError, KeyError, TypeError, ValueError, ConchError)
"""What conch's handlers raise when a message is not of its form, or names a channel that there is not."""

USERAUTH = b"ssh-userauth"


class BadLength(Exception):
    """A packet's length is not one that it may have."""


class Server(Protocol):
    """What a connection needs of the factory that made it. `idle` is seconds, `seconds` the clock."""

    limits: Limits
    timeouts: ITimeouts
    idle: float
    seconds: Callable[[], float]

    def login_service(self) -> SSHService:
        """What sees to the login of one connection."""

    def left(self, connection: SshConnection) -> None:
        """The connection has ended."""


class Ledger:
    """What has crossed under the present keys."""

    def __init__(self, now: float) -> None:
        self.since = now
        self.bytes = 0
        self.packets = 0


@implementer(IPushProducer)
class SshConnection(SSHServerTransport):
    """One connection. `server` is the factory that made it, which also has the host key as conch wants it."""

    log = Logger()
    transport: Any
    buf: Any
    currentEncryptions: Any
    nextEncryptions: Any
    ourVersionString = VERSION
    supportedKeyExchanges = KEY_EXCHANGES
    supportedPublicKeys = [b"ssh-ed25519"]  # noqa: RUF012
    supportedCiphers = CIPHERS
    supportedMACs = MACS
    supportedCompressions = COMPRESSIONS

    def __init__(self, server: Server, address: str) -> None:
        self.factory: Any = server
        self.address = address
        self.rules = Rules()
        self._server = server
        self._limits = server.limits
        self.buf = bytearray()
        self._at = 0
        self._size = 0
        self.currentEncryptions = Protections(b"none", b"none", b"none", b"none")
        self._ended = False
        self._congested = False
        self._finishing = False
        self._received = 0
        self._ledger = Ledger(server.seconds())
        self._watch: IWatch | None = None
        self._exchange_watch: IWatch | None = None

    # The connection

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)
        self._watch = self._server.timeouts.watch(self._limits.login_time, lambda: self.give_up("no login in time"))
        self.transport.write(VERSION + b"\r\n")
        self.sendKexInit()

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._ended = True
        for watch in (self._watch, self._exchange_watch):
            if watch is not None:
                watch.cancel()
        if self.service is not None:
            self.service.serviceStopped()  # type: ignore[no-untyped-call]
        self._server.left(self)

    def pauseProducing(self) -> None:
        """Our replies are not read: read nothing that would cause more of them."""
        self._congested = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self._congested = False
        self.transport.resumeProducing()
        self._unblock()

    @property
    def blocked(self) -> bool:
        """Whether what is sent now would only wait: for the client to read, or for new keys."""
        return self._congested or self._keyExchangeState != self._KEY_EXCHANGE_NONE

    def _unblock(self) -> None:
        service: Any = self.service
        if self.rules.phase is Phase.OPEN and not self.blocked and not self._ended:
            service.unblocked()

    def stopProducing(self) -> None:
        self.transport.loseConnection()

    def logged_in(self, service: SSHService) -> None:
        """The login is over: from now on the connection may be idle for `server.idle` seconds."""
        assert self._watch is not None
        self._watch.cancel()
        self._watch = self._server.timeouts.watch(self._server.idle, lambda: self.give_up("idle for too long"))
        self.rules.logged_in()
        self.setService(service)  # type: ignore[no-untyped-call]

    def finish(self) -> None:
        """The node ends: close, as soon as nothing is under way that should be let end."""
        self._finishing = True
        self.rested()

    def rested(self) -> None:
        """Something that was under way has ended."""
        service: Any = self.service
        if self._finishing and not (self.rules.phase is Phase.OPEN and service.is_busy):
            self.give_up("the node ends")

    def give_up(self, reason: str, code: int = DISCONNECT_BY_APPLICATION) -> None:
        """Tell the client why, and close."""
        self.sendDisconnect(code, reason.encode("ascii", "backslashreplace"))

    def sendDisconnect(self, reason: int, desc: bytes) -> None:
        """Say the last word, once. Who doesn't read it is cut off."""
        if self._ended:
            return
        self.log.info(
            "{address}: connection closed: {reason}", address=self.address, reason=shown(desc.decode("utf-8", "replace"))
        )
        self.sendPacket(MSG_DISCONNECT, struct.pack(">L", reason) + NS(desc) + NS(b""))
        self._ended = True
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        if self._watch is not None:
            self._watch.cancel()
        self._watch = self._server.timeouts.watch(self._limits.linger, self.abort)

    def abort(self) -> None:
        self.transport.abortConnection()

    def receiveError(self, reasonCode: int, description: bytes) -> None:
        self.log.debug("{address}: disconnected with {code}: {text!r}", address=self.address, code=reasonCode, text=description)

    # Packets

    def dataReceived(self, data: bytes) -> None:
        if self._ended:
            return
        self._ledger.bytes += len(data)
        self._received += len(data)
        self.buf += data
        if self.rules.phase is not Phase.OPEN and self._received > self._limits.ssh_login_bytes:
            self.give_up("too many bytes before the login", DISCONNECT_PROTOCOL_ERROR)
            return
        if self.gotVersion or self._read_version():
            self._read_packets()
        if self._watch is not None and self.rules.phase is Phase.OPEN:
            self._watch.touch()

    def _read_version(self) -> bool:
        """Take the client's version line off the buffer; whether it was there and will do."""
        line, newline, rest = self.buf.partition(b"\n")
        if len(line) >= LONGEST_VERSION or not b"SSH-".startswith(bytes(line[:4])):
            self.give_up("that is not an SSH client", DISCONNECT_PROTOCOL_ERROR)
            return False
        if not newline:
            return False
        self.otherVersionString = bytes(line.removesuffix(b"\r"))
        if not self.otherVersionString.startswith((b"SSH-2.0-", b"SSH-1.99-")) or b"\0" in line:
            self.give_up("this is SSH 2.0 only", DISCONNECT_PROTOCOL_ERROR)
            return False
        self.gotVersion = True
        self.buf = rest
        return True

    def _read_packets(self) -> None:
        try:
            while not self._ended and (packet := self.getPacket()) is not None:
                self.incomingPacketSequence = (self.incomingPacketSequence + 1) % SEQUENCE
                self._ledger.packets += 1
                self.dispatchMessage(packet[0], packet[1:])
        except BadPacket as error:
            self.give_up(str(error), DISCONNECT_MAC_ERROR)
        except BadLength:
            self.give_up("bad packet length", DISCONNECT_PROTOCOL_ERROR)
        del self.buf[: self._at]
        self._at = 0
        if not self._ended:
            self._renew_keys()

    def getPacket(self) -> bytes | None:
        """The payload of the next packet, if all of it is here. Raises `BadPacket`, `BadLength`."""
        opening, here = self.currentEncryptions.opening, len(self.buf) - self._at
        if self._size == 0:
            if here < opening.head:
                return None
            head = bytes(self.buf[self._at : self._at + opening.head])
            length = opening.length(self.incomingPacketSequence, head)
            self._check_length(length, opening)
            self._size = 4 + length + opening.tail
        if here < self._size:
            return None
        end = self._at + self._size
        body: bytes = opening.open(self.incomingPacketSequence, bytes(memoryview(self.buf)[self._at : end]))
        self._at, self._size = end, 0
        padding = body[0]
        if padding < SHORTEST_PADDING or padding + 2 > len(body):
            raise BadLength
        return body[1:-padding]

    def _check_length(self, length: int, opening: Opening) -> None:
        """The length of a body that was not authenticated yet. Raises `BadLength`."""
        most = self._limits.ssh_packet if self.rules.phase is Phase.OPEN else min(BEFORE_LOGIN, self._limits.ssh_packet)
        padded = length + 4 if opening.counts_length else length
        if not max(opening.block - 4, SHORTEST_PADDING + 2) <= length <= most or padded % opening.block:
            raise BadLength

    def dispatchMessage(self, messageNum: int, payload: bytes) -> None:
        """Handle a message that may come now; whatever else ends the connection."""
        try:
            if self.rules.arrived(messageNum):
                super().dispatchMessage(messageNum, payload)  # type: ignore[no-untyped-call]
                self.rules.handled(messageNum)
        except OutOfOrder as error:
            self.give_up(f"unexpected: {error}", DISCONNECT_PROTOCOL_ERROR)
        except UNREADABLE as error:
            self.give_up(f"message {messageNum} can't be read: {type(error).__name__}", DISCONNECT_PROTOCOL_ERROR)
        except Exception:
            self.log.failure("{address}: message {number} failed", address=self.address, number=messageNum)
            self.give_up("the portal failed", DISCONNECT_BY_APPLICATION)

    def sendPacket(self, messageType: int, payload: bytes) -> None:
        if self._ended:
            return
        if self._keyExchangeState != self._KEY_EXCHANGE_NONE and not self._allowedKeyExchangeMessageType(messageType):  # type: ignore[no-untyped-call]
            self._blockedByKeyExchange.append((messageType, payload))
            if len(self._blockedByKeyExchange) > MOST_QUEUED:
                self.abort()
            return
        sealing: Sealing = self.currentEncryptions.sealing
        size = len(payload) + (6 if sealing.counts_length else 2)
        padding = SHORTEST_PADDING + (-size - SHORTEST_PADDING) % sealing.block
        body = b"".join((bytes((padding, messageType)), payload, secureRandom(padding)))
        self.transport.write(sealing.seal(self.outgoingPacketSequence, body))
        self.outgoingPacketSequence += 1
        self._ledger.bytes += len(payload)
        self._ledger.packets += 1
        strict_restart = messageType == MSG_NEWKEYS and self.rules.strict
        self.outgoingPacketSequence = 0 if strict_restart else self.outgoingPacketSequence % SEQUENCE

    # Key exchange

    def sendKexInit(self) -> None:
        """The first one says that we speak strict key exchange."""
        if self.sessionID is None:
            self.supportedKeyExchanges = [*KEY_EXCHANGES, STRICT_SERVER]
        try:
            super().sendKexInit()  # type: ignore[no-untyped-call]
        finally:
            self.supportedKeyExchanges = KEY_EXCHANGES
        self._exchange_watch = self._server.timeouts.watch(
            self._limits.login_time, lambda: self.give_up("no new keys in time", DISCONNECT_PROTOCOL_ERROR)
        )

    def _renew_keys(self) -> None:
        """Ask for new keys when the old ones have seen enough."""
        if self.rules.phase is not Phase.OPEN or self._keyExchangeState != self._KEY_EXCHANGE_NONE:
            return
        age = self._server.seconds() - self._ledger.since
        worn = self._ledger.bytes > self._limits.ssh_rekey_bytes or self._ledger.packets > MOST_PACKETS
        if worn or age > self._limits.ssh_rekey_time:
            self.sendKexInit()

    def ssh_KEXINIT(self, packet: bytes) -> None:
        if self.sessionID is None:
            self.rules.strict = STRICT_CLIENT in getNS(packet[16:])[0].split(b",")
        super().ssh_KEXINIT(packet)
        # conch would ignore a wrong guess only if it had one of two numbers.
        self.rules.guessed, self.ignoreNextPacket = bool(self.ignoreNextPacket), 0
        agreed = self.nextEncryptions
        self.nextEncryptions = Protections(agreed.outCipType, agreed.inCipType, agreed.outMACType, agreed.inMACType)

    def ssh_NEWKEYS(self, packet: bytes) -> None:
        super().ssh_NEWKEYS(packet)
        self._ledger = Ledger(self._server.seconds())
        if self._exchange_watch is not None:
            self._exchange_watch.cancel()
        if self.rules.strict:
            self.incomingPacketSequence = 0
        self._unblock()

    def sendExtInfo(self, extensions: list[tuple[bytes, bytes]]) -> None:
        """conch would say what the host key can sign with; users' keys may be others."""
        super().sendExtInfo([(b"server-sig-algs", b",".join(USER_KEYS))])  # type: ignore[no-untyped-call]

    # Services

    def ssh_SERVICE_REQUEST(self, packet: bytes) -> None:
        fields = Fields(packet)
        name = fields.string()
        fields.end()
        if name != USERAUTH:
            self.give_up("no such service", DISCONNECT_SERVICE_NOT_AVAILABLE)
            return
        self.sendPacket(MSG_SERVICE_ACCEPT, packet)
        self.setService(self._server.login_service())  # type: ignore[no-untyped-call]

    def ssh_EXT_INFO(self, packet: bytes) -> None:
        """The client's extensions mean nothing to us."""

    def ssh_UNIMPLEMENTED(self, packet: bytes) -> None:
        """We send nothing that a client must know."""
