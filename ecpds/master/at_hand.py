"""What the Master says at once, because it remembers it: the part of it that makes `IAtHand`.

Nothing is kept for this: it is what the accounts and the resolve cache remember anyway, and forget when it changes.
"""

from __future__ import annotations

from ecpds.master.accounts import Accounts
from ecpds.master.cache import ResolveCache
from ecpds.master.defender import Defender
from ecpds.model import Destination, Entry, Identity


class AtHand:
    """The attributes are the Master's."""

    accounts: Accounts
    resolved: ResolveCache
    _defender: Defender
    _destinations: dict[str, Destination]

    def still(self, identity: Identity) -> bool:
        return self.accounts.still(identity)

    def admits(self, address: str, login: str) -> bool:
        return self._defender.admits(address, login)

    def known(self, destination: str, path: str) -> Entry | None:
        place = self._destinations.get(destination)
        return self.resolved.get(place.id, path) if place is not None else None
