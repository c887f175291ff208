"""The fleet's own certificate authority, and what proves that a node is of the fleet.

The first Master makes the authority in `HOME/keys` and a certificate for itself. A node that proves the fleet's secret is
given a certificate for its key and its name. The subject's common name is the node's name, its organizational unit the
part it plays: only a Master's says `master`, so a mover can't stand in for one.

All of them are made anew at the first start in their last year, so no node has to be looked after for that. The authority
keeps its key and its name: what was certified before is believed by who has the new one, and the other way round.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL, crypto

from ecpds.config import NODE_NAME, Config, ConfigError
from ecpds.errors import InvalidRequest, NotPermitted
from ecpds.keys import keys_folder, write_secret

LIFE = timedelta(days=3650)
YESTERDAY = timedelta(days=1)

RENEWED = timedelta(days=365)
"""What ends sooner than that is made anew when a node starts."""

MASTER, MEMBER = "master", "member"
"""The parts that certificates tell apart."""

SECRET = re.compile(r"[\x21-\x7e]{32,512}")
"""What a fleet's secret looks like: it must not be found by trying."""


@frozen
class Peer:
    """Who is at the other end, as its certificate says."""

    name: str
    part: str


@frozen
class Credentials:
    """What a node shows: its certificate and key, and the authority that it trusts, all PEM."""

    certificate: bytes
    key: bytes
    authority: bytes

    @property
    def peer(self) -> Peer:
        return peer_of(x509.load_pem_x509_certificate(self.certificate))

    @property
    def ends(self) -> datetime:
        """When they are no longer believed: the authority's end is theirs too."""
        return min(x509.load_pem_x509_certificate(each).not_valid_after_utc for each in (self.certificate, self.authority))


def fleet_secret(config: Config, make: bool) -> bytes:
    """The secret of `[cluster] secret_file`, made when it is missing and `make` says so. Raises `ConfigError`."""
    assert config.cluster is not None
    path = config.path(config.cluster.secret_file)
    if make and not path.exists():
        write_secret(path, secrets.token_urlsafe(32).encode("ascii") + b"\n")
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"[cluster] secret_file {path} is open to others than its owner; allowed: mode 0600")
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"[cluster] secret_file {path} can't be read; `ecpds cluster join` makes it, or copy the Master's"
        ) from error
    if not SECRET.fullmatch(text):
        raise ConfigError(f"[cluster] secret_file {path}: allowed: one line of 32 to 512 characters, as a Master makes it")
    return text.encode("ascii")


class Authority:
    """The fleet's authority: its key never leaves the Master."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @property
    def pem(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def ends(self) -> datetime:
        return self._certificate.not_valid_after_utc

    @property
    def _since(self) -> datetime:
        return self._certificate.not_valid_before_utc

    def renewed(self, now: datetime) -> bytes:
        """Its certificate for as long again, PEM."""
        return _self_signed(self._certificate.subject, self._key, now, self._since)

    def certify(self, public_key: ec.EllipticCurvePublicKey, peer: Peer, now: datetime) -> bytes:
        """A certificate for a node, PEM."""
        subject = [
            x509.NameAttribute(NameOID.COMMON_NAME, peer.name),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, peer.part),
        ]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            _builder(x509.Name(subject), self._certificate.subject, public_key, now, self._since)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    def certify_request(self, request: bytes, now: datetime) -> tuple[Peer, bytes]:
        """A member's certificate for a signing request (PEM). Raises `InvalidRequest`."""
        try:
            asked = x509.load_pem_x509_csr(request)
            valid = asked.is_signature_valid
        except (ValueError, InvalidSignature) as error:
            raise InvalidRequest("that is no certificate signing request") from error
        key = asked.public_key()
        names = asked.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if not valid or not isinstance(key, ec.EllipticCurvePublicKey) or len(names) != 1:
            raise InvalidRequest("that is no request of a node")
        name = str(names[0].value)
        if not NODE_NAME.fullmatch(name):
            raise InvalidRequest(f"{name[:64]!r} is no name of a node")
        peer = Peer(name, MEMBER)
        return peer, self.certify(key, peer, now)


