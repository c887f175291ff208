"""The body of a request, as the handler pulls it.

Who tells whom: a client that sent `Expect: 100-continue` waits until the first read, which lets it go on; what came along
with the head is handed out first, and then the channel fills the reader's buffer itself. The end is 0 only after the last
byte that the head announced; a connection that ends before it raises `ConnectionLost`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from zope.interface import implementer

from ecpds.errors import ConnectionLost
from ecpds.http.inbox import Inbox
from ecpds.interfaces import IByteSource, IWholeSource
from ecpds.wire.chunked import ChunkedDecoder

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

WASTE = memoryview(bytearray(65536))
"""Where bytes go that nobody wants; everybody's, for nobody reads it."""


@implementer(IByteSource)
class NoBody:
    """The body of a request that has none."""

    rest: int | None = 0

    async def read_into(self, view: memoryview) -> int:
        return 0


@implementer(IByteSource)
class _Body(ABC):
    """What both kinds share. A read that failed has lost its place in the stream, and so has every later one."""

    def __init__(self, inbox: Inbox, expects: bool) -> None:
        self._inbox = inbox
        self._expects = expects
        self._failed = False

    async def read_into(self, view: memoryview) -> int:
        if self._failed:
            raise ConnectionLost("the body of the request was cut short")
        self._failed = True
        if self._expects:
            self._expects = False
            await self._inbox.channel.write(CONTINUE)
        count = await self._read(view)
        self._failed = False
        return count

    @abstractmethod
    async def _read(self, view: memoryview) -> int:
        """Read, when it is clear that the client may send and that the place in the stream is known."""

    async def _receive(self, view: memoryview) -> int:
        count = await self._inbox.read_into(view)
        if not count and view:
            raise ConnectionLost("the body of the request was cut short")
        return count


@implementer(IWholeSource)
class LengthBody(_Body):
    """A body of `length` bytes."""

    def __init__(self, inbox: Inbox, expects: bool, length: int) -> None:
        super().__init__(inbox, expects)
        self._left = length

    @property
    def rest(self) -> int | None:
        """The bytes that are still to come; None where nobody can say whether they will."""
        return None if self._expects or self._failed else self._left

    def whole(self, most: int) -> memoryview | None:
        """As `IWholeSource`: valid until the next request is read."""
        if self._expects or self._failed or self._left > most:
            return None
        found = self._inbox.whole(self._left)
        if found is not None:
            self._left = 0
        return found

    async def _read(self, view: memoryview) -> int:
        if not self._left:
            return 0
        count = await self._receive(view[: self._left])
        self._left -= count
        return count


class ChunkedBody(_Body):
    """A chunked body. Raises `InvalidRequest` for framing that is not beyond doubt."""

    def __init__(self, inbox: Inbox, expects: bool) -> None:
        super().__init__(inbox, expects)
        self._decoder = ChunkedDecoder()

    @property
    def rest(self) -> int | None:
        """0 after the end, else None: nobody knows."""
        return 0 if self._decoder.done and not self._failed else None

    @property
    def trailers(self) -> list[tuple[str, str]]:
        """The trailer fields, names in lower case; complete after the end."""
        return self._decoder.trailers

    async def _read(self, view: memoryview) -> int:
        """Wait for data once; then add what is already here, so that small chunks don't come one a call."""
        count = 0
        while count < len(view) and await self._reach_data(wait=not count):
            want = view[count : count + self._decoder.remaining]
            taken = await self._receive(want)
            self._decoder.took(taken)
            count += taken
        return count

    async def _reach_data(self, wait: bool) -> bool:
        """Eat framing until data come next; False at the end, or where that needs bytes that aren't here."""
        decoder, inbox = self._decoder, self._inbox
        while not decoder.remaining and not decoder.done:
            if not inbox and not (wait and await inbox.fill()):
                if wait:
                    raise ConnectionLost("the body of the request was cut short")
                return False
            inbox.skip(decoder.feed(inbox.unread))
        return not decoder.done and (wait or bool(inbox))


RequestBody = NoBody | LengthBody | ChunkedBody


def request_body(inbox: Inbox, length: int | None, expects: bool) -> RequestBody:
    """The body that a head announces: of `length` bytes, or chunked when that is None."""
    if length is None:
        return ChunkedBody(inbox, expects)
    return LengthBody(inbox, expects, length) if length else NoBody()


async def discard(body: RequestBody) -> None:
    """Read away what is left of a body, so that the next request stands first in the stream."""
    while body.rest:
        await body.read_into(WASTE)
