"""FTP and FTPS: spans by REST and RETR, sizes and times by SIZE and MDTM, folders by MLSD, over sessions that are kept.

How a session goes is told in `ftp_session`. A span that was read to the file's end leaves its session for the next; one
that was left earlier closes the data connection, and the session serves again when the server has noticed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from twisted.internet.defer import Deferred
from zope.interface import implementer

from ecpds.datasources import Candidate
from ecpds.errors import ConnectionLost, LoginFailed, NotSupported, PreconditionFailed, Refusal, TooLarge
from ecpds.interfaces import IChannel, ITimeouts
from ecpds.limits import Limits
from ecpds.sources.mechanisms.base import (
    About,
    Credentials,
    ILister,
    IMechanism,
    IOpened,
    Listed,
    Place,
    Secret,
    parse_url,
)
from ecpds.sources.mechanisms.ftp_session import FtpDialer, FtpSession

ANONYMOUS = Secret("anonymous", "ecpds@")

KEPT = 20.0
"""Seconds that a session is kept without use."""

KEPT_EACH = 8

LISTING = 8 << 20
"""Bytes of one listing."""

_TIME = re.compile(r"[0-9]{14}")


@implementer(IOpened)
class FtpOpened:
    """The data connection of one RETR."""

    def __init__(self, mechanism: Ftp, session: FtpSession, channel: IChannel, about: About, offset: int) -> None:
        self.about = about
        self.offset = offset
        self._mechanism = mechanism
        self._session = session
        self._channel: IChannel | None = channel
        self._left = None if about.size is None else about.size - offset

    async def read_into(self, view: memoryview) -> int:
        if self._channel is None:
            return 0
        count = await self._channel.read_into(view)
        if self._left is not None:
            self._left -= count
        if count == 0:
            await self._end()
        return count

    async def _end(self) -> None:
        """The data connection has ended: it was the end of the file only if the server says so, and all has come."""
        channel, self._channel = self._channel, None
        assert channel is not None
        channel.abort()
        await self._session.ended()
        self._mechanism.keep(self._session)
        if self._left:
            raise ConnectionLost("the data connection ended early")

    def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.abort()
            self._mechanism.settle(self._session)


@implementer(IMechanism, ILister)
class Ftp:
    """Keeps sessions by server and user."""

    many = False

    def __init__(self, dialer: FtpDialer, timeouts: ITimeouts, limits: Limits, credentials: Credentials) -> None:
        self._dialer = dialer
        self._timeouts = timeouts
        self._limits = limits
        self._credentials = credentials
        self._idle: defaultdict[tuple[str, str, int | None, str], list[FtpSession]] = defaultdict(list)

    async def stat(self, candidate: Candidate) -> About:
        place = parse_url(candidate.url, ("ftp", "ftps"))
        session = await self._session(place)
        try:
            about = await self._about(session, _path(place))
        except BaseException:
            session.close()
            raise
        self.keep(session)
        return about

    async def open(self, candidate: Candidate, offset: int = 0, end: int | None = None, version: str = "") -> IOpened:
        place = parse_url(candidate.url, ("ftp", "ftps"))
        session = await self._session(place)
        try:
            about = await self._about(session, _path(place))
            if version and about.version and about.version != version:
                raise PreconditionFailed("the file has changed")
            channel = await session.data(f"RETR {_path(place)}", offset)
        except BaseException:
            session.close()
            raise
        return FtpOpened(self, session, channel, about, offset)

    async def list(self, candidate: Candidate, most: int) -> Sequence[Listed]:
        place = parse_url(candidate.url, ("ftp", "ftps"))
        session = await self._session(place)
        try:
            mlsd = any(feature.startswith("MLST") for feature in session.features)
            text = await self._text(session, f"{'MLSD' if mlsd else 'NLST'} {_path(place)}".rstrip())
        except BaseException:
            session.close()
            raise
        self.keep(session)
        folder = candidate.url if candidate.url.endswith("/") else f"{candidate.url}/"
        lines = [line for line in text.splitlines() if line][: 2 * most]
        found = [_from_mlsd(line, folder) if mlsd else _named(line.rpartition("/")[2], folder) for line in lines]
        return [each for each in found if each is not None][:most]

    async def _text(self, session: FtpSession, command: str) -> str:
        """A listing, whole. Raises `TooLarge`."""
        channel = await session.data(command)
        found = bytearray()
        view = memoryview(bytearray(65536))
        try:
            while count := await channel.read_into(view):
                found += view[:count]
                if len(found) > LISTING:
                    raise TooLarge(f"the listing has more than {LISTING} bytes")
        finally:
            channel.abort()
        await session.ended()
        return found.decode("utf-8", "surrogateescape")

    async def _about(self, session: FtpSession, path: str) -> About:
        size = await session.ask(f"SIZE {path}")
        if size.code in (550, 553, 421, 530):
            raise size.refusal
        time = await session.ask(f"MDTM {path}")
        length = int(size.text) if size.code == 213 and size.text.isdigit() and len(size.text) < 19 else None
        stamp = time.text[:14] if time.code == 213 else ""
        return About(length, mtime=_seconds(stamp), version=f"{time.text}/{length}" if stamp else "", ranges=True)

    # Sessions

    async def _session(self, place: Place) -> FtpSession:
        """One at rest, or a new one, logged in. Raises `LoginFailed`."""
        idle = self._idle[_key(place)]
        while idle:
            session = idle.pop()
            try:
                await session.expect("NOOP", 200)
            except Refusal:
                session.close()
                continue
            return session
        return await self._log_in(place)

    async def _log_in(self, place: Place) -> FtpSession:
        for refused in range(2):
            secret = place.secret or await self._credentials.find(place.scheme, place.host, place.login, refused)
            session = FtpSession(self._dialer, self._limits, place)
            try:
                await session.begin(secret or ANONYMOUS)
            except LoginFailed:
                session.close()
                if refused or place.secret is not None:
                    raise
                continue
            except BaseException:
                session.close()
                raise
            return session
        raise LoginFailed(f"{place.host} wants a name and password")

    def keep(self, session: FtpSession) -> None:
        """Hold a session for the next span of its server."""
        idle = self._idle[_key(session.place)]
        if len(idle) >= KEPT_EACH:
            session.close()
            return
        idle.append(session)
        self._timeouts.watch(KEPT, lambda: self._drop(session))

    def _drop(self, session: FtpSession) -> None:
        idle = self._idle[_key(session.place)]
        if session in idle:
            idle.remove(session)
            session.close()

    def settle(self, session: FtpSession) -> None:
        """Its data connection was closed early: keep it when the server has said something to that."""

        async def settled() -> None:
            try:
                await session.broken_off()
            except Refusal:
                session.close()
            else:
                self.keep(session)

        Deferred.fromCoroutine(settled())

    def close(self) -> None:
        for idle in self._idle.values():
            for session in idle:
                session.close()
        self._idle.clear()


def _key(place: Place) -> tuple[str, str, int | None, str]:
    return place.scheme, place.host, place.port, place.login


def _path(place: Place) -> str:
    """The path from where the login stands; `%2F` at its beginning makes it absolute (RFC 1738 section 3.2.2)."""
    return place.decoded.removeprefix("/")


def _seconds(stamp: str) -> float | None:
    """The time of an MDTM reply or a `modify` fact (RFC 3659 section 2.3), which is UTC."""
    if not _TIME.fullmatch(stamp):
        return None
    try:
        return datetime.strptime(stamp, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _from_mlsd(line: str, folder: str) -> Listed | None:
    """A line of MLSD (RFC 3659 section 7.2); None for what is no file."""
    facts_text, space, name = line.partition(" ")
    if not space:
        raise NotSupported("the listing is malformed")
    facts = {key.lower(): value for key, _, value in (fact.partition("=") for fact in facts_text.split(";") if fact)}
    if facts.get("type", "").lower() != "file":
        return None
    size, time = facts.get("size", ""), facts.get("modify", "")
    length = int(size) if size.isascii() and size.isdigit() and len(size) < 19 else None
    return _named(name, folder, length, _seconds(time[:14]), facts.get("unique", "") or time)


def _named(name: str, folder: str, size: int | None = None, time: float | None = None, version: str = "") -> Listed | None:
    if not name or "/" in name or name in (".", ".."):
        return None
    return Listed(name, folder + quote(name, safe="", errors="surrogateescape"), size, time, version)
