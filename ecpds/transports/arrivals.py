"""Who a new connection is of: its peer, or, where that is a listed balancer, the client that the balancer names.

    balancer -> us   the PROXY header (`proxy_protocol`), at once
    client -> us     everything behind it, by way of the balancer

A balancer that sends no header, or not in time, is refused: its clients would all look like one. From anybody else no
header is read: whoever could send one could be anybody.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ecpds.errors import InvalidRequest
from ecpds.transports.channel import Surroundings
from ecpds.transports.proxy_protocol import HeaderReader

Enter = Callable[[socket.socket, str, int], None]
"""Called with a connection, and the address and port it comes from."""


class Balancers:
    """Who may say for whom it speaks: addresses and networks."""

    def __init__(self, listed: Sequence[str] = ()) -> None:
        self._networks = [ipaddress.ip_network(each) for each in listed]

    def __contains__(self, peer: str) -> bool:
        if not self._networks or not peer:
            return False
        address = ipaddress.ip_address(peer.partition("%")[0])
        return any(address in network for network in self._networks)


NOBODY = Balancers()


class Arrivals:
    """Stands between an acceptor and who serves its connections. `most` may be waited for at a time; 0: no limit."""

    log = Logger()

    def __init__(self, around: Surroundings, balancers: Balancers, most: int, enter: Enter) -> None:
        self._around = around
        self._balancers = balancers
        self._most = most
        self._enter = enter
        self._waiting: set[_Arrival] = set()

    def came(self, sock: socket.socket, peer: str, port: int) -> None:
        """A connection was accepted."""
        if peer not in self._balancers:
            self._enter(sock, peer, port)
        elif self._most and len(self._waiting) >= self._most:
            self.log.warn("{peer} was turned away: too many of its connections say nothing", peer=peer)
            sock.close()
        else:
            self._waiting.add(_Arrival(self._around, sock, peer, port, self._named, self._refused))

    def close(self) -> None:
        """Close those that have not said for whom they speak."""
        for arrival in list(self._waiting):
            self._waiting.discard(arrival)
            arrival.stop().close()

    def _named(self, arrival: _Arrival, address: str, port: int) -> None:
        self._waiting.discard(arrival)
        sock = arrival.stop()
        try:
            self._enter(sock, address, port)
        except Exception:
            self.log.failure("a connection from {peer} could not be begun", peer=address)
            sock.close()

    def _refused(self, arrival: _Arrival, reason: str) -> None:
        self._waiting.discard(arrival)
        self.log.info("balancer {peer} was refused: {reason}", peer=arrival.peer, reason=reason)
        arrival.stop().close()


@implementer(IReadDescriptor)
class _Arrival:
    """A balancer's connection, until its header has come: read as it comes, and not a byte more."""

    def __init__(
        self,
        around: Surroundings,
        sock: socket.socket,
        peer: str,
        port: int,
        named: Callable[[_Arrival, str, int], None],
        refused: Callable[[_Arrival, str], None],
    ) -> None:
        self.peer = peer
        self._port = port
        self._reactor = around.reactor
        self._socket = sock
        self._longest = around.limits.proxy_header
        self._header = HeaderReader(self._longest)
        self._named = named
        self._refused = refused
        self._watch = around.timeouts.watch(around.limits.proxy_time, lambda: refused(self, "no PROXY header came in time"))
        self._reactor.addReader(self)

    def stop(self) -> socket.socket:
        """Read no more; the socket is the caller's."""
        self._watch.cancel()
        self._reactor.removeReader(self)
        return self._socket

    def doRead(self) -> None:
        try:
            taken = self._header.take(self._socket.recv(self._longest, socket.MSG_PEEK))
            came = self._socket.recv(taken) if taken else b""
        except BlockingIOError:
            return
        except OSError as error:
            self._refused(self, error.strerror or "it was lost")
        except InvalidRequest as refusal:
            self._refused(self, refusal.detail)
        else:
            self._went_on(len(came))

    def _went_on(self, count: int) -> None:
        header = self._header.header
        if header is not None:
            client = header.client
            self._named(self, client.address if client else self.peer, client.port if client else self._port)
        elif not count:
            self._refused(self, "it ended before its PROXY header")

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "Arrival"

    def connectionLost(self, reason: Failure) -> None:
        self._refused(self, "it was lost")
