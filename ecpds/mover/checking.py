"""One stored copy, compared with its record: its length, and the digest that says most of those that the catalogue has.

The file is read past the kernel's cache where its file system can do that (O_DIRECT): what is on the disk is what counts, and
what clients have in the cache stays there. What is wrong is believed when it was found twice, so that no fault of a cable or
of memory condemns a copy. Only what says something of the file is damage: a disk that is away, a volume that has failed, or a
file that may not be opened, is `Unavailable`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable, Sequence

from ecpds.errors import Corrupt, Unavailable
from ecpds.hashing import Follower, follow_file
from ecpds.interfaces import IThreads
from ecpds.mover.digests import follower
from ecpds.mover.store import LocalStore
from ecpds.mover.volumes import Volume
from ecpds.scrubbing import HeldCopy, Verdict, strongest

PIECE = 4 << 20
"""Bytes that are read in one hop to a thread."""

MISSING = "it is not there"

BAD = frozenset({errno.EIO, errno.EUCLEAN, errno.EBADMSG, errno.EILSEQ, errno.ENODATA})
"""What a file system says when the bytes of a file can't be had from its disk."""

Spend = Callable[[int], Awaitable[None]]
"""Asked before so many bytes are read: returns when they may be."""


async def at_once(count: int) -> None:
    """Leave to read without a pause."""


class Checker:
    """Compares copies of a store, on `threads` of its own: one that waits for a bad disk keeps no client waiting."""

    def __init__(self, store: LocalStore, threads: IThreads) -> None:
        self._store = store
        self._threads = threads

    async def check(self, held: HeldCopy, spend: Spend = at_once) -> Verdict:
        """Raises `Unavailable` where it can't be compared just now, and what `spend` raises."""
        damage = await self._compare(held, spend)
        if damage is not None and held.damaged is None:
            damage = await self._compare(held, spend)
        if damage is not None:
            await self._check_volume(self._store.volume(held.volume))
        return Verdict(held.segment, held.volume, damage)

    async def _check_volume(self, volume: Volume) -> None:
        """What is wrong with all of a volume says nothing of one copy. Raises `Unavailable`."""
        if volume.failed is not None:
            raise Unavailable(f"volume {volume.index} has failed: {volume.failed}")
        if await self._threads.run(volume.holds_nothing):
            raise Unavailable(f"volume {volume.index} holds nothing of ours: its disk may be away")

    async def _compare(self, held: HeldCopy, spend: Spend) -> str | None:
        """What is wrong with it."""
        path, name = self._store.volume(held.volume).path(held.segment), strongest(held.digests)
        digests = [follower(name)] if name is not None else []
        for offset in range(0, held.length or 1, PIECE):
            count = min(PIECE, held.length - offset)
            await spend(count)
            damage: str | None = await self._threads.run(follow_piece, path, held.length, offset, count, digests)
            if damage is not None:
                return damage
        for each in digests:
            if (found := each.hexdigest()) != held.digests[str(name)]:
                return f"its {name} is {found}, not {held.digests[str(name)]}"
        return None


def follow_piece(path: str, size: int, offset: int, length: int, digests: Sequence[Follower]) -> str | None:
    """Give a part of a file that should have `size` bytes to digests. Blocks. Says what is wrong; raises `Unavailable`."""
    try:
        fd = open_past_cache(path)
    except FileNotFoundError:
        return MISSING
    except OSError as error:
        return _wrong(error)
    try:
        there = os.fstat(fd).st_size
        if there != size:
            return f"it has {there} bytes, not {size}"
        follow_file(fd, offset, length, digests)
    except Corrupt:
        return f"it has less than {size} bytes"
    except OSError as error:
        return _wrong(error)
    finally:
        os.close(fd)
    return None


def open_past_cache(path: str) -> int:
    """Open a file to read what is on its disk; as any other where its file system has no such way. Raises `OSError`."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _wrong(error: OSError) -> str:
    if error.errno in BAD:
        return f"it can't be read: {error.strerror}"
    raise Unavailable(f"this copy can't be compared: {error.strerror}") from error
