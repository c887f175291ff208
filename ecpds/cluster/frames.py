"""The data stream's frames: a kind, a length, and so many bytes. Messages are MessagePack; data is data.

A node that wants bytes stored or read speaks first, one request at a time on a connection:

    -> Write(ticket)      <- Opened     -> data … -> End(length, …)  <- Stored(receipt)
                                        -> data … -> Abort           <- Aborted
    -> Read(ticket)       <- Opened     -> Span(offset, length)      <- data … <- Sent
                                        -> Close

A reader may ask for a span before the last one has ended; they are answered in their order.
The mover may answer `Refused` in place of anything. While bytes come in, or are being synced, it says `Working` now and
then, so that a mover which has died is told from one that is busy. An upload has an end only where `End` says so, with
the length and the digests that the client gave: a connection that ends is never an end. Whatever breaks this order ends
the connection.
"""

from __future__ import annotations

import struct

import msgspec
from zope.interface import implementer

from ecpds.cluster.codec import Refused, decode
from ecpds.errors import ConnectionLost, InvalidRequest, Stalled
from ecpds.interfaces import IByteSink, IByteSource, IChannel
from ecpds.model import Receipt

HEADER = struct.Struct(">cI")
MESSAGE, DATA = b"m", b"d"

MESSAGE_BYTES = 64 * 1024
"""Bytes of one message at most."""

SPAN = 1 << 20
"""Bytes of one frame of data that come from memory, at most."""

FILE_SPAN = 16 * SPAN
"""Bytes of one frame of data at most, which come from a file: a reader passes so many on at a time."""


JOINED = 64 * 1024
"""Bytes of data up to which a frame goes out in one piece with its header: copied, as it is cheaper than two sends."""

LOST = (ConnectionLost, Stalled)
"""What says that the other end has gone."""


class Write(msgspec.Struct, array_like=True, tag="write", frozen=True):
    version: int
    ticket: bytes


class Read(msgspec.Struct, array_like=True, tag="read", frozen=True):
    version: int
    ticket: bytes
    length: int


class Opened(msgspec.Struct, array_like=True, tag="opened", frozen=True):
    pass


class End(msgspec.Struct, array_like=True, tag="end", frozen=True):
    length: int
    expected: dict[str, str]


class Abort(msgspec.Struct, array_like=True, tag="abort", frozen=True):
    pass


class Aborted(msgspec.Struct, array_like=True, tag="aborted", frozen=True):
    pass


class Working(msgspec.Struct, array_like=True, tag="working", frozen=True):
    pass


class Stored(msgspec.Struct, array_like=True, tag="stored", frozen=True):
    receipt: Receipt


class Span(msgspec.Struct, array_like=True, tag="span", frozen=True):
    offset: int
    length: int


class Sent(msgspec.Struct, array_like=True, tag="sent", frozen=True):
    pass


class Close(msgspec.Struct, array_like=True, tag="close", frozen=True):
    pass


Message = Write | Read | Opened | End | Abort | Aborted | Working | Stored | Span | Sent | Close | Refused


class Frames:
    """One connection, frame by frame. One reader and one writer at a time."""

    def __init__(self, channel: IChannel) -> None:
        self.channel = channel
        self.whole = True
        """Whether every frame that was begun to be written was ended."""
        self._header = memoryview(bytearray(HEADER.size))

    async def say(self, message: Message) -> None:
        data = msgspec.msgpack.encode(message)
        await self.channel.write(HEADER.pack(MESSAGE, len(data)) + data)

    async def put(self, data: memoryview) -> None:
        """One frame of data, at most `SPAN` bytes."""
        self.whole = False
        header = HEADER.pack(DATA, len(data))
        if len(data) <= JOINED:
            await self.channel.write(b"".join((header, data)))
        else:
            await self.channel.write(header)
            await self.channel.write(data)
        self.whole = True

    async def put_file(self, fd: int, offset: int, length: int) -> None:
        self.whole = False
        await self.channel.write(HEADER.pack(DATA, length))
        await self.channel.send_file(fd, offset, length)
        self.whole = True

    async def hear(self) -> Message | int:
        """The next message; or the number of bytes of data that come next. Raises `ConnectionLost`, `InvalidRequest`."""
        await self.fill(self._header)
        kind, length = HEADER.unpack(self._header)
        if kind == DATA and 0 < length <= FILE_SPAN:
            return int(length)
        if kind != MESSAGE or length > MESSAGE_BYTES:
            raise InvalidRequest("that is no frame")
        data = bytearray(length)
        await self.fill(memoryview(data))
        message: Message = decode(bytes(data), Message)
        return message

    async def fill(self, view: memoryview) -> None:
        """Exactly so many bytes."""
        done = 0
        while done < len(view):
            count = await self.channel.read_into(view[done:])
            if not count:
                raise ConnectionLost("it ended too early")
            done += count


@implementer(IByteSource)
class FrameSource:
    """The data that comes before the next message, which is then in `message`; `count` bytes have come."""

    def __init__(self, frames: Frames) -> None:
        self.message: Message | None = None
        self.count = 0
        self._frames = frames
        self._left = 0

    async def read_into(self, view: memoryview) -> int:
        if self.message is not None:
            return 0
        if not self._left:
            heard = await self._frames.hear()
            if not isinstance(heard, int):
                self.message = heard
                return 0
            self._left = heard
        count: int = await self._frames.channel.read_into(view[: self._left])
        if not count:
            raise ConnectionLost("it ended too early")
        self._left -= count
        self.count += count
        return count


@implementer(IByteSink)
class FrameSink:
    """Data as frames."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames

    async def write(self, data: bytes | memoryview) -> None:
        with memoryview(data) as whole:
            for start in range(0, len(whole), SPAN):
                await self._frames.put(whole[start : start + SPAN])

    async def send_file(self, fd: int, offset: int, length: int) -> None:
        for start in range(0, length, FILE_SPAN):
            await self._frames.put_file(fd, offset + start, min(FILE_SPAN, length - start))
