"""Doors that are Twisted protocols, listening as the others do: behind balancers, on ports that may be shared.

Twisted's own listening port would hand a connection to its protocol before a balancer has named the client; here the
transport is made when that is known, with the client as its peer.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.protocol import Factory, Protocol

from ecpds.transports.arrivals import Arrivals, Balancers
from ecpds.transports.channel import IReactor, Surroundings
from ecpds.transports.sockets import Acceptor, bind

BACKLOG = 1024


class NamedPeer(tcp.Server):
    """A transport whose peer may be of another family than its socket: the client that a balancer named."""

    def __init__(self, sock: socket.socket, protocol: Protocol, peer: tuple[str, int], number: int, reactor: IReactor) -> None:
        no_port: Any = None
        super().__init__(sock, protocol, peer, no_port, number, reactor)
        self._peer = peer
        self.repstr = f"<{type(protocol).__name__} #{number}>"

    def getHost(self) -> IPv4Address | IPv6Address:
        return _address(*self.socket.getsockname()[:2])

    def getPeer(self) -> IPv4Address | IPv6Address:
        return _address(*self._peer)


class PromptPeer(NamedPeer):
    """Hands what is written to the kernel at once where nothing waits before it.

    A dialogue of small answers then costs no turn of the reactor, and no change of what it watches, for each of them.
    """

    def write(self, data: bytes) -> None:
        if self.connected and not self.TLS and not self.dataBuffer and not self._tempDataBuffer:
            try:
                data = data[self.socket.send(data) :]
            except OSError:
                pass  # There is no room, or nobody to read it: the reactor finds out which.
        if data:
            super().write(data)  # type: ignore[no-untyped-call]


class FactoryServer:
    """Listens for a factory's protocols; `peer` is the class of their transports."""

    def __init__(
        self,
        around: Surroundings,
        sock: socket.socket,
        factory: Factory[Any],
        balancers: Balancers,
        peer: type[NamedPeer] = NamedPeer,
    ) -> None:
        self.port: int = sock.getsockname()[1]
        self._reactor = around.reactor
        self._factory = factory
        self._peer = peer
        self._made = 0
        self._arrivals = Arrivals(around, balancers, around.limits.connections, self._accepted)
        self._acceptor = Acceptor(around.reactor, sock, self._arrivals.came)
        self._acceptor.start()

    def stop_listening(self) -> None:
        """Take no more connections; those there are go on. May be called repeatedly."""
        self._acceptor.stop()
        self._arrivals.close()

    def _accepted(self, sock: socket.socket, peer: str, port: int) -> None:
        protocol = self._factory.buildProtocol(_address(peer, port))
        if protocol is None:
            sock.close()
            return
        self._made += 1
        transport = self._peer(sock, protocol, (peer, port), self._made, self._reactor)
        protocol.makeConnection(transport)


def _address(host: str, port: int) -> IPv4Address | IPv6Address:
    return IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)


def serve_factory(
    around: Surroundings,
    address: str,
    port: int,
    factory: Factory[Any],
    balancers: Balancers,
    shared: bool = False,
    peer: type[NamedPeer] = NamedPeer,
) -> FactoryServer:
    """As `listeners.serve`, for a Twisted factory. Raises `OSError`."""
    return FactoryServer(around, bind(address, port, BACKLOG, shared), factory, balancers, peer)
