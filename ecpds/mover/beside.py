"""Small segments from the volumes of other movers on this host, read where they lie: it costs less than to ask for them.

What has a name never changes, and its id is never used again, so what stands there in the right length is the segment, and
whatever else is found is no answer: it is asked for as always. A folder is another mover's volume where its mover says that it
has the same device and inode as here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ecpds.file_systems import MEMORY_FILE_SYSTEMS, file_system_type
from ecpds.interfaces import IThreads
from ecpds.model import Copy
from ecpds.mover.reading import read_now
from ecpds.mover.volumes import segment_path

Folder = tuple[str, int, int]
"""A volume as its mover tells of it: its path, its device, its inode."""

NOT_THERE = 0, 0
"""No folder's device and inode."""


class VolumesBeside:
    """Those of other movers that can be read here; `own` are this node's, of which others are told."""

    def __init__(self, own: Sequence[Path], threads: IThreads) -> None:
        self._own = own
        self._threads = threads
        self._volumes: dict[str, Sequence[tuple[str, bool] | None]] = {}

    async def folders(self) -> Sequence[Folder]:
        """This node's volumes; one that can't be found is told of in vain."""
        found: Sequence[Folder] = await self._threads.run(_folders, self._own)
        return found

    async def take(self, mover: str, folders: Sequence[Folder]) -> None:
        """Another mover has these."""
        self._volumes[mover] = await self._threads.run(_usable, folders)

    def read_now(self, segment: int, copy: Copy, length: int) -> memoryview | None:
        """As `IPromptReads.read_now`."""
        volumes = self._volumes.get(copy.mover, ())
        volume = volumes[copy.volume] if 0 <= copy.volume < len(volumes) else None
        if volume is None or length <= 0:
            return None
        root, in_memory = volume
        return read_now(f"{root}/{segment_path(segment)}", length, in_memory)


def _folders(roots: Iterable[Path]) -> list[Folder]:
    return [(os.fspath(root.absolute()), *_identity(os.fspath(root))) for root in roots]


def _usable(folders: Iterable[Folder]) -> list[tuple[str, bool] | None]:
    """Each that is the same here, and whether it is in memory."""
    return [
        (path, file_system_type(device) in MEMORY_FILE_SYSTEMS)
        if os.path.isabs(path) and _identity(path) == (device, inode) != NOT_THERE
        else None
        for path, device, inode in folders
    ]


def _identity(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return NOT_THERE
    return found.st_dev, found.st_ino
