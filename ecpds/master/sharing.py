"""Share links: who holds one is its maker, as far as the link goes and as long as both are good.

Every request asks anew, so a link that is taken back, or whose maker may no longer do what it lets others do, is dead at
once. Uses are counted by the writer, in one statement that also looks whether one is left.
"""

from __future__ import annotations

from random import Random

from attrs import evolve
from twisted.internet.interfaces import IReactorTime

from ecpds.errors import InvalidRequest, LoginFailed, NotPermitted
from ecpds.master import shares
from ecpds.master.accounts import Accounts, check_door
from ecpds.master.passwords import Passwords
from ecpds.master.reader import Reader
from ecpds.master.shares import StoredShare
from ecpds.master.writer import Writer
from ecpds.model import PERMISSIONS, Identity, Origin
from ecpds.people import AccessKey, NewShare, Share

LONGEST = 36500 * 86400.0
"""Seconds that a link may be good for, a hundred years: times after the year 9999 can't be written down."""


class Sharing:
    """Answers for a Master all that concerns share links. `random` must be unpredictable."""

    def __init__(
        self,
        accounts: Accounts,
        passwords: Passwords,
        reader: Reader,
        writer: Writer,
        clock: IReactorTime,
        random: Random,
    ) -> None:
        self._accounts = accounts
        self._passwords = passwords
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self._random = random

    async def login(self, token: str, password: str, origin: Origin) -> Identity:
        """Raises `LoginFailed` for a link that there is not and for a wrong password, `NotPermitted` for one that is over."""
        hashed = shares.hashed(token)
        stored = await self._reader.ask(lambda session: shares.by_token(session, hashed))
        if stored is None:
            raise LoginFailed(reason="Share link not found")
        self._check(stored)
        if stored.password is not None:
            right = await self._passwords.check(f"share {stored.share.id}", password, stored.password)
            if not right:
                raise LoginFailed("the link has a password", "Password of the share link is wrong")
        identity = await self._identity(stored)
        check_door(identity, origin)
        return identity

    async def renew(self, identity: Identity) -> Identity:
        """Raises `NotPermitted`."""
        stored = await self._reader.ask(lambda session: shares.by_id(session, identity.share))
        if stored is None or stored.user != identity.user_id:
            raise NotPermitted("the link is no longer valid")
        self._check(stored)
        return await self._identity(stored)

    async def use(self, share: int) -> None:
        """Raises `NotPermitted` when it was used as often as it may be."""
        now = self._clock.seconds()
        if not await self._writer.run(lambda session: shares.use(session, share, now)):
            raise NotPermitted("the link was used as often as it may be")

    async def add(self, user: int, destination: int, new: NewShare) -> tuple[Share, str]:
        """Raises `InvalidRequest`, and `NotPermitted` for what the user may not do itself."""
        held = tuple(each for each in PERMISSIONS if each in new.permissions)
        if not held or len(held) != len(set(new.permissions)):
            raise InvalidRequest(f"a link lets others do some of: {', '.join(PERMISSIONS)}")
        if (new.life is not None and new.life <= 0) or (new.most is not None and new.most < 1) or new.password == "":
            raise InvalidRequest("a link is for a time, a number of uses of 1 or more, and a password that is not empty")
        if new.life is not None and new.life > LONGEST:
            raise InvalidRequest(f"a link is for {LONGEST / 86400:,.0f} days at most")
        for permission in held:
            await self._accounts.authorise(user, permission, new.destination, new.path.rstrip("/"))
        password = None if new.password is None else await self._passwords.hashed(new.password)
        now, token = self._clock.seconds(), shares.new_token(self._random)
        expires = None if new.life is None else now + new.life
        made = Share(0, "", new.destination, new.path, held, now, expires, new.most, 0, password is not None)
        hashed = shares.hashed(token)
        id_ = await self._writer.run(lambda session: shares.add(session, made, hashed, user, destination, password))
        return evolve(made, id=id_), token

    async def every(self, user: int | None) -> list[Share]:
        return await self._reader.ask_on_thread(lambda session: shares.every(session, user))

    async def remove(self, user: int | None, id_: int) -> Share:
        return await self._writer.run(lambda session: shares.remove(session, user, id_))

    def _check(self, stored: StoredShare) -> None:
        share = stored.share
        if share.expires is not None and share.expires <= self._clock.seconds():
            raise NotPermitted("the link has expired")

    async def _identity(self, stored: StoredShare) -> Identity:
        share = stored.share
        limits = AccessKey("", share.login, share.created, None, share.permissions, (share.destination,))
        identity = await self._accounts.limited(stored.user, limits)
        within = f"/{share.destination}/{share.path}"
        return evolve(identity, share=share.id, within=within, names={}, comment=f"share {share.id}")
