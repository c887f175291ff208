"""The file of one segment while it is written. Everything here blocks and runs on one strand of threads.

But for what is small on a volume that never waits: that is written where it is asked for.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from awscrt.checksums import crc64nvme

from ecpds.errors import AlreadyExists, Incomplete, NoSpace, Refusal, TooLarge, Unavailable
from ecpds.folders import sync_folder
from ecpds.mover.volumes import Volume

LOOK_EVERY = 64 * 1024 * 1024
"""Bytes written between two looks at the free space."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
BROKEN = frozenset({errno.EIO, errno.EROFS, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.EUCLEAN})
"""What a file system says when it, and not the request, is at fault."""


class Hash(Protocol):
    """A digest that follows the bytes, as hashlib makes them."""

    def update(self, data: memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


class StagedFile:
    """Created exclusively at the first byte: the file is the ticket's used-mark."""

    def __init__(self, volume: Volume, segment: int, sync: bool) -> None:
        self.path = volume.path(segment)
        self.folder = self.path.rpartition("/")[0]
        self.written = 0
        self._volume = volume
        self._sync = sync
        self._fd: int | None = None
        self._created = False
        self._discarded = False
        self._crc = 0
        self._looked = 0

    @property
    def crc64nvme(self) -> str:
        return f"{self._crc:016x}"

    def write(self, data: memoryview) -> None:
        """Append. Raises `AlreadyExists`, `NoSpace`, `TooLarge`, `Unavailable`."""
        try:
            fd = self._open()
            with data[:] as rest:
                done = 0
                while done < len(rest):
                    done += os.pwrite(fd, rest[done:], self.written + done)
            self._crc = crc64nvme(data, self._crc)
            self.written += len(data)
            if self.written - self._looked >= LOOK_EVERY:
                self._looked = self.written
                self._volume.check_room()
        except OSError as error:
            raise self._refusal(error) from error

    def write_all(self, data: memoryview, hashes: list[Hash], name_too: bool = False) -> None:
        """A whole small file at once: content, digests, sync, close; with `name_too` also the sync of its folder."""
        self.write(data)
        for each in hashes:
            each.update(data)
        self.close()
        if name_too:
            try:
                sync_folder(Path(self.folder))
            except OSError as error:
                raise self._volume.unsynced(error) from error

    def close(self) -> None:
        """Nothing more comes. With sync, the bytes are durable on return; the name is the folder's."""
        try:
            fd = self._open()
            if self._sync:
                os.fdatasync(fd)
            self._fd = None
            os.close(fd)
        except OSError as error:
            raise self._refusal(error) from error

    def discard(self) -> None:
        """Close and unlink what is there of it; a file that another made is left. Nothing is written any more."""
        self._discarded = True
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)
        if self._created:
            self._created = False
            with suppress(FileNotFoundError):
                os.unlink(self.path)

    def _open(self) -> int:
        if self._discarded:
            raise Incomplete("the upload has ended")
        if self._fd is None:
            self._volume.make_folder(self.folder)
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._created = True
        return self._fd

    def _refusal(self, error: OSError) -> Refusal:
        if error.errno in FULL:
            return NoSpace()
        if isinstance(error, FileExistsError):
            return AlreadyExists("this copy was written before")
        if error.errno == errno.EFBIG:
            return TooLarge()
        if error.errno in BROKEN:
            self._volume.fail(error)
        return Unavailable(f"volume {self._volume.index} can't be written: {error.strerror}")
