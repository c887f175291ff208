"""What proves who this node is: keys and certificates, made on the first start, and the TLS contexts over them.

The files are in `HOME/keys`, which only the daemon's user can enter. A certificate of our own making is self-signed, for
the names and addresses of this host; an operator's is used as it is, chain included.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import os
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from cryptography import x509
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL

from ecpds.config import Config, ConfigError
from ecpds.folders import make_folder, write_file

LIFE = timedelta(days=3650)


def keys_folder(config: Config) -> Path:
    """`HOME/keys`, made when missing, 0700."""
    folder = config.path("keys")
    make_folder(folder, 0o700)
    return folder


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all; it is durable on return."""
    write_file(path, content, 0o600)


def door_certificate(config: Config, now: datetime) -> tuple[Path, Path]:
    """The certificate and key files of the TLS doors; made when the configuration names none and there are none yet.

    Raises `ConfigError` when only one of the two is named, or a named one is missing.
    """
    named = (config.https.certificate, config.https.key)
    if all(named):
        return _named(config, str(named[0]), str(named[1]))
    if any(named):
        raise ConfigError("[https] certificate and key: name both or neither")
    certificate, key = (keys_folder(config) / name for name in ("door.crt", "door.key"))
    if not (certificate.exists() and key.exists()):
        pem_certificate, pem_key = make_certificate(config, now)
        write_secret(key, pem_key)
        write_secret(certificate, pem_certificate)
    return certificate, key


def _named(config: Config, *names: str) -> tuple[Path, Path]:
    certificate, key = (config.path(name) for name in names)
    for path in (certificate, key):
        if not os.access(path, os.R_OK):
            raise ConfigError(f"[https] {path} can't be read; allowed: a PEM file")
    return certificate, key


def make_certificate(config: Config, now: datetime) -> tuple[bytes, bytes]:
    """A self-signed certificate for this host, and its key (ECDSA P-256), both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, config.node.name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectAlternativeName(_names(config)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem_key = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM), pem_key


def _names(config: Config) -> list[x509.GeneralName]:
    addresses = dict.fromkeys(["127.0.0.1", "::1", *config.node.interface])
    hosts = dict.fromkeys(["localhost", socket.gethostname(), config.node.name])
    return [
        *(x509.DNSName(host) for host in hosts if host.isascii()),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
    ]


HostKey = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey

HOST_KEYS: Mapping[str, Callable[[], HostKey]] = {
    "ed25519": Ed25519PrivateKey.generate,
    "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 3072),
}
"""The kinds of SSH host keys, and how each is made. RSA is for old clients."""

HOST_KEY_FILES = tuple(f"ssh_host_{kind}_key{suffix}" for kind in HOST_KEYS for suffix in ("", ".pub"))
"""The files in `HOME/keys` that they are in."""


def ssh_host_keys(config: Config) -> list[HostKey]:
    """The keys that SSH clients know this node by, best first; made when there are none yet, with their public halves.

    Raises `ConfigError` as `ssh_host_key` does.
    """
    return [ssh_host_key(config, kind) for kind in HOST_KEYS]


def ssh_host_key(config: Config, kind: str = "ed25519") -> HostKey:
    """One of them.

    Raises `ConfigError` when the file can't be read, is not such a key without a passphrase, or is open to others.
    """
    path = keys_folder(config) / f"ssh_host_{kind}_key"
    if not path.exists():
        new = HOST_KEYS[kind]()
        encoding, no_passphrase = serialization.Encoding, serialization.NoEncryption()
        public = new.public_key().public_bytes(encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        write_secret(path.with_name(path.name + ".pub"), public + b" " + config.node.name.encode("ascii") + b"\n")
        write_secret(path, new.private_bytes(encoding.PEM, serialization.PrivateFormat.OpenSSH, no_passphrase))
    unusable = ConfigError(f"{path} is not a key of type {kind} in OpenSSH's form, without a passphrase")
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} is open to others than its owner; allowed: mode 0600")
        key = serialization.load_ssh_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise unusable from error
    kinds = {"ed25519": Ed25519PrivateKey, "ecdsa": EllipticCurvePrivateKey, "rsa": RSAPrivateKey}
    if not isinstance(key, HostKey) or not isinstance(key, kinds[kind]):
        raise unusable
    return key


def server_context(certificate: Path, key: Path, alpn: bytes | None = None, asks: bool = False) -> SSL.Context:
    """A TLS 1.2 and 1.3 context for a door. `alpn` is the one protocol it speaks (RFC 7301); other offers are refused.

    `asks`: clients are asked for certificates of theirs, and any is taken.

    Raises `ConfigError` when the files are not a certificate and its key.
    """
    context = bare_context()
    try:
        context.use_certificate_chain_file(str(certificate))
        context.use_privatekey_file(str(key))
        context.check_privatekey()
    except SSL.Error as error:
        raise ConfigError(f"[https] {certificate} and {key} are not a certificate and its key") from error
    if alpn is not None:
        context.set_alpn_select_callback(only(alpn))
    if asks:
        # Sessions that were begun with a certificate are gone on with only in a context that has a name (SSL_CTX_set_verify).
        context.set_session_id(b"ecpds")
        take_any_certificate(context)
    return context


def take_any_certificate(context: SSL.Context) -> None:
    """Have clients asked for a certificate. Whose key it is, the Master knows; that the client has it, the handshake proves."""
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)


def ssh_key(certificate: x509.Certificate) -> bytes | None:
    """The public key of a certificate as SSH writes it (RFC 4253 section 6.6), where it is of a kind that SSH has."""
    try:
        line = certificate.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    except (AttributeError, ValueError, UnsupportedAlgorithm):
        return None
    return base64.b64decode(line.split(b" ")[1])


def bare_context() -> SSL.Context:
    """A TLS 1.2 and 1.3 context for a server that has no certificate yet."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle connection keeps no 34 KiB of buffers
    return context


