"""The Master's side of files that come in parts: who may, what is told, and uploads that nobody completes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from ecpds.errors import InvalidRequest, TooLarge
from ecpds.limits import Limits
from ecpds.master import multipart, owed
from ecpds.master.accounts import Accounts
from ecpds.master.afterwards import Afterwards, owing
from ecpds.master.holdings import Cap, Capped
from ecpds.master.ids import Ids
from ecpds.master.multipart import MOST_PARTS
from ecpds.master.reader import Reader
from ecpds.master.releasing import Releases
from ecpds.master.shared import Rounds
from ecpds.master.sql import Session
from ecpds.master.writer import Writer
from ecpds.model import Completion, Condition, Destination, Entry, MultipartUpload, Partial, UploadPart
from ecpds.terms import AllocationRequest

LOOK = 60.0
"""Seconds between two looks for uploads whose time is over."""


class IsMaster(Protocol):
    """What this needs of the Master."""

    accounts: Accounts
    afterwards: Afterwards
    clock: IReactorTime
    ids: Ids
    limits: Limits
    reader: Reader
    releases: Releases
    writer: Writer

    def destination(self, name: str) -> Destination: ...

    async def caps(self, user: int, destination: str) -> tuple[Cap, ...]:
        """The quotas of what is held that a file counts for."""

    async def named(self, destination: int, change: multipart.Change) -> Entry:
        """Run a change that gives a file its name."""


class Multiparts:
    """Answers for a Master all that concerns uploads in parts."""

    def __init__(self, master: IsMaster) -> None:
        self._master = master
        self._work = Rounds("giving up uploads in parts", self._expire, master.clock)

    def start(self) -> None:
        limits = self._master.limits
        self._work.start(min(LOOK, limits.partial_life, limits.multipart_life), now=False)

    async def stop(self) -> None:
        """Returns when a look that is under way has ended."""
        await self._work.stop()

    async def create(self, request: AllocationRequest) -> int:
        master = self._master
        await master.accounts.authorise(request.user_id, "put", request.destination, request.path)
        place, now = master.destination(request.destination).id, master.clock.seconds()
        id_, expires = await master.ids.take(), now + master.limits.multipart_life
        await master.writer.run(lambda session: multipart.create(session, id_, place, request, now, expires))
        return id_

    async def check(self, request: AllocationRequest) -> None:
        """Whether a part may come. Raises `NotFound`, `InvalidRequest`."""
        if request.part is not None:
            upload, number = request.part
            if not 1 <= number <= MOST_PARTS:
                raise InvalidRequest(f"part {number}; allowed: 1 to {MOST_PARTS}")
            await self.find(request.destination, request.path, upload, request.user_id)

    async def find(self, destination: str, path: str, upload: int, user: int = 0) -> MultipartUpload:
        place = self._master.destination(destination).id
        return await self._master.reader.ask_on_thread(lambda session: multipart.find(session, place, path, upload, user))

    async def keep(self, request: AllocationRequest) -> tuple[int, int]:
        """Which part of what an upload that broke off is to be; its own, where it went on with one."""
        master = self._master
        if request.part is not None:
            id_, number = request.part
            expires = master.clock.seconds() + master.limits.partial_life
            await master.writer.run(lambda session: multipart.extend(session, id_, expires))
            return id_, number
        return await self.begin_partial(request), 1

    async def begin_partial(self, request: AllocationRequest) -> int:
        """Keep an upload from now on; it has no part yet."""
        master = self._master
        place, now = master.destination(request.destination).id, master.clock.seconds()
        new, expires = await master.ids.take(), now + master.limits.partial_life
        await master.writer.run(lambda session: multipart.begin_partial(session, new, place, request, now, expires))
        return new

    async def kept(self, user: int, destination: str, path: str, upload: int | None) -> Partial:
        place = self._master.destination(destination).id
        return await self._master.reader.ask_on_thread(lambda session: multipart.partial(session, place, path, user, upload))

    async def parts(self, destination: str, path: str, upload: int, after: int, limit: int) -> Sequence[UploadPart]:
        await self.find(destination, path, upload)
        limit = max(1, min(limit, MOST_PARTS))
        return await self._master.reader.ask_on_thread(lambda session: multipart.parts(session, upload, after, limit))

    async def uploads(self, destination: str, prefix: str, after: str, after_id: int, limit: int) -> Sequence[MultipartUpload]:
        place, limit = self._master.destination(destination).id, max(1, min(limit, self._master.limits.listing_page + 1))
        return await self._master.reader.ask_on_thread(
            lambda session: multipart.uploads(session, place, prefix, after, after_id, limit)
        )

    async def complete(
        self, user: int, destination: str, path: str, upload: int, completion: Completion, condition: Condition
    ) -> Entry:
        master = self._master
        await master.accounts.authorise(user, "put", destination, path)
        place, now = master.destination(destination).id, master.clock.seconds()
        if not 1 <= len(completion.parts) <= MOST_PARTS:
            raise InvalidRequest(f"{len(completion.parts)} parts; allowed: 1 to {MOST_PARTS}")
        if 0 < master.limits.file_size < sum(part.size for part in completion.parts):
            raise TooLarge
        due = now + master.limits.ticket_life
        names = owing(master.destination(destination), completion.digests)
        waits = master.releases.waits(destination, path, now)

        def change(session: Session) -> Entry:
            entry = multipart.complete(session, place, path, upload, completion, condition, now, due, user, waits)
            if names and not owed.is_owed(session, upload):
                owed.owe(session, [(upload, names)])
            return entry

        caps = await master.caps(user, destination)
        entry = await master.named(place, Capped(change, caps, user) if caps else change)
        if names:
            master.afterwards.note(upload)
        return entry

    async def abort(self, user: int, destination: str, path: str, upload: int) -> None:
        await self._master.accounts.authorise(user, "put", destination, path)
        place = self._master.destination(destination).id
        await self._master.writer.run(lambda session: multipart.abort(session, place, path, upload, user))

    async def _expire(self) -> None:
        now = self._master.clock.seconds()
        while await self._master.writer.run(lambda session: multipart.expire(session, now)):
            pass
