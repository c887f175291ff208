"""Folders that are known to be there, so that a put into one of them need not ask the catalogue whether it may.

Only what a client hears early rests on this: the commit asks the catalogue itself. The Master is its only writer, so it can
tell what is no longer true.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

from ecpds.master.reader import Reader
from ecpds.master.tree import folders_in, split

V = TypeVar("V")

FOLDERS = 1000
"""Folders that are remembered at most."""

FEW = 64
"""Folders in one of them, at most: their names are remembered too."""


class KnownFolders:
    """By destination and path, with the names of the folders in each; one that was put into before is worth to be known.

    `changes` goes up with each that matters: what was asked of the catalogue before is not kept after.
    """

    def __init__(self, reader: Reader, size: int = FOLDERS) -> None:
        self._reader = reader
        self._size = size
        self._names: OrderedDict[tuple[int, str], frozenset[str]] = OrderedDict()
        self._seen: OrderedDict[tuple[int, str], None] = OrderedDict()
        self.changes = 0

    def have_room(self, destination: int, path: str) -> bool:
        """Whether the folder of `path` is there, and no folder is at `path`; False also where that isn't known."""
        parent, name = split(path)
        names = self._names.get((destination, parent))
        return bool(name) and names is not None and name not in names

    async def learn(self, destination: int, folder: str, id_: int, changes: int) -> None:
        """This folder was there when there had been `changes`, and somebody puts into it: the second time, ask what the
        next would. Raises `Unavailable`.
        """
        key = (destination, folder)
        if key not in self._seen:
            _remember(self._seen, key, None, self._size)
            return
        names = await self._reader.ask(lambda session: folders_in(session, id_, FEW + 1))
        if changes == self.changes and len(names) <= FEW:
            _remember(self._names, key, frozenset(names), self._size)

    def put(self, destination: int, path: str) -> None:
        """A file is there now, and so are the folders above it; what is known of one that lacks the next was before that."""
        folder = split(path)[0]
        while folder and (destination, folder) not in self._names:
            above, name = split(folder)
            if name not in self._names.get((destination, above), (name,)):
                del self._names[destination, above]
            self.changes += 1
            folder = above

    def clear(self) -> None:
        """Folders have come or gone, or may have."""
        self.changes += 1
        self._names.clear()
        self._seen.clear()


def _remember(found: OrderedDict[tuple[int, str], V], key: tuple[int, str], value: V, size: int) -> None:
    found[key] = value
    if len(found) > size:
        found.popitem(last=False)
