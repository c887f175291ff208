"""The destinations, all of which the Master has in memory: a part of `IMaster`, and what is told when one has changed.

Who tells whom: who changes one in the catalogue tells of it here, when that is committed. Where the storage fails in the middle
nobody knows whether the change was made; so all are read again, as often as it takes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from twisted.internet.interfaces import IReactorTime

from ecpds.errors import NotFound
from ecpds.master import destinations
from ecpds.master.accounts import Accounts
from ecpds.master.cache import ResolveCache
from ecpds.master.known_folders import KnownFolders
from ecpds.master.reader import Reader
from ecpds.master.shared import Rounds
from ecpds.master.usage import Usages
from ecpds.model import Destination

AGAIN = 1.0
"""Seconds between two tries to read them."""


class KnownDestinations:
    """The attributes are the Master's."""

    accounts: Accounts
    reader: Reader
    resolved: ResolveCache
    usages: Usages
    doubt: Doubt
    _destinations: dict[str, Destination]
    _folders: KnownFolders

    def destination(self, name: str) -> Destination:
        """Raises `NotFound`."""
        try:
            return self._destinations[name]
        except KeyError:
            raise NotFound(f"destination {name[:100]!a}") from None

    def there(self, name: str) -> Destination | None:
        """The destination of that name, where there is one."""
        return self._destinations.get(name)

    def destinations(self) -> Sequence[Destination]:
        return [self._destinations[name] for name in sorted(self._destinations)]

    def destination_changed(self, destination: Destination) -> None:
        """It is new, or not as it was: what its users call it, and who may use it from where, may have changed too."""
        self.doubt.changes += 1
        self._destinations[destination.name] = destination
        self.accounts.forget_all()

    def destination_removed(self, destination: Destination) -> None:
        """Nobody finds it any more, or puts anything into it that is not on its way already."""
        self.doubt.changes += 1
        self._destinations.pop(destination.name, None)
        self.usages.forget(destination)
        self.accounts.forget_all()
        self.resolved.clear()
        self._folders.clear()

    async def removed_by(self, destination: Destination, work: Awaitable[None]) -> None:
        """Nobody finds it from here on, while `work` removes it from the catalogue. Where that fails, it is there again.

        What is on its way already may still come in. Raises what the work raises.
        """
        self.destination_removed(destination)
        try:
            await work
        except BaseException:
            self.destination_changed(destination)
            self.doubt.begin()
            raise
        self.destination_removed(destination)

    def destinations_read(self, found: Iterable[Destination]) -> None:
        """These are what there is."""
        self._destinations.clear()
        self._destinations.update((each.name, each) for each in found)
        self.accounts.forget_all()

    def _set_of(self, names: Iterable[str], option: str) -> list[tuple[str, str]]:
        known = (self._destinations[name] for name in names if name in self._destinations)
        return [(each.name, each.options.get(option, "")) for each in known]


class Doubt:
    """Reads the destinations again, where one may have changed of which nobody was told; `told` hears of them all.

    `changes` goes up with each that is told of: what was read before is not believed after.
    """

    def __init__(self, reader: Reader, clock: IReactorTime, told: Callable[[Sequence[Destination]], None]) -> None:
        self.changes = 0
        self._stopped = False
        self._reader = reader
        self._told = told
        self._work = Rounds("reading the destinations again", self._read, clock)

    def begin(self) -> None:
        """The storage has failed under a change."""
        self.changes += 1
        if not self._stopped:
            self._work.start(AGAIN)

    def stop(self) -> None:
        self._stopped = True
        self._work.end()

    async def _read(self) -> None:
        changes = self.changes
        found = await self._reader.ask(destinations.every)
        if changes == self.changes:
            self._work.end()
            self._told(found)
