"""What was resolved lately. The Master is the catalogue's only writer, so it can tell what is no longer true."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ecpds.model import Entry

FILES = 10_000
"""Files that are remembered at most."""


class ResolveCache:
    """Files by destination and path, the least lately used leave first. Directories are not remembered.

    `told` hears of every path that may be another file now, None for all of them, before whoever changed it is answered.
    """

    def __init__(self, size: int = FILES) -> None:
        self.told: Callable[[str | None], None] = lambda path: None
        self._size = size
        self._entries: OrderedDict[tuple[int, str], Entry] = OrderedDict()
        self._asked: dict[tuple[int, str], object] = {}

    def get(self, destination: int, path: str) -> Entry | None:
        key = (destination, path)
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    @contextmanager
    def asking(self, destination: int, path: str) -> Iterator[Callable[[Entry], None]]:
        """While the catalogue is asked; what is called with the answer keeps it, unless the path has changed meanwhile."""
        key, mine = (destination, path), object()
        self._asked[key] = mine

        def keep(entry: Entry) -> None:
            if self._asked.get(key) is mine and not entry.is_directory:
                self._keep(destination, entry)

        try:
            yield keep
        finally:
            if self._asked.get(key) is mine:
                del self._asked[key]

    def put(self, destination: int, entry: Entry) -> None:
        """What is there now."""
        self._keep(destination, entry)
        self.told(entry.path)

    def _keep(self, destination: int, entry: Entry) -> None:
        self._asked.pop((destination, entry.path), None)
        self._entries[destination, entry.path] = entry
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def drop(self, destination: int, path: str) -> None:
        self._asked.pop((destination, path), None)
        self._entries.pop((destination, path), None)
        self.told(path)

    def clear(self) -> None:
        """Many paths have changed at once: a directory has moved."""
        self._asked.clear()
        self._entries.clear()
        self.told(None)
