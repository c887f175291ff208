"""What was resolved lately. The Master is the catalogue's only writer, so it can tell what is no longer true."""

from __future__ import annotations

from collections import OrderedDict

from ecpds.model import Entry

FILES = 10_000
"""Files that are remembered at most."""


class ResolveCache:
    """Files by destination and path, the least lately used leave first. Directories are not remembered."""

    def __init__(self, size: int = FILES) -> None:
        self._size = size
        self._entries: OrderedDict[tuple[int, str], Entry] = OrderedDict()

    def get(self, destination: int, path: str) -> Entry | None:
        found = self._entries.get((destination, path))
        if found is not None:
            self._entries.move_to_end((destination, path))
        return found

    def put(self, destination: int, entry: Entry) -> None:
        self._entries[destination, entry.path] = entry
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def drop(self, destination: int, path: str) -> None:
        self._entries.pop((destination, path), None)

    def clear(self) -> None:
        """Many paths have changed at once: a directory has moved."""
        self._entries.clear()
