"""The Master: decides, and keeps the catalogue.

Who tells whom, for a push: a User Data Mover asks for an allocation; target movers send a receipt for each copy that is
on disk; with the last of them the Master commits, and answers the `finish` that the User Data Mover has waiting. Until
the commit all of this is in memory: a Master that dies forgets the upload; the next is told of it anew (`readmission`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from random import Random
from typing import TypeVar

from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ecpds.errors import InvalidRequest, NoSpace, NotADirectory, NotFound, Refusal, TooLarge, Unavailable
from ecpds.events import is_time
from ecpds.interfaces import IMoverControl, IThreads
from ecpds.keys import Vault
from ecpds.limits import Limits
from ecpds.master import changes, destinations, files, multipart, reclaim, standby, tree
from ecpds.master.accounts import Accounts
from ecpds.master.afterwards import Afterwards, owing, while_it_comes
from ecpds.master.at_hand import AtHand
from ecpds.master.buckets import Buckets, needless_md5_left_out
from ecpds.master.cache import ResolveCache
from ecpds.master.credentials import Credentials
from ecpds.master.editing import Editing
from ecpds.master.engine import Engine
from ecpds.master.entrance import Entrance
from ecpds.master.evacuation import Evacuation
from ecpds.master.figures import Figures
from ecpds.master.history import History
from ecpds.master.holdings import Cap, Capped
from ecpds.master.ids import Ids
from ecpds.master.keyed import KeyedMaster
from ecpds.master.known_destinations import Doubt, KnownDestinations
from ecpds.master.known_folders import KnownFolders
from ecpds.master.lifetimes import Lifetimes
from ecpds.master.loans import Loans
from ecpds.master.movers import Facts, Movers
from ecpds.master.multiparts import Multiparts
from ecpds.master.passwords import Passwords
from ecpds.master.publishing import Publication, check_room
from ecpds.master.quotas import Quota, Quotas
from ecpds.master.reader import Reader
from ecpds.master.readmission import Readmission
from ecpds.master.reclaim import Reclaim
from ecpds.master.releasing import Releases
from ecpds.master.roster import Roster
from ecpds.master.scrubbing import Scrubbed, Scrubbing
from ecpds.master.shared import Turns, detached
from ecpds.master.sharing import Sharing
from ecpds.master.sql import Session
from ecpds.master.standby import Placing
from ecpds.master.uploads import Upload, Uploads
from ecpds.master.usage import Usages
from ecpds.master.writer import Writer
from ecpds.master_interfaces import IAtHand, IMaster
from ecpds.model import (
    ANYTHING,
    DIGESTS,
    Allocation,
    Copy,
    DataFile,
    Destination,
    Entry,
    Page,
    Partial,
    Receipt,
    StoredSegment,
)
from ecpds.terms import AllocationRequest

T = TypeVar("T")

NAMING = (Publication, Placing, Capped)
"""Changes that give a file its name, and concern no user and no destination."""


@implementer(IMaster, IAtHand)
class Master(KnownDestinations, Entrance, KeyedMaster, Editing, AtHand, Figures, Scrubbed):
    """`IMaster` over the catalogue of an engine that is open.

    `threads` run the longer questions, `login_threads` password hashes (their queue must be bounded). `random` must be
    unpredictable (`random.SystemRandom`). The vault opens the secrets of access keys. The clock's seconds are since the epoch.
    """

    log = Logger()

    def __init__(
        self,
        engine: Engine,
        writer: Writer,
        threads: IThreads,
        login_threads: IThreads,
        limits: Limits,
        clock: IReactorTime,
        random: Random,
        vault: Vault,
    ) -> None:
        super().__init__(clock, limits)
        self.clock = clock
        self.random = random
        self.vault = vault
        self.limits = limits
        self.writer = writer
        self.reader = Reader(engine, threads)
        self.passwords = Passwords(login_threads, clock, random, limits.credential_life)
        credentials = Credentials(self.passwords, writer, vault, clock, limits)
        self.accounts = Accounts(self.reader, writer, credentials, vault, clock, self._set_of, self.destination)
        self.movers = Movers(clock, random, limits)
        self.roster = Roster(self.reader, writer, self.movers)
        self.uploads = Uploads(lambda upload: self.movers.ended(upload.allocation.placements))
        self.quotas = Quotas(self.reader, clock, lambda: self.history.catch_up())
        self.history = History(writer, clock, limits.history_days, self.quotas.heard)
        self.ids = Ids(writer)
        self._cache = self.resolved = ResolveCache()
        self._folders = KnownFolders(self.reader)
        self._reclaim = Reclaim(self.reader, writer, self.movers, clock)
        self.scrubbing = Scrubbing(self)
        self.afterwards = Afterwards(
            self.reader,
            writer,
            self.movers.controls,
            self._cache,
            clock,
            limits.digest_threads // 2,
            self.scrubbing.check,
        )
        self.evacuation = Evacuation(self)
        self.lifetimes = Lifetimes(self)
        self.releases = Releases(self)
        self.loans = Loans(self)
        self._destinations: dict[str, Destination] = {}
        self.doubt = Doubt(self.reader, clock, self.destinations_read)
        self.multiparts = Multiparts(self)
        self.completing = Turns()
        self.sharing = Sharing(self.accounts, self.passwords, self.reader, writer, clock, random)
        self.buckets = Buckets(self)
        self._readmission = Readmission(self)
        self.usages = Usages(self.reader, clock, limits.usage_life)

    async def start(self) -> None:
        """Before anybody asks. The engine is open."""
        self.writer.start()
        self._readmission.start(await self.writer.run(reclaim.begin))
        self.destinations_read(await self.reader.ask(destinations.every))
        await self.roster.start()
        self.movers.start()
        self._reclaim.start()
        self.afterwards.start()
        self.evacuation.start()
        self.lifetimes.start()
        await self.releases.start()
        self.multiparts.start()

    async def stop(self) -> None:
        """When nobody asks any more: what is queued is committed, then the catalogue is left."""
        self.movers.stop()
        self.doubt.stop()
        self._readmission.stop()
        await self.lifetimes.stop()
        await self.releases.stop()
        await self.evacuation.stop()
        await self.afterwards.stop()
        await self.multiparts.stop()
        await self._reclaim.stop()
        await self.history.flush()
        await self.writer.stop()
        self.reader.close()

    def register_mover(self, control: IMoverControl, facts: Callable[[], Facts] = Facts) -> None:
        """A mover is there: files may be placed on it, and deleted. `facts` says how it is, whenever it is asked."""
        self.movers.register(control, facts)
        self.roster.heard(control.name)

    async def resolve(self, destination: str, path: str, waiting: bool = False) -> Entry:
        place = self.destination(destination).id
        if waiting and self.releases.concern(place):
            # Not from the cache: a release is in the catalogue a moment before the cache is told of it.
            newest = await self.reader.ask(lambda session: standby.newest_entry_at(session, place, path))
            if newest is None:
                raise NotFound
            return newest
        found = self._cache.get(place, path)
        if found is None:
            with self._cache.asking(place, path) as keep:
                found = await self.reader.ask(lambda session: files.entry_at(session, place, path))
                if found is None:
                    raise NotFound
                keep(found)
        return found

    async def list(self, destination: str, path: str, after: str | None, limit: int, waiting: bool = False) -> Page:
        place = self.destination(destination).id
        limit = max(1, min(limit, self.limits.listing_page))
        page = standby.page if waiting and self.releases.concern(place) else files.page

        def question(session: Session) -> Page:
            found = tree.directory_at(session, place, path)
            if found is None:
                raise NotADirectory if tree.room(session, place, path).file else NotFound
            return page(session, path, found.id, after, limit)

        return await self.reader.ask_on_thread(question)

    async def allocate(self, request: AllocationRequest) -> Allocation:
        quotas, caps = await self.check(request)
        destination = self.destination(request.destination)
        id_ = await self.ids.take()
        placements = await self.movers.place(
            destination.copies, request.size or 0, destination.group, request.origin.node, request.avoid
        )
        # Nothing waits, or can fail, from here on: what is placed has an end.
        allocation = Allocation(id_, placements, self.wanted_digests(request, destination))
        upload = Upload(request, destination.id, allocation)
        upload.quotas, upload.caps = quotas, caps
        self.uploads.begin(upload)
        return allocation

    async def check(self, request: AllocationRequest) -> tuple[tuple[Quota, ...], tuple[Cap, ...]]:
        """Whether it may be put, and which quotas its bytes count for. Raises what `allocate` does."""
        await self.accounts.authorise(request.user_id, "put", request.destination, request.path)
        self.check_announced(request)
        counted = await self.check_quotas(request)
        await self.multiparts.check(request)
        await self._check_path(request, self.destination(request.destination).id)
        return counted

    def wanted_digests(self, request: AllocationRequest, destination: Destination) -> tuple[str, ...]:
        """Those that are to be computed of what is asked for."""
        kept = while_it_comes(destination, request.part is None)
        wanted = (*kept, *request.terms.expected, *needless_md5_left_out(request, destination))
        return tuple(dict.fromkeys((destinations.CRC, *wanted)))

    def check_announced(self, request: AllocationRequest) -> None:
        """Raises `InvalidRequest`, `TooLarge`."""
        size = request.size or 0
        if size < 0 or not is_time(request.mtime or 0.0):
            raise InvalidRequest("that is no size, or no time")
        if self.limits.file_size and size > self.limits.file_size:
            raise TooLarge
        for name in (*request.terms.expected, *request.terms.digests):
            if name not in DIGESTS:
                raise InvalidRequest(f"digest {name!r}; allowed: {', '.join(DIGESTS)}")

    async def _check_path(self, request: AllocationRequest, destination: int) -> None:
        if request.terms.condition == ANYTHING and self._folders.have_room(destination, request.path):
            return
        changes_before = self._folders.changes
        look = self.releases.look(destination)
        room = await self.reader.ask(lambda session: look(session, destination, request.path))
        check_room(room, request.terms.condition)
        above = tree.split(request.path)[0]
        if room.parent is not None:
            await self._folders.learn(destination, above, room.parent, changes_before)
        else:
            await self.reader.ask(lambda session: tree.nearest(session, destination, above))
            await self.accounts.authorise(request.user_id, "mkdir", request.destination, above)

    async def stored(self, receipt: Receipt) -> None:
        upload = self.uploads.get(receipt.segment)
        if upload is None:
            if not self.uploads.has_committed(receipt.segment) and not self._readmission.leave(receipt):
                self.discard(receipt.segment, (Copy(receipt.mover, receipt.volume),))
                raise Unavailable("the upload is not known here any more")
        elif upload.add(receipt) and not upload.committing:
            upload.committing = True
            ensureDeferred(self.commit(upload))

    async def finish(self, allocation: int) -> Entry:
        return await self.uploads.outcome(allocation)

    async def readmit(
        self, request: AllocationRequest, allocation: Allocation, receipts: Sequence[Receipt], keep: bool = False
    ) -> Entry:
        return await self._readmission.readmit(request, allocation, receipts, keep)

    async def abandon(self, allocation: int) -> None:
        upload = self.uploads.get(allocation)
        if upload is not None and not upload.committing:
            self.give_up(upload, Unavailable("the upload was abandoned"))

    async def keep(self, allocation: int) -> None:
        upload = self.uploads.get(allocation)
        if upload is None or upload.committing:
            return self._readmission.expect(allocation)
        part = await self.multiparts.keep(upload.request)
        upload.request = upload.request.piece(part)

    async def kept(self, user: int, destination: str, path: str, upload: int | None = None) -> Partial:
        return await self.multiparts.kept(user, destination, path, upload)

    async def begin_partial(self, request: AllocationRequest) -> int:
        await self.check(request)
        return await self.multiparts.begin_partial(request)

    async def add_digests(self, destination: str, path: str, file: int, digests: Mapping[str, str]) -> None:
        place = self.destination(destination).id
        add = standby.add_digests if self.releases.concern(place) else changes.add_digests
        await self.change(lambda session: add(session, place, path, file, digests), lambda _: self._cache.drop(place, path))

    async def settled(self, destination: str, path: str, file: int) -> Mapping[str, str]:
        await self.afterwards.wait(file)
        found = await self.resolve(destination, path, waiting=True)
        if found.waits is not None and found.file is not None and found.file.id != file:
            found = await self.resolve(destination, path)
        return found.file.digests if found.file is not None and found.file.id == file else {}

    async def commit(self, upload: Upload) -> None:
        """Publish an upload whose receipts are all there; those who wait for it are told."""
        request, destination = upload.request, upload.destination
        try:
            file = upload.data_file(self.clock.seconds())
            if request.part is None:
                entry = await self.quotas.spend(upload.quotas, file.size, lambda: self._publish(upload, file))
            else:
                part = request.part
                entry = await self.writer.run(
                    lambda session: multipart.add_part(session, destination, request.path, part, file, request.user_id)
                )
        except Refusal as refusal:
            self.give_up(upload, refusal)
        except Exception as error:
            self.log.failure("the commit of {path} failed", path=request.path)
            self.give_up(upload, error)
        else:
            self.uploads.end(upload, entry)

    async def _publish(self, upload: Upload, file: DataFile) -> Entry:
        request, destination = upload.request, upload.destination
        due = self.clock.seconds() + self.limits.ticket_life
        owed = owing(self._destinations.get(request.destination), file.digests)
        new = Publication(destination, request.path, file, request.terms.condition, due, owed)
        change: multipart.Change = self.releases.placing(request.destination, new)
        if upload.caps:
            change = Capped(change, upload.caps, request.user_id)
        entry = await self._named(destination, change)
        if owed:
            self.afterwards.note(file.id)
        return entry

    def give_up(self, upload: Upload, error: Exception) -> None:
        """Nobody will see this upload. Its bytes go, unless the storage failed after it had taken the commit."""
        self.discard(upload.allocation.id, upload.copies)
        self.uploads.end(upload, error)

    def discard(self, segment: int, copies: Collection[Copy]) -> None:
        """Have copies deleted, unless the catalogue has them."""
        self._reclaim.discard(segment, copies)

    async def named(self, destination: int, change: multipart.Change) -> Entry:
        """Run a change that gives a file its name, to its end even if the one who asked goes away."""
        return await detached(self._named(destination, change))

    async def _named(self, destination: int, change: multipart.Change) -> Entry:
        return await self._change(change, lambda entry: self.seen_named(destination, entry))

    async def change(self, operation: Callable[[Session], T], then: Callable[[T], None]) -> T:
        """Change the catalogue, and then what is kept in memory, even if the one who asked goes away in between."""
        return await detached(self._change(operation, then))

    async def _change(self, operation: Callable[[Session], T], then: Callable[[T], None]) -> T:
        try:
            changed = await self.writer.run(operation)
        except (Unavailable, NoSpace):
            # The storage failed: it may have taken the change or not, so nothing that was known is believed.
            self._cache.clear()
            self._folders.clear()
            if not isinstance(operation, NAMING):
                self.accounts.forget_all()
                self.doubt.begin()
            raise
        if not isinstance(operation, NAMING):
            self._folders.clear()
        then(changed)
        return changed

    async def mark_dead(self, mover: str, found: Sequence[StoredSegment]) -> Collection[int]:
        under_way = (self.uploads, self._readmission)
        asked = [each.segment for each in found if not any(each.segment in known for known in under_way)]
        now = self.clock.seconds()
        dead = await self.writer.run(lambda session: reclaim.mark_dead(session, asked, now))
        self.ids.skip(dead)
        return dead
