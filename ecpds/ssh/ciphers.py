"""How packets are protected (RFC 4253, section 6): each direction of a connection has one of these at a time.

- none, before there are keys.
- AES in counter mode with HMAC-SHA-2 (RFC 4344, RFC 6668), over the plain packet, or over the encrypted one (the `-etm`
  forms, OpenSSH's PROTOCOL, section 1.6), whose length is in the clear.
- AES-GCM (RFC 5647, negotiated as OpenSSH does: the cipher alone decides, PROTOCOL, section 1.7). The length is in the
  clear and authenticated.
- ChaCha20-Poly1305 (OpenSSH's PROTOCOL.chacha20poly1305): the length is encrypted with a key of its own.

A body is what the length counts: the length of the padding, the payload, the padding. A packet whose authentication fails
is never handed on.
"""

from __future__ import annotations

import hmac
import struct
from typing import Protocol

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES, ChaCha20
from cryptography.hazmat.primitives.poly1305 import Poly1305

COUNTER = {b"aes128-ctr": 16, b"aes192-ctr": 24, b"aes256-ctr": 32}
GCM = {b"aes128-gcm@openssh.com": 16, b"aes256-gcm@openssh.com": 32}
CHACHA = b"chacha20-poly1305@openssh.com"
"""The ciphers, with the bytes of their keys."""

MACS = {b"hmac-sha2-256": ("sha256", 32), b"hmac-sha2-512": ("sha512", 64)}
ETM = b"-etm@openssh.com"

AES_SLACK = 15
"""Bytes that the library wants of room behind what it encrypts."""

TAG = 16

FIRST_BLOCK = bytes(64)
"""What the first block of a ChaCha20 key stream encrypts, to become the key of the packet's tag."""

MORE = 4 + 64
"""Bytes that a packet may be longer than its body: a length, and the largest MAC."""


class BadPacket(Exception):
    """A packet is not what its sender's keys would have made."""


class Sealing(Protocol):
    """Protects what we send. `block` is what bodies are padded to, with their length where `counts_length`."""

    block: int
    counts_length: bool

    def seal(self, sequence: int, body: bytes) -> bytes:
        """The packet of a body, as it crosses the wire."""

    def seal_into(self, sequence: int, body: memoryview, out: memoryview) -> int:
        """As `seal`, into the beginning of `out`, which has room for `MORE` bytes more than the body has; the packet's size."""


class Opening(Protocol):
    """Opens what we are sent. `head` is how many bytes it takes to learn a packet's length."""

    head: int
    block: int
    counts_length: bool
    tail: int

    def length(self, sequence: int, head: memoryview) -> int:
        """The length of the body, by the first bytes of its packet; asked for once a packet. `tail` bytes follow it."""

    def open(self, sequence: int, packet: memoryview) -> bytes:
        """The body of a whole packet, in memory of its own. Raises `BadPacket`."""


def _put(out: memoryview, packet: bytes) -> int:
    out[: len(packet)] = packet
    return len(packet)


class Clear:
    """No protection."""

    head, block, tail = 8, 8, 0
    counts_length = True

    def seal(self, sequence: int, body: bytes) -> bytes:
        return struct.pack(">L", len(body)) + body

    def seal_into(self, sequence: int, body: memoryview, out: memoryview) -> int:
        return _put(out, self.seal(sequence, bytes(body)))

    def length(self, sequence: int, head: memoryview) -> int:
        return int.from_bytes(head[:4], "big")

    def open(self, sequence: int, packet: memoryview) -> bytes:
        return bytes(packet[4:])


class Mac:
    """HMAC-SHA-2."""

    def __init__(self, name: bytes, key: bytes) -> None:
        self._hash, self.size = MACS[name]
        self._key = key[: self.size]

    def make(self, sequence: int, data: bytes | memoryview) -> bytes:
        return hmac.digest(self._key, b"".join((struct.pack(">L", sequence), data)), self._hash)

    def check(self, sequence: int, data: bytes | memoryview, mac: bytes | memoryview) -> None:
        """Raises `BadPacket`."""
        if not hmac.compare_digest(self.make(sequence, data), mac):
            raise BadPacket("bad MAC")


