"""Header fields that somebody was let in with lately, on any connection: what came of them, under a MAC of their bytes.

A client that opens a connection for each file, or many at a time, sends the same fields on each. So what came of them is
remembered for the whole server, where its handler says that it holds on other connections of the same address too
(`Request.anywhere`). The fields themselves are not kept, for they hold passwords: only their keyed BLAKE2b (RFC 7693), of
the peer's address too, by a key that lives as long as the process. Equal MACs mean equal bytes, up to the empty line: so
behind a request line they say the same again, and are framed the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

from attrs import frozen

from ecpds.http.body import NoBody
from ecpds.http.headers import Headers
from ecpds.http.message import Request


@frozen
class _Remembered:
    like: Request
    until: float


class Familiar:
    """At most `most` of them, the least lately used leave first; 0: none. `life`: seconds that each is good for.

    `key` is 32 unpredictable bytes, `seconds` a clock.
    """

    def __init__(self, key: bytes, most: int, life: float, seconds: Callable[[], float]) -> None:
        self._key = key
        self._most = most
        self._life = life
        self._seconds = seconds
        self._known: OrderedDict[bytes, _Remembered] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def keep(self, fields: bytes, request: Request) -> None:
        """These are the fields of a request that was answered; what came of them is in its `memory`."""
        if self._most <= 0:
            return
        mark = self._mark(fields, request.peer, request.secure)
        self._known[mark] = _Remembered(_without_fields(request), self._seconds() + self._life)
        self._known.move_to_end(mark)
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def find(self, fields: bytes, peer: str, secure: bool) -> Request | None:
        """A request as those with these fields: with the same memory, and no fields."""
        if not self._known:
            return None
        mark = self._mark(fields, peer, secure)
        found = self._known.get(mark)
        if found is None:
            return None
        if found.until <= self._seconds():
            del self._known[mark]
            return None
        self._known.move_to_end(mark)
        return found.like

    def _mark(self, fields: bytes, peer: str, secure: bool) -> bytes:
        # A peer has no NUL, so no other peer's fields begin as these do.
        return blake2b(b"%d%b\0%b" % (secure, peer.encode(), fields), key=self._key, digest_size=32).digest()


def _without_fields(request: Request) -> Request:
    return Request(
        method="GET",
        target=b"",
        path="",
        query="",
        headers=Headers(),
        version=request.version,
        peer=request.peer,
        secure=request.secure,
        length=0,
        body=NoBody(),
        memory=request.memory,
        anywhere=True,
    )
