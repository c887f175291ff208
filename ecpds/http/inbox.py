"""What has arrived on a connection and was not used yet.

A small buffer that grows only for a large head, up to the limit, and shrinks again. It holds heads, the framing of chunked
bodies, and the bytes of a body or of the next request that came along; the rest of a body never passes through it.
"""

from __future__ import annotations

import re

from ecpds.held import SMALL_FILE
from ecpds.http.message import HttpError
from ecpds.http.same_fields import SameButLength, SameFields
from ecpds.interfaces import IChannel, IPromptChannel

SMALL = 4096
"""Bytes of the buffer of a connection that waits or has short heads."""

_BEGIN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]")
_BARE_LF = re.compile(rb"(?<!\r)\n")


class Inbox:
    """The bytes between a channel and whoever reads requests from it. `head_bytes` and `line_bytes` bound a head."""

    __slots__ = ("_buffer", "_end", "_head_bytes", "_line_bytes", "_scanned", "_skipped", "_start", "_view", "channel")

    def __init__(self, channel: IChannel, head_bytes: int, line_bytes: int) -> None:
        self.channel = channel
        self._head_bytes = head_bytes
        self._line_bytes = min(line_bytes, head_bytes)
        self._skipped = False
        self._renew(min(SMALL, head_bytes))

    def _renew(self, size: int, kept: bytes | memoryview = b"") -> None:
        """A buffer of `size` bytes that begins with `kept`, in which no head ends."""
        self._buffer = bytearray(size)
        self._view = memoryview(self._buffer)
        self._view[: len(kept)] = kept
        self._start, self._end, self._scanned = 0, len(kept), len(kept)

    def __len__(self) -> int:
        return self._end - self._start

    @property
    def unread(self) -> memoryview:
        """What is there; valid until the next call of any other method."""
        return self._view[self._start : self._end]

    def skip(self, count: int) -> None:
        """The first `count` bytes were used."""
        self._start += count

    async def fill(self) -> int:
        """Wait for more bytes and say how many came; 0 is the end. Raises what the channel raises."""
        self._make_room()
        count = await self.channel.read_into(self._view[self._end :])
        self._end += count
        return count

    async def read_into(self, view: memoryview) -> int:
        """As `IByteSource`: what is here first, then straight from the channel; 0 when the peer has closed."""
        if not view or self._start < self._end:
            return self.take(view)
        return await self.channel.read_into(view)

    def take(self, view: memoryview) -> int:
        """Copy what is here, as much as `view` holds, and say how much that was."""
        count = min(len(view), self._end - self._start)
        view[:count] = self._view[self._start : self._start + count]
        self._start += count
        return count

    def take_head(self) -> bytes | None:
        """One whole head, or None while it is not all here. Raises `HttpError` when it never will be one."""
        if not self._skipped and self._buffer.startswith(b"\r\n", self._start, self._end):
            # One empty line before a request is forgiven (RFC 9112 section 2.2).
            self._start += 2
            self._skipped = True
        stop = self._buffer.find(b"\r\n\r\n", max(self._start, self._scanned - 3), self._end)
        if stop < 0:
            self._refuse_hopeless()
            self._scanned = self._end
            return None
        head = bytes(self._view[self._start : stop + 4])
        if head.find(b"\r\n") > self._line_bytes:
            raise HttpError(414, f"The request line is longer than {self._line_bytes} bytes.")
        self._start = stop + 4
        self._skipped = False
        return head

    def line_alone(self, channel: IPromptChannel, fields: SameFields) -> bytes | None:
        """The request line of what is there now, where just these fields stand behind it and nothing behind them.

        To be asked of an empty inbox. Anything else is None, and stays; what fills the buffer may go on outside of it.
        """
        self._make_room()
        end = self._end = channel.receive(self._view)
        stop = end - fields.length
        if end == len(self._buffer) or not 0 < stop <= self._line_bytes or not fields.agree(self._buffer, stop, end):
            return None
        return bytes(self._view[:stop])

    def line_and_fields(self) -> tuple[bytes, bytes] | None:
        """After a `line_alone`: both, where that may be one head, and nothing behind it."""
        end = self._end
        stop = self._buffer.find(b"\r\n", 0, end)
        if end == len(self._buffer) or not 0 < stop <= self._line_bytes or not self._buffer.endswith(b"\r\n\r\n", stop, end):
            return None
        return bytes(self._view[:stop]), bytes(self._view[stop:end])

    def begins_with(self, text: bytes) -> bool:
        """Whether what is there does."""
        return self._buffer.startswith(text, self._start, self._end)

    def line_and_body(self, channel: IPromptChannel, fields: SameButLength) -> tuple[bytes, memoryview] | None:
        """After a `line_alone`: the request line, and a short body behind these fields, if that is what is there as a whole.

        What is missing of the body is looked for once more. The body is valid as `unread` is.
        """
        stop = self._buffer.find(b"\r\n", 0, self._end)
        found = fields.find(self._buffer, stop, self._end) if 0 < stop <= self._line_bytes else None
        if found is None or found[1] > SMALL_FILE:
            return None
        begin, end = found[0], sum(found)
        if self._end < end or end == len(self._buffer):
            self._look_for(channel, end)
        if self._end != end or end == len(self._buffer):
            return None
        return bytes(self._view[:stop]), self._view[begin:end]

    def whole(self, length: int) -> memoryview | None:
        """The next so many bytes, which are then used, if they have come. They are valid as `unread` is."""
        if len(self) < length and (channel := IPromptChannel(self.channel, None)) is not None:
            self._look_for(channel, self._start + length)
        if len(self) < length:
            return None
        self._start += length
        return self._view[self._start - length : self._start]

    def _look_for(self, channel: IPromptChannel, end: int) -> None:
        """For what is missing up to `end`, with room to see whether more is behind it."""
        if end >= len(self._buffer):
            self._renew(end + 1, self.unread)
            self._scanned = 0
        self._end += channel.receive(self._view[self._end :])

    def clear(self) -> None:
        """What is there was used."""
        self._start = self._end

    def _refuse_hopeless(self) -> None:
        """Refuse at once what no further byte can mend, rather than when the time is up."""
        first_line = self._buffer.find(b"\r\n", self._start, self._end)
        if first_line < 0 and len(self) > self._line_bytes:
            raise HttpError(414, f"The request line is longer than {self._line_bytes} bytes.")
        if len(self) >= self._head_bytes:
            raise HttpError(431, f"The head of the request is longer than {self._head_bytes} bytes.")
        if _BARE_LF.search(self._buffer, max(self._start, self._scanned - 1), self._end):
            raise HttpError(400, "The head of the request has a bare LF.")
        if len(self) > 1 and not _BEGIN.match(self._buffer, self._start, self._end):
            raise HttpError(400, "This is not an HTTP request.")

    def _make_room(self) -> None:
        if self._start == self._end:
            if len(self._buffer) > SMALL:
                self._renew(SMALL)
            self._start = self._end = self._scanned = 0
        elif self._end == len(self._buffer):
            # What is left moves to the front; the buffer grows only when that alone fills it.
            size = len(self._buffer) if self._start else min(len(self._buffer) * 2, self._head_bytes)
            self._renew(size, self.unread)
