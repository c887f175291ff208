"""Channel data in bulk: filled where it will be encrypted, encrypted where it will be sent, without a copy in between.

One buffer holds both. Its first half are frames, one a packet, each with room for what stands before and behind the data;
its second half are the packets as they cross the wire.
"""

from __future__ import annotations

import os
import struct

from ecpds.ssh.ciphers import MORE, Sealing

CHANNEL_DATA = 94

_BEFORE = struct.Struct(">BBLL")

HEAD = _BEFORE.size
"""Bytes of a body before its data: the length of the padding, the message's number, the channel and the data's length."""

MOST_PADDING = 19
"""Bytes of padding that a body with blocks of 16 bytes may need."""

AHEAD = 64
"""Where the data of a frame begin: aligned for the copy that fills it."""

BETWEEN = 128
"""Bytes of a frame beside its data, and more than a packet has beside it."""

SHORTEST_PADDING = 4


def padding(size: int, sealing: Sealing) -> int:
    """How many bytes must follow `size` bytes of a body, the length of the padding counted (RFC 4253, section 6)."""
    counted = size + 4 if sealing.counts_length else size
    return SHORTEST_PADDING + (-counted - SHORTEST_PADDING) % sealing.block


class Frames:
    """Frames for `size` bytes of data, or as many as fit into `space`, in packets of `packet` bytes at most."""

    def __init__(self, space: memoryview, packet: int, size: int) -> None:
        half = len(space) // 2
        self._packet = packet = min(packet, half - BETWEEN - AHEAD)
        self._stride = packet + BETWEEN
        self._space = space
        self._sealed = space[half:]
        self.size = min(size, (half - AHEAD) // self._stride * packet)
        full, rest = divmod(self.size, packet)
        starts = range(AHEAD, AHEAD + (full + (rest > 0)) * self._stride, self._stride)
        self.data = [space[start : start + packet] for start in starts]
        if rest:
            self.data[-1] = self.data[-1][:rest]

    def seal(self, sealing: Sealing, sequence: int, channel: int) -> memoryview:
        """The packets, in a row. `sequence` is the number of the first."""
        space, sealed, seal = self._space, self._sealed, sealing.seal_into
        fresh, start, end, known = os.urandom(MOST_PADDING * len(self.data)), AHEAD, 0, 0
        for number, data in enumerate(self.data):
            size = len(data)
            if size != known:
                known, count = size, padding(HEAD + size, sealing)
            _BEFORE.pack_into(space, start - HEAD, count, CHANNEL_DATA, channel, size)
            rest = start + size
            space[rest : rest + count] = fresh[number * MOST_PADDING : number * MOST_PADDING + count]
            end += seal((sequence + number) & 0xFFFFFFFF, space[start - HEAD : rest + count], sealed[end:])
            start += self._stride
        return sealed[:end]


assert AHEAD + MOST_PADDING <= BETWEEN and HEAD + MOST_PADDING + MORE <= BETWEEN
