"""The portal as one user sees it: canonical paths, rights, and what it takes to read and write, over the Master and stores.

Asking: the façade checks the name and the user's rights, the Master knows what exists. Writing: the Master allocates,
the store takes the bytes, the Master publishes (see `upload`). Reading: the Master resolves, the stores give (see
`download`). What a user may not see answers exactly as what is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import evolve
from zope.interface import implementer

from ecpds.errors import (
    AlreadyExists,
    CrossesDestinations,
    IsADirectory,
    NoSpace,
    NotADirectory,
    NotFound,
    NotPermitted,
    NotSupported,
    PreconditionFailed,
    TooLarge,
    Unavailable,
)
from ecpds.interfaces import IWriteHandle
from ecpds.model import (
    ANYTHING,
    DIGESTS,
    EMPTY,
    Allocation,
    Condition,
    Copy,
    DataFile,
    Entry,
    Identity,
    Origin,
    Page,
    Partial,
    Segment,
)
from ecpds.people import NewShare, Share
from ecpds.portal.again import Returning
from ecpds.portal.backing import Backing, recorded
from ecpds.portal.download import Download, SegmentReader
from ecpds.portal.figures import Figures
from ecpds.portal.journal import Journal, TransferRecord
from ecpds.portal.pace import DOWNLOAD, UPLOAD
from ecpds.portal.paths import CanonicalPath, canonical
from ecpds.portal.reaching import Again, Reach, open_segments
from ecpds.portal.resumed import ResumedUpload
from ecpds.portal.upload import Claim, Upload
from ecpds.portal.waiting import Waiting
from ecpds.portal_interfaces import IDownload, IFileSystem, IUpload
from ecpds.terms import NO_TERMS, AllocationRequest, Terms

MAY_SHARE = "portal.shareLinks"

TRIES = 4
"""Movers that are tried for one upload."""


@implementer(IFileSystem)
class FileSystem(Waiting, Returning, Figures):
    """One logged-in user's view.

    What the user may do is asked anew when it is older than `limits.credential_life`; besides, the Master authorises
    each change by what is true at that moment.
    """

    def __init__(self, backing: Backing, identity: Identity, origin: Origin) -> None:
        self.identity = identity
        self.origin = origin
        self.journal = Journal(backing.sink, backing.now, identity, origin, backing.running)
        self._backing = backing
        self._master = backing.master
        self._names = backing.names.of(identity)
        self._renewed = backing.now()

    @recorded("stat")
    async def stat(self, path: str, permission: str | None = None) -> Entry:
        return await self._look(path, permission)

    @recorded("stat")
    async def find(self, path: str, permission: str | None = None) -> Entry | None:
        try:
            return await self._look(path, permission)
        except (NotFound, NotADirectory):
            return None

    async def _look(self, path: str, permission: str | None) -> Entry:
        name = self._visible(path, permission)
        if not name.segments:
            return Entry("/", 0.0)
        entry = await self._resolve(name, permission)
        if name.directory and not entry.is_directory:
            raise NotADirectory
        return entry

    @recorded("dir")
    async def list(self, path: str, after: str | None = None, limit: int = 1000) -> Page:
        name = self._visible(path, "dir")
        limit = max(1, min(limit, self._backing.limits.listing_page))
        if not name.segments:
            return await self._list_destinations(after, limit)
        if self._names.shared:
            return Page((await self._resolve(self._visible(f"/{self._names.shared}")),))
        return await self._page(name, after, limit)

    @recorded("get")
    async def open_read(self, path: str) -> IDownload:
        at_once = self.read_again(path)
        if at_once is not None:
            return at_once
        name = self._file(path, "get")
        entry = await self._resolve(name, "get")
        if entry.file is None:
            raise IsADirectory
        if name.destination in self.identity.metered:
            await self._master.may_download(self.identity.user_id, name.destination)
        await self._use_share()
        segments = await self._open(entry.file.segments, self._again(name, entry.file))
        place = segments[0].place if segments else Copy(self.origin.node, 0)
        record = TransferRecord(self.journal, "download", name, entry.file.id, entry.size, place)
        return Download(entry, segments, record, self._pace(DOWNLOAD, name.destination))

    @recorded("put")
    async def open_write(self, path: str, size: int | None = None, terms: Terms = NO_TERMS) -> IUpload:
        name = self._file(path, "put")
        if self.identity.share:
            await self._use_share()
            # Who comes by a link replaces nothing.
            terms = evolve(terms, condition=evolve(terms.condition, absent=True))
        request = AllocationRequest(self.identity.user_id, name.destination, name.inside, self.origin, size, terms)
        return await self._begin(name, request)

    async def _begin(self, name: CanonicalPath, request: AllocationRequest) -> Upload:
        """Allocate, and open the copy that the bytes go to."""
        self._check_size(request.size)
        claim = await self._allocate(request)
        allocation = claim.allocation
        record = TransferRecord(self.journal, "upload", name, allocation.id, request.size, allocation.placements[0])
        pace = self._pace(UPLOAD, name.destination, request.part[0] if request.part else None)
        return Upload(claim, record, self._names.shown(name.destination, name.inside), pace)

    def _check_size(self, size: int | None) -> None:
        allowed = self._backing.limits.file_size
        if allowed and size is not None and size > allowed:
            raise TooLarge

    async def _allocate(self, request: AllocationRequest) -> Claim:
        """Leave, and an open copy. A mover that can't be reached is avoided: the client does not see that it was tried.

        Raises `Unavailable` where no other has room: that one may be back soon.
        """
        unreached: Unavailable | None = None
        while True:
            try:
                allocation = await self._master.allocate(request)
            except NoSpace as refusal:
                raise unreached or refusal from None
            try:
                handle = await self._open_copy(allocation, request.size)
                return Claim(self._master, request, allocation, handle)
            except BaseException as failure:
                await self._master.abandon(allocation.id)
                tried = (*request.avoid, *(place.mover for place in allocation.placements))
                if not isinstance(failure, Unavailable) or len(tried) >= TRIES:
                    raise
                unreached, request = failure, evolve(request, avoid=tried)

    @recorded("put")
    async def kept(self, path: str, upload: int | None = None) -> int:
        name = self._file(path, "put")
        try:
            found: Partial = await self._master.kept(self.identity.user_id, name.destination, name.inside, upload)
        except NotFound:
            if upload is not None:
                raise
            return 0
        return found.size

    @recorded("put")
    async def begin_partial(self, path: str, size: int | None = None, condition: Condition = ANYTHING) -> int:
        name = self._file(path, "put")
        user = self.identity.user_id
        request = AllocationRequest(user, name.destination, name.inside, self.origin, size, Terms(condition))
        self._check_size(size)
        upload: int = await self._master.begin_partial(request)
        return upload

    @recorded("put")
    async def give_up(self, path: str, upload: int) -> None:
        name = self._file(path, "put")
        user = self.identity.user_id
        await self._master.kept(user, name.destination, name.inside, upload)
        await self._master.abort_upload(user, name.destination, name.inside, upload)

    @recorded("put")
    async def resume_write(
        self,
        path: str,
        offset: int,
        upload: int | None = None,
        condition: Condition = ANYTHING,
        expected: Mapping[str, str] = EMPTY,
    ) -> IUpload:
        name, user = self._file(path, "put"), self.identity.user_id
        kept: Partial = await self._master.kept(user, name.destination, name.inside, upload)
        if offset != kept.size:
            raise PreconditionFailed(f"{kept.size} bytes are kept")
        self._check_size(kept.size)
        part = (kept.id, len(kept.parts) + 1)
        terms = Terms(condition, expected)
        request = AllocationRequest(user, name.destination, name.inside, self.origin, terms=terms, part=part)
        claim = await self._allocate(request)
        allocation = claim.allocation
        record = TransferRecord(self.journal, "upload", name, allocation.id, None, allocation.placements[0])
        shown = self._names.shown(name.destination, name.inside)
        pace = self._pace(UPLOAD, name.destination, kept.id)
        most = self._backing.limits.file_size
        return ResumedUpload(claim, record, shown, kept, allocation.digests, self._digests, most, pace)

    @recorded("get")
    async def digest(self, path: str, name: str, offset: int = 0, length: int | None = None) -> str:
        where = self._file(path, "get")
        entry = await self._resolve(where, "get")
        if name not in DIGESTS:
            raise NotSupported(f"the digest {name}")
        if entry.file is None:
            raise IsADirectory
        end = entry.size if length is None else min(offset + length, entry.size)
        whole = (offset, end) == (0, entry.size)
        if whole and name in entry.file.digests:
            return entry.file.digests[name]
        if whole:
            settled: Mapping[str, str] = await self._master.settled(where.destination, where.inside, entry.file.id)
            if name in settled:
                return settled[name]
        again = self._again(where, entry.file)
        found = await self._digests(entry.file.segments, (name,), offset, end - offset, again)
        if whole:
            await self._master.add_digests(where.destination, where.inside, entry.file.id, found)
        return found[name]

    @recorded("mtime")
    async def set_mtime(self, path: str, mtime: float) -> Entry:
        name = self._file(path, "mtime")
        waiting = self._sees_waiting(name)
        entry = await self._master.set_mtime(self.identity.user_id, name.destination, name.inside, mtime, waiting)
        return self._shown(name.destination, entry)

    async def _digests(
        self, segments: Sequence[Segment], names: Sequence[str], offset: int, length: int, again: Again | None = None
    ) -> Mapping[str, str]:
        readers = await self._open(segments, again)
        try:
            return await self._backing.digesting.digests(readers, names, offset, length)
        finally:
            for reader in readers:
                reader.close()

    @recorded("mkdir")
    async def make_directory(self, path: str) -> Entry:
        wanted = canonical(path)
        try:
            name = self._names.real(wanted)
        except NotFound:
            if len(wanted.segments) > 1 and self.identity.may("mkdir"):
                raise
            raise NotPermitted from None  # nobody makes a destination from here
        if len(name.segments) < 2:
            raise AlreadyExists
        self._check(name, "mkdir")
        entry = await self._master.make_directory(self.identity.user_id, name.destination, name.inside)
        return self._shown(name.destination, entry)

    @recorded("rmdir")
    async def remove_directory(self, path: str) -> None:
        name = self._visible(path, "rmdir")
        if len(name.segments) < 2:
            raise NotPermitted
        await self._master.remove_directory(self.identity.user_id, name.destination, name.inside)

    @recorded("delete")
    async def delete(self, path: str, condition: Condition = ANYTHING) -> None:
        name = self._file(path, "delete")
        waiting = self._sees_waiting(name)
        await self._master.delete(self.identity.user_id, name.destination, name.inside, condition, waiting)

    @recorded("rename")
    async def rename(self, source: str, target: str, replace: bool = True) -> None:
        old, new = self._visible(source, "rename"), self._visible(target, "rename")
        if len(old.segments) < 2 or len(new.segments) < 2:
            raise NotPermitted
        if old.destination != new.destination:
            raise CrossesDestinations
        if (old.directory or new.directory) and not (await self._resolve(old)).is_directory:
            raise NotADirectory
        waiting, may_replace = self._sees_waiting(old), old.inside == new.inside or self._may_replace(new)
        user, allowed = self.identity.user_id, replace and may_replace
        try:
            await self._master.rename(user, old.destination, old.inside, new.inside, allowed, waiting)
        except AlreadyExists:
            if replace and not may_replace and not await self._is_folder(old, new):
                raise NotPermitted from None
            raise

    @recorded("share")
    async def add_share(self, path: str, share: NewShare) -> tuple[Share, str]:
        name = self._visible(path)
        if not name.segments or self.identity.share or self.identity.access_key:
            raise NotPermitted
        if self.identity.options.get(MAY_SHARE) == "false":
            raise NotPermitted
        inside = name.inside
        if inside and (await self._resolve(name)).is_directory:
            inside += "/"
        wanted = evolve(share, destination=name.destination, path=inside)
        made: tuple[Share, str] = await self._master.add_share(self.identity.user_id, wanted)
        return made

    async def shares(self) -> Sequence[Share]:
        lent = self.identity.share or self.identity.access_key
        return () if lent else await self._master.shares(self.identity.user_id)

    async def remove_share(self, share: int) -> None:
        if self.identity.share or self.identity.access_key:
            raise NotFound
        await self._master.remove_share(self.identity.user_id, share)

    async def _use_share(self) -> None:
        if self.identity.share:
            await self._master.use_share(self.identity.share)

    async def renew(self) -> None:
        now = self._backing.now()
        if now - self._renewed >= self._backing.limits.credential_life:
            self.identity = await self._master.renew(self.identity)
            self._names = self._backing.names.of(self.identity)
            self._renewed = now

    def _visible(self, path: str, permission: str | None = None) -> CanonicalPath:
        """The real path, once it is sure that the user may see it and has the right to do this."""
        name = canonical(path)
        if permission is not None and not self.identity.may(permission):
            raise NotPermitted
        name = self._names.real(name)
        self._check(name, permission)
        return name

    def _check(self, name: CanonicalPath, permission: str | None) -> None:
        """Whether the user holds a permission at a real path that it may see."""
        if permission is not None and name.segments and not self._holds(permission, name):
            raise NotPermitted

    def _file(self, path: str, permission: str) -> CanonicalPath:
        """The real path of what is, or could be, a file."""
        name = self._visible(path, permission)
        if name.directory or len(name.segments) < 2:
            raise IsADirectory
        return name

    async def _list_destinations(self, after: str | None, limit: int) -> Page:
        found: list[Entry] = []
        for name in self._names.destinations(after):
            if len(found) == limit:
                return Page(tuple(found), found[-1].name)
            try:
                found.append(self._shown(name, await self._master.resolve(name, "")))
            except NotFound:
                continue  # it has been removed since the login
        return Page(tuple(found))

    async def _open_copy(self, allocation: Allocation, size: int | None) -> IWriteHandle:
        if len(allocation.placements) != 1:
            raise NotSupported("more than one copy")
        place = allocation.placements[0]
        store = self._backing.store(place.mover)
        handle: IWriteHandle = await store.write(allocation.id, place.volume, allocation.digests, size, place.ticket)
        return handle

    async def _open(self, segments: Sequence[Segment], again: Again | None) -> Sequence[SegmentReader]:
        reach = Reach(again, self.journal.now, self._backing.limits.ticket_life) if again is not None else None
        return await open_segments(segments, self._backing.store, self.origin.node, self._backing.kept, reach)

    def _again(self, name: CanonicalPath, file: DataFile) -> Again:
        """What says where the segments of a file are, as long as the name is that file's."""

        async def again() -> Sequence[Segment]:
            found = (await self._resolve(name, "get")).file
            return found.segments if found is not None and found.id == file.id else ()

        return again
