"""Files that wait to be released, as one user sees them: who may put there does, by a right of its own, and nobody else.

A link, and who visits a destination that is open, show what everybody sees, whatever they may put.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress

from ecpds.errors import NotFound, NotPermitted
from ecpds.master_interfaces import IMaster
from ecpds.model import REPLACING, Entry, Identity, Page
from ecpds.options import path_allowed
from ecpds.portal.backing import recorded
from ecpds.portal.journal import Journal
from ecpds.portal.namespace import Namespace
from ecpds.portal.paths import CanonicalPath


class Waiting:
    """The part of a view that looks. The attributes are the view's."""

    identity: Identity
    journal: Journal
    _master: IMaster
    _names: Namespace

    def _sees_waiting(self, name: CanonicalPath) -> bool:
        """Whether the user may put there."""
        return self._puts_into(name.destination) and path_allowed(self.identity.options, "put", name)

    def _puts_into(self, destination: str) -> bool:
        identity = self.identity
        return bool(destination) and not (identity.share or identity.visits) and identity.may("put", destination)

    def _holds(self, permission: str, name: CanonicalPath) -> bool:
        return self.identity.may(permission, name.destination) and path_allowed(self.identity.options, permission, name)

    def _may_replace(self, name: CanonicalPath) -> bool:
        """Whether the user might do away with a file of that name without a rename."""
        return any(self._holds(permission, name) for permission in REPLACING)

    async def _resolve(self, name: CanonicalPath, permission: str | None = None) -> Entry:
        """What is there; `permission` is what it is looked at for, and held by the user where it is."""
        found = await self._master.resolve(name.destination, name.inside, self._sees_waiting(name))
        return self._shown(name.destination, found)

    async def _is_folder(self, *names: CanonicalPath) -> bool:
        """Whether one of them is: what concerns a folder replaces nothing, whatever the user may do."""
        for name in names:
            with suppress(NotFound):
                if (await self._resolve(name)).is_directory:
                    return True
        return False

    @recorded("release")
    async def set_released(self, path: str, released: bool) -> Entry:
        name = self._file(path, "put")
        if not self._sees_waiting(name):
            raise NotPermitted
        user = self.identity.user_id
        return self._shown(name.destination, await self._master.set_released(user, name.destination, name.inside, released))

    @recorded("release")
    async def release_folder(self, path: str) -> int:
        name = self._visible(path)
        if not self._puts_into(name.destination):
            raise NotPermitted
        return await self._master.release_folder(self.identity.user_id, name.destination, name.inside)

    def _visible(self, path: str, permission: str | None = None) -> CanonicalPath:
        raise NotImplementedError

    def _file(self, path: str, permission: str) -> CanonicalPath:
        raise NotImplementedError

    async def renew(self) -> None:
        raise NotImplementedError

    async def _page(self, name: CanonicalPath, after: str | None, limit: int) -> Page:
        """A page of a directory."""
        page = await self._master.list(name.destination, name.inside, after, limit, self._puts_into(name.destination))
        entries: Sequence[Entry] = page.entries
        if any(entry.waits is not None for entry in entries):
            entries = [entry async for entry in self._seen(name.destination, entries)]
        return Page(self._names.shown_in(name, entries), page.after)

    async def _seen(self, destination: str, entries: Iterable[Entry]) -> AsyncIterator[Entry]:
        """The Master's entries, but for files that wait where the user may not put: those are as everybody sees them."""
        for entry in entries:
            if entry.waits is None or path_allowed(self.identity.options, "put", f"/{destination}/{entry.path}"):
                yield entry
                continue
            try:
                yield await self._master.resolve(destination, entry.path)
            except NotFound:
                continue

    def _shown(self, destination: str, entry: Entry) -> Entry:
        """An entry of the Master's under the path that the user knows it by."""
        return Entry(self._names.shown(destination, entry.path), entry.mtime, entry.file, entry.replaced, entry.waits)
