"""Key exchange (RFC 4253, section 7), server side: what conch does of it, with what it leaves out.

Both sides send KEXINIT; the client sends its half of the exchange and we answer with ours, signed; both send NEWKEYS.
Either side may ask for new keys later; we do after so many bytes, packets or seconds.

Added to conch's: Diffie-Hellman with SHA-2, strict key exchange (OpenSSH's PROTOCOL, section 1.10), a wrong guess whatever
its message, a time limit, and the signatures that users' keys may have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.conch.ssh.common import MP, NS, getNS
from twisted.conch.ssh.service import SSHService
from twisted.conch.ssh.transport import DISCONNECT_PROTOCOL_ERROR, MSG_KEXDH_REPLY, SSHServerTransport

from ecpds.interfaces import ITimeouts, IWatch
from ecpds.limits import Limits
from ecpds.ssh.algorithms import CIPHERS, COMPRESSIONS, KEY_EXCHANGES, MACS, STRICT_CLIENT, STRICT_SERVER, USER_KEYS
from ecpds.ssh.ciphers import Protections
from ecpds.ssh.fields import Fields
from ecpds.ssh.groups import GROUPS, answer
from ecpds.ssh.rules import Phase, Rules

MOST_PACKETS = 1 << 31
"""Packets under one set of keys (RFC 4344, section 3.1)."""


LONGEST_KEY = 64
"""Bytes of the longest key: that of ChaCha20-Poly1305, and of HMAC-SHA-512."""


class Server(Protocol):
    """What a connection needs of the factory that made it. `idle` is seconds, `seconds` the clock."""

    host_algorithms: list[bytes]
    limits: Limits
    timeouts: ITimeouts
    idle: float
    seconds: Callable[[], float]

    def login_service(self) -> SSHService:
        """What sees to the login of one connection."""

    def left(self, connection: Any) -> None:
        """The connection has ended."""


class Ledger:
    """What has crossed under the present keys."""

    def __init__(self, now: float) -> None:
        self.since = now
        self.bytes = 0
        self.packets = 0


class KeyExchange(SSHServerTransport):
    """The part of a connection that agrees on keys. `server` has the host keys as conch wants them."""

    nextEncryptions: Any
    supportedKeyExchanges = KEY_EXCHANGES
    supportedCiphers = CIPHERS
    supportedMACs = MACS
    supportedCompressions = COMPRESSIONS

    def __init__(self, server: Server) -> None:
        self.factory: Any = server
        self.supportedPublicKeys = server.host_algorithms
        self.rules = Rules()
        self._server = server
        self._limits = server.limits
        self.currentEncryptions: Any = Protections(b"none", b"none", b"none", b"none")
        self._ledger = Ledger(server.seconds())
        self._exchange_watch: IWatch | None = None

    @property
    def exchanging(self) -> bool:
        """Whether we have asked for keys that are not there yet: until they are, only the exchange itself may be sent."""
        return bool(self._keyExchangeState != self._KEY_EXCHANGE_NONE)

    def give_up(self, reason: str, code: int) -> None:
        """Tell the client why, and close."""
        raise NotImplementedError

    def renewed(self) -> None:
        """There are new keys: what had to wait for them may go on."""
        raise NotImplementedError

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
        ledger, limits = self._ledger, self._limits
        worn = ledger.bytes > limits.ssh_rekey_bytes or ledger.packets > MOST_PACKETS
        old = worn or self._server.seconds() - ledger.since > limits.ssh_rekey_time
        if old and self.rules.phase is Phase.OPEN and not self.exchanging:
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
        self.renewed()

    def ssh_KEX_DH_GEX_REQUEST_OLD(self, packet: bytes) -> None:
        """Message 30, the client's half whatever the method."""
        if self.kexAlg not in GROUPS:
            super().ssh_KEX_DH_GEX_REQUEST_OLD(packet)
            return
        fields = Fields(packet)
        theirs = fields.integer()
        fields.end()
        ours, secret = answer(self.kexAlg, theirs)
        public, private = self._getHostKeys(self.keyAlg)
        blob = NS(public.blob())  # type: ignore[no-untyped-call]
        texts = (self.otherVersionString, self.ourVersionString, self.otherKexInitPayload, self.ourKexInitPayload)
        digest = GROUPS[self.kexAlg].hash(b"".join((*map(NS, texts), blob, MP(theirs), ours, secret))).digest()
        signature = private.sign(digest, signatureType=self.keyAlg)
        self.sendPacket(MSG_KEXDH_REPLY, blob + ours + NS(signature))  # type: ignore[no-untyped-call]
        self._keySetup(secret, digest)

    def _getKey(self, c: bytes, sharedSecret: bytes, exchangeHash: bytes) -> bytes:
        """RFC 4253, section 7.2, to as many bytes as any algorithm needs."""
        if self.kexAlg not in GROUPS:
            return super()._getKey(c, sharedSecret, exchangeHash)
        make = GROUPS[self.kexAlg].hash
        assert self.sessionID is not None
        key: bytes = make(sharedSecret + exchangeHash + c + self.sessionID).digest()
        while len(key) < LONGEST_KEY:
            key += make(sharedSecret + exchangeHash + key).digest()
        return key

    def sendExtInfo(self, extensions: list[tuple[bytes, bytes]]) -> None:
        """conch would say what the host key can sign with; users' keys may be others."""
        super().sendExtInfo([(b"server-sig-algs", b",".join(USER_KEYS))])  # type: ignore[no-untyped-call]
