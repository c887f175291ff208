"""What one user may know of the room in its destinations: what is left, and what is used."""

from __future__ import annotations

from ecpds.master_interfaces import IMaster
from ecpds.model import Identity, Room, Usage
from ecpds.portal.backing import recorded
from ecpds.portal.journal import Journal
from ecpds.portal.namespace import Namespace
from ecpds.portal.paths import CanonicalPath


class Figures:
    """A part of `FileSystem`."""

    identity: Identity
    journal: Journal
    _master: IMaster
    _names: Namespace

    @recorded("stat")
    async def room(self, path: str) -> Room:
        name = self._visible(path)
        names = (name.destination,) if name.segments else tuple(self._names.destinations(None))
        found: Room = await self._master.room(names)
        return found

    @recorded("stat")
    async def usage(self, path: str) -> Usage | None:
        name = self._visible(path)
        if not name.segments or self.identity.within or not self.identity.may("dir", name.destination):
            return None
        found: Usage | None = await self._master.usage(name.destination)
        return found

    async def renew(self) -> None:
        raise NotImplementedError

    def _visible(self, path: str, permission: str | None = None) -> CanonicalPath:
        raise NotImplementedError
