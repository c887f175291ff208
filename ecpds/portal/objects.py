"""The portal by keys, as an object store has it: a user's file system that also lists keys and takes files in parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import evolve
from zope.interface import implementer

from ecpds.errors import IsADirectory, NotFound, NotPermitted
from ecpds.grants import held
from ecpds.model import (
    ACL_NOTES,
    ANYBODY,
    ANYTHING,
    EMPTY,
    INITIATOR,
    OBJECT_ACL,
    OBJECT_GRANTS,
    VISITOR,
    Completion,
    Condition,
    DataFile,
    Entry,
    Identity,
    KeyPage,
    MultipartUpload,
    UploadPart,
)
from ecpds.options import BUCKET_OBJECTS
from ecpds.portal.backing import recorded
from ecpds.portal.filesystem import FileSystem
from ecpds.portal.paths import CanonicalPath, mark_of
from ecpds.portal_interfaces import IObjects, IUpload
from ecpds.terms import AllocationRequest, Terms

PUBLIC = ("public-read", "public-read-write")


def is_open(file: DataFile, identity: Identity) -> bool:
    """Whether a file is open to a visitor who may read where it is.

    An ACL of its own says so; without one it is as open as its destination, or, where objects have their own, not at all.
    """
    if "READ" in granted(file, identity):
        return True
    acl = file.metadata.get(OBJECT_ACL)
    if acl is None:
        return identity.options.get(BUCKET_OBJECTS) != "own"
    return acl in PUBLIC or (acl == "authenticated-read" and identity.login != ANYBODY)


def granted(file: DataFile, identity: Identity) -> frozenset[str]:
    """Which rights to a file a visitor has that are its alone."""
    return held(file.metadata.get(OBJECT_GRANTS, ""), identity.login) if identity.user_id != VISITOR else frozenset()


@implementer(IObjects)
class ObjectSpace(FileSystem):
    """One logged-in user's view, by paths and by keys."""

    @recorded("dir")
    async def keys(self, destination: str, prefix: str, after: str, delimiter: str, limit: int) -> KeyPage:
        name = self._visible(f"/{destination}", "dir")
        base = f"{name.inside}/" if name.inside else ""
        waiting = self._puts_into(name.destination)
        page: KeyPage = await self._master.keys(
            name.destination, base + prefix, after and base + after, delimiter, limit, waiting
        )
        if waiting and any(entry.waits is not None for entry in page.entries):
            page = evolve(page, entries=tuple([entry async for entry in self._seen(name.destination, page.entries)]))
        if not base:
            return page
        start = len(base)
        return KeyPage(
            tuple(evolve(entry, path=entry.path[start:]) for entry in page.entries if entry.path != base),
            tuple(each[start:] for each in page.prefixes),
            page.after and page.after[start:],
        )

    @recorded("mkdir")
    async def create_bucket(self, name: str, settings: Mapping[str, str] = EMPTY) -> None:
        await self._master.create_bucket(self.identity, name, dict(settings))

    @recorded("rmdir")
    async def remove_bucket(self, name: str) -> None:
        real = self._visible(f"/{name}", "delete")
        if real.inside:
            raise NotPermitted
        await self._master.remove_bucket(self.identity, real.destination)

    async def bucket(self, name: str) -> Mapping[str, str]:
        found: Mapping[str, str] = await self._master.bucket(self.identity, self._destination(name))
        return found

    @recorded("put")
    async def set_bucket(self, name: str, settings: Mapping[str, str | None]) -> None:
        await self._master.set_bucket(self.identity, self._destination(name), settings)

    async def _resolve(self, name: CanonicalPath, permission: str | None = None) -> Entry:
        """Users read all that is where they hold `get`, visitors what is open to them."""
        entry = await super()._resolve(name, permission)
        is_read_by_visitor = permission == "get" and self.identity.visits
        if is_read_by_visitor and entry.file is not None and not is_open(entry.file, self.identity):
            raise NotPermitted
        return entry

    def _file(self, path: str, permission: str) -> CanonicalPath:
        """Every key in a destination may be a file; the bytes of one that ends in a slash are the folder's mark."""
        name = self._visible(path, permission)
        if len(name.segments) < 2:
            raise IsADirectory
        return mark_of(name) if name.directory else name

    async def _look(self, path: str, permission: str | None) -> Entry:
        name = self._visible(path, permission)
        if name.directory and len(name.segments) > 1:
            try:
                return await self._resolve(mark_of(name), permission)
            except NotFound:
                pass  # the folder's mark holds no bytes, or there is none
        return await super()._look(path, permission)

    def _destination(self, name: str) -> str:
        """The destination that the user calls so; one that it can't see has its own name."""
        try:
            return self._visible(f"/{name}").destination
        except NotFound:
            return name

    @recorded("put")
    async def annotate(self, path: str, notes: Mapping[str, str | None], condition: Condition = ANYTHING) -> Entry:
        name = await self._acl(path) if self.identity.visits and notes.keys() <= ACL_NOTES else self._file(path, "put")
        user = self.identity.user_id
        entry = await self._master.annotate(user, name.destination, name.inside, notes, condition, self._sees_waiting(name))
        return self._shown(name.destination, entry)

    async def _acl(self, path: str) -> CanonicalPath:
        """The real path of a file, where a visitor may change whom it is open to."""
        name = self._file(path, "get")
        file = (await super()._resolve(name)).file
        if file is None or "WRITE_ACP" not in granted(file, self.identity):
            raise NotPermitted
        return name

    @recorded("rmdir")
    async def unmark(self, path: str) -> None:
        name = self._visible(path, "rmdir")
        await self._master.unmark_directory(self.identity.user_id, name.destination, name.inside)

    @recorded("put")
    async def create_upload(self, path: str, metadata: Mapping[str, str]) -> int:
        name = self._file(path, "put")
        if self.identity.user_id == VISITOR:
            raise NotPermitted("parts are kept for users alone")
        terms = Terms(metadata={**metadata, INITIATOR: self.identity.login})
        request = AllocationRequest(self.identity.user_id, name.destination, name.inside, self.origin, terms=terms)
        upload: int = await self._master.create_upload(request)
        return upload

    @recorded("put")
    async def open_part(
        self, path: str, upload: int, number: int, size: int | None, expected: Mapping[str, str], digests: Sequence[str]
    ) -> IUpload:
        name = self._file(path, "put")
        await self._check_upload(name, upload)
        request = AllocationRequest(
            self.identity.user_id,
            name.destination,
            name.inside,
            self.origin,
            size,
            Terms(expected=expected, digests=tuple(digests)),
            part=(upload, number),
        )
        return await self._begin(name, request)

    @recorded("put")
    async def upload(self, path: str, upload: int) -> MultipartUpload:
        return await self._upload(self._file(path, "put"), upload)

    async def _upload(self, name: CanonicalPath, upload: int) -> MultipartUpload:
        """Visitors have those alone that they began. Raises `NotFound`."""
        found: MultipartUpload = await self._master.upload(name.destination, name.inside, upload)
        is_own = self.identity.user_id != VISITOR and found.metadata.get(INITIATOR) == self.identity.login
        if self.identity.visits and not is_own:
            raise NotFound("another user's upload")
        return found

    async def _check_upload(self, name: CanonicalPath, upload: int) -> None:
        if self.identity.visits:
            await self._upload(name, upload)

    @recorded("put")
    async def parts(self, path: str, upload: int, after: int, limit: int) -> Sequence[UploadPart]:
        name = self._file(path, "put")
        await self._check_upload(name, upload)
        found: Sequence[UploadPart] = await self._master.parts(name.destination, name.inside, upload, after, limit)
        return found

    @recorded("dir")
    async def uploads(self, destination: str, prefix: str, after: str, after_id: int, limit: int) -> Sequence[MultipartUpload]:
        name = self._visible(f"/{destination}", "dir")
        base = f"{name.inside}/" if name.inside else ""
        found = await self._master.multipart_uploads(name.destination, base + prefix, after and base + after, after_id, limit)
        return [evolve(each, path=each.path[len(base) :]) for each in found]

    @recorded("put")
    async def complete(self, path: str, upload: int, completion: Completion, condition: Condition) -> Entry:
        name = self._file(path, "put")
        await self._check_upload(name, upload)
        entry = await self._master.complete_upload(
            self.identity.user_id, name.destination, name.inside, upload, completion, condition
        )
        return self._shown(name.destination, entry)

    @recorded("put")
    async def abort(self, path: str, upload: int) -> None:
        name = self._file(path, "put")
        await self._check_upload(name, upload)
        await self._master.abort_upload(self.identity.user_id, name.destination, name.inside, upload)