class CounterAndMac:
    """The MAC is over the plain packet, whose length is encrypted with it."""

    head, block = 16, 16
    counts_length = True

    def __init__(self, cipher: bytes, mac: bytes, iv: bytes, key: bytes, integrity: bytes) -> None:
        self._stream = Cipher(AES(key[: COUNTER[cipher]]), modes.CTR(iv[:16])).encryptor()
        self._mac = Mac(mac, integrity)
        self._first = b""
        self.tail = self._mac.size

    def seal(self, sequence: int, body: bytes) -> bytes:
        packet = struct.pack(">L", len(body)) + body
        return self._stream.update(packet) + self._mac.make(sequence, packet)

    def seal_into(self, sequence: int, body: memoryview, out: memoryview) -> int:
        return _put(out, self.seal(sequence, bytes(body)))

    def length(self, sequence: int, head: memoryview) -> int:
        self._first = self._stream.update(head)
        return int.from_bytes(self._first[:4], "big")

    def open(self, sequence: int, packet: memoryview) -> bytes:
        plain = self._first + self._stream.update(packet[self.head : -self.tail])
        self._mac.check(sequence, plain, packet[-self.tail :])
        return plain[4:]


class CounterThenMac:
    """The MAC is over the encrypted packet and checked before anything is decrypted."""

    head, block = 4, 16
    counts_length = False

    def __init__(self, cipher: bytes, mac: bytes, iv: bytes, key: bytes, integrity: bytes) -> None:
        self._stream = Cipher(AES(key[: COUNTER[cipher]]), modes.CTR(iv[:16])).encryptor()
        self._mac = Mac(mac.removesuffix(ETM), integrity)
        self.tail = self._mac.size

    def seal(self, sequence: int, body: bytes) -> bytes:
        packet = struct.pack(">L", len(body)) + self._stream.update(body)
        return packet + self._mac.make(sequence, packet)

    def seal_into(self, sequence: int, body: memoryview, out: memoryview) -> int:
        size = 4 + len(body)
        out[:4] = struct.pack(">L", len(body))
        self._stream.update_into(body, out[4 : size + AES_SLACK])
        out[size : size + self.tail] = self._mac.make(sequence, out[:size])
        return size + self.tail

    def length(self, sequence: int, head: memoryview) -> int:
        return int.from_bytes(head, "big")

    def open(self, sequence: int, packet: memoryview) -> bytes:
        self._mac.check(sequence, packet[: -self.tail], packet[-self.tail :])
        return self._stream.update(packet[4 : -self.tail])


class Gcm:
    """The nonce is four fixed bytes and a counter of its own (RFC 5647, section 7.1)."""

    head, block, tail = 4, 16, TAG
    counts_length = False

    def __init__(self, cipher: bytes, iv: bytes, key: bytes) -> None:
        self._cipher = AESGCM(key[: GCM[cipher]])
        self._fixed, self._counter = iv[:4], int.from_bytes(iv[4:12], "big")

    def _nonce(self) -> bytes:
        nonce = self._fixed + self._counter.to_bytes(8, "big")
        self._counter = (self._counter + 1) & 0xFFFFFFFFFFFFFFFF
        return nonce

    def seal(self, sequence: int, body: bytes) -> bytes:
        length = struct.pack(">L", len(body))
        return length + self._cipher.encrypt(self._nonce(), body, length)

    def seal_into(self, sequence: int, body: memoryview, out: memoryview) -> int:
        size = len(body)
        end = 4 + size + TAG
        out[:4] = length = size.to_bytes(4, "big")
        self._cipher.encrypt_into(self._nonce(), body, length, out[4:end])
        return end

    def length(self, sequence: int, head: memoryview) -> int:
        return int.from_bytes(head, "big")

    def open(self, sequence: int, packet: memoryview) -> bytes:
        try:
            return self._cipher.decrypt(self._nonce(), packet[4:], packet[:4])
        except InvalidTag as error:
            raise BadPacket("bad tag") from error


