"""The requests of small files, handled where they lie in what came, and nearly all answered there too, with no coroutine.

A small file that is read is in memory when it is opened, and one that is written stays there until it is closed. So what a
client asks for it, OPEN, READs or WRITEs, and CLOSE, is each a few calls; what goes the long way costs several times as much.
Whatever is not as it mostly is was not touched, and goes the long way. The CLOSE of a file that was written, where others are
there too or its commit has to wait, is taken here and answered by a coroutine, when the turn's commit is done or refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ecpds.portal_interfaces import IFileSystem
from ecpds.protocols import sftp_packets as packets
from ecpds.protocols.ftp_session import resolve_file
from ecpds.protocols.sftp_files import Reading, Writing, open_now
from ecpds.protocols.sftp_opened import Opened
from ecpds.protocols.sftp_packets import HANDLE_SIZE, Code, Type, read_attributes
from ecpds.protocols.sftp_reads import CLOSE_FIELDS, READ_FIELDS, WRITE_FIELDS, held
from ecpds.ssh.fields import Fields
from ecpds.ssh.streams import Stream

READ_SIZE, WRITE_SIZE, CLOSE_SIZE = 1 + READ_FIELDS.size, 1 + WRITE_FIELDS.size, 1 + CLOSE_FIELDS.size
"""Bytes of a READ, of a WRITE before its data, and of a CLOSE, with their type."""


class AtOnce:
    """Those of one session. `alone` says whether it is the only one, `publish_later` sees to a file that was closed."""

    def __init__(
        self,
        files: IFileSystem,
        opened: Opened,
        stream: Stream,
        alone: Callable[[], bool],
        publish_later: Callable[[bytes, Writing], None],
    ) -> None:
        self._files = files
        self._opened = opened
        self._stream = stream
        self._alone = alone
        self._publish_later = publish_later
        # Plain numbers: looking them up in their class costs as much as a call.
        self._requests: dict[int, Callable[[memoryview], bytes | None]] = {
            int(Type.OPEN): self._open,
            int(Type.READ): self._read,
            int(Type.WRITE): self._write,
            int(Type.CLOSE): self._close,
        }

    def answer(self, packet: memoryview) -> bytes | None:
        """The answer to a whole packet, of a type and a number at least; empty: it comes later; None: nothing was done.

        Raises `Malformed`, and what a commit does.
        """
        handler = self._requests.get(packet[0])
        return None if handler is None else handler(packet)

    def _open(self, packet: memoryview) -> bytes | None:
        if self._opened.closing or self._opened.full:
            return None
        fields = Fields(bytes(packet[1:]))
        request, path, flags = fields.take(4), resolve_file("/", packets.path(fields)), fields.number()
        mtime = read_attributes(fields).mtime
        handle = open_now(self._files, path, flags)
        if handle is None:
            return None
        if isinstance(handle, Writing):
            handle.mtime = mtime
        return packets.handle(request, self._opened.keep(handle))

    def _read(self, packet: memoryview) -> bytes | None:
        if len(packet) != READ_SIZE:
            return None
        request, count, name, offset, length = READ_FIELDS.unpack_from(packet, 1)
        handle = self._opened.get(name)
        return held(handle, request, offset, length) if count == HANDLE_SIZE and isinstance(handle, Reading) else None

    def _write(self, packet: memoryview) -> bytes | None:
        if len(packet) < WRITE_SIZE:
            return None
        request, count, name, offset, length = WRITE_FIELDS.unpack_from(packet, 1)
        handle, data = self._opened.get(name), packet[WRITE_SIZE:]
        if count != HANDLE_SIZE or not isinstance(handle, Writing) or length != len(data):
            return None
        return packets.status(request, Code.OK) if handle.write_now(offset, data) else None

    def _close(self, packet: memoryview) -> bytes | None:
        if len(packet) != CLOSE_SIZE:
            return None
        request, count, name = CLOSE_FIELDS.unpack_from(packet, 1)
        handle = self._opened.get(name) if count == HANDLE_SIZE else None
        if isinstance(handle, Writing):
            return self._publish(request, name, handle)
        if not isinstance(handle, Reading):
            return None
        self._opened.pop(name)
        self._stream.afterwards(partial(self._put_away, handle))
        return packets.status(request, Code.OK)

    def _put_away(self, handle: Reading) -> None:
        handle.put_away()
        self._opened.note_busy()

    def _publish(self, request: bytes, name: bytes, handle: Writing) -> bytes:
        """A name that comes alone is committed at once; where others put too, all of a turn's together, and told then."""
        self._opened.pop(name)
        try:
            if self._alone() and handle.close_now():
                return packets.status(request, Code.OK)
        finally:
            self._stream.afterwards(self._opened.note_busy)
        self._publish_later(request, handle)
        return b""
