"""The volumes of a mover: where a segment's file stands, how full each volume is, and which one has failed.

A path is made from the segment's id alone, never from a client's string: `<id / 2^20>/<id / 2^10 mod 2^10>/<id>`, in
hexadecimal, so that a folder holds at most 1,024 files and files that come together stand together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ecpds.errors import NoSpace, Unavailable
from ecpds.file_systems import MEMORY_FILE_SYSTEMS, file_system_type
from ecpds.folders import make_folder, sync_folder
from ecpds.model import StoredSegment, VolumeUse

FRESH = 1.0
"""Seconds that a volume's free space is believed, less what was written since."""

REMEMBERED = 10_000
"""Folders that are known to be durable; past that it is found out again."""

PAGE = 1000
"""Files that a walk looks at between two pauses."""

OUTER = re.compile("0|[1-9a-f][0-9a-f]*")
INNER = re.compile("[0-3][0-9a-f]{2}")


def segment_path(segment: int) -> str:
    """Where a segment stands on any volume, relative to its root."""
    return f"{segment >> 20:x}/{segment >> 10 & 0x3FF:03x}/{segment:x}"


def segment_of(path: str) -> int | None:
    """The segment whose path this is; None for a file that no store made."""
    try:
        segment = int(path.rpartition("/")[2], 16)
    except ValueError:
        return None
    return segment if segment >= 0 and segment_path(segment) == path else None


class Volume:
    """One directory tree. Everything but `path`, `reserve` and `give_back` touches the disk and belongs on a thread.

    Unless `waits` is false: where it is `in_memory`, and nothing is to be synced, what is small is done at once.
    """

    log = Logger()

    def __init__(self, index: int, root: Path, sync: bool, keep: int, clock: IReactorTime) -> None:
        self.index = index
        self.root = root
        self.failed: str | None = None
        self.in_memory = False
        self.waits = True
        self._base = os.fspath(root)
        self._sync = sync
        self._keep = keep
        self._clock = clock
        self._durable: set[str] = set()
        self._free = 0
        self._looked: float | None = None
        self._reserved = 0

    def prepare(self) -> None:
        """Make the root when it is missing, and see how full it is."""
        try:
            if self._sync:
                make_folder(self.root)
            else:
                self.root.mkdir(parents=True, exist_ok=True)
            self.in_memory = file_system_type(os.stat(self.root).st_dev) in MEMORY_FILE_SYSTEMS
            self.waits = self._sync or not self.in_memory
            self.look()
        except OSError as error:
            self.fail(error)

    def path(self, segment: int) -> str:
        """Where a segment stands. A string: each transfer asks, and a `Path` costs ten times as much."""
        return f"{self._base}/{segment_path(segment)}"

    def make_folder(self, folder: str) -> None:
        """Make a segment's folder. With sync it is durable on return, whoever made it."""
        if folder in self._durable:
            return
        os.makedirs(folder, exist_ok=True)
        if self._sync:
            sync_folder(Path(folder).parent)
            sync_folder(self.root)
        if len(self._durable) >= REMEMBERED:
            self._durable.clear()
        self._durable.add(folder)

    def look(self) -> VolumeUse:
        """Ask the disk how full it is."""
        use = os.statvfs(self.root)
        self._free = use.f_bavail * use.f_frsize
        self._looked = self._clock.seconds()
        return VolumeUse(self.index, str(self.root), use.f_blocks * use.f_frsize, self._free, self.failed)

    def use(self) -> VolumeUse:
        """How full it is; a volume that does not answer is a failed one."""
        try:
            return self.look()
        except OSError as error:
            self.fail(error)
            return VolumeUse(self.index, str(self.root), 0, 0, self.failed)

    @property
    def stale(self) -> bool:
        """Whether `look` should be called before `reserve` is believed."""
        return self._looked is None or self._clock.seconds() - self._looked > FRESH

    def reserve(self, size: int) -> None:
        """Set `size` bytes aside for an upload. Raises `NoSpace`, and `Unavailable` on a failed volume."""
        if self.failed is not None:
            raise Unavailable(f"volume {self.index} has failed: {self.failed}")
        if self._free - self._reserved - size < self._keep:
            raise NoSpace()
        self._reserved += size

    def give_back(self, size: int) -> None:
        self._reserved -= size

    def check_room(self) -> None:
        """Raise `NoSpace` when the disk is as full as it may get."""
        self.look()
        if self._free < self._keep:
            raise NoSpace()

    def fail(self, error: OSError) -> None:
        """This volume takes nothing more until the node is restarted; what can be read of it is still read.

        The first reason is the one that is told: what fails later may fail because of that.
        """
        if self.failed is not None:
            return
        self.failed = error.strerror or type(error).__name__
        self.log.error(
            "volume {index} at {root} has failed: {reason}", index=self.index, root=str(self.root), reason=self.failed
        )

    def unsynced(self, error: OSError) -> Unavailable:
        """What is said when a sync failed: what is on the disk isn't known any more, and so the volume has failed."""
        self.fail(error)
        return Unavailable(f"volume {self.index} can't be synced: {error.strerror}")

    def remove(self, segment: int) -> None:
        """Unlink a segment; one that is not there is no error."""
        with suppress(FileNotFoundError):
            os.unlink(self.path(segment))

    def holds_nothing(self) -> bool:
        """Whether no folder of a store's is here, as where a disk is not mounted."""
        try:
            return not _sort_out_folders(self.root, OUTER)[0]
        except OSError:
            return True

    def folders(self) -> tuple[list[Path], list[Path]]:
        """The folders that segments stand in, and what stands between them and is none, such as lost+found."""
        outer, foreign = _sort_out_folders(self.root, OUTER)
        inner: list[Path] = []
        for folder in outer:
            ours, others = _sort_out_folders(folder, INNER)
            inner += ours
            foreign += others
        return inner, foreign

    def pages(self, folder: Path) -> Iterator[tuple[list[StoredSegment], list[Path]]]:
        """What stands in a folder, a page at a time: segments, and names that are none."""
        with os.scandir(folder) as found:
            while page := list(islice(found, PAGE)):
                yield self._sort_out(page)

    def _sort_out(self, page: Sequence[os.DirEntry[str]]) -> tuple[list[StoredSegment], list[Path]]:
        segments: list[StoredSegment] = []
        foreign: list[Path] = []
        for item in page:
            segment = segment_of(os.path.relpath(item.path, self.root))
            if segment is None or not item.is_file(follow_symlinks=False):
                foreign.append(Path(item.path))
                continue
            with suppress(FileNotFoundError):  # It was deleted since the folder was read.
                segments.append(StoredSegment(segment, self.index, item.stat(follow_symlinks=False).st_size))
        return segments, foreign


def _sort_out_folders(parent: Path, name: re.Pattern[str]) -> tuple[list[Path], list[Path]]:
    """The folders in `parent` with such a name, and all else."""
    ours: list[Path] = []
    foreign: list[Path] = []
    with os.scandir(parent) as found:
        for item in found:
            known = name.fullmatch(item.name) and item.is_dir(follow_symlinks=False)
            (ours if known else foreign).append(Path(item.path))
    return sorted(ours), foreign
