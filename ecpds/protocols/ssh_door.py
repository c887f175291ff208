"""The SSH door: who logs in with a password or a key gets the portal over SFTP, scp and a few commands."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

from attrs import frozen

from ecpds.admission import Admission
from ecpds.errors import CodeNeeded, Refusal, TooManyConnections
from ecpds.interfaces import ITimeouts
from ecpds.keys import HostKey
from ecpds.model import Origin
from ecpds.options import SSH_NEEDS_BOTH
from ecpds.portal_interfaces import IFileSystem, IPortal
from ecpds.protocols.sessions import UserSessions
from ecpds.protocols.sftp import SftpMeans, SftpSession
from ecpds.protocols.ssh_commands import run_command
from ecpds.ssh.authorized import shown
from ecpds.ssh.certificates import Certificate
from ecpds.ssh.login import INTERACTIVE, PASSWORD, PUBLICKEY
from ecpds.ssh.server import SshServer
from ecpds.ssh.streams import Asked, Stream, StreamChannel
from ecpds.ssh.trust import Offered, Trust


@frozen
class Visitor:
    """A user who has logged in."""

    files: IFileSystem

    @property
    def who(self) -> str:
        return f"{shown(self.files.identity.login)} at {self.files.origin.address}"

    @property
    def needs_both(self) -> bool:
        return bool(self.files.identity.options.get(SSH_NEEDS_BOTH) == "true")


class PortalGate:
    """Lets in the portal's users. Any key may be offered: only a signature finds out whether it is somebody's.

    What a certificate says is no secret, so that one will not do is told at once.
    """

    methods = b",".join((PUBLICKEY, PASSWORD, INTERACTIVE))

    def __init__(self, portal: IPortal, node: str, trust: Trust) -> None:
        self._portal = portal
        self._node = node
        self._trust = trust

    async def knows(self, user: str, key: Offered, address: str) -> bool:
        return not isinstance(key, Certificate) or await self._trusts(user, key, address)

    async def with_key(self, user: str, key: Offered, address: str) -> Visitor | None:
        if not await self._trusts(user, key, address):
            return None
        origin = self._origin(address)
        try:
            if isinstance(key, Certificate):
                return Visitor(await self._portal.login_with_certificate(user, origin))
            return Visitor(await self._portal.login_with_key(user, key.blob, origin))
        except Refusal:
            return None  # The portal has recorded it.

    async def _trusts(self, user: str, key: Offered, address: str) -> bool:
        reason = await self._trust.refusal(key, user, address)
        if reason is not None:
            self._portal.refused(user, reason, self._origin(address))
        return reason is None

    async def with_password(self, user: str, password: str, address: str) -> Visitor | None:
        try:
            return Visitor(await self._portal.login(user, password, self._origin(address)))
        except CodeNeeded:
            raise
        except Refusal:
            return None  # The portal has recorded it.

    def _origin(self, address: str) -> Origin:
        return Origin("sftp", address, self._node)


class SshDoor:
    """`server` is the factory to listen with; `clock` is the reactor. `users` counts the sessions of each user."""

    def __init__(
        self,
        host_keys: Sequence[HostKey],
        portal: IPortal,
        node: str,
        trust: Trust,
        means: SftpMeans,
        timeouts: ITimeouts,
        clock: Any,
        admission: Admission,
        users: UserSessions,
    ) -> None:
        self._portal = portal
        self._means = means
        self._users = users
        limits, gate = means.limits, PortalGate(portal, node, trust)
        self.server = SshServer(host_keys, gate, self._open_channel, limits, timeouts, clock, admission, limits.idle)

    def _open_channel(self, visitor: Visitor, window: int, packet: int) -> StreamChannel:
        return StreamChannel(visitor, self._serve, self._means.pool, self._means.limits.ssh_window, window, packet)

    def _serve(self, visitor: Visitor, asked: Asked, stream: Stream) -> Coroutine[Any, Any, int] | None:
        if asked.kind != "exec" and asked.text != "sftp":
            return None
        files = visitor.files
        try:
            self._users.check(files.identity)
        except TooManyConnections as refusal:
            self._portal.refused(files.identity.login, refusal.reason, files.origin)
            return None
        return self._session(files, asked, stream)

    async def _session(self, files: IFileSystem, asked: Asked, stream: Stream) -> int:
        self._users.enter(files.identity)
        try:
            if asked.kind == "exec":
                return await run_command(files, stream, asked.text, self._means)
            return await SftpSession(files, stream, self._means).run()
        finally:
            self._users.leave(files.identity)
