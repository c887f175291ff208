"""The sweep: what stands on the volumes and is nobody's goes away.

The mover tells the Master what it found, a page at a time, except what it is writing now; the Master answers which of it
is nobody's, and from then on refuses to commit those; only then the mover unlinks them. What no store made is left, and
logged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from attrs import evolve, frozen
from twisted.logger import Logger

from ecpds.model import StoredSegment
from ecpds.mover.store import LocalStore
from ecpds.mover.volumes import Volume

T = TypeVar("T")

NAMED = 20
"""Foreign files that one sweep names in the log; it counts the others."""


class Judge(Protocol):
    """What the sweep needs of a Master."""

    async def mark_dead(self, mover: str, found: Sequence[StoredSegment]) -> Collection[int]: ...


@frozen
class Swept:
    """What a sweep found and did: files looked at, files unlinked with their bytes, files left because no store made them."""

    looked: int = 0
    unlinked: int = 0
    bytes: int = 0
    foreign: int = 0


class Sweep:
    """Walks every volume on the store's threads."""

    log = Logger()

    def __init__(self, store: LocalStore, master: Judge) -> None:
        self._store = store
        self._master = master

    async def run(self) -> Swept:
        """One round. A volume that can't be walked is logged and skipped. Raises what the Master raises."""
        total = Swept()
        for volume in self._store.volumes:
            try:
                total = await self._walk(volume, total)
            except OSError as error:
                self.log.error("volume {index} was not swept: {reason}", index=volume.index, reason=error.strerror)
        self.log.info("swept: {swept}", swept=total)
        return total

    async def judge(self, volume: int, found: Sequence[StoredSegment]) -> None:
        """Unlink what of these, on one volume, is nobody's. Raises what the Master raises, and `OSError`."""
        await self._judge(self._store.volume(volume), found, Swept())

    async def _walk(self, volume: Volume, total: Swept) -> Swept:
        run = self._store.threads.run
        folders, strangers = await run(volume.folders)
        total = self._leave(strangers, total)
        for folder in folders:
            pages = volume.pages(folder)
            while (page := await run(_next, pages)) is not None:
                segments, foreign = page
                total = await self._judge(volume, segments, self._leave(foreign, total))
        return total

    async def _judge(self, volume: Volume, found: Sequence[StoredSegment], total: Swept) -> Swept:
        """Ask the Master about a page and unlink what is nobody's."""
        asked = [each for each in found if not self._store.is_writing(each.segment)]
        dead = await self._master.mark_dead(self._store.name, asked) if asked else ()
        doomed = [each for each in asked if each.segment in dead and not self._store.is_writing(each.segment)]
        if doomed:
            await self._store.threads.run(_unlink, volume, doomed)
        return evolve(
            total,
            looked=total.looked + len(found),
            unlinked=total.unlinked + len(doomed),
            bytes=total.bytes + sum(each.size for each in doomed),
        )

    def _leave(self, foreign: Sequence[Path], total: Swept) -> Swept:
        for path in foreign[: max(0, NAMED - total.foreign)]:
            self.log.warn("{path} is not ours and is left", path=str(path))
        return evolve(total, foreign=total.foreign + len(foreign))


def _next(pages: Iterator[T]) -> T | None:
    return next(pages, None)


def _unlink(volume: Volume, doomed: Sequence[StoredSegment]) -> None:
    for each in doomed:
        volume.remove(each.segment)
