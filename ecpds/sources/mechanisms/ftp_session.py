"""One FTP control connection, client side (RFC 959, 2228, 2428, 3659, 4217).

The server greets; we ask for TLS where the URL is ftps (AUTH TLS, then PBSZ and PROT P), log in, and set TYPE I. For each
span: EPSV (or PASV, whose address is not believed: data come from the control connection's peer), a data connection, REST,
RETR; the server answers 150, sends the bytes, closes the data connection, and says 226.
"""

from __future__ import annotations

import re
from typing import Protocol

from attrs import frozen

from ecpds.errors import (
    ConnectionLost,
    InvalidRequest,
    LoginFailed,
    NotFound,
    NotPermitted,
    NotSupported,
    Refusal,
    Stalled,
    TooManyConnections,
    Unavailable,
)
from ecpds.interfaces import IChannel
from ecpds.limits import Limits
from ecpds.sources.mechanisms.base import Place, Secret

GREETING = 4.0
"""Seconds for the greeting of an ftps server on a port of its own: one that says nothing waits for TLS."""

IMPLICIT = 990

LINES = 256
"""Lines of one reply."""

_REPLY = re.compile(rb"([1-5][0-9]{2})([ -]?)(.*)")
_EPSV = re.compile(r"\((.)\1\1([0-9]{1,5})\1\)")
_PASV = re.compile(r"[0-9]{1,3}(?:,[0-9]{1,3}){3},([0-9]{1,3}),([0-9]{1,3})")


class FtpDialer(Protocol):
    """What connects, and puts TLS on a connection: `transports.outgoing.Outgoing`."""

    async def connect(
        self, host: str, port: int, secure: bool = False, public: bool = False, beside: IChannel | None = None
    ) -> IChannel: ...

    async def secure(self, channel: IChannel, host: str, beside: IChannel | None = None) -> IChannel: ...


@frozen
class FtpReply:
    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return self.lines[-1]

    @property
    def refusal(self) -> Refusal:
        """What a reply that is not good means (RFC 959 section 4.2.2)."""
        words = f"the server said {self.code} {self.text}"
        kinds: dict[int, type[Refusal]] = {
            421: TooManyConnections,
            530: LoginFailed,
            532: NotPermitted,
            534: NotPermitted,
            550: NotFound,
            553: NotFound,
            500: NotSupported,
            502: NotSupported,
            504: NotSupported,
        }
        return kinds.get(self.code, Unavailable if self.code < 500 else InvalidRequest)(words)


