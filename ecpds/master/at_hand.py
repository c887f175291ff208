"""What the Master says and does at once: the part of it that makes `IAtHand`.

Nothing is kept for what it says: it is what the accounts and the resolve cache remember anyway, and forget when it changes.

A small file that is in memory as a whole is stored and published as one step: all that `allocate` checks is checked here, by
what is remembered; then its bytes are stored, and it gets its name, with all files of the same turn of the reactor in one
transaction at its end (`put_by_turn`), or by itself at once (`put_now`). There is never a row without its bytes. Bytes without
a row are there where the transaction fails, as always, and are given up as always.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ecpds.errors import NoSpace, Refusal, Unavailable
from ecpds.limits import Limits
from ecpds.master import tree
from ecpds.master.accounts import Accounts
from ecpds.master.afterwards import Afterwards, owing
from ecpds.master.cache import ResolveCache
from ecpds.master.defender import Defender
from ecpds.master.holdings import caps_of
from ecpds.master.ids import Ids
from ecpds.master.known_folders import KnownFolders
from ecpds.master.movers import Movers
from ecpds.master.publishing import Publication, check_room
from ecpds.master.quotas import UPLOAD, quotas_of
from ecpds.master.reader import Reader
from ecpds.master.releasing import Releases
from ecpds.master.uploads import Upload
from ecpds.master.writer import Writer
from ecpds.model import ANYTHING, Allocation, Copy, Destination, Entry, Identity, Receipt
from ecpds.terms import AllocationRequest

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
    reader: Reader
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
        found = self._stored(request, store) if self.writer.is_free else None
        if found is None:
            return None
        upload, publication = found
        try:
            entry = self.writer.run_now(publication)
        except Exception as error:
            self._was_not_named(error, upload)
            raise
        if entry is None:
            self.discard(upload.allocation.id, upload.copies)
            return None
        return self._was_named(entry, publication)

    def put_by_turn(self, request: AllocationRequest, store: Store) -> Deferred[Entry] | None:
        found = self._stored(request, store)
        return None if found is None else self._by_turn(*found)

    def name_by_turn(self, request: AllocationRequest, allocation: Allocation, receipt: Receipt) -> Deferred[Entry] | None:
        """As `put_by_turn`, of a file that is stored at another node by what it was lent (`ecpds.loans`)."""
        destination = self._destinations.get(request.destination)
        if destination is None or not self.writer.at_once:
            return None
        if not self._may_be_put(request, destination) or not self._has_room(request, destination.id):
            return None
        upload = Upload(request, destination.id, allocation)
        return self._by_turn(upload, self._publication(upload, destination, receipt))

    def _by_turn(self, upload: Upload, publication: Publication) -> Deferred[Entry]:
        def failed(failure: Failure) -> Failure:
            self._was_not_named(failure.value, upload)
            return failure

        return self.writer.by_turn(publication).addCallbacks(self._was_named, failed, (publication,))

    def _stored(self, request: AllocationRequest, store: Store) -> tuple[Upload, Publication] | None:
        """Allocate it and have it stored, where nothing is in the way; what is left is the name."""
        destination = self._destinations.get(request.destination)
        if destination is None or destination.copies != 1 or not self.writer.at_once:
            return None
        if not self._may_be_put(request, destination) or not self._has_room(request, destination.id):
            return None
        id_ = self.ids.peek()
        place = self.movers.place_now(request.size or 0, destination.group, request.origin.node) if id_ is not None else None
        if id_ is None or place is None:
            return None
        allocation = Allocation(id_, (place,), self.wanted_digests(request, destination))
        receipt = store(allocation)
        if receipt is None:
            return None
        self.ids.take_now()
        upload = Upload(request, destination.id, allocation)
        return upload, self._publication(upload, destination, receipt)

    def _has_room(self, request: AllocationRequest, destination: int) -> bool:
        """Whether nothing that is there is in the way. The commit asks again; what is not there now is told by others."""
        if request.terms.condition == ANYTHING and self._folders.have_room(destination, request.path):
            return True
        try:
            room = self.reader.ask_now(lambda session: tree.room(session, destination, request.path))
            check_room(room, request.terms.condition)
        except Refusal:
            return False
        return room.parent is not None

    def _may_be_put(self, request: AllocationRequest, destination: Destination) -> bool:
        """As far as is remembered, is seen at once, and counts for no quota: those are told by more than is at hand."""
        if not self.releases.seen_at_once(destination, request.path):
            return False
        account = self.accounts.known_to_may(request.user_id, "put", request.destination, request.path)
        if account is None:
            return False
        options = account.rights.options
        if (options or destination.options) and (
            quotas_of(UPLOAD, account.login, options, request.destination, destination.options)
            or caps_of(request.user_id, options, destination)
        ):
            return False
        try:
            self.check_announced(request)
        except Refusal:
            return False
        return True

    def _was_named(self, entry: Entry, publication: Publication) -> Entry:
        self.seen_named(publication.destination, entry)
        if publication.owed:
            self.afterwards.note(publication.file.id)
        return entry

    def _was_not_named(self, error: BaseException | None, upload: Upload) -> None:
        if isinstance(error, Unavailable | NoSpace):
            # The storage failed: it may have taken the change or not, so nothing that was known is believed.
            self.resolved.clear()
            self._folders.clear()
        self.discard(upload.allocation.id, upload.copies)

    def _publication(self, upload: Upload, destination: Destination, receipt: Receipt) -> Publication:
        upload.add(receipt)
        now = self.clock.seconds()
        file, request = upload.data_file(now), upload.request
        owed = owing(destination, file.digests)
        return Publication(destination.id, request.path, file, request.terms.condition, now + self.limits.ticket_life, owed)

    def seen_named(self, destination: int, entry: Entry) -> None:
        """A file has this name now; where it waits to be released, another may be seen."""
        if entry.waits is None:
            self.resolved.put(destination, Entry(entry.path, entry.mtime, entry.file))
        else:
            self.resolved.drop(destination, entry.path)
            self.releases.note(entry.waits)
        self._folders.put(destination, entry.path)
