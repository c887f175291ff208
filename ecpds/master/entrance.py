"""Who comes in: the part of `IMaster` that the accounts answer."""

from __future__ import annotations

from ecpds.master.accounts import Accounts
from ecpds.model import Identity, Origin


class Entrance:
    """The calls by which doors learn who somebody is, and what everybody may do. The attribute is the Master's."""

    accounts: Accounts

    async def login(self, login: str, password: str, origin: Origin) -> Identity:
        return await self.accounts.login(login, password, origin)

    async def login_with_key(self, login: str, key: bytes, origin: Origin) -> Identity:
        return await self.accounts.login_with_key(login, key, origin)

    async def login_with_signature(
        self, access_key_id: str, date: str, region: str, service: str, origin: Origin
    ) -> tuple[Identity, bytes]:
        return await self.accounts.login_with_signature(access_key_id, date, region, service, origin)

    async def renew(self, identity: Identity) -> Identity:
        return await self.accounts.renew(identity)

    async def visit(self, destination: str, login: str) -> Identity:
        return self.accounts.visit(destination, login)
