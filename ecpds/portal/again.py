"""A user who comes again and again, as with each request of one HTTP connection: asked and answered without waiting.

What a login checks each time is checked here too, by the Master in the same process: it answers with the same identity until
something of it changes (a password, a key, a right, a destination, an expiry), so the identity that was given before
either is still that one, or the user must log in anew; and it says whether too many wrong passwords came from an address.
What a path is, the Master remembers, and forgets when it changes. Nothing is refused here: whatever is not plainly there and
allowed is None, and is asked as always.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from ecpds.errors import Refusal
from ecpds.interfaces import IByteSink, IPromptReads
from ecpds.master_interfaces import IAtHand
from ecpds.model import VISITOR, Entry
from ecpds.options import MOST_SESSIONS_BY_TIME, ONE_TIME_CODES
from ecpds.portal.journal import Soon, TransferRecord
from ecpds.portal.kept import Kept
from ecpds.portal.pace import DOWNLOAD, Pace
from ecpds.portal.paths import CanonicalPath
from ecpds.portal.whole import Whole
from ecpds.portal_interfaces import IDownload
from ecpds.terms import NO_TERMS, Terms

BY_THE_CLOCK = frozenset((MOST_SESSIONS_BY_TIME, ONE_TIME_CODES))
"""Options of users whose login may be refused a minute later, though nothing has changed."""

Suits = Callable[[Entry], bool]


@implementer(IDownload)
class KeptDownload:
    """A small file that is open, all of it in memory. Where it has a `pace`, its bytes were let through once already."""

    def __init__(self, entry: Entry, data: memoryview, record: TransferRecord, pace: Pace | None, soon: Soon) -> None:
        self.entry = entry
        self._data = data
        self._record = record
        self._pace = pace
        self._soon = soon
        self._let_through = len(data)

    async def send(self, sink: IByteSink, offset: int = 0, length: int | None = None) -> None:
        piece = self._data[offset:] if length is None else self._data[offset : offset + length]
        if self._pace is not None and not self._may_cross(len(piece), self._pace):
            await self._pace.spend(len(piece))
        if len(piece):
            await sink.write(piece)
        self._record.sent += len(piece)

    def held(self, offset: int, length: int) -> memoryview | None:
        piece = self._data[offset : offset + length]
        if self._pace is not None and not self._may_cross(len(piece), self._pace):
            return None
        self._record.sent += len(piece)
        return piece

    def _may_cross(self, size: int, pace: Pace) -> bool:
        """Whether so many bytes may now. Those of a file that is read again and again count each time."""
        if size <= self._let_through:
            self._let_through -= size
            return True
        return pace.spend_now(size)

    def close(self, failure: BaseException | None = None) -> None:
        self._record.end(failure, self._soon)


class Returning(Whole):
    """The part of a view that answers at once. The attributes are the view's."""

    def _sees_waiting(self, name: CanonicalPath) -> bool:
        raise NotImplementedError

    def _shown(self, destination: str, entry: Entry) -> Entry:
        raise NotImplementedError

    def look_again(self, path: str, suits: Suits) -> Entry | None:
        """As `IPortal.look_again`."""
        found = self._find(path)
        return found[1] if found is not None and suits(found[1]) else None

    def read_again(self, path: str) -> IDownload | None:
        """As `IFileSystem.read_again`."""
        found = self._find(path)
        if found is None:
            return None
        name, entry = found
        if name.destination in self.identity.metered:
            return None
        file = entry.file
        kept = self._bytes(entry)
        if kept is None or file is None:
            return None
        pace = self._pace(DOWNLOAD, name.destination)
        if pace is not None and not pace.spend_now(file.size):
            return None
        record = TransferRecord(self.journal, "download", name, file.id, file.size, kept.place)
        return KeptDownload(entry, kept.data, record, pace, self._backing.soon)

    def put_again(self, path: str, data: memoryview, terms: Terms = NO_TERMS, alone: bool = False) -> Deferred[Entry] | None:
        """As `IPortal.put_again`."""
        if self._let_in_anew() is None:
            return None
        try:
            entry = self.put_now(path, data, terms) if alone else None
        except Exception:
            return fail()
        return self.put_by_turn(path, data, terms) if entry is None else succeed(entry)

    def _let_in_anew(self) -> IAtHand | None:
        """What is asked, where a login of the same user would be answered with the same identity."""
        at_hand, identity = self._backing.at_hand, self.identity
        # A link counts its uses, and what visitors may read is each file's own affair.
        if at_hand is None or identity.share or identity.visits or identity.user_id == VISITOR:
            return None
        if not BY_THE_CLOCK.isdisjoint(identity.options):
            return None
        if identity.credential and not at_hand.admits(self.origin.address, identity.login):
            return None
        return at_hand if self._is_fresh() and at_hand.still(identity) else None

    def _find(self, path: str) -> tuple[CanonicalPath, Entry] | None:
        at_hand = self._let_in_anew()
        if at_hand is None:
            return None
        try:
            name = self._file(path, "get")
        except Refusal:
            return None
        entry = at_hand.known(name.destination, name.inside, self._sees_waiting(name))
        return (name, self._shown(name.destination, entry)) if entry is not None and entry.file is not None else None

    def _bytes(self, entry: Entry) -> Kept | None:
        """All bytes of a file that has one small segment: those that are kept, or that can be had at once."""
        segments = entry.file.segments if entry.file is not None else ()
        backing = self._backing
        if len(segments) != 1 or segments[0].length > backing.kept.largest:
            return None
        (segment,) = segments
        kept = backing.kept.get(segment)
        if kept is not None:
            return kept
        for place in segment.copies:
            store = backing.stores.get(place.mover)
            data = store.read_now(segment.id, place, segment.length) if IPromptReads.providedBy(store) else None
            if data is not None:
                backing.kept.keep(segment, place, data)
                return Kept(data, place, segment)
        return None
