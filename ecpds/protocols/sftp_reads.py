"""READs as they come most often: of a file that is in memory, or of one place behind the other."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ecpds.protocols import sftp_packets as packets
from ecpds.protocols.sftp_answers import Asked
from ecpds.protocols.sftp_files import Reading
from ecpds.protocols.sftp_packets import HANDLE_SIZE, LARGEST_DATA, Code, Type
from ecpds.protocols.sftp_reader import PacketReader

READ = int(Type.READ)
"""A plain number: looking it up in its class costs as much as a call."""

READ_FIELDS = WRITE_FIELDS = struct.Struct(f">4sL{HANDLE_SIZE}sQL")
CLOSE_FIELDS = struct.Struct(f">4sL{HANDLE_SIZE}s")
"""A READ, a WRITE without its data, and a CLOSE of a handle of ours, behind their type."""

_WHOLE_READ = struct.Struct(f">LB4sL{HANDLE_SIZE}sQL")
"""A READ of a handle of ours, with its length and type."""

RUN = 1 << 20
"""Bytes of a file that are read as one, where so many were asked for in their order."""


def held(handle: Reading, request: bytes, offset: int, length: int) -> bytes | None:
    """The answer to a READ, where what it asks for is in memory."""
    size = min(length, LARGEST_DATA, handle.entry.size - offset)
    if size <= 0:
        return packets.status(request, Code.EOF) if length else None
    data = handle.held(offset, size)
    return None if data is None else packets.data_head(request, size) + data


def further_reads(reader: PacketReader, name: bytes, offset: int, end: int, most: int) -> Iterator[Asked]:
    """The READs that are here already and go on at `offset` of a file that ends at `end`; `most` bytes altogether."""
    while offset < end and len(packet := reader.peek(_WHOLE_READ.size)) == _WHOLE_READ.size:
        size, type, request, count, its_name, start, length = _WHOLE_READ.unpack(packet)
        its_size = min(length, LARGEST_DATA, end - offset)
        if (size, type, count, its_name, start) != (1 + READ_FIELDS.size, READ, HANDLE_SIZE, name, offset):
            return
        if not 0 < its_size <= most:
            return
        reader.drop(_WHOLE_READ.size)
        yield Asked(request, its_size)
        offset, most = offset + its_size, most - its_size
