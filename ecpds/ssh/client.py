"""One SSH connection (RFC 4253), client side: conch's transport with our ciphers, known hosts, and the order of messages kept.

Both sides send a version line, then KEXINIT; we send our half of the key exchange, the server its own, signed with its host
key, which must be one that is known for it; both send NEWKEYS. We ask for ssh-userauth, log in with keys or a password, and
open channels. As on the server's side: strict key exchange (against CVE-2023-48795) where the server has it, nothing but the
exchange itself until there are keys, capped packets, sequence numbers that wrap, and what can't be read ends the connection.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from twisted.conch.client.knownhosts import KnownHostsFile
from twisted.conch.error import HostKeyChanged
from twisted.conch.ssh.common import getNS
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.keys import BadKeyError, EncryptedKeyError, Key
from twisted.conch.ssh.transport import (
    DISCONNECT_HOST_KEY_NOT_VERIFIABLE,
    DISCONNECT_MAC_ERROR,
    DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE,
    DISCONNECT_PROTOCOL_ERROR,
    MSG_NEWKEYS,
    SSHClientTransport,
)
from twisted.conch.ssh.userauth import SSHUserAuthClient
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath
from twisted.python.randbytes import secureRandom

from ecpds.errors import ConnectionLost, LoginFailed, NotPermitted, Refusal
from ecpds.ssh.algorithms import CIPHERS, COMPRESSIONS, KEY_EXCHANGES, MACS, STRICT_CLIENT, STRICT_SERVER
from ecpds.ssh.ciphers import BadPacket, Protections
from ecpds.ssh.rules import (
    ANY_TIME,
    DISCONNECT,
    EXCHANGE_ONLY,
    EXT_INFO,
    KEXINIT,
    NEWKEYS,
)

VERSION = b"SSH-2.0-ecpds"

LONGEST_VERSION = 255
MOST_VERSION_BYTES = 8192
"""Bytes of the server's version line, and of the lines that it may send before it (RFC 4253, section 4.2)."""

EXCHANGES = [name for name in KEY_EXCHANGES if name.startswith((b"curve25519", b"ecdh-"))]
"""Key exchanges with elliptic curves: conch's client has no hybrid ones."""

LARGEST_PACKET = 1 << 18
SEQUENCE = 1 << 32

SERVICE_ACCEPT = 6
AUTHENTICATION = range(50, 80)
CONNECTION = range(80, 101)

HOST_KEYS = (
    b"ssh-ed25519",
    b"ecdsa-sha2-nistp256",
    b"ecdsa-sha2-nistp384",
    b"ecdsa-sha2-nistp521",
    b"rsa-sha2-512",
    b"rsa-sha2-256",
)

IDENTITIES = ("id_ed25519", "id_ecdsa", "id_rsa")
"""Private keys that are tried, as ssh(1) names them."""

UNREADABLE = (struct.error, IndexError, KeyError, TypeError, ValueError, BadKeyError)


class KnownHosts:
    """The host keys that are known, from OpenSSH's file. With `anybody`, every key will do."""

    def __init__(self, path: Path, anybody: bool = False) -> None:
        self._path = path
        self._anybody = anybody

    def algorithms(self, host: str, port: int) -> list[bytes]:
        """What the server's key may sign with, those of the keys that are known for it first."""
        known = {bytes(each.keyType) for each in self._entries() if each.matchesHost(_named(host, port))}
        return sorted(HOST_KEYS, key=lambda name: (b"ssh-rsa" if name.startswith(b"rsa-") else name) not in known)

    def check(self, host: str, port: int, key: Key) -> None:
        """Raises `NotPermitted` unless the key is known to be the server's."""
        if self._anybody:
            return
        file: Any = KnownHostsFile.fromPath(FilePath(str(self._path)))
        try:
            if file.hasHostKey(_named(host, port), key):
                return
        except HostKeyChanged as error:
            raise NotPermitted(f"{host} has another host key than {self._path} says") from error
        raise NotPermitted(f"the host key of {host} is not in {self._path}")

    def _entries(self) -> Iterator[Any]:
        file: Any = KnownHostsFile.fromPath(FilePath(str(self._path)))
        return (each for each in file.iterentries() if hasattr(each, "keyType"))


def _named(host: str, port: int) -> bytes:
    """A host as OpenSSH's file names it (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT")."""
    return (host if port == 22 else f"[{host}]:{port}").encode()


def identities(folder: Path) -> list[Key]:
    """The private keys of a user that need no passphrase."""
    found = []
    for name in IDENTITIES:
        try:
            found.append(Key.fromFile(str(folder / name)))  # type: ignore[no-untyped-call]
        except (OSError, BadKeyError, EncryptedKeyError):
            continue  # There is none of that name, or it needs somebody who knows its passphrase.
    return found


