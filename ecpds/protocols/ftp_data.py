"""The data connections of one FTP session (RFC 959 section 3.2, RFC 2428).

The client says PASV or EPSV; we listen on the address that its control connection came to and answer with the port; the
client connects from the address that its control connection came from, and says what is to cross. In clear text we take
its connection when that is said, under TLS when it comes. Or it says PORT or EPRT; when it has said what is to cross we
connect to its port, from and to the addresses of the control connection. At most one data connection is there at a time: a
new port closes the earlier one, and its connection if nothing has used it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import IPv6Address, ip_address

from attrs import frozen
from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred

from ecpds.checks import port_range
from ecpds.config import Ftp
from ecpds.errors import ConnectionLost, Refusal
from ecpds.interfaces import IChannel, IListeners, ITimeouts, IWatch
from ecpds.limits import Limits


def plain_address(text: str) -> str:
    """An address as others write it: an IPv4 address that came to an IPv6 socket (RFC 4291 section 2.5.5.2) is IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return text
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


@frozen
class Ends:
    """The two ends of a control connection, as plain addresses; its data connections have the same.

    Behind a balancer `peer` is the client, which may speak IPv6 where the balancer and we speak IPv4.
    """

    local: str
    peer: str

    @property
    def is_here(self) -> bool:
        """Whether the client is on this machine."""
        return self.local == self.peer

    @property
    def is_ipv6(self) -> bool:
        """What the client speaks."""
        return ":" in self.peer


class DataConnection:
    """One data connection: first a way to get one (`open`, begun once), then the channel that came of it.

    `close` is called as soon as the client has come, or will not come any more: its port is not left open. `at_once` is tried
    first, where who comes has nothing to agree on: mostly the client has come before it says what is to cross.
    """

    def __init__(
        self,
        open: Callable[[], Awaitable[IChannel]],
        close: Callable[[], None],
        at_once: Callable[[], IChannel | None] | None = None,
    ) -> None:
        self._open = open
        self._close = close
        self._at_once = at_once
        self._channel: IChannel | None = None
        self._aborted = False
        self._finished = False
        self._settled: Deferred[Refusal | None] | None = None

    def begin(self) -> Deferred[Refusal | None]:
        """Begin to wait for the client, or to connect to it."""
        if self._settled is None:
            self._settled = Deferred.fromCoroutine(self._settle())
        return self._settled

    async def _settle(self) -> Refusal | None:
        try:
            self._channel = await self._open()
        except Refusal as refusal:
            return refusal
        except CancelledError:
            return ConnectionLost()
        finally:
            self._close()
        if self._aborted:
            self._channel.abort()
        return await self._agree(self._channel)

    async def _agree(self, channel: IChannel) -> Refusal | None:
        """Agree on TLS, where it is used, as soon as the client does: some begin before they say what is to cross."""
        try:
            await channel.handshake()
        except Refusal as refusal:
            return refusal
        except CancelledError:
            return ConnectionLost()
        return None

    async def channel(self) -> IChannel:
        """Wait for the client. Raises what `open` raises, and `ConnectionLost` after `abort`. Asked for once."""
        if self._settled is None and self._at_once is not None and (channel := self._at_once()) is not None:
            self._channel = channel
            self._close()
            return channel
        refusal = await self.begin()
        if refusal is not None:
            raise refusal
        if self._aborted or self._channel is None:
            raise ConnectionLost
        return self._channel

    async def finish(self) -> None:
        """Close the channel as one whose transfer is complete; it goes one way. Raises `ConnectionLost`."""
        if self._aborted or self._channel is None:
            raise ConnectionLost
        await self._channel.finish(linger=False)
        self._finished = True

    async def finish_received(self) -> None:
        """As `finish`, when the client has said its end.

        Under TLS that end is proved (close_notify), and clients such as curl are gone by then: they wait for no answer.
        """
        try:
            await self.finish()
        except ConnectionLost:
            if self._aborted or self._channel is None or not self._channel.secure:
                raise

    @property
    def connected(self) -> bool:
        return self._channel is not None

    @property
    def aborted(self) -> bool:
        """Whether the transfer was aborted; it may have been after its last byte had crossed."""
        return self._aborted

    def abort(self) -> None:
        """Close whatever is open; the client sees a reset, never the end that says that all has come. Repeatable."""
        self._aborted = True
        self._close()
        if self._channel is not None and not self._finished:
            self._channel.abort()
        if self._settled is not None and not self._settled.called:
            self._settled.cancel()


SOON = 1.0
"""Seconds after which a port is served although no command has come: strangers may not fill its queue, nor may it stay open."""


class DataPort:
    """Where a session's next data connection comes from."""

    def __init__(self, listeners: IListeners, options: Ftp, limits: Limits, ends: Ends, timeouts: ITimeouts) -> None:
        self._listeners = listeners
        self._timeouts = timeouts
        self._soon: IWatch | None = None
        self._unserved: DataConnection | None = None
        self._ports = None if options.passive_ports is None else port_range(options.passive_ports)
        self._wait = limits.passive_wait
        self._ends = ends
        self._next: DataConnection | None = None

    def offer(self, context: SSL.Context | None) -> int:
        """Listen for the client, and say where. What was offered before is closed. Raises `Unavailable`."""
        self.close()
        listener = self._listeners.listen(self._ends.local, self._ports, self._ends.peer, context)
        at_once = listener.accept_now if context is None else None
        self._next = DataConnection(lambda: listener.accept(self._wait), listener.close, at_once)
        if context is None:
            self._serve_soon(self._next)
        else:
            self._next.begin()  # for its handshake
        return listener.port

    def _serve_soon(self, connection: DataConnection) -> None:
        self._unserved = connection
        if self._soon is None:
            self._soon = self._timeouts.watch(SOON, self._serve)
        else:
            self._soon.touch()

    def _serve(self) -> None:
        self._soon = None
        if self._unserved is not None:
            self._unserved.begin()

    def aim(self, port: int, context: SSL.Context | None) -> None:
        """Connect to a port of the client's when there is something to transfer. What was offered before is closed."""
        self.close()
        ends = self._ends
        self._next = DataConnection(
            lambda: self._listeners.connect(ends.local, ends.peer, port, self._wait, context), lambda: None
        )

    @property
    def offered(self) -> bool:
        """Whether there is, or will be, a data connection."""
        return self._next is not None

    def take(self) -> DataConnection:
        """The data connection for one transfer, which then has to close it. Raises `ConnectionLost` where none was offered."""
        taken, self._next, self._unserved = self._next, None, None
        if taken is None:
            raise ConnectionLost
        return taken

    def close(self) -> None:
        if self._next is not None:
            self._next.abort()
            self._next = self._unserved = None
