"""An SSH service: what all of its connections share, from the host key to the limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.conch.ssh.keys import Key
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from ecpds.admission import Admission
from ecpds.interfaces import ITimeouts
from ecpds.keys import HostKey
from ecpds.limits import Limits
from ecpds.ssh.algorithms import HOST_KEYS
from ecpds.ssh.channels import ChannelService, OpenChannel
from ecpds.ssh.login import Admitted, Gate, LoginService
from ecpds.ssh.transport import SshConnection


class SshServer(Factory[Any]):
    """Makes connections. `gate` says who may log in, `open_channel` makes their session channels.

    `idle` is how many seconds a client that is logged in may say nothing; `clock` is the reactor.
    """

    log = Logger()
    noisy = False

    def __init__(
        self,
        host_keys: Sequence[HostKey],
        gate: Gate,
        open_channel: OpenChannel,
        limits: Limits,
        timeouts: ITimeouts,
        clock: IReactorTime,
        admission: Admission,
        idle: float,
    ) -> None:
        keys: list[Any] = [Key(key) for key in host_keys]  # type: ignore[no-untyped-call]
        self.privateKeys = {key.sshType(): key for key in keys}
        self.publicKeys = {key.sshType(): key.public() for key in keys}
        self.host_algorithms = [name for type, names in HOST_KEYS.items() if type in self.privateKeys for name in names]
        self.limits = limits
        self.timeouts = timeouts
        self.seconds = clock.seconds
        self.idle = idle
        self.sessions: set[SshConnection] = set()
        self._gate = gate
        self._open_channel = open_channel
        self._admission = admission
        self._empty: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> SshConnection | None:
        address = str(getattr(addr, "host", ""))
        if not self._admission.enter(address):
            self.log.warn("{address}: too many connections", address=address)
            return None
        connection = SshConnection(self, address)
        self.sessions.add(connection)
        return connection

    def login_service(self) -> LoginService:
        return LoginService(self._gate, self._admit, self.limits.ssh_tries)

    def _admit(self, login: Admitted) -> ChannelService:
        return ChannelService(login, self._open_channel, self.limits.ssh_channels)

    def left(self, connection: SshConnection) -> None:
        """A connection has ended."""
        self.sessions.discard(connection)
        self._admission.leave(connection.address)
        empty = self._empty
        if empty is not None and not self.sessions:
            self._empty = None
            empty.callback(None)

    async def drain(self) -> None:
        """Let what is under way end, and close every connection. Returns when none is left. Asked for once."""
        for connection in list(self.sessions):
            connection.finish()
        if self.sessions:
            self._empty = Deferred()
            await self._empty

    def abort(self) -> None:
        """Close every connection at once."""
        for connection in list(self.sessions):
            connection.abort()
