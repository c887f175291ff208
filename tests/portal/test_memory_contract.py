"""The file system in memory keeps to the contract that the real one does."""

from __future__ import annotations

from itertools import count

from ecpds.model import Identity, Origin
from ecpds.portal_interfaces import IFileSystem
from tests.contracts import filesystem
from tests.doubles import MemoryFileSystem, MemoryTree


class Maker(filesystem.FileSystemContract):
    def setUp(self) -> None:
        self.tree = MemoryTree(filesystem.DESTINATIONS)
        self.users = count(1)
        super().setUp()

    def make(self, permissions: tuple[str, ...], destinations: tuple[str, ...]) -> IFileSystem:
        identity = Identity(next(self.users), "alice", frozenset(permissions), destinations)
        return MemoryFileSystem(self.tree, identity, Origin("ftp", "192.0.2.1", "node-1"), self.sink)


class ReadAndWrite(Maker, filesystem.ReadAndWrite):
    pass


class Conditions(Maker, filesystem.Conditions):
    pass


class Directories(Maker, filesystem.Directories):
    pass


class Renaming(Maker, filesystem.Renaming):
    pass


class Rights(Maker, filesystem.Rights):
    pass


class Records(Maker, filesystem.Records):
    pass


class Keeping(Maker, filesystem.Keeping):
    pass


class Facts(Maker, filesystem.Facts):
    pass
