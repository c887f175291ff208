"""SFTP version 3 (draft-ietf-secsh-filexfer-02), client side, over `ecpds.ssh.client`: spans of files by reads that run ahead.

We log in, ask for the subsystem `sftp`, and say INIT. For each span: OPEN, FSTAT, and then READs, so many at once that a
long way does not slow them down; answers are put in order here. A session serves one span at a time and is kept for the next.
"""

from __future__ import annotations

import struct
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from twisted.conch.ssh.common import NS
from twisted.conch.ssh.keys import Key
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol as TwistedProtocol
from zope.interface import implementer

from ecpds.datasources import Candidate
from ecpds.errors import (
    ConnectionLost,
    InvalidRequest,
    LoginFailed,
    NotFound,
    NotPermitted,
    PreconditionFailed,
    Refusal,
    Stalled,
)
from ecpds.interfaces import ITimeouts, IWatch
from ecpds.limits import Limits
from ecpds.sources.mechanisms.base import About, Credentials, ILister, IMechanism, IOpened, Listed, Place, parse_url
from ecpds.sources.mechanisms.sftp_channel import (
    ATTRS,
    CLOSE,
    DATA,
    FSTAT,
    HANDLE,
    NAME,
    OPEN,
    OPENDIR,
    READ,
    READDIR,
    STAT,
    STATUS,
    SftpChannel,
    about_of,
    expect,
)
from ecpds.ssh.client import KnownHosts, SshClient
from ecpds.ssh.fields import Fields, Malformed

READ_SIZE = 32768
"""Bytes of one read: what every server must give (section 3)."""

AHEAD = 64
"""Reads that are under way at once."""

KEPT = 20.0
KEPT_EACH = 4


class SshDialer(Protocol):
    """What connects a protocol: `transports.outgoing.Outgoing`."""

    async def protocol(self, host: str, port: int, made: TwistedProtocol) -> None: ...


@implementer(IOpened)
class SftpOpened:
    """A handle that is being read."""

    def __init__(self, mechanism: Sftp, channel: SftpChannel, key: tuple[str, ...], handle: bytes, about: About) -> None:
        self.about = about
        self.offset = 0
        self._mechanism, self._channel, self._key, self._handle = mechanism, channel, key, handle
        self._next = 0
        self._stop: int | None = None
        self._reads: deque[tuple[int, int, Deferred[tuple[int, Fields]]]] = deque()
        self._rest = memoryview(b"")
        self._position = 0
        self._open = True

    def begin(self, offset: int, end: int | None) -> None:
        self.offset = self._next = self._position = offset
        self._stop = self.about.size if end is None else end

    async def read_into(self, view: memoryview) -> int:
        if not self._open:
            raise ConnectionLost()
        if not self._rest:
            await self._receive()
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._position += count
        return count

    async def _receive(self) -> None:
        """The next bytes in order; none at the end."""
        self._ask_ahead()
        if not self._reads:
            return
        offset, length, answer = self._reads.popleft()
        kind, fields = await self._mechanism.in_time(answer, self._channel)
        if kind == STATUS and fields.number() == 1:
            self._reads.clear()
            return
        data = expect((kind, fields), DATA).string()
        if not data or len(data) > length:
            raise InvalidRequest("the server's data are not of the length that was asked for")
        if len(data) < length:
            missing = offset + len(data), length - len(data)
            self._reads.appendleft((*missing, self._read(*missing)))
        self._rest = memoryview(data)

    def _ask_ahead(self) -> None:
        while len(self._reads) < AHEAD and (self._stop is None or self._next < self._stop):
            length = READ_SIZE if self._stop is None else min(READ_SIZE, self._stop - self._next)
            self._reads.append((self._next, length, self._read(self._next, length)))
            self._next += length
            if self._stop is None and len(self._reads) > 1:
                return

    def _read(self, offset: int, length: int) -> Deferred[tuple[int, Fields]]:
        asked = self._channel.ask(READ, NS(self._handle) + struct.pack(">QL", offset, length))
        asked.addErrback(_told_to_who_waits)
        return asked

    def close(self) -> None:
        """The handle is given back; answers that are still to come are waited for by nobody."""
        if self._open:
            self._open = False
            self._channel.ask(CLOSE, NS(self._handle)).addErrback(lambda _: None)
            self._mechanism.keep(self._key, self._channel)


def _told_to_who_waits(failure: Any) -> tuple[int, Fields]:
    """A read that failed with its connection: whoever comes for its answer gets a status that says so."""
    return STATUS, Fields(struct.pack(">L", 7) + NS(b"the SSH connection ended") + NS(b""))


