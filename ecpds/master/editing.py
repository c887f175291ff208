"""What is changed of names and times, and moves no byte: a part of `IMaster`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime

from ecpds.errors import AlreadyExists, InvalidRequest, NotFound, NotPermitted
from ecpds.events import is_time
from ecpds.limits import Limits
from ecpds.master import changes, standby
from ecpds.master.accounts import Accounts
from ecpds.master.cache import ResolveCache
from ecpds.master.releasing import Releases
from ecpds.master.shared import detached
from ecpds.master.sql import Session
from ecpds.master.standby import Renaming
from ecpds.model import ANYTHING, REPLACING, Condition, Destination, Entry
from ecpds.releases import MAY_RELEASE

T = TypeVar("T")


class Editing:
    """The attributes are the Master's."""

    accounts: Accounts
    clock: IReactorTime
    limits: Limits
    releases: Releases
    resolved: ResolveCache

    def destination(self, name: str) -> Destination:
        raise NotImplementedError

    async def resolve(self, destination: str, path: str, waiting: bool = False) -> Entry:
        raise NotImplementedError

    async def change(self, operation: Callable[[Session], T], then: Callable[[T], None]) -> T:
        raise NotImplementedError

    async def set_mtime(self, user: int, destination: str, path: str, mtime: float, waiting: bool = False) -> Entry:
        await self.accounts.authorise(user, "mtime", destination, path)
        if not is_time(mtime):
            raise InvalidRequest("that is no time")
        place = self.destination(destination).id
        change = self._ways(place, waiting).set_mtime
        return await self.change(lambda session: change(session, place, path, mtime), lambda _: self.resolved.drop(place, path))

    async def set_released(self, user: int, destination: str, path: str, released: bool) -> Entry:
        await self.accounts.authorise(user, "put", destination, path)
        await self._check_may_release(user)
        return await (self.releases.release if released else self.releases.hold)(destination, path)

    async def release_folder(self, user: int, destination: str, path: str) -> int:
        await self._check_may_release(user)

        async def may(file: str) -> bool:
            try:
                await self.accounts.authorise(user, "put", destination, file)
            except NotPermitted:
                return False
            return True

        return await detached(self.releases.release_below(destination, path, may))

    async def _check_may_release(self, user: int) -> None:
        _, options = await self.accounts.options_of(user)
        if options.get(MAY_RELEASE) != "true":
            raise NotPermitted

    async def make_directory(self, user: int, destination: str, path: str) -> Entry:
        await self.accounts.authorise(user, "mkdir", destination, path)
        place, now = self.destination(destination).id, self.clock.seconds()
        change = self._ways(place).make_directory
        return await self.change(lambda session: change(session, place, path, now), lambda _: None)

    async def remove_directory(self, user: int, destination: str, path: str) -> None:
        await self.accounts.authorise(user, "rmdir", destination, path)
        place, due = self.destination(destination).id, self.clock.seconds() + self.limits.ticket_life
        change = self._ways(place).remove_directory
        await self.change(
            lambda session: change(session, place, path, due),
            lambda _: self.resolved.drop(place, f"{path}/"),
        )

    async def delete(self, user: int, destination: str, path: str, condition: Condition, waiting: bool = False) -> Entry:
        await self.accounts.authorise(user, "delete", destination, path)
        return await self.delete_file(destination, path, condition, waiting)

    async def delete_file(self, destination: str, path: str, condition: Condition = ANYTHING, waiting: bool = True) -> Entry:
        """As `delete`, for operators."""
        place, due = self.destination(destination).id, self.clock.seconds() + self.limits.ticket_life
        change = self._ways(place, waiting).delete
        return await self.change(
            lambda session: change(session, place, path, condition, due), lambda _: self.resolved.drop(place, path)
        )

    async def rename(
        self, user: int, destination: str, source: str, target: str, replace: bool = True, waiting: bool = False
    ) -> Entry:
        for path in (source, target):
            await self.accounts.authorise(user, "rename", destination, path)
        may_replace = source == target or await self._may_replace(user, destination, target)
        try:
            return await self._rename(destination, source, target, replace and may_replace, waiting)
        except AlreadyExists:
            if replace and not may_replace and not await self._is_folder(destination, source, target):
                raise NotPermitted from None
            raise

    async def _is_folder(self, destination: str, *paths: str) -> bool:
        """Whether one of them is: what concerns a folder replaces nothing, whatever the user may do."""
        for path in paths:
            with suppress(NotFound):
                if (await self.resolve(destination, path)).is_directory:
                    return True
        return False

    async def _may_replace(self, user: int, destination: str, path: str) -> bool:
        """Whether the user might do away with a file at `path` without a rename."""
        for permission in REPLACING:
            with suppress(NotPermitted):
                await self.accounts.authorise(user, permission, destination, path)
                return True
        return False

    async def _rename(self, destination: str, source: str, target: str, replace: bool, waiting: bool) -> Entry:
        found, now = self.destination(destination), self.clock.seconds()
        place, due = found.id, now + self.limits.ticket_life

        def forget(renamed: Entry) -> None:
            if renamed.is_directory:
                self.resolved.clear()
            if renamed.waits is not None:
                self.releases.note(renamed.waits)
            self.resolved.drop(place, source)
            self.resolved.drop(place, target)

        if self.releases.concern(place):
            renaming = Renaming(place, source, target, replace, waiting, found.options, now, due)
            return await self.change(renaming, forget)
        return await self.change(lambda session: changes.rename(session, place, source, target, due, replace), forget)

    def _ways(self, destination: int, waiting: bool = True) -> ModuleType:
        """The changes as who sees what waits has them, where anything does, or as everybody has."""
        return standby if waiting and self.releases.concern(destination) else changes
