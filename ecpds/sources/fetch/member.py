"""What one mirror, and one connection to it, do for one large file: how a span is asked for, and what must be said of it."""

from __future__ import annotations

from ecpds.errors import InvalidRequest, NotSupported, PreconditionFailed
from ecpds.http.pulls import Pull
from ecpds.sources.fetch.meter import Meter
from ecpds.sources.fetch.plain import Mirror
from ecpds.sources.fetch.spans import Span
from ecpds.sources.mechanisms.told import RANGE, About, about


class Member:
    """A mirror, and what is known of it in one file. `proven`: it has the file that is coming."""

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self.about: About | None = None
        self.proven = False
        self.tried = False
        self.connections = 0
        self.bytes = 0
        self.reason = ""

    def joined(self) -> None:
        """A connection more."""
        self.tried = True
        self.connections += 1
        self.mirror.host.asked += 1
        self.mirror.host.connections += 1

    def left(self) -> None:
        """A connection less."""
        self.connections -= 1
        self.mirror.host.connections -= 1


class Share(Meter):
    """One connection's share. `until` is where its stream ends (None: at the file's end); `opened`: whether there is one."""

    def __init__(self, member: Member, pull: Pull, span: Span, now: float) -> None:
        super().__init__(now)
        self.member = member
        self.pull = pull
        self.span = span
        self.until: int | None = None
        self.opened = False
        self.dismissed = False

    def ask(self, begin: int, end: int, size: int) -> About:
        """Ask for a span of a file of that size; what the server tells of it.

        Raises what asking raises, `PreconditionFailed` where it has another file or can't begin there, `InvalidRequest`.
        """
        version = self.member.about.version if self.member.about is not None else ""
        head = self.pull.get(self.member.mirror.target, _fields(begin, end, version))
        told = about(head.status, head.headers)
        found = RANGE.fullmatch(head.headers.get("content-range") or "")
        if head.status != 206 or found is None or (int(found[1]), int(found[2])) != (begin, end - 1):
            raise PreconditionFailed("the server sends another part, or none")
        if head.headers.get("content-encoding", "identity") != "identity":
            raise NotSupported("the server sends the file in a coding that was not asked for")
        if head.length != end - begin or told.size != size or (version and told.version not in ("", version)):
            raise PreconditionFailed("the server has another file")
        return told

    def read(self, length: int) -> bytes:
        """So many bytes of what was asked for. Raises as reading does."""
        found = bytearray(length)
        self.pull.fill(memoryview(found))
        return bytes(found)


def _fields(begin: int, end: int, version: str) -> str:
    """What a request for a span says, of the very version that is known."""
    text = f"Range: bytes={begin}-{end - 1}\r\n"
    if not version.startswith('"'):
        return text
    if not (version.isascii() and version.isprintable()):
        raise InvalidRequest("the entity tag has characters that may not stand in a request")
    return f"{text}If-Match: {version}\r\n"
