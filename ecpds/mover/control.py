"""What the Master asks of this node's mover."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from ecpds.errors import Unavailable
from ecpds.interfaces import IMoverControl
from ecpds.model import StoredSegment, VolumeUse
from ecpds.mover.store import LocalStore


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
