"""Cuts what an SFTP client sends into packets. The data of a WRITE are not taken into one: they are read as a file is."""

from __future__ import annotations

from zope.interface import implementer

from ecpds.errors import ConnectionLost
from ecpds.interfaces import IByteSource
from ecpds.protocols.sftp_packets import LARGEST_PACKET, WRITE_HEAD, Type
from ecpds.ssh.streams import Stream, Use

_WRITE = int(Type.WRITE)


class BadFrame(Exception):
    """What the client sends is no sequence of packets."""


@implementer(IByteSource)
class PacketReader:
    """`left` bytes of the last packet were not handed out with it: they are what this is a source of.

    `use` is shown what begins with a packet, before any of it is handed out, and says how many bytes it has used: those
    of whole packets.
    """

    def __init__(self, stream: Stream, use: Use) -> None:
        self._stream = stream
        self._use = use
        self._piece = memoryview(b"")
        self._beyond = 0
        self.left = 0

    async def next(self) -> bytes | None:
        """The next packet without its length, or the first `WRITE_HEAD` bytes of a WRITE; None at the end.

        Raises `BadFrame`, and what the stream does.
        """
        if self._piece:
            self._piece = self._piece[self._use(self._piece) :]
        if not self._piece:
            self._piece = await self._stream.read(self._use)
        if len(self._piece) < 4 and not await self._fill(4):
            return None
        size = int.from_bytes(self._piece[:4], "big")
        if not 0 < size <= LARGEST_PACKET:
            raise BadFrame(f"a packet of {size} bytes")
        if len(self._piece) < 5 and not await self._fill(5):
            return None
        whole = min(size, WRITE_HEAD) if self._piece[4] == _WRITE else size
        if len(self._piece) < 4 + whole and not await self._fill(4 + whole):
            return None
        packet = bytes(self._piece[4 : 4 + whole])
        self._piece = self._piece[4 + whole :]
        self.left = size - whole
        return packet

    def peek(self, size: int) -> memoryview:
        """The next `size` bytes, with the length that they begin with, where they are here in one piece; else fewer."""
        if not self._piece:
            self._piece = self._stream.read_now()
        return self._piece[:size]

    def drop(self, size: int) -> None:
        """Go on behind what was seen by `peek`."""
        self._piece = self._piece[size:]

    async def _fill(self, size: int) -> bool:
        """Have `size` bytes in one piece, where that has fewer; whether there are as many."""
        held = bytearray(self._piece)
        while len(held) < size:
            data = await self._stream.read()
            if not data:
                return False
            held += data
        self._piece = memoryview(held)
        return True

    async def read_into(self, view: memoryview) -> int:
        """Also from several pieces, where they are here."""
        if self.left and not self._piece:
            self._piece = await self._stream.read()
            if not self._piece:
                raise ConnectionLost
        done, most = 0, min(len(view), self.left)
        while done < most and (self._piece or self._more()):
            count = min(most - done, len(self._piece))
            view[done : done + count] = self._piece[:count]
            self._piece = self._piece[count:]
            done += count
        self.left -= done
        return done

    def _more(self) -> bool:
        self._piece = self._stream.read_now()
        return bool(self._piece)

    async def rest(self) -> bytes:
        """What is left of the packet, all of it."""
        whole = bytearray(self.left)
        with memoryview(whole) as view:
            while self.left:
                await self.read_into(view[len(whole) - self.left :])
        return bytes(whole)

    def only(self, size: int) -> None:
        """What is left has `size` bytes, and what stands behind them means nothing (old pkg/sftp sends such packets)."""
        self._beyond, self.left = self.left - size, size

    async def skip(self) -> None:
        """Use nothing of what is left of the packet."""
        self.left, self._beyond = self.left + self._beyond, 0
        while self.left:
            if not self._piece:
                self._piece = await self._stream.read()
                if not self._piece:
                    raise ConnectionLost
            count = min(self.left, len(self._piece))
            self._piece = self._piece[count:]
            self.left -= count
