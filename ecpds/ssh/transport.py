"""One SSH connection (RFC 4253), server side: conch's transport with what is unsafe in it closed off.

Both sides send a version line and agree on keys (see `exchange`). The client asks for ssh-userauth and logs in; then
channels open.

What differs from conch: `Rules` says which message may come when; one clock from the connection to the end of the login;
packets and what comes before the login are capped; sequence numbers wrap; whatever can't be read ends the connection; and
a client that doesn't read its replies isn't read either. What is said to all that came at once leaves in one write.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Any

from twisted.conch.error import ConchError
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.service import SSHService
from twisted.conch.ssh.transport import (
    DISCONNECT_BY_APPLICATION,
    DISCONNECT_MAC_ERROR,
    DISCONNECT_PROTOCOL_ERROR,
    DISCONNECT_SERVICE_NOT_AVAILABLE,
    MSG_DISCONNECT,
    MSG_NEWKEYS,
    MSG_SERVICE_ACCEPT,
)
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ecpds.interfaces import IWatch
from ecpds.ssh.authorized import shown
from ecpds.ssh.ciphers import BadPacket, Sealing
from ecpds.ssh.exchange import KeyExchange, Server
from ecpds.ssh.fields import Fields
from ecpds.ssh.frames import Frames, padding
from ecpds.ssh.incoming import BadLength, Incoming
from ecpds.ssh.quiet import UNHEARD
from ecpds.ssh.rules import CHANNEL_DATA, CHANNEL_WINDOW_ADJUST, OutOfOrder, Phase

VERSION = b"SSH-2.0-ecpds"

LONGEST_VERSION = 255
"""Bytes of the client's version line (RFC 4253, section 4.2)."""

SEQUENCE = 1 << 32
"""Sequence numbers wrap here (RFC 4253, section 6.4)."""

BEFORE_LOGIN = 35000
"""Bytes of a packet before the login is over (RFC 4253, section 6.1, asks for these)."""

MOST_QUEUED = 1024
"""Messages that may wait for the end of a key exchange."""

UNREADABLE = (struct.error, IndexError, KeyError, TypeError, ValueError, ConchError)
"""What conch's handlers raise when a message is not of its form, or names a channel that there is not."""

USERAUTH = b"ssh-userauth"

FLOW = (CHANNEL_DATA, CHANNEL_WINDOW_ADJUST)
"""What goes the short way while nothing but the flow of data is under way."""

_OPEN = Phase.OPEN  # Looking it up in its class costs as much as a call.


