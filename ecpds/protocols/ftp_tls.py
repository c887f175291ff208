"""TLS for FTP (RFC 4217): what a control connection and its data connections are protected with.

Each control connection has a context of its own, with its own session-id context and ticket key. A data connection uses
that context, so one that resumes a session of it can only come from who holds the control connection; with a context
for all, a session of another control connection would be taken too.

Against a browser that is led here (ALPACA, CVE-2021-3618): a client that offers protocols by ALPN must offer FTP, and one
that names a host must name one of the certificate's.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from random import Random

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from ecpds.config import ConfigError
from ecpds.keys import bare_context, only, take_any_certificate

PROTOCOLS = (b"ftp", b"ftp-data")
"""What clients offer by ALPN: IANA's name, and what some say on their data connections."""

SESSION_ID_CONTEXT = 32
"""Bytes, the most there may be."""


class Credentials:
    """A certificate chain and its key, read once: a context over them then costs 0.2 ms and reads no file.

    `random` must be unpredictable (`random.SystemRandom`).
    """

    def __init__(self, certificate: Path, key: Path, random: Random, asks: bool = False) -> None:
        """`asks`: clients are asked for certificates of theirs, and any is taken.

        Raises `ConfigError` when the files are not a certificate and its key.
        """
        self._random = random
        self._asks = asks
        self._nobody = bare_context()
        try:
            self._chain = x509.load_pem_x509_certificates(certificate.read_bytes())
            self._key = serialization.load_pem_private_key(key.read_bytes(), None)
            self.context()
        except (OSError, ValueError, TypeError, SSL.Error) as error:
            raise ConfigError(f"[https] {certificate} and {key} are not a certificate and its key") from error
        self.names = host_names(self._chain[0])

    def context(self) -> SSL.Context:
        """A context for one control connection and its data connections."""
        context = bare_context()
        first, *others = self._chain
        context.use_certificate(first)
        for each in others:
            context.add_extra_chain_cert(each)
        context.use_privatekey(self._key)  # type: ignore[arg-type]  # it refuses the kinds that it can't use by itself
        context.check_privatekey()
        context.set_session_id(self._random.randbytes(SESSION_ID_CONTEXT))
        context.set_alpn_select_callback(only(*PROTOCOLS))
        context.set_tlsext_servername_callback(self._check_name)
        if self._asks:
            take_any_certificate(context)
        return context

    def _check_name(self, connection: SSL.Connection) -> None:
        """A client that wants another host gets a context without a certificate, with which no handshake succeeds."""
        name = connection.get_servername()
        if name is not None and not is_named(name.decode("ascii", "replace"), self.names):
            connection.set_context(self._nobody)


def host_names(certificate: x509.Certificate) -> frozenset[str]:
    """The DNS names of a certificate, in lower case."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(name.lower() for name in names.get_values_for_type(x509.DNSName))


def is_named(name: str, names: frozenset[str]) -> bool:
    """Whether a certificate with these names is for `name` (RFC 6125 section 6.4: a wildcard is one whole label).

    A certificate without names says nothing of any, and an address is no name, though lftp sends it as one (RFC 6066
    section 3).
    """
    name = name.lower().rstrip(".")
    _, _, above = name.partition(".")
    return not names or name in names or f"*.{above}" in names or is_address(name)


def is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


@implementer(IOpenSSLServerConnectionCreator)
class ControlTls:
    """Puts TLS over a control connection."""

    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self._context, None)