class FtpSession:
    """Speaks with one server. Every call raises `ConnectionLost`, `Stalled`, `InvalidRequest`."""

    def __init__(self, dialer: FtpDialer, limits: Limits, place: Place) -> None:
        self.place = place
        self.secure = place.scheme == "ftps"
        self.features: frozenset[str] = frozenset()
        self._dialer = dialer
        self._limits = limits
        self._channel: IChannel | None = None
        self._rest = bytearray()
        self._view = memoryview(bytearray(4096))
        self._extended = True

    # Beginning and ending

    async def begin(self, secret: Secret) -> None:
        """Connect and log in. Raises `LoginFailed` besides what connecting raises."""
        await self._greet()
        reply = await self.ask(f"USER {secret.login}")
        if reply.code == 331:
            reply = await self.ask(f"PASS {secret.password}")
        if reply.code not in (230, 202):
            raise reply.refusal if reply.code in (421, 530) else LoginFailed(f"the server said {reply.code} {reply.text}")
        if self.secure:
            await self.expect("PBSZ 0", 200)
            await self.expect("PROT P", 200)
        await self.expect("TYPE I", 200)
        found = await self.ask("FEAT")
        if found.code == 211:
            self.features = frozenset(line.strip().upper() for line in found.lines[1:-1])

    async def _greet(self) -> None:
        host, port = self.place.host, self.place.port
        if self.secure and port in (None, IMPLICIT):
            await self._connect(port or IMPLICIT, True)
            return
        try:
            await self._connect(port or 21, False, GREETING if self.secure else self._limits.stall)
        except Stalled:
            if not self.secure:
                raise
            await self._connect(port or IMPLICIT, True)
            return
        if self.secure:
            await self.expect("AUTH TLS", 234)
            assert self._channel is not None
            self._channel = await self._dialer.secure(self._channel, host)

    async def _connect(self, port: int, secure: bool, patience: float | None = None) -> None:
        self._rest.clear()
        self._channel = await self._dialer.connect(self.place.host, port, secure)
        self._channel.patience = patience or self._limits.stall
        reply = await self._read_reply()
        while reply.code == 120:
            reply = await self._read_reply()
        if reply.code != 220:
            raise reply.refusal
        self._channel.patience = self._limits.stall

    def close(self) -> None:
        if self._channel is not None:
            self._channel.abort()

    # Commands

    async def ask(self, command: str) -> FtpReply:
        """Send a command, and the reply."""
        assert self._channel is not None
        if any(each in command for each in "\r\n\0"):
            raise InvalidRequest("a name has characters that FTP can't send")
        await self._channel.write(command.encode("utf-8", "surrogateescape") + b"\r\n")
        return await self._read_reply()

    async def expect(self, command: str, *codes: int) -> FtpReply:
        """As `ask`; raises what the reply means unless its code is one of these."""
        reply = await self.ask(command)
        if reply.code not in codes:
            raise reply.refusal
        return reply

    async def ended(self) -> None:
        """After the data: the server's word that they were all."""
        reply = await self._read_reply()
        if reply.code not in (226, 250):
            raise reply.refusal

    async def broken_off(self) -> None:
        """After the data connection was closed early: whatever the server says to it."""
        await self._read_reply()

    async def data(self, command: str, offset: int = 0) -> IChannel:
        """A data connection over which the server sends what `command` asks for."""
        assert self._channel is not None
        port = await self._passive()
        channel = await self._dialer.connect(self.place.host, port, False, False, self._channel)
        try:
            if offset:
                await self.expect(f"REST {offset}", 350)
            await self.expect(command, 125, 150)
            if self.secure:
                # TLS begins when the server has taken the command (RFC 4217 section 12.5), not at the connection.
                channel = await self._dialer.secure(channel, self.place.host, self._channel)
        except BaseException:
            channel.abort()
            raise
        return channel

    async def _passive(self) -> int:
        if self._extended:
            reply = await self.ask("EPSV")
            if reply.code == 229 and (found := _EPSV.search(reply.text)):
                return int(found[2])
            self._extended = False
        reply = await self.expect("PASV", 227)
        pair = _PASV.search(reply.text)
        if pair is None:
            raise InvalidRequest("the server's passive reply is malformed")
        return int(pair[1]) << 8 | int(pair[2])

    # Replies

    async def _read_reply(self) -> FtpReply:
        """One reply, of one line or several (RFC 959 section 4.2)."""
        lines: list[str] = []
        begun = b""
        while len(lines) < LINES:
            line = await self._read_line()
            found = _REPLY.fullmatch(line)
            lines.append(line.decode("utf-8", "replace") if begun or found is None else found[3].decode("utf-8", "replace"))
            if begun:
                if found is not None and found[1] == begun and found[2] != b"-":
                    return FtpReply(int(begun), (*lines[:-1], found[3].decode("utf-8", "replace")))
            elif found is None:
                raise InvalidRequest("this is no FTP server")
            elif found[2] != b"-":
                return FtpReply(int(found[1]), tuple(lines))
            else:
                begun = found[1]
        raise InvalidRequest(f"a reply of the server has more than {LINES} lines")

    async def _read_line(self) -> bytes:
        assert self._channel is not None
        while (end := self._rest.find(b"\n")) < 0:
            if len(self._rest) > self._limits.command_line:
                raise InvalidRequest("a line of the server's reply is too long")
            count = await self._channel.read_into(self._view)
            if not count:
                raise ConnectionLost("the server closed the control connection")
            self._rest += self._view[:count]
        line = bytes(self._rest[:end]).rstrip(b"\r")
        del self._rest[: end + 1]
        return line
