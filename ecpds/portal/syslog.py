"""Records to the system's log: one datagram a record (RFC 5424, over UDP as RFC 5426 has it, or over the local socket).

The node tells the collector; nobody answers, and nothing waits: what the kernel does not take at once is counted and
said in the log, once.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from twisted.logger import Logger
from zope.interface import implementer

from ecpds.events import Event, timestamp
from ecpds.interfaces import IEventSink

PRIORITY = 16 * 8 + 6
"""Facility local0, severity informational (RFC 5424, section 6.2.1)."""

LONGEST = 8192
"""Bytes of one message; what every collector takes is far less, what today's take is at least this."""


def datagrams_to(address: str) -> Callable[[bytes], None]:
    """What sends to `unix:/dev/log` or `udp:ADDRESS:PORT`, without waiting. It raises `OSError`."""
    kind, _, where = address.partition(":")
    if kind == "unix":
        local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        return lambda message: _sent(local.sendto(message, where))
    host, _, port = where.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    wide = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    return lambda message: _sent(wide.sendto(message, (host, int(port))))


def _sent(_: int) -> None:
    """A datagram goes whole or not at all."""


@implementer(IEventSink)
class Syslog:
    """Sends every record, in the ancestor's form, by `send`. Messages call this host `node`, and give its process' number."""

    log = Logger()

    def __init__(self, send: Callable[[bytes], None], node: str, process: int) -> None:
        self._send = send
        self._node = node
        self._process = process
        self.dropped = 0

    def record(self, event: Event) -> None:
        try:
            self._send(self._message(event))
        except OSError as error:
            self.dropped += 1
            if self.dropped == 1:
                self.log.error("the system's log does not take records: {error}", error=error)

    def _message(self, event: Event) -> bytes:
        head = f"<{PRIORITY}>1 {timestamp(event.time)} {self._node} ecpds {self._process} {event.type} - "
        return (head + event.as_line()).encode("utf-8")[:LONGEST]
