"""What the Master asks of this node's mover."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from zope.interface import implementer

from ecpds.errors import Unavailable
from ecpds.hashing import Follower, follow_file
from ecpds.interfaces import IMoverControl
from ecpds.model import StoredSegment, VolumeUse
from ecpds.mover.digests import follower
from ecpds.mover.reading import open_segment
from ecpds.mover.store import LocalStore

PIECE = 64 << 20
"""Bytes that are digested in one hop to a thread: others want it too, and the end of the process waits for it."""


@implementer(IMoverControl)
class LocalControl:
    """The mover of this process, asked directly."""

    def __init__(self, store: LocalStore) -> None:
        self.name = store.name
        self._store = store

    async def delete(self, segments: Sequence[StoredSegment]) -> None:
        """Raises `Unavailable` when one could not be unlinked; the others are."""
        await self._store.threads.run(self._unlink, segments)

    async def volumes(self) -> Sequence[VolumeUse]:
        uses: list[VolumeUse] = await self._store.threads.run(self._use)
        return uses

    async def digests(self, segments: Sequence[StoredSegment], names: Sequence[str]) -> Mapping[str, str]:
        followers = {name: follower(name) for name in names}
        for each in segments:
            path = self._store.volume(each.volume).path(each.segment)
            for offset in range(0, each.size, PIECE):
                length = min(PIECE, each.size - offset)
                await self._store.digest_threads.run(digest_piece, path, offset, length, list(followers.values()))
        return {name: found.hexdigest() for name, found in followers.items()}

    def _unlink(self, segments: Sequence[StoredSegment]) -> None:
        failed: OSError | None = None
        for found in segments:
            try:
                self._store.volume(found.volume).remove(found.segment)
            except OSError as error:
                failed = error
        if failed is not None:
            raise Unavailable(f"not everything could be unlinked: {failed.strerror}") from failed

    def _use(self) -> list[VolumeUse]:
        return [volume.use() for volume in self._store.volumes]


def digest_piece(path: Path, offset: int, length: int, followers: Sequence[Follower]) -> None:
    """Give a part of a stored file to digests. Blocks. Raises `Unavailable`, `Corrupt`."""
    fd = open_segment(path, offset + length)
    try:
        follow_file(fd, offset, length, followers)
    except OSError as error:
        raise Unavailable(f"this copy can't be read: {error.strerror}") from error
    finally:
        os.close(fd)
