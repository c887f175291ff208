"""Certificates made by hand, whole and broken."""

from __future__ import annotations

import struct

from attrs import evolve, frozen
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.conch.ssh.common import NS

from tests.ssh.support import key_blob

ED25519 = b"ssh-ed25519-cert-v01@openssh.com"


@frozen
class Draft:
    """What a certificate of an Ed25519 key shall say. `options` are as the wire has them, `tail` comes behind all."""

    key: Ed25519PrivateKey
    authority: Ed25519PrivateKey
    type: bytes = ED25519
    serial: int = 7
    kind: int = 1
    id: bytes = b"ann@laptop"
    principals: tuple[bytes, ...] = (b"ann", b"bob")
    after: int = 1000
    before: int = 2000
    options: bytes = b""
    extensions: bytes = NS(b"permit-pty") + NS(b"")
    signature: bytes | None = None
    named: bytes | None = None
    tail: bytes = b""

    def but(self, **changes: object) -> Draft:
        return evolve(self, **changes)

    def blob(self) -> bytes:
        """Signed by the authority, unless `signature` says otherwise; `named` stands where its key does."""
        head = NS(self.type) + NS(bytes(32)) + NS(key_blob(self.key)[-32:])
        head += struct.pack(">QL", self.serial, self.kind) + NS(self.id) + NS(b"".join(map(NS, self.principals)))
        head += struct.pack(">2Q", self.after, self.before) + NS(self.options) + NS(self.extensions) + NS(b"")
        head += NS(key_blob(self.authority) if self.named is None else self.named)
        made = NS(b"ssh-ed25519") + NS(self.authority.sign(head))
        return head + NS(made if self.signature is None else self.signature) + self.tail


def option(name: bytes, text: bytes) -> bytes:
    return NS(name) + NS(NS(text))
