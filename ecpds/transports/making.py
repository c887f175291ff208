"""Channels from connected sockets, whichever side connected."""

from __future__ import annotations

import socket
from collections.abc import Callable

from OpenSSL import SSL

from ecpds.transports.channel import Channel, Surroundings
from ecpds.transports.links import Link, PlainLink, TlsLink
from ecpds.transports.prompt import PromptChannel


def make_channel(
    around: Surroundings,
    sock: socket.socket,
    peer: str,
    context: SSL.Context | None = None,
    *,
    server_side: bool = True,
    ragged_eof_ok: bool = False,
    closed: Callable[[Channel], None] | None = None,
) -> Channel:
    """A channel on a connected, non-blocking socket, which is the channel's from then on."""
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link: Link = TlsLink(context, sock, server_side=server_side, ragged_eof_ok=ragged_eof_ok) if context else PlainLink(sock)
    return PromptChannel(around, sock, link, peer, closed)