@implementer(IPushProducer)
class SshConnection(KeyExchange):
    """One connection. `server` is the factory that made it."""

    log = Logger()
    _log = UNHEARD
    transport: Any
    ourVersionString = VERSION

    def __init__(self, server: Server, address: str) -> None:
        super().__init__(server)
        self.address = address
        self.incoming = Incoming()
        self._ended = False
        self._congested = False
        self._finishing = False
        self._received = 0
        self._turning = False
        self._afterwards: list[Callable[[], None]] = []
        self._outgoing: list[bytes | memoryview] = []
        self._lent: list[Callable[[], None]] = []
        self._watch: IWatch | None = None

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
        self._give_back()
        self._server.left(self)

    def pauseProducing(self) -> None:
        """Our replies are not read: read nothing that would cause more of them."""
        self._congested = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self._congested = False
        self._give_back()
        self.transport.resumeProducing()
        self.renewed()

    @property
    def blocked(self) -> bool:
        """Whether what is sent now would only wait: for the client to read, or for new keys."""
        return self._congested or self._keyExchangeState != self._KEY_EXCHANGE_NONE

    def renewed(self) -> None:
        """Nothing keeps us from sending, by now."""
        service: Any = self.service
        if self.rules.phase is _OPEN and not self.blocked and not self._ended:
            service.unblocked()

    def _give_back(self) -> None:
        lent, self._lent = self._lent, []
        for release in lent:
            release()

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
        if self._finishing and not (self.rules.phase is _OPEN and service.is_busy):
            self.give_up("the node ends")

    def give_up(self, reason: str, code: int = DISCONNECT_BY_APPLICATION) -> None:
        self.sendDisconnect(code, reason.encode("ascii", "backslashreplace"))

    def sendDisconnect(self, reason: int, desc: bytes) -> None:
        """Say the last word, once. Who doesn't read it is cut off."""
        if self._ended:
            return
        self.log.info(
            "{address}: connection closed: {reason}", address=self.address, reason=shown(desc.decode("utf-8", "replace"))
        )
        self.sendPacket(MSG_DISCONNECT, struct.pack(">L", reason) + NS(desc) + NS(b""))
        self._flush()
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

    # What comes

    def dataReceived(self, data: bytes | memoryview) -> None:
        """Handle what came; what we say to it leaves in one piece, and what need not be done before that is done then."""
        if self._ended:
            return
        self._ledger.bytes += len(data)
        self._received += len(data)
        if self.rules.phase is not _OPEN and self._received > self._limits.ssh_login_bytes:
            self.give_up("too many bytes before the login", DISCONNECT_PROTOCOL_ERROR)
            return
        self.incoming.feed(data)
        self._turning = True
        try:
            if self.gotVersion or self._read_version():
                self._read_packets()
            if self.rules.phase is _OPEN and not self._ended:
                service: Any = self.service
                service.turn_ended()
        finally:
            self._turning = False
            self._flush()
            self._answered()
        if self._ended:
            self.incoming.drop()
        elif self.rules.phase is _OPEN:
            assert self._watch is not None
            self._watch.touch()
            self._renew_keys()

    def afterwards(self, work: Callable[[], None]) -> None:
        """Do what the client need not wait for as soon as it has been sent what was said so far."""
        if self._turning:
            self._afterwards.append(work)
        else:
            work()

    def _answered(self) -> None:
        waiting, self._afterwards = self._afterwards, []
        for work in waiting:
            try:
                work()
            except Exception:
                self.log.failure("{address}: what follows an answer failed", address=self.address)

    def _read_version(self) -> bool:
        """Take the client's version line; whether it was there and will do."""
        line = self.incoming.line(b"SSH-", LONGEST_VERSION)
        if line is None:
            return False
        if not line.endswith(b"\n") or not line.startswith(b"SSH-"):
            self.give_up("that is not an SSH client", DISCONNECT_PROTOCOL_ERROR)
            return False
        self.otherVersionString = line.removesuffix(b"\n").removesuffix(b"\r")
        if not self.otherVersionString.startswith((b"SSH-2.0-", b"SSH-1.99-")) or b"\0" in line:
            self.give_up("this is SSH 2.0 only", DISCONNECT_PROTOCOL_ERROR)
            return False
        self.gotVersion = True
        return True

    def _read_packets(self) -> None:
        try:
            while not self._ended:
                most = self._limits.ssh_packet if self.rules.phase is _OPEN else min(BEFORE_LOGIN, self._limits.ssh_packet)
                body = self.incoming.next(self.currentEncryptions.opening, self.incomingPacketSequence, most)
                if body is None:
                    return
                self._ledger.packets += 1
                self.incomingPacketSequence = (self.incomingPacketSequence + 1) % SEQUENCE
                if body[1] in FLOW and self.rules.flows:
                    self._flow(body)
                else:
                    self.dispatchMessage(body[1], body[2 : -body[0]])
        except BadPacket as error:
            self.give_up(str(error), DISCONNECT_MAC_ERROR)
        except BadLength:
            self.give_up("bad packet length", DISCONNECT_PROTOCOL_ERROR)

    def _flow(self, body: bytes) -> None:
        """Data, and room for data, which there is most of: handed on where it lies."""
        service: Any = self.service
        try:
            (service.data if body[1] == CHANNEL_DATA else service.adjusted)(memoryview(body)[2 : -body[0]])
        except UNREADABLE as error:
            self._unreadable(body[1], error)

    def _unreadable(self, number: int, error: Exception) -> None:
        self.give_up(f"message {number} can't be read: {type(error).__name__}", DISCONNECT_PROTOCOL_ERROR)

    def dispatchMessage(self, messageNum: int, payload: bytes) -> None:
        """Handle a message that may come now; whatever else ends the connection."""
        try:
            if self.rules.arrived(messageNum):
                super().dispatchMessage(messageNum, payload)  # type: ignore[no-untyped-call]
                self.rules.handled(messageNum)
        except OutOfOrder as error:
            self.give_up(f"unexpected: {error}", DISCONNECT_PROTOCOL_ERROR)
        except UNREADABLE as error:
            self._unreadable(messageNum, error)
        except Exception:
            self.log.failure("{address}: message {number} failed", address=self.address, number=messageNum)
            self.give_up("the portal failed", DISCONNECT_BY_APPLICATION)

    # What goes

    def sendPacket(self, messageType: int, payload: bytes) -> None:
        if self._ended:
            return
        if self.exchanging and not self._allowedKeyExchangeMessageType(messageType):  # type: ignore[no-untyped-call]
            self._blockedByKeyExchange.append((messageType, payload))
            if len(self._blockedByKeyExchange) > MOST_QUEUED:
                self.abort()
            return
        sealing: Sealing = self.currentEncryptions.sealing
        count = padding(len(payload) + 2, sealing)
        body = b"".join((bytes((count, messageType)), payload, os.urandom(count)))
        self._outgoing.append(sealing.seal(self.outgoingPacketSequence, body))
        self._count(1, len(payload))
        if messageType == MSG_NEWKEYS and self.rules.strict:
            self.outgoingPacketSequence = 0
        if not self._turning:
            self._flush()

    def send_frames(self, frames: Frames, channel: int, release: Callable[[], None]) -> None:
        """Send bulk data to the client's `channel`, while nothing blocks it. `release` is called when `frames` is not used."""
        sealed = frames.seal(self.currentEncryptions.sealing, self.outgoingPacketSequence, channel)
        self._count(len(frames.data), len(sealed))
        self._lent.append(release)
        self._outgoing.append(sealed)
        self._flush()
        if not self._congested:
            self._give_back()

    def _count(self, packets: int, size: int) -> None:
        self.outgoingPacketSequence = (self.outgoingPacketSequence + packets) % SEQUENCE
        self._ledger.bytes += size
        self._ledger.packets += packets

    def _flush(self) -> None:
        if not self._outgoing:
            return
        outgoing, self._outgoing = self._outgoing, []
        if len(outgoing) == 1 or not isinstance(outgoing[-1], bytes):
            for each in outgoing:
                self.transport.write(each)
        else:
            self.transport.write(b"".join(outgoing))

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