class ChaCha:
    """The nonce is the sequence number; block 0 of the key stream is the key of Poly1305, the body begins with block 1."""

    head, block, tail = 4, 8, TAG
    counts_length = False

    def __init__(self, key: bytes) -> None:
        start = bytes(16)
        self._body = Cipher(ChaCha20(key[:32], start), None).encryptor()
        self._length = Cipher(ChaCha20(key[32:64], start), None).encryptor()

    def seal(self, sequence: int, body: bytes) -> bytes:
        nonce = sequence.to_bytes(16, "big")
        self._length.reset_nonce(nonce)
        length = self._length.update(struct.pack(">L", len(body)))
        self._body.reset_nonce(nonce)
        stream = self._body.update(FIRST_BLOCK + body)
        packet = length + stream[64:]
        return packet + Poly1305.generate_tag(stream[:32], packet)

    def seal_into(self, sequence: int, body: memoryview, out: memoryview) -> int:
        nonce = sequence.to_bytes(16, "big")
        self._length.reset_nonce(nonce)
        end = 4 + len(body)
        out[:4] = self._length.update(struct.pack(">L", len(body)))
        self._body.reset_nonce(nonce)
        key = self._body.update(FIRST_BLOCK)[:32]
        self._body.update_into(body, out[4:end])
        out[end : end + TAG] = Poly1305.generate_tag(key, out[:end])
        return end + TAG

    def length(self, sequence: int, head: memoryview) -> int:
        self._length.reset_nonce(sequence.to_bytes(16, "big"))
        return int.from_bytes(self._length.update(head), "big")

    def open(self, sequence: int, packet: memoryview) -> bytes:
        self._body.reset_nonce(sequence.to_bytes(16, "big"))
        try:
            Poly1305.verify_tag(self._body.update(FIRST_BLOCK)[:32], packet[:-TAG], bytes(packet[-TAG:]))
        except InvalidSignature as error:
            raise BadPacket("bad tag") from error
        return self._body.update(packet[4:-TAG])


def protection(
    cipher: bytes, mac: bytes, iv: bytes, key: bytes, integrity: bytes
) -> CounterAndMac | CounterThenMac | Gcm | ChaCha:
    """What was agreed on, with keys as long as it may need (RFC 4253, section 7.2). Serves one direction only."""
    if cipher in GCM:
        return Gcm(cipher, iv, key)
    if cipher == CHACHA:
        return ChaCha(key)
    kind = CounterThenMac if mac.endswith(ETM) else CounterAndMac
    return kind(cipher, mac, iv, key, integrity)


class Protections:
    """Both directions, as conch's transport wants them: by names first, then with keys, both in its order."""

    def __init__(self, out_cipher: bytes, in_cipher: bytes, out_mac: bytes, in_mac: bytes) -> None:
        self.outCipType, self.inCipType, self.outMACType, self.inMACType = out_cipher, in_cipher, out_mac, in_mac
        self.encBlockSize = self.decBlockSize = self.verifyDigestSize = 0
        self.sealing: Sealing = Clear()
        self.opening: Opening = Clear()

    def setKeys(self, outIV: bytes, outKey: bytes, inIV: bytes, inKey: bytes, outInteg: bytes, inInteg: bytes) -> None:
        sealing = protection(self.outCipType, self.outMACType, outIV, outKey, outInteg)
        opening = protection(self.inCipType, self.inMACType, inIV, inKey, inInteg)
        self.sealing, self.opening = sealing, opening
        self.encBlockSize, self.decBlockSize, self.verifyDigestSize = sealing.block, opening.block, opening.tail
