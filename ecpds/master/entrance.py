"""Who comes in, by whatever shows who that is: the part of `IMaster` that the accounts and the shares answer."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTime

from ecpds.limits import Limits
from ecpds.master.accounts import Accounts
from ecpds.master.defender import Defender
from ecpds.master.sharing import Sharing
from ecpds.model import Destination, Identity, Origin
from ecpds.people import NewShare, Share


class Entrance:
    """The calls by which doors learn who somebody is, and what everybody may do. The attributes are the Master's."""

    accounts: Accounts
    sharing: Sharing

    def __init__(self, clock: IReactorTime, limits: Limits) -> None:
        self._defender = Defender(clock, limits)

    def destination(self, name: str) -> Destination:
        raise NotImplementedError

    async def login(self, login: str, password: str, origin: Origin) -> Identity:
        return await self._defender.guard(origin.address, login, password, lambda: self.accounts.login(login, password, origin))

    async def login_with_key(self, login: str, key: bytes, origin: Origin) -> Identity:
        return await self.accounts.login_with_key(login, key, origin)

    async def login_with_certificate(self, login: str, origin: Origin) -> Identity:
        return await self.accounts.login_with_certificate(login, origin)

    async def login_with_signature(
        self, access_key_id: str, date: str, region: str, service: str, origin: Origin
    ) -> tuple[Identity, bytes]:
        return await self.accounts.login_with_signature(access_key_id, date, region, service, origin)

    async def login_with_share(self, token: str, password: str, origin: Origin) -> Identity:
        return await self._defender.guard(origin.address, "", password, lambda: self.sharing.login(token, password, origin))

    async def use_share(self, share: int) -> None:
        await self.sharing.use(share)

    async def add_share(self, user: int, share: NewShare) -> tuple[Share, str]:
        return await self.sharing.add(user, self.destination(share.destination).id, share)

    async def shares(self, user: int | None) -> Sequence[Share]:
        return await self.sharing.every(user)

    async def remove_share(self, user: int | None, share: int) -> Share:
        return await self.sharing.remove(user, share)

    async def renew(self, identity: Identity) -> Identity:
        return await (self.sharing if identity.share else self.accounts).renew(identity)

    async def visit(self, destination: str, login: str) -> Identity:
        return await self.accounts.visit(destination, login)