class Login(SSHUserAuthClient):
    """Logs in with keys, then with a password."""

    preferredOrder = [b"publickey", b"password"]  # noqa: RUF012

    def __init__(self, user: str, keys: Sequence[Key], password: str | None, after: SSHConnection) -> None:
        super().__init__(user.encode(), after)
        self._keys = list(keys)
        self._key: Key | None = None
        self._secret = password

    def getPublicKey(self) -> Key | None:
        self._key = self._keys.pop(0) if self._keys else None
        return self._key.public() if self._key is not None else None  # type: ignore[no-untyped-call]

    def getPrivateKey(self) -> Deferred[Key]:
        assert self._key is not None
        return succeed(self._key)

    def getPassword(self, prompt: bytes | None = None) -> Deferred[bytes] | None:
        secret, self._secret = self._secret, None
        return succeed(secret.encode()) if secret is not None else None


class Connected(SSHConnection):
    """The channels, once somebody has logged in."""

    def __init__(self, started: Callable[[Connected], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._started = started

    def serviceStarted(self) -> None:
        super().serviceStarted()  # type: ignore[no-untyped-call]
        self._started(self)


class SshClient(SSHClientTransport):
    """One connection; `ready` fires with its channels, or fails with the refusal that ended it."""

    log = Logger()
    transport: Any
    buf: Any
    nextEncryptions: Any
    currentEncryptions: Any
    ourVersionString = VERSION
    supportedKeyExchanges = EXCHANGES
    supportedCiphers = CIPHERS
    supportedMACs = MACS
    supportedCompressions = COMPRESSIONS

    def __init__(self, host: str, port: int, hosts: KnownHosts, user: str, keys: Sequence[Key], password: str | None) -> None:
        self.ready: Deferred[Connected] = Deferred()
        self.supportedPublicKeys = hosts.algorithms(host, port)
        self.buf = bytearray()
        self.currentEncryptions = Protections(b"none", b"none", b"none", b"none")
        self._host, self._port, self._hosts = host, port, hosts
        self._login = Login(user, keys, password, Connected(self._opened))
        self._strict = False
        self._secure = False
        self._size = 0
        self._at = 0
        self._refusal: Refusal | None = None
        self._ended = False

    # The connection

    def connectionMade(self) -> None:
        self._gotNewKeys = 0
        self.transport.write(VERSION + b"\r\n")
        self.sendKexInit()

    def _opened(self, connected: Connected) -> None:
        if not self.ready.called:
            self.ready.callback(connected)

    def connectionSecure(self) -> None:
        self._secure = True
        self.requestService(self._login)

    def verifyHostKey(self, hostKey: bytes, fingerprint: bytes) -> Deferred[int]:
        try:
            self._hosts.check(self._host, self._port, Key.fromString(hostKey))  # type: ignore[no-untyped-call]
        except (NotPermitted, BadKeyError) as error:
            self._refusal = error if isinstance(error, NotPermitted) else NotPermitted("the host key can't be read")
            return fail(self._refusal)
        return succeed(1)

    def sendDisconnect(self, reason: int, desc: bytes) -> None:
        if self._ended:
            return
        if reason == DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE:
            self._refusal = LoginFailed(f"{self._host} takes none of our keys, and no password")
        if reason == DISCONNECT_HOST_KEY_NOT_VERIFIABLE:
            desc = b"the host key is not known here"  # conch would tell the server our traceback
        super().sendDisconnect(reason, desc)  # type: ignore[no-untyped-call]
        self._ended = True

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._ended = True
        if self.service is not None:
            self.service.serviceStopped()  # type: ignore[no-untyped-call]
        if not self.ready.called:
            self.ready.errback(self._refusal or ConnectionLost("the SSH server closed"))

    def abort(self) -> None:
        self._ended = True
        self.transport.abortConnection()

    def receiveError(self, reasonCode: int, description: bytes) -> None:
        self._refusal = self._refusal or ConnectionLost(f"the server said {description.decode('utf-8', 'replace')[:200]!r}")

    # Packets

    def dataReceived(self, data: bytes) -> None:
        if self._ended:
            return
        self.buf += data
        if not self.gotVersion and not self._read_version():
            return
        try:
            while not self._ended and (packet := self.getPacket()) is not None:
                self.incomingPacketSequence = (self.incomingPacketSequence + 1) % SEQUENCE
                self._handle(packet)
        except BadPacket as error:
            self.sendDisconnect(DISCONNECT_MAC_ERROR, str(error).encode())
        del self.buf[: self._at]
        self._at = 0

    def _read_version(self) -> bool:
        """Take lines off the buffer, up to the server's version; whether it was there."""
        while (end := self.buf.find(b"\n")) >= 0:
            line = bytes(self.buf[:end]).rstrip(b"\r")
            del self.buf[: end + 1]
            if line.startswith(b"SSH-"):
                if not line.startswith((b"SSH-2.0-", b"SSH-1.99-")) or len(line) > LONGEST_VERSION:
                    break
                self.gotVersion, self.otherVersionString = True, line
                return True
        else:
            if len(self.buf) <= MOST_VERSION_BYTES:
                return False
        self._refusal = ConnectionLost("that is no SSH 2.0 server")
        self.abort()
        return False

    def getPacket(self) -> bytes | None:
        """The payload of the next packet, if all of it is here. Raises `BadPacket`."""
        opening, here = self.currentEncryptions.opening, len(self.buf) - self._at
        with memoryview(self.buf) as view:
            if self._size == 0:
                if here < opening.head:
                    return None
                length = opening.length(self.incomingPacketSequence, view[self._at : self._at + opening.head])
                padded = length + 4 if opening.counts_length else length
                if not 6 <= length <= LARGEST_PACKET or padded % opening.block:
                    raise BadPacket("bad packet length")
                self._size = 4 + length + opening.tail
            if here < self._size:
                return None
            body: bytes = opening.open(self.incomingPacketSequence, view[self._at : self._at + self._size])
        self._at, self._size = self._at + self._size, 0
        if not 4 <= body[0] <= len(body) - 2:
            raise BadPacket("bad padding")
        return body[1 : -body[0]]

    def sendPacket(self, messageType: int, payload: bytes) -> None:
        if self._ended:
            return
        if self._keyExchangeState != self._KEY_EXCHANGE_NONE and not self._allowedKeyExchangeMessageType(messageType):  # type: ignore[no-untyped-call]
            self._blockedByKeyExchange.append((messageType, payload))
            return
        sealing = self.currentEncryptions.sealing
        size = len(payload) + (6 if sealing.counts_length else 2)
        padding = 4 + (-size - 4) % sealing.block
        self.transport.write(
            sealing.seal(self.outgoingPacketSequence, bytes((padding, messageType)) + payload + secureRandom(padding))
        )
        self.outgoingPacketSequence = (self.outgoingPacketSequence + 1) % SEQUENCE
        if messageType == MSG_NEWKEYS and self._strict:
            self.outgoingPacketSequence = 0

    def _handle(self, packet: bytes) -> None:
        """Handle a message that may come now; whatever else ends the connection."""
        number = packet[0]
        if number not in self._expected():
            self.sendDisconnect(DISCONNECT_PROTOCOL_ERROR, b"message %d was not expected" % number)
            return
        try:
            self.dispatchMessage(number, packet[1:])  # type: ignore[no-untyped-call]
        except UNREADABLE as error:
            self.log.debug("message {number}: {error}", number=number, error=error)
            self.sendDisconnect(DISCONNECT_PROTOCOL_ERROR, b"message %d can't be read" % number)

    def _expected(self) -> set[int]:
        """What may come now (as `ssh.rules` has it for the other side)."""
        if not self._secure:
            exchange = {DISCONNECT, KEXINIT, NEWKEYS, *EXCHANGE_ONLY}
            return exchange if self._strict else exchange | ANY_TIME
        always = {DISCONNECT, KEXINIT, NEWKEYS, EXT_INFO, *EXCHANGE_ONLY} | ANY_TIME
        return always | {SERVICE_ACCEPT, *AUTHENTICATION, *(CONNECTION if self.ready.called else ())}

    # Key exchange

    def sendKexInit(self) -> None:
        if self.sessionID is None:
            self.supportedKeyExchanges = [*type(self).supportedKeyExchanges, STRICT_CLIENT]
        try:
            super().sendKexInit()  # type: ignore[no-untyped-call]
        finally:
            self.supportedKeyExchanges = type(self).supportedKeyExchanges

    def ssh_KEXINIT(self, packet: bytes) -> None:
        if self.sessionID is None:
            self._strict = STRICT_SERVER in getNS(packet[16:])[0].split(b",")
            if self._strict and self.incomingPacketSequence != 1:
                self.sendDisconnect(DISCONNECT_PROTOCOL_ERROR, b"KEXINIT was not the first message")
                return
        super().ssh_KEXINIT(packet)  # type: ignore[no-untyped-call]
        agreed = self.nextEncryptions
        if not self._ended:
            self.nextEncryptions = Protections(agreed.outCipType, agreed.inCipType, agreed.outMACType, agreed.inMACType)

    def ssh_NEWKEYS(self, packet: bytes) -> None:
        super().ssh_NEWKEYS(packet)  # type: ignore[no-untyped-call]
        if self._strict:
            self.incomingPacketSequence = 0