def make_authority(now: datetime) -> tuple[bytes, bytes]:
    """A new authority: certificate and key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"ecpds fleet {secrets.token_hex(8)}")])
    return _self_signed(name, key, now, now), _pem(key)


def _self_signed(name: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, since: datetime) -> bytes:
    certificate = (
        _builder(name, name, key.public_key(), now, since)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, since: datetime
) -> x509.CertificateBuilder:
    """Valid from yesterday, and no later than `since`: a clock that was ahead once makes nothing that is not valid yet."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now - YESTERDAY, since))
        .not_valid_after(now + LIFE)
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def open_authority(config: Config, now: datetime) -> Authority:
    """The authority in `HOME/keys`, made when there is none yet, and renewed in time. Raises `ConfigError`."""
    certificate, key = (keys_folder(config) / name for name in ("fleet.crt", "fleet.key"))
    if not key.exists():
        pem_certificate, pem_key = make_authority(now)
        write_secret(certificate, pem_certificate)
        write_secret(key, pem_key)
    found = load_authority(certificate, key)
    if found.ends - now < RENEWED:
        write_secret(certificate, found.renewed(now))
        found = load_authority(certificate, key)
    return found


def load_authority(certificate: Path, key: Path) -> Authority:
    """Raises `ConfigError`."""
    try:
        loaded = serialization.load_pem_private_key(key.read_bytes(), None)
        parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{certificate} and {key} are not a fleet's authority") from error
    if not isinstance(loaded, ec.EllipticCurvePrivateKey) or loaded.public_key() != parsed.public_key():
        raise ConfigError(f"{certificate} and {key} are not a fleet's authority")
    return Authority(parsed, loaded)


def new_key() -> tuple[bytes, ec.EllipticCurvePrivateKey]:
    """A node's key, as PEM and as it is."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _pem(key), key


def signing_request(name: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """What a joining node asks to be certified, PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def peer_of(certificate: x509.Certificate) -> Peer:
    """Who a verified certificate is of. Raises `NotPermitted` for one that no authority of ours makes."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    parts = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    if len(names) != 1 or len(parts) != 1 or parts[0].value not in (MASTER, MEMBER):
        raise NotPermitted("that is no certificate of a node")
    return Peer(str(names[0].value), str(parts[0].value))


def connected_peer(connection: SSL.Connection) -> Peer | None:
    """Who is at the other end of an established connection; None for one without a certificate."""
    certificate = connection.get_peer_certificate()
    return None if certificate is None else peer_of(certificate.to_cryptography())


def fleet_context(credentials: Credentials, strangers: bool = False) -> SSL.Context:
    """TLS 1.3 for both ends of what nodes say: each must show a certificate of the fleet.

    With `strangers`, who has none is let in too, to be told apart by `connected_peer`; a wrong or expired one is refused.
    """
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.use_certificate(x509.load_pem_x509_certificate(credentials.certificate))
    key = serialization.load_pem_private_key(credentials.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    context.use_privatekey(key)
    store = context.get_cert_store()
    assert store is not None
    store.add_cert(crypto.X509.from_cryptography(x509.load_pem_x509_certificate(credentials.authority)))
    mode = SSL.VERIFY_PEER if strangers else SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    context.set_verify(mode, lambda *verdict: bool(verdict[-1]))
    return context


def stranger_context() -> SSL.Context:
    """For a node that has no certificate yet, and knows no authority: who is there is proved by the secret alone."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    return context


CERTIFICATE, KEY, AUTHORITY = "node.crt", "node.key", "fleet.crt"


def stored_credentials(config: Config, now: datetime) -> Credentials | None:
    """The credentials in `HOME/keys`; None when there are none, or they have expired, or are another name's."""
    folder = keys_folder(config)
    try:
        found = Credentials(*((folder / name).read_bytes() for name in (CERTIFICATE, KEY, AUTHORITY)))
        certificate = x509.load_pem_x509_certificate(found.certificate)
        name = found.peer.name
    except FileNotFoundError:
        return None
    except (ValueError, NotPermitted) as error:
        raise ConfigError(f"{folder / CERTIFICATE} is no certificate of a node; remove it to join again") from error
    return found if name == config.node.name and now < certificate.not_valid_after_utc else None


def store_credentials(config: Config, credentials: Credentials) -> None:
    """The certificate last: only with it the others mean anything."""
    folder = keys_folder(config)
    write_secret(folder / KEY, credentials.key)
    write_secret(folder / AUTHORITY, credentials.authority)
    write_secret(folder / CERTIFICATE, credentials.certificate)


def master_credentials(config: Config, authority: Authority, now: datetime) -> Credentials:
    """The Master's own, made when there are none, and renewed in time."""
    found = stored_credentials(config, now)
    if found is None or found.peer.part != MASTER or found.ends - now < RENEWED:
        pem, key = new_key()
        peer = Peer(config.node.name, MASTER)
        found = Credentials(authority.certify(key.public_key(), peer, now), pem, authority.pem)
        store_credentials(config, found)
    return found
