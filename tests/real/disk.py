"""A disk that may lose its power: what was synced stays, and of all else any part may be there or not.

A write is in the file at once for who reads it, but on the disk only after a sync of that file that began when the write had
ended. A name is on the disk only after such a sync of its folder; a rename within a folder is one step. What is not on the
disk when the power goes may have got there or not, each 4 KiB block of a write and each change of a name by itself, in
any order. That is less than any journaling file system promises, and all that POSIX does.
"""

from __future__ import annotations

import random
import re
from itertools import pairwise
from pathlib import Path

from attrs import define, field

BLOCK = 4096

NONE = r"(?!)"
"""An expression that no path matches."""


@define(eq=False)
class File:
    """What is in it now, what is on the disk, and the changes in between: when each ended, where, and the bytes.

    No bytes stand for a change of the size to what `where` says.
    """

    now: bytearray = field(factory=bytearray)
    kept: bytearray = field(factory=bytearray)
    pending: list[tuple[float, int, bytes | None]] = field(factory=list)

    def change(self, ended: float, where: int, data: bytes | None) -> None:
        self.pending.append((ended, where, data))
        _put(self.now, where, data)

    def sync(self, began: float) -> None:
        for _, where, data in (each for each in self.pending if each[0] <= began):
            _put(self.kept, where, data)
        self.pending = [each for each in self.pending if each[0] > began]

    def after_cut(self, luck: float, chance: random.Random) -> bytes:
        content = bytearray(self.kept)
        for _, where, data in self.pending:
            for place, piece in _blocks(where, data):
                if chance.random() < luck:
                    _put(content, place, piece)
        return bytes(content)


@define(eq=False)
class Folder:
    """Its names now, those on the disk, and the changes in between; None is a name that is gone."""

    now: dict[str, File | Folder] = field(factory=dict)
    kept: dict[str, File | Folder] = field(factory=dict)
    pending: list[tuple[float, dict[str, File | Folder | None]]] = field(factory=list)

    def change(self, ended: float, names: dict[str, File | Folder | None]) -> None:
        self.pending.append((ended, names))
        _name(self.now, names)

    def sync(self, began: float) -> None:
        for _, names in (each for each in self.pending if each[0] <= began):
            _name(self.kept, names)
        self.pending = [each for each in self.pending if each[0] > began]

    def after_cut(self, luck: float, chance: random.Random) -> dict[str, File | Folder]:
        found = dict(self.kept)
        for _, names in self.pending:
            if chance.random() < luck:
                _name(found, names)
        return found


def _put(content: bytearray, where: int, data: bytes | None) -> None:
    wanted = where if data is None else where + len(data)
    if data is None:
        del content[where:]
    content.extend(bytes(max(0, wanted - len(content))))
    if data is not None:
        content[where:wanted] = data


def _blocks(where: int, data: bytes | None) -> list[tuple[int, bytes | None]]:
    """A write as the pieces that a disk writes by themselves."""
    if data is None:
        return [(where, None)]
    end = where + len(data)
    edges = [where, *range((where // BLOCK + 1) * BLOCK, end, BLOCK), end]
    return [(first, data[first - where : last - where]) for first, last in pairwise(edges)]


def _name(names: dict[str, File | Folder], changes: dict[str, File | Folder | None]) -> None:
    for name, what in changes.items():
        if what is None:
            names.pop(name, None)
        else:
            names[name] = what


class Disk:
    """Everything below the folder `root`, which is on the disk. Paths are absolute; what is elsewhere does not matter.

    A sync of a path that matches the expression `deaf` does nothing, for tests that must fail.
    """

    def __init__(self, root: str, deaf: str = NONE) -> None:
        self.root = root
        self.top = Folder()
        self._deaf = re.compile(deaf)

    def find(self, path: str) -> File | Folder | None:
        """What is at a path now."""
        if path == self.root:
            return self.top
        if not path.startswith(self.root + "/"):
            return None
        place: File | Folder | None = self.top
        for name in path[len(self.root) + 1 :].split("/"):
            place = place.now.get(name) if isinstance(place, Folder) else None
        return place

    def _folder_of(self, path: str) -> tuple[Folder | None, str]:
        above, _, name = path.rpartition("/")
        found = self.find(above)
        return (found if isinstance(found, Folder) else None), name

    def make_folder(self, ended: float, path: str) -> None:
        above, name = self._folder_of(path)
        if above is not None:
            above.change(ended, {name: Folder()})

    def open(self, ended: float, path: str, empty: bool) -> None:
        """Opened so that it is made when it is missing; `empty` cuts what is there."""
        above, name = self._folder_of(path)
        if above is None:
            return
        found = above.now.get(name)
        if found is None:
            above.change(ended, {name: File()})
        elif empty and isinstance(found, File):
            found.change(ended, 0, None)

    def write(self, ended: float, path: str, where: int | None, data: bytes) -> None:
        """At a place, or (None) at the end. The file may have lost its name."""
        found = self.find(path)
        if isinstance(found, File):
            found.change(ended, len(found.now) if where is None else where, data)

    def truncate(self, ended: float, path: str, size: int) -> None:
        found = self.find(path)
        if isinstance(found, File):
            found.change(ended, size, None)

    def remove(self, ended: float, path: str) -> None:
        above, name = self._folder_of(path)
        if above is not None and name in above.now:
            above.change(ended, {name: None})

    def rename(self, ended: float, source: str, target: str) -> None:
        above, old = self._folder_of(source)
        there, new = self._folder_of(target)
        if above is None or old not in above.now:
            return
        if above is not there:
            raise ValueError(f"a rename from one folder to another: {source} to {target}")
        above.change(ended, {old: None, new: above.now[old]})

    def sync(self, began: float, path: str) -> None:
        found = self.find(path)
        if found is not None and not self._deaf.search(path):
            found.sync(began)

    def cut(self, target: Path, luck: float, chance: random.Random) -> None:
        """Lay out in the new folder `target` what may be found after the power went; each change is there with odds `luck`."""
        self._lay_out(self.top, target, luck, chance)

    def _lay_out(self, folder: Folder, target: Path, luck: float, chance: random.Random) -> None:
        target.mkdir(mode=0o700)
        for name, what in folder.after_cut(luck, chance).items():
            if isinstance(what, Folder):
                self._lay_out(what, target / name, luck, chance)
            else:
                (target / name).touch(0o600)
                (target / name).write_bytes(what.after_cut(luck, chance))