def only(*protocols: bytes) -> Callable[[SSL.Connection, list[bytes]], bytes]:
    """Chooses among what a client offers by ALPN (RFC 7301), and refuses one that offers nothing of it."""

    def select(_: SSL.Connection, offered: list[bytes]) -> bytes:
        for protocol in protocols:
            if protocol in offered:
                return protocol
        raise SSL.Error([("", "", "no application protocol in common")])

    return select


VAULT_KEY = 32
NONCE = 12


class Sealed(Exception):
    """A secret can't be opened: another key sealed it, or it was changed or moved."""


class Vault:
    """Keeps secrets that must be recovered (those of S3 and of one-time passwords): AES-256-GCM under one key.

    What a secret is for is sealed with it, so that one row's can't be put in another's place. `random` must be
    unpredictable (`random.SystemRandom`).
    """

    def __init__(self, key: bytes, random: Random) -> None:
        self._cipher = AESGCM(key)
        self._random = random

    def seal(self, secret: bytes, purpose: str) -> str:
        nonce = self._random.randbytes(NONCE)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, secret, purpose.encode())).decode("ascii")

    def open(self, sealed: str, purpose: str) -> bytes:
        """Raises `Sealed`."""
        try:
            raw = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(raw[:NONCE], raw[NONCE:], purpose.encode())
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise Sealed(f"the secret of {purpose} can't be opened with this key") from error


def catalogue_vault(config: Config, random: Random) -> Vault:
    """The vault of the catalogue's secrets. Its key, `HOME/keys/catalogue.key`, is made when there is none yet.

    The Master keeps it to itself. Raises `ConfigError` when the file is not such a key, or is open to others.
    """
    return Vault(_own_key(config, "catalogue.key", random), random)


def repository_key(config: Config, random: Random) -> bytes:
    """What signs the answers of the repository of data sources: `HOME/keys/repository.key`. Raises as `catalogue_vault`."""
    return _own_key(config, "repository.key", random)


def _own_key(config: Config, name: str, random: Random) -> bytes:
    path = keys_folder(config) / name
    if not path.exists():
        write_secret(path, random.randbytes(VAULT_KEY))
    try:
        key = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
    if mode & 0o077:
        raise ConfigError(f"{path} is open to others than its owner; allowed: mode 0600")
    if len(key) != VAULT_KEY:
        raise ConfigError(f"{path} has {len(key)} bytes; allowed: a key of {VAULT_KEY}")
    return key


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key that requests of one day, region and service are signed with (AWS Signature Version 4, step 3)."""
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode("utf-8", "surrogatepass"), "sha256")
    return key


def utc_now() -> datetime:
    """The wall clock, for certificates; the composition root hands it in."""
    return datetime.now(UTC)
