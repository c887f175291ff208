"""What the Master says and does at once: the part of it that makes `IAtHand`.

Nothing is kept for what it says: it is what the accounts and the resolve cache remember anyway, and forget when it changes.

A small file that is in memory as a whole is stored and published as one step (`put_now`): all that `allocate` checks is
checked here, by what is remembered; then its bytes are stored in the middle of the transaction that gives it its name, between
the question whether it may and the rows. There is never a row without its bytes. Bytes without a row are there where the
transaction fails, as always, and are given up as always.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from twisted.internet.interfaces import IReactorTime

from ecpds.errors import NoSpace, Refusal, Unavailable
from ecpds.limits import Limits
from ecpds.master.accounts import Accounts
from ecpds.master.afterwards import Afterwards, owing
from ecpds.master.cache import ResolveCache
from ecpds.master.defender import Defender
from ecpds.master.holdings import caps_of
from ecpds.master.ids import Ids
from ecpds.master.known_folders import KnownFolders
from ecpds.master.movers import Movers
from ecpds.master.publishing import Arrival, Publication
from ecpds.master.quotas import UPLOAD, quotas_of
from ecpds.master.releasing import Releases
from ecpds.master.uploads import Upload
from ecpds.master.writer import Writer
from ecpds.model import Allocation, AllocationRequest, Copy, Destination, Entry, Identity, Receipt

Store = Callable[[Allocation], Receipt | None]


class AtHand:
    """The attributes are the Master's."""

    clock: IReactorTime
    limits: Limits
    accounts: Accounts
    releases: Releases
    resolved: ResolveCache
    ids: Ids
    movers: Movers
    writer: Writer
    afterwards: Afterwards
    _defender: Defender
    _folders: KnownFolders
    _destinations: dict[str, Destination]

    def discard(self, segment: int, copies: Collection[Copy]) -> None:
        raise NotImplementedError

    def check_announced(self, request: AllocationRequest) -> None:
        raise NotImplementedError

    def wanted_digests(self, request: AllocationRequest, destination: Destination) -> tuple[str, ...]:
        raise NotImplementedError

    def still(self, identity: Identity) -> bool:
        return self.accounts.still(identity)

    def admits(self, address: str, login: str) -> bool:
        return self._defender.admits(address, login)

    def known(self, destination: str, path: str, waiting: bool = False) -> Entry | None:
        place = self._destinations.get(destination)
        if place is None or (waiting and self.releases.concern(place.id)):
            return None
        return self.resolved.get(place.id, path)

    def takes_now(self, request: AllocationRequest) -> bool:
        destination = self._destinations.get(request.destination)
        if destination is None or destination.copies != 1 or not self._folders.have_room(destination.id, request.path):
            return False
        at_once = self.writer.at_once and self.movers.takes_now(destination.group, request.origin.node)
        return at_once and self._may_be_put(request, destination)

    def put_now(self, request: AllocationRequest, store: Store) -> Entry | None:
        destination = self._destinations.get(request.destination)
        if destination is None or destination.copies != 1 or not self._may_be_put(request, destination):
            return None
        id_ = self.ids.peek()
        place = self.movers.place_now(request.size or 0, destination.group, request.origin.node) if id_ is not None else None
        if id_ is None or place is None:
            return None
        allocation = Allocation(id_, (place,), self.wanted_digests(request, destination))
        try:
            return self._arrive(request, destination, allocation, store)
        finally:
            self.movers.ended((place,))

    def _may_be_put(self, request: AllocationRequest, destination: Destination) -> bool:
        """As far as is remembered, is seen at once, and counts for no quota: those are told by more than is at hand."""
        if not self.releases.seen_at_once(destination, request.path):
            return False
        account = self.accounts.known_to_may(request.user_id, "put", request.destination, request.path)
        if account is None:
            return False
        options = account.rights.options
        if quotas_of(UPLOAD, account.login, options, request.destination, destination.options):
            return False
        if caps_of(request.user_id, options, destination):
            return False
        try:
            self.check_announced(request)
        except Refusal:
            return False
        return True

    def _arrive(
        self, request: AllocationRequest, destination: Destination, allocation: Allocation, store: Store
    ) -> Entry | None:
        upload = Upload(request, destination.id, allocation)

        def stored() -> Publication | None:
            receipt = store(allocation)
            return None if receipt is None else self._publication(upload, destination, receipt)

        arrival = Arrival(destination.id, request.path, allocation.id, request.condition, stored)
        entry: Entry | None = None
        try:
            entry = self.writer.run_now(arrival)
        except (Unavailable, NoSpace):
            # The storage failed: it may have taken the change or not, so nothing that was known is believed.
            self.resolved.clear()
            self._folders.clear()
            if arrival.publication is not None:
                raise
        finally:
            if arrival.publication is not None:
                # Not before: it may have the next ids reserved, which is a transaction of its own.
                self.ids.take_now()
                if entry is None:
                    self.discard(allocation.id, upload.copies)
        if entry is not None:
            self.seen_named(destination.id, entry)
            if arrival.publication is not None and arrival.publication.owed:
                self.afterwards.note(allocation.id)
        return entry

    def _publication(self, upload: Upload, destination: Destination, receipt: Receipt) -> Publication:
        upload.add(receipt)
        now = self.clock.seconds()
        file, request = upload.data_file(now), upload.request
        owed = owing(destination, file.digests)
        return Publication(destination.id, request.path, file, request.condition, now + self.limits.ticket_life, owed)

    def seen_named(self, destination: int, entry: Entry) -> None:
        """A file has this name now; where it waits to be released, another may be seen."""
        if entry.waits is None:
            self.resolved.put(destination, Entry(entry.path, entry.mtime, entry.file))
        else:
            self.resolved.drop(destination, entry.path)
            self.releases.note(entry.waits)
        self._folders.put(destination, entry.path)
