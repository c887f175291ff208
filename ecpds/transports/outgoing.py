"""Connections to servers that others name: looked up, allowed or not, connected, and under TLS known by their certificate.

The name is looked up once, on a thread; the addresses that it has are judged, and the connection goes to just those, so
a name that means another address a moment later leads nowhere else. Who comes from a redirect has `Reach.PUBLIC`: no server
may send us to this machine or into its private network (server-side request forgery).
"""

from __future__ import annotations

import ipaddress
import socket
from collections import OrderedDict
from collections.abc import Sequence
from enum import Enum, auto

from OpenSSL import SSL
from service_identity import VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Protocol

from ecpds.errors import ConnectionLost, NotPermitted, Refusal, Unavailable
from ecpds.interfaces import IThreads
from ecpds.transports.channel import Channel, Surroundings
from ecpds.transports.dialing import connected
from ecpds.transports.links import TlsLink
from ecpds.transports.making import make_channel

ANY = {4: "0.0.0.0", 6: "::"}
"""The address that a connection of ours begins at: the system picks one that reaches the other end."""

REMEMBERED = 30.0
"""Seconds that an answer of the name service is used again."""

MOST_NAMES = 1024


class Reach(Enum):
    """Where a connection may go. `PUBLIC`: nowhere but to addresses that anybody in the world can reach."""

    ANYWHERE = auto()
    PUBLIC = auto()


def is_public(address: str) -> bool:
    """Whether an address is one of the world's, rather than this machine's, its network's, or nobody's."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        # What IPv6 only carries is judged as what it is: mapped, 6to4 and NAT64 (RFC 6052) addresses.
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


def client_context(verify: bool = True, authorities: str | None = None) -> SSL.Context:
    """TLS 1.2 or later, for a client. `authorities`: a file of certificates to trust besides the system's."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_default_verify_paths()
    if authorities is not None:
        context.load_verify_locations(authorities)
    if verify:
        context.set_verify(SSL.VERIFY_PEER)
    return context


class Outgoing:
    """Makes channels to servers. With `verify` off, a certificate may be anybody's."""

    def __init__(
        self,
        around: Surroundings,
        threads: IThreads,
        verify: bool = True,
        reach: Reach = Reach.ANYWHERE,
        authorities: str | None = None,
    ) -> None:
        self._around = around
        self._threads = threads
        self._verify = verify
        self._reach = reach
        self._authorities = authorities
        self._context: SSL.Context | None = None
        self._names: OrderedDict[tuple[str, int], tuple[float, list[str]]] = OrderedDict()

    async def connect(
        self, host: str, port: int, secure: bool = False, public: bool = False, beside: Channel | None = None
    ) -> Channel:
        """A channel to a server, with TLS agreed on where `secure`. `public`: only if its address is one of the world's.

        `beside` is a channel to the same server: the new one goes to its very address and with its TLS session, as FTP
        servers want it of data connections.

        Raises `Unavailable` for a name that is not known, `NotPermitted`, `ConnectionLost`, `Stalled`.
        """
        if beside is not None:
            return await self._begin(await self._dial(beside.peer, port), beside.peer, host, secure, beside)
        only_public = public or self._reach is Reach.PUBLIC
        addresses = [each for each in await self._look_up(host, port) if not only_public or is_public(each)]
        if not addresses:
            raise NotPermitted(f"{host} is an address of this machine or of a private network")
        last: Refusal = Unavailable()
        for address in addresses:
            try:
                sock = await self._dial(address, port)
            except Refusal as refusal:
                last = refusal
                continue
            return await self._begin(sock, address, host, secure)
        raise last

    async def protocol(self, host: str, port: int, made: Protocol) -> None:
        """Connect one of Twisted's protocols, over a transport of Twisted's. Raises as `connect` does."""
        addresses = [each for each in await self._look_up(host, port) if self._reach is Reach.ANYWHERE or is_public(each)]
        if not addresses:
            raise NotPermitted(f"{host} is an address of this machine or of a private network")
        endpoint = HostnameEndpoint(self._around.reactor, addresses[0], port, timeout=self._around.limits.handshake)
        try:
            await connectProtocol(endpoint, made)  # type: ignore[no-untyped-call]
        except (ConnectError, OSError) as error:
            raise ConnectionLost(str(error)) from error

    async def secure(self, channel: Channel, host: str, beside: Channel | None = None) -> Channel:
        """TLS on the connection of a plain channel, which is given up for the one that is returned."""
        return await self._begin(channel.detach(), channel.peer, host, True, beside)

    async def _dial(self, address: str, port: int) -> socket.socket:
        start = ANY[ipaddress.ip_address(address.partition("%")[0]).version]
        return await connected(self._around, start, address, port, self._around.limits.handshake)

    async def _begin(
        self, sock: socket.socket, address: str, host: str, secure: bool, beside: Channel | None = None
    ) -> Channel:
        channel = make_channel(self._around, sock, address, self._tls() if secure else None, server_side=False)
        if not secure:
            return channel
        try:
            link = channel.link
            assert isinstance(link, TlsLink)
            if not _is_address(host):
                link.connection.set_tlsext_host_name(host.encode("idna"))
            if beside is not None and isinstance(beside.link, TlsLink):
                session = beside.link.connection.get_session()
                if session is not None:
                    link.connection.set_session(session)
            await channel.handshake()
            if self._verify:
                _check_name(link.connection, host)
        except BaseException:
            channel.abort()
            raise
        return channel

    def _tls(self) -> SSL.Context:
        if self._context is None:
            self._context = client_context(self._verify, self._authorities)
        return self._context

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        if _is_address(host):
            return [host]
        now = self._around.reactor.seconds()
        kept = self._names.get((host, port))
        if kept is not None and kept[0] > now:
            return kept[1]
        try:
            found = await self._threads.run(socket.getaddrinfo, host, port, 0, socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Unavailable(f"the name {host} is not known") from error
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        self._names[host, port] = now + REMEMBERED, addresses
        if len(self._names) > MOST_NAMES:
            self._names.popitem(last=False)
        return addresses


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _check_name(connection: SSL.Connection, host: str) -> None:
    """Raises `ConnectionLost` unless the certificate is for `host` (RFC 9525)."""
    try:
        (verify_ip_address if _is_address(host) else verify_hostname)(connection, host)
    except (VerificationError, ValueError) as error:
        raise ConnectionLost(f"the certificate is not for {host}") from error