@implementer(IMechanism, ILister)
class Sftp:
    """Keeps sessions by server and user. `keys` gives the user's private keys."""

    many = False

    def __init__(
        self,
        dialer: SshDialer,
        timeouts: ITimeouts,
        limits: Limits,
        credentials: Credentials,
        hosts: KnownHosts,
        keys: Callable[[], Sequence[Key]],
        user: str,
    ) -> None:
        self._dialer, self._timeouts, self._limits = dialer, timeouts, limits
        self._credentials, self._hosts, self._keys, self._user = credentials, hosts, keys, user
        self._idle: defaultdict[tuple[str, ...], list[SftpChannel]] = defaultdict(list)

    async def stat(self, candidate: Candidate) -> About:
        place = parse_url(candidate.url, ("sftp",))
        channel = await self._session(place)
        about = about_of(expect(await self.in_time(channel.ask(STAT, NS(_path(place))), channel), ATTRS))
        self.keep(_key(place), channel)
        return about

    async def open(self, candidate: Candidate, offset: int = 0, end: int | None = None, version: str = "") -> IOpened:
        place = parse_url(candidate.url, ("sftp",))
        channel = await self._session(place)
        try:
            asked = channel.ask(OPEN, NS(_path(place)) + struct.pack(">LL", 1, 0))
            handle = expect(await self.in_time(asked, channel), HANDLE).string()
            about = about_of(expect(await self.in_time(channel.ask(FSTAT, NS(handle)), channel), ATTRS))
        except Refusal as refusal:
            if isinstance(refusal, NotFound | NotPermitted):
                self.keep(_key(place), channel)
            else:
                channel.end()
            raise
        opened = SftpOpened(self, channel, _key(place), handle, about)
        if version and about.version and about.version != version:
            opened.close()
            raise PreconditionFailed("the file has changed")
        opened.begin(offset, end)
        return opened

    async def list(self, candidate: Candidate, most: int) -> Sequence[Listed]:
        place = parse_url(candidate.url, ("sftp",))
        folder = candidate.url if candidate.url.endswith("/") else f"{candidate.url}/"
        channel = await self._session(place)
        handle = expect(await self.in_time(channel.ask(OPENDIR, NS(_path(place))), channel), HANDLE).string()
        found: list[Listed] = []
        while len(found) < most:
            kind, fields = await self.in_time(channel.ask(READDIR, NS(handle)), channel)
            if kind == STATUS:
                break
            found += _names(expect((kind, fields), NAME), folder)
        channel.ask(CLOSE, NS(handle)).addErrback(lambda _: None)
        self.keep(_key(place), channel)
        return found[:most]

    # Sessions

    async def in_time(self, asked: Deferred[tuple[int, Fields]], channel: SftpChannel) -> tuple[int, Fields]:
        """An answer. Raises `Stalled`, and the connection is ended, when it takes too long."""
        watch: IWatch = self._timeouts.watch(self._limits.stall, channel.end)
        try:
            return await asked
        except Malformed as error:
            raise InvalidRequest("the server's answer is malformed") from error
        finally:
            watch.cancel()

    async def _session(self, place: Place) -> SftpChannel:
        idle = self._idle[_key(place)]
        while idle:
            channel = idle.pop()
            if channel.alive:
                return channel
        return await self._log_in(place)

    async def _log_in(self, place: Place) -> SftpChannel:
        """With keys first; a password is asked for when they are refused."""
        user = place.login or self._user
        try:
            return await self._connect(place, user, self._keys(), place.password)
        except LoginFailed:
            secret = None if place.password is not None else await self._credentials.find("sftp", place.host, place.login, 0)
            if secret is None:
                raise
            return await self._connect(place, secret.login or user, (), secret.password)

    async def _connect(self, place: Place, user: str, keys: Sequence[Key], password: str | None) -> SftpChannel:
        port = place.port or 22
        client = SshClient(place.host, port, self._hosts, user, keys, password)
        late: list[Refusal] = []

        def expire() -> None:
            late.append(Stalled("the server did not let us in in time"))
            client.abort()

        await self._dialer.protocol(place.host, port, client)
        watch = self._timeouts.watch(self._limits.login_time, expire)
        try:
            connected: Any = await client.ready
            started: Deferred[SftpChannel] = Deferred()
            connected.openChannel(SftpChannel(started))
            return await started
        except Refusal:
            client.abort()
            if late:
                raise late[0] from None
            raise
        finally:
            watch.cancel()

    def keep(self, key: tuple[str, ...], channel: SftpChannel) -> None:
        idle = self._idle[key]
        if not channel.alive or len(idle) >= KEPT_EACH:
            channel.end()
            return
        idle.append(channel)
        self._timeouts.watch(KEPT, lambda: self._drop(key, channel))

    def _drop(self, key: tuple[str, ...], channel: SftpChannel) -> None:
        if channel in self._idle[key]:
            self._idle[key].remove(channel)
            channel.end()

    def close(self) -> None:
        for idle in self._idle.values():
            for channel in idle:
                channel.end()
        self._idle.clear()


def ssh_folder() -> Path:
    """Where a user's keys and known hosts are."""
    return Path.home() / ".ssh"


def _key(place: Place) -> tuple[str, ...]:
    return place.host, str(place.port), place.login


def _path(place: Place) -> bytes:
    """The path; `/~/` is the login's folder."""
    path = place.decoded
    return (path[3:] if path.startswith("/~/") else path).encode("utf-8", "surrogateescape")


def _names(fields: Fields, folder: str) -> list[Listed]:
    """The files of one answer to READDIR."""
    found = []
    for _ in range(fields.number()):
        name, longname = fields.string().decode("utf-8", "surrogateescape"), fields.string()
        about = about_of(fields)
        if longname.startswith(b"-") and "/" not in name:
            url = folder + quote(name, safe="", errors="surrogateescape")
            found.append(Listed(name, url, about.size, about.mtime, about.version))
    return found
