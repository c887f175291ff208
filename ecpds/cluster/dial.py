"""Connections to other movers' streams."""

from __future__ import annotations

import ipaddress
import socket

from OpenSSL import SSL

from ecpds.errors import Unavailable
from ecpds.interfaces import IThreads
from ecpds.transports.channel import Channel, Surroundings
from ecpds.transports.dialing import connected
from ecpds.transports.making import make_channel

ANY = {4: "0.0.0.0", 6: "::"}
"""The address that a connection of ours begins at: the system picks one that reaches the other end."""


class Dialer:
    """Makes channels, with TLS agreed on where there is a context. Names are looked up on a thread."""

    def __init__(self, around: Surroundings, threads: IThreads, context: SSL.Context | None) -> None:
        self._around = around
        self._threads = threads
        self._context = context

    async def connect(self, host: str, port: int) -> Channel:
        """Raises `Unavailable` for a name that is not known, `ConnectionLost`, `Stalled`."""
        address = await self._look_up(host, port)
        start = ANY[ipaddress.ip_address(address).version]
        sock = await connected(self._around, start, address, port, self._around.limits.handshake)
        channel = make_channel(self._around, sock, address, self._context, server_side=False)
        try:
            await channel.handshake()
        except BaseException:
            channel.abort()
            raise
        return channel

    async def _look_up(self, host: str, port: int) -> str:
        try:
            return str(ipaddress.ip_address(host))
        except ValueError:
            pass  # It is a name.
        try:
            found = await self._threads.run(socket.getaddrinfo, host, port, 0, socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Unavailable(f"the name {host} is not known") from error
        return str(found[0][4][0])
