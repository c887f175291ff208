"""The façade, over a real Master and a real store, keeps to the contract that its twin in memory does."""

from __future__ import annotations

from ecpds.portal_interfaces import IFileSystem
from tests.contracts import filesystem
from tests.portal.house import House


class Maker(filesystem.FileSystemContract):
    def setUp(self) -> None:
        self.house: House | None = None
        super().setUp()

    def new_house(self) -> House:
        return House(self, self.sink)

    def make(self, permissions: tuple[str, ...], destinations: tuple[str, ...]) -> IFileSystem:
        if self.house is None:
            self.house = self.new_house()
            for name in filesystem.DESTINATIONS:
                self.house.add_destination(name)
        count = len(self.house.now(self.house.operations.users()))
        user = self.house.add_user(f"user-{count}", destinations, permissions=permissions)
        return self.house.files_of(user)


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
