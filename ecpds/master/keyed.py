"""The Master by keys, as object stores ask: buckets and what is set of them, notes on objects, files that come in parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime

from ecpds.errors import NotPermitted
from ecpds.grants import held
from ecpds.limits import Limits
from ecpds.master import keylist, marks
from ecpds.master.accounts import Accounts
from ecpds.master.buckets import Buckets
from ecpds.master.cache import ResolveCache
from ecpds.master.metered import Metered
from ecpds.master.multiparts import Multiparts
from ecpds.master.quotas import UPLOAD
from ecpds.master.reader import Reader
from ecpds.master.releasing import Releases
from ecpds.master.sql import Session
from ecpds.model import (
    ACL_NOTES,
    OBJECT_GRANTS,
    Condition,
    Entry,
    Identity,
    KeyPage,
    MultipartUpload,
    UploadPart,
)
from ecpds.terms import AllocationRequest

T = TypeVar("T")


class KeyedMaster(Metered):
    """A part of `IMaster`: the calls that only doors of object stores make. The attributes are the Master's."""

    accounts: Accounts
    buckets: Buckets
    clock: IReactorTime
    limits: Limits
    multiparts: Multiparts
    reader: Reader
    releases: Releases
    resolved: ResolveCache

    async def resolve(self, destination: str, path: str, waiting: bool = False) -> Entry:
        raise NotImplementedError

    async def change(self, operation: Callable[[Session], T], then: Callable[[T], None]) -> T:
        raise NotImplementedError

    async def keys(
        self, destination: str, prefix: str, after: str, delimiter: str, limit: int, waiting: bool = False
    ) -> KeyPage:
        place, limit = self.destination(destination).id, max(1, min(limit, self.limits.listing_page))
        waiting = waiting and self.releases.concern(place)
        return await self.reader.ask_on_thread(
            lambda session: keylist.page(session, place, prefix, after, delimiter, limit, waiting)
        )

    async def create_bucket(self, identity: Identity, name: str, settings: Mapping[str, str]) -> None:
        await self.buckets.create(identity, name, settings)

    async def remove_bucket(self, identity: Identity, name: str) -> None:
        await self.buckets.remove(identity, name)

    async def bucket(self, identity: Identity, name: str) -> Mapping[str, str]:
        return await self.buckets.settings(identity, name)

    async def set_bucket(self, identity: Identity, name: str, settings: Mapping[str, str | None]) -> None:
        await self.buckets.set(identity, name, settings)

    async def annotate(
        self,
        user: int,
        destination: str,
        path: str,
        notes: Mapping[str, str | None],
        condition: Condition,
        waiting: bool = False,
    ) -> Entry:
        await self._check_note(user, destination, path, notes)
        place = self.destination(destination).id
        waiting = waiting and self.releases.concern(place)
        return await self.change(
            lambda session: marks.annotate(session, place, path, notes, condition, waiting),
            lambda _: self.resolved.drop(place, path),
        )

    async def _check_note(self, user: int, destination: str, path: str, notes: Mapping[str, str | None]) -> None:
        """Who may write may; and to whom the right was granted to say whom a file is open to, may say that."""
        try:
            await self.accounts.authorise(user, "put", destination, path)
        except NotPermitted:
            if not notes.keys() <= ACL_NOTES:
                raise
            file = (await self.resolve(destination, path)).file
            login = await self.accounts.login_of(user)
            if file is None or "WRITE_ACP" not in held(file.metadata.get(OBJECT_GRANTS, ""), login):
                raise

    async def unmark_directory(self, user: int, destination: str, path: str) -> None:
        await self.accounts.authorise(user, "rmdir", destination, path)
        place = self.destination(destination).id
        await self.change(lambda session: marks.unmark(session, place, path), lambda _: self.resolved.drop(place, path))

    async def create_upload(self, request: AllocationRequest) -> int:
        await self.quotas.check(await self.metered(UPLOAD, request.user_id, request.destination))
        return await self.multiparts.create(request)

    async def upload(self, destination: str, path: str, upload: int) -> MultipartUpload:
        return await self.multiparts.find(destination, path, upload)

    async def parts(self, destination: str, path: str, upload: int, after: int, limit: int) -> Sequence[UploadPart]:
        return await self.multiparts.parts(destination, path, upload, after, limit)

    async def multipart_uploads(
        self, destination: str, prefix: str, after: str, after_id: int, limit: int
    ) -> Sequence[MultipartUpload]:
        return await self.multiparts.uploads(destination, prefix, after, after_id, limit)

    async def abort_upload(self, user: int, destination: str, path: str, upload: int) -> None:
        await self.multiparts.abort(user, destination, path, upload)
