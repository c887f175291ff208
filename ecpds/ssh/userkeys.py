"""Users' public keys: as a line of OpenSSH's form or on the wire, and the check of what they sign.

Ed25519 (RFC 8709), ECDSA on the NIST curves (RFC 5656), RSA of 2,048 to 8,192 bits with SHA-2 (RFC 8332), and the keys
of security tokens (OpenSSH's PROTOCOL.u2f), which sign with what they have counted and whether somebody touched them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from attrs import field, frozen
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from ecpds.ssh.fields import Fields, Malformed

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey

SIGNATURES: dict[str, tuple[str, ...]] = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
    "sk-ssh-ed25519@openssh.com": ("sk-ssh-ed25519@openssh.com",),
    "sk-ecdsa-sha2-nistp256@openssh.com": ("sk-ecdsa-sha2-nistp256@openssh.com",),
}
"""The types of keys that may log in, and what each may sign with. SHA-1 is left out."""

HASHES: dict[str, HashAlgorithm] = {
    "ecdsa-sha2-nistp256": SHA256(),
    "ecdsa-sha2-nistp384": SHA384(),
    "ecdsa-sha2-nistp521": SHA512(),
    "sk-ecdsa-sha2-nistp256@openssh.com": SHA256(),
    "rsa-sha2-256": SHA256(),
    "rsa-sha2-512": SHA512(),
}

TOKEN = "sk-"
"""How the types of tokens' keys begin."""

TOUCHED = 1
"""The flag of a token that somebody was there; without it a program alone could sign."""

SMALLEST_RSA, LARGEST_RSA = 2048, 8192
"""Bits. Larger ones take too long to check, for somebody who has proved nothing."""


class BadKey(ValueError):
    """That is not a public key that may log in."""


@frozen
class UserKey:
    """One public key. `blob` is its wire form, by which keys are compared; `application` is what a token's key is for."""

    type: str
    blob: bytes = field(repr=False)
    public: PublicKey = field(repr=False, eq=False)
    application: bytes = field(default=b"", repr=False, eq=False)

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")

    def verify(self, algorithm: str, signature: bytes, data: bytes) -> bool:
        """Whether `signature` (RFC 4253, section 6.6) of `data` is this key's, made with `algorithm`."""
        try:
            fields = Fields(signature)
            inner, raw = fields.string(), fields.string()
            if self.type.startswith(TOKEN):
                data = self._counted(fields, data)
            fields.end()
            if algorithm not in SIGNATURES[self.type] or inner != algorithm.encode("ascii"):
                return False
            self._verify(algorithm, raw, data)
        except (InvalidSignature, Malformed):
            return False
        return True

    def _counted(self, fields: Fields, data: bytes) -> bytes:
        """What a token has signed in the place of `data`. Raises `Malformed` where nobody touched it."""
        flags, counter = fields.take(1), fields.take(4)
        if not flags[0] & TOUCHED:
            raise Malformed("nobody touched the token")
        return hashlib.sha256(self.application).digest() + flags + counter + hashlib.sha256(data).digest()

    def _verify(self, algorithm: str, raw: bytes, data: bytes) -> None:
        if isinstance(self.public, Ed25519PublicKey):
            self.public.verify(raw, data)
        elif isinstance(self.public, RSAPublicKey):
            self.public.verify(raw, data, padding.PKCS1v15(), HASHES[algorithm])
        else:
            pair = Fields(raw)
            signature = encode_dss_signature(pair.integer(), pair.integer())
            pair.end()
            self.public.verify(signature, data, ECDSA(HASHES[algorithm]))


def wire_key(blob: bytes) -> UserKey:
    """A key as the wire has it. Raises `BadKey`."""
    try:
        type = Fields(blob).string().decode("ascii")
    except (Malformed, UnicodeDecodeError) as error:
        raise BadKey("that is not a public key") from error
    if type not in SIGNATURES:
        raise BadKey(f"keys of type {type!a} are not taken; allowed: {', '.join(SIGNATURES)}")
    if type.startswith(TOKEN):
        return _token_key(type, blob)
    try:
        public = load_ssh_public_key(type.encode("ascii") + b" " + base64.b64encode(blob))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(f"that is not a key of type {type}") from error
    assert isinstance(public, PublicKey)
    if isinstance(public, RSAPublicKey) and not SMALLEST_RSA <= public.key_size <= LARGEST_RSA:
        raise BadKey(f"an RSA key of {public.key_size} bits is not taken; allowed: {SMALLEST_RSA} to {LARGEST_RSA}")
    return UserKey(type, blob, public)


def _token_key(type: str, blob: bytes) -> UserKey:
    """As `wire_key`, for the key of a token."""
    try:
        fields = Fields(blob)
        fields.string()
        public: PublicKey
        if type == "sk-ssh-ed25519@openssh.com":
            public = Ed25519PublicKey.from_public_bytes(fields.string())
        else:
            if fields.string() != b"nistp256":
                raise Malformed("another curve")
            public = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), fields.string())
        application = fields.string()
        fields.end()
    except ValueError as error:
        raise BadKey(f"that is not a key of type {type}") from error
    return UserKey(type, blob, public, application)


def text_key(type: str, text: str) -> UserKey:
    """A key as a line has it: its type, and its blob in base64. Raises `BadKey`."""
    try:
        blob = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise BadKey("that is not base64") from error
    key = wire_key(blob)
    if key.type != type:
        raise BadKey(f"the line says {type!a}, the key {key.type}")
    return key
