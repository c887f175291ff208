"""A file while it comes: a hidden name beside the one it gets, its digests, and the rename that makes it visible.

Bytes may come in any order. Each write is a call on a thread; behind the first byte that is missing, another thread's call
reads what is in one piece, while it is still in memory, and feeds the digests, so they are ready when the last byte is.
A note beside the file says which parts are here, for a later run to go on with. It holds for one boot of the machine only:
after a power cut nobody knows which bytes had reached the disk.

The part is locked while a process writes it, so two never write one file.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from ecpds.errors import AlreadyExists, IsADirectory, NoSpace, NotADirectory, NotPermitted, Refusal, Unavailable
from ecpds.folders import sync_folder
from ecpds.interfaces import IThreads
from ecpds.sources.fetch.names import part_name, state_name
from ecpds.sources.fetch.notes import Kept, read_note, write_note
from ecpds.sources.fetch.part_file import Hash, front_of, hash_span, merged, write_all

STRETCH = 16 << 20
"""Bytes that one call on a thread hashes at most."""

TINY = 64 << 10
"""Bytes of a file that is hashed sooner than a thread could be asked to."""


class Stage:
    """One file on its way to `target`. `sync`: whether it is on the disk before it has its name."""

    def __init__(self, threads: IThreads, target: Path, sync: bool = False) -> None:
        self.target = target
        self.done: list[tuple[int, int]] = []
        self._threads = threads
        self._sync = sync
        self._part = target.with_name(part_name(target.name))
        self._state = target.with_name(state_name(target.name))
        self._fd = -1
        self._hashes: dict[str, Hash] = {"sha256": hashlib.sha256()}
        self._hashed = 0
        self._following = False
        self._waiting: list[tuple[int, Deferred[None]]] = []
        self._trouble: Refusal | None = None
        self._held = b""

    # Beginning

    async def begin(self) -> Kept | None:
        """Make or take up the part. What is left of an earlier run, if anything is. Raises `AlreadyExists`, `NoSpace`."""
        found: Kept | None
        self._fd, found = await self._run(self._open)
        return found

    def _open(self) -> tuple[int, Kept | None]:
        if self.target.is_dir():
            raise IsADirectory(str(self.target))
        while True:
            fd = self._create()
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found = os.fstat(fd)
                if found.st_ino == os.stat(self._part).st_ino:
                    return fd, read_note(self._state, found.st_size) if found.st_size else None
            except BlockingIOError:
                os.close(fd)
                raise AlreadyExists(f"another process is fetching {self.target.name}") from None
            except FileNotFoundError:
                pass  # Another process has just finished with it: make our own.
            os.close(fd)

    def _create(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(self._part, flags, 0o666)
        except FileNotFoundError:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self._part, flags, 0o666)

    async def resume(self, kept: Kept) -> None:
        """Go on with what is here."""
        self.done = list(kept.done)
        self._follow()

    async def clear(self) -> None:
        """Forget what is here."""
        await self.settled()
        self.done, self._hashed, self._trouble, self._held = [], 0, None, b""
        self._hashes = {name: hashlib.new(name) for name in self._hashes}
        await self._run(os.ftruncate, self._fd, 0)

    # Bytes

    def also(self, algorithm: str) -> None:
        """Another digest is wanted; free of charge before the first byte has come."""
        if self._hashed == 0 and not self._following and algorithm not in self._hashes:
            self._hashes[algorithm] = hashlib.new(algorithm)

    async def write(self, offset: int, view: memoryview) -> None:
        """Write; returns when `view` may be used again. Raises `NoSpace`, `Unavailable`."""
        await self._run(write_all, self._fd, offset, view)
        self.done = merged(self.done, offset, offset + len(view))
        self._follow()

    async def write_whole(self, view: memoryview) -> None:
        """Write a small file in one go. A tiny one is hashed here, and written when it gets its name: one call on a thread."""
        if len(view) <= TINY:
            self._held = bytes(view)
            for each in self._hashes.values():
                each.update(self._held)
        else:
            await self._run(_write_and_hash, self._fd, view, list(self._hashes.values()))
        self.done, self._hashed = [(0, len(view))] if view else [], len(view)

    async def _spill(self) -> None:
        """Have in the part what is only in memory, to be read again."""
        held, self._held = self._held, b""
        if held:
            await self._run(write_all, self._fd, 0, memoryview(held))

    async def adopt(self, path: Path) -> int:
        """Take what another program has written to `path` as the whole file; its size."""
        await self.clear()
        size: int = await self._run(self._adopt, path)
        self.done = [(0, size)] if size else []
        self._follow()
        return size

    def _adopt(self, path: Path) -> int:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(path, self._part)
        self._close()
        self._fd = fd
        return os.fstat(fd).st_size

    @property
    def front(self) -> int:
        """Up to where the file is here in one piece."""
        return front_of(self.done)

    def _follow(self) -> None:
        """Hash what is in one piece and was not, unless that is under way."""
        if not self._following and self._hashed < self.front and self._trouble is None:
            self._following = True
            Deferred.fromCoroutine(self._hash_on())

    async def _hash_on(self) -> None:
        try:
            while self._hashed < self.front:
                stop = min(self.front, self._hashed + STRETCH)
                await self._run(hash_span, self._fd, self._hashed, stop, list(self._hashes.values()))
                self._hashed = stop
        except Refusal as refusal:
            self._trouble = refusal
        finally:
            self._following = False
            self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for upto, waiter in waiting:
            if self._hashed >= upto or self._trouble is not None:
                waiter.callback(None)
            else:
                self._waiting.append((upto, waiter))

    async def settled(self) -> None:
        """Until nothing is being hashed."""
        if self._following:
            waiter: Deferred[None] = Deferred()
            self._waiting.append((self._hashed, waiter))
            await waiter

    async def digests(self, size: int) -> dict[str, str]:
        """The digests of the whole file of `size` bytes, all of which are here. Raises `Unavailable` when it can't be read."""
        while self._hashed < size and self._trouble is None:
            self._follow()
            waiter: Deferred[None] = Deferred()
            self._waiting.append((size, waiter))
            await waiter
        if self._trouble is not None:
            raise self._trouble
        return {name: each.hexdigest() for name, each in self._hashes.items()}

    async def digest(self, algorithm: str, size: int, offset: int = 0) -> str:
        """The digest of `size` bytes from `offset`, read again."""
        await self._spill()
        made = hashlib.new(algorithm)
        for begin in range(offset, offset + size, STRETCH):
            await self._run(hash_span, self._fd, begin, min(begin + STRETCH, offset + size), [made])
        return str(made.hexdigest())

    async def read(self, offset: int, length: int) -> bytes:
        """Bytes that are here already."""
        await self._spill()
        data: bytes = await self._run(os.pread, self._fd, length, offset)
        return data

    # Ending

    async def publish(self, size: int, mtime: float | None = None) -> None:
        """Give the file its name, over whatever had it. Raises `Unavailable`."""
        await self._run(self._publish, size, mtime)

    def _publish(self, size: int, mtime: float | None) -> None:
        write_all(self._fd, 0, memoryview(self._held))
        if os.fstat(self._fd).st_size != size:
            os.ftruncate(self._fd, size)
        if mtime is not None:
            os.utime(self._fd, (mtime, mtime))
        if self._sync:
            os.fsync(self._fd)
        os.rename(self._part, self.target)
        with suppress(FileNotFoundError):
            os.unlink(self._state)
        self._close()
        if self._sync:
            sync_folder(self.target.parent)

    async def note(self, size: int, versions: Mapping[str, str], digests: Mapping[str, str]) -> None:
        """Write down what is here, for a later run."""
        await self._run(write_note, self._state, Kept(size, versions, digests, tuple(self.done)))

    async def keep(self) -> None:
        """Stop, and leave what is here to a later run."""
        await self.settled()
        await self._spill()
        self._close()

    async def discard(self) -> None:
        """Stop, and leave nothing."""
        if self._fd < 0:
            return
        await self.settled()
        await self._run(self._remove)

    def _remove(self) -> None:
        for path in (self._part, self._state):
            with suppress(FileNotFoundError):
                os.unlink(path)
        self._close()

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    async def _run(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return await self._threads.run(function, *args)
        except OSError as error:
            raise refusal_of(error, self.target) from error


def refusal_of(error: OSError, path: Path) -> Refusal:
    """What the system's word means here."""
    words = f"{path}: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return NoSpace(words)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP):
        return NotPermitted(words)
    if error.errno == errno.ENOTDIR:
        return NotADirectory(words)
    if error.errno == errno.EISDIR:
        return IsADirectory(words)
    return Unavailable(words)


def _write_and_hash(fd: int, view: memoryview, hashes: list[Hash]) -> None:
    write_all(fd, 0, view)
    for each in hashes:
        each.update(view)
