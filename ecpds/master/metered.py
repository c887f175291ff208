"""Which quotas a transfer counts for: the part of `IMaster` that knows the options of users and of destinations."""

from __future__ import annotations

from collections.abc import Sequence

from ecpds.errors import NotFound, UploadQuotaExceeded
from ecpds.master import holdings
from ecpds.master.accounts import Accounts
from ecpds.master.holdings import Cap, caps_of
from ecpds.master.multiparts import Multiparts
from ecpds.master.quotas import DOWNLOAD, UPLOAD, Quota, Quotas, quotas_of
from ecpds.master.reader import Reader
from ecpds.master.shared import Turns, detached
from ecpds.model import EMPTY, Completion, Condition, Destination, Entry, QuotaUse
from ecpds.terms import AllocationRequest


class Metered:
    """The attributes are the Master's."""

    accounts: Accounts
    completing: Turns
    multiparts: Multiparts
    quotas: Quotas
    reader: Reader
    _destinations: dict[str, Destination]

    def destination(self, name: str) -> Destination:
        raise NotImplementedError

    async def metered(self, direction: str, user: int, destination: str) -> tuple[Quota, ...]:
        """Raises `NotPermitted` for a user who is no longer there."""
        login, options = await self.accounts.options_of(user)
        found = self._destinations.get(destination)
        return quotas_of(direction, login, options, destination, found.options if found is not None else EMPTY)

    async def caps(self, user: int, destination: str) -> tuple[Cap, ...]:
        """The quotas of what is held that a file counts for. Raises `NotPermitted` for a user who is no longer there."""
        _, options = await self.accounts.options_of(user)
        return caps_of(user, options, self._destinations.get(destination))

    async def check_quotas(self, request: AllocationRequest) -> tuple[tuple[Quota, ...], tuple[Cap, ...]]:
        """Those that an upload counts for. Raises `UploadQuotaExceeded`, `StorageQuotaExceeded` where it can't fit."""
        quotas = await self.metered(UPLOAD, request.user_id, request.destination)
        if quotas:
            await self.quotas.check(quotas, request.size)
        caps = await self.caps(request.user_id, request.destination)
        if caps:
            place, path, size = self.destination(request.destination).id, request.path, request.size
            await self.reader.ask(lambda session: holdings.check_early(session, caps, place, path, size))
        return quotas, caps

    async def may_download(self, user: int, destination: str) -> None:
        await self.quotas.check(await self.metered(DOWNLOAD, user, destination))

    async def used_quotas(self, login: str | None, destination: str | None) -> Sequence[QuotaUse]:
        """As `IOperations.quotas`."""
        user = 0 if login is None else await self.accounts.named(login)
        options = EMPTY if login is None else (await self.accounts.options_of(user))[1]
        others = EMPTY if destination is None else self.destination(destination).options
        found = (quotas_of(each, login or "", options, destination or "", others) for each in (UPLOAD, DOWNLOAD))
        caps = caps_of(user, options, None if destination is None else self.destination(destination))
        held = await self.reader.ask_on_thread(lambda session: holdings.uses(session, caps)) if caps else []
        return [*await self.quotas.uses([quota for each in found for quota in each]), *held]

    async def spend_on_parts(
        self,
        quotas: tuple[Quota, ...],
        user: int,
        destination: str,
        path: str,
        upload: int,
        completion: Completion,
        condition: Condition,
    ) -> Entry:
        """Complete an upload whose bytes count. Where they are too many its parts are given up."""

        async def complete() -> Entry:
            return await self.multiparts.complete(user, destination, path, upload, completion, condition)

        try:
            await self.multiparts.find(destination, path, upload, user)
        except NotFound:
            return await complete()  # it was completed, and counted, before
        try:
            return await self.quotas.spend(quotas, sum(part.size for part in completion.parts), complete)
        except UploadQuotaExceeded:
            await self.multiparts.abort(user, destination, path, upload)
            raise

    async def complete_upload(
        self, user: int, destination: str, path: str, upload: int, completion: Completion, condition: Condition
    ) -> Entry:
        quotas = await self.metered(UPLOAD, user, destination)
        if not quotas:
            return await self.multiparts.complete(user, destination, path, upload, completion, condition)

        async def spend() -> Entry:
            return await self.spend_on_parts(quotas, user, destination, path, upload, completion, condition)

        # A client that asks again while it is being completed must not be counted twice, or have its parts given up.
        return await detached(self.completing.run(upload, spend))
