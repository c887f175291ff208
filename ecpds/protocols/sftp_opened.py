"""What an SFTP session has open, by the handles that its client was given."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from twisted.logger import Logger

from ecpds.errors import InvalidRequest, NotSupported, TooManyConnections
from ecpds.protocols.sftp_files import Handle, Listing, Writing
from ecpds.protocols.sftp_packets import HANDLE_SIZE
from ecpds.ssh.fields import Fields
from ecpds.ssh.streams import Stream


class Opened:
    """`most` handles, those of files that are being closed counted. `stream` is told whether something is under way."""

    log = Logger()

    def __init__(self, stream: Stream, random: Random, most: int) -> None:
        self._stream = stream
        self._random = random
        self._most = most
        self._handles: dict[bytes, Handle] = {}
        self.closing: list[Writing] = []

    @property
    def full(self) -> bool:
        return len(self._handles) + len(self.closing) >= self._most

    def refuse_too_many(self) -> None:
        """Raises `TooManyConnections`."""
        if self.full:
            raise TooManyConnections(f"{len(self._handles)} files of this session")

    def keep(self, handle: Handle) -> bytes:
        """The name that it has from now on."""
        name = self._random.randbytes(HANDLE_SIZE)
        self._handles[name] = handle
        if not isinstance(handle, Listing):
            self._stream.busy(True)
        return name

    def get(self, name: bytes) -> Handle | None:
        return self._handles.get(name)

    def pop(self, name: bytes) -> Handle | None:
        return self._handles.pop(name, None)

    def named(self, fields: Fields) -> Handle:
        """What the next field names. Raises `InvalidRequest`."""
        handle = self._handles.get(fields.string())
        if handle is None:
            raise InvalidRequest("no such handle")
        return handle

    def written(self, fields: Fields) -> Writing:
        """As `named`. Raises `NotSupported` where it is not open to write."""
        handle = self.named(fields)
        if not isinstance(handle, Writing):
            raise NotSupported("that is not open to write")
        return handle

    def writings(self) -> Iterator[Writing]:
        """All files that are being written."""
        return (each for each in self._handles.values() if isinstance(each, Writing))

    def note_busy(self) -> None:
        """Something was closed, and the client was told: a node that ends waits no longer than that."""
        self._stream.busy(bool(self.closing) or any(not isinstance(each, Listing) for each in self._handles.values()))

    async def drop(self) -> None:
        """What is still open when the session ends was not closed by the client: nothing of it is published."""
        handles, self._handles = list(self._handles.values()), {}
        for handle in handles:
            try:
                await handle.drop()
            except Exception:
                self.log.failure("{path} could not be dropped", path=handle.path)
