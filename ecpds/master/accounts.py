"""Who logs in, and what a user may do: the accounts, remembered until they change."""

from __future__ import annotations

from collections import OrderedDict

from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ecpds.errors import LoginFailed, NotPermitted, Refusal
from ecpds.master import users
from ecpds.master.passwords import Passwords
from ecpds.master.reader import Reader
from ecpds.master.users import Account
from ecpds.master.writer import Writer
from ecpds.model import Identity

REMEMBERED = 10_000
"""Accounts that are remembered at most."""

NOTED = 60.0
"""Seconds between two notes of a user's last login: a client that logs in for each request does not cost a commit each."""


class Accounts:
    """The users. Whoever changes one calls `forget`."""

    log = Logger()

    def __init__(self, reader: Reader, writer: Writer, passwords: Passwords, clock: IReactorTime) -> None:
        self._reader = reader
        self._writer = writer
        self._passwords = passwords
        self._clock = clock
        self._known: OrderedDict[int, Account] = OrderedDict()
        self._ids: dict[str, int] = {}
        self._noted: dict[int, float] = {}

    async def login(self, login: str, password: str) -> Identity:
        """Raises `LoginFailed`, the same and as late for an unknown user; `NotPermitted` with the reason in its detail.

        Only who has the right password learns that the account is disabled or may go nowhere.
        """
        account = self._named(login)
        if account is None or account.mode != "open":
            stored = account.password if account is not None and account.mode == "standard" else None
            right = await self._passwords.check(login, password, stored)
            account = self._named(login)
            if account is None or not right:
                raise LoginFailed(reason=_reason(account))
        _check_usable(account)
        self._note(account)
        return Identity(
            account.id, account.login, frozenset(account.permissions), account.destinations, account.options, account.comment
        )

    def authorise(self, user: int, permission: str, destination: str) -> None:
        """Raises `NotPermitted` unless the user, as it is now, may do that there."""
        account = self._known.get(user) or self._load(user)
        if not account.enabled or permission not in account.permissions or destination not in account.destinations:
            raise NotPermitted

    def forget(self, login: str) -> None:
        """The user has changed."""
        id_ = self._ids.pop(login, None)
        if id_ is not None:
            self._known.pop(id_, None)

    def _named(self, login: str) -> Account | None:
        id_ = self._ids.get(login)
        if id_ is not None:
            return self._known[id_]
        if not users.LOGIN.fullmatch(login):
            return None
        account = self._reader.ask(lambda session: users.by_login(session, login))
        if account is not None:
            self._remember(account)
        return account

    def _load(self, user: int) -> Account:
        account = self._reader.ask(lambda session: users.by_id(session, user))
        if account is None:
            raise NotPermitted
        self._remember(account)
        return account

    def _remember(self, account: Account) -> None:
        self._known[account.id] = account
        self._ids[account.login] = account.id
        if len(self._known) > REMEMBERED:
            _, oldest = self._known.popitem(last=False)
            del self._ids[oldest.login]

    def _note(self, account: Account) -> None:
        """Write down when the user was here, without waiting for it."""
        now = self._clock.seconds()
        if now - self._noted.get(account.id, 0.0) < NOTED:
            return
        self._noted[account.id] = now
        ensureDeferred(self._write_down(account, now)).addErrback(
            lambda failure: self.log.failure("the last login of {login} was not noted", failure, login=account.login)
        )

    async def _write_down(self, account: Account, now: float) -> None:
        try:
            await self._writer.run(lambda session: users.logged_in(session, account.id, now))
        except Refusal as refusal:
            self.log.warn("the last login of {login} was not noted: {refusal}", login=account.login, refusal=refusal)


def _reason(account: Account | None) -> str:
    """Why a login failed, for the record alone, in the ancestor's words."""
    if account is None:
        return "Not found"
    return "Password authentication failed" if account.password else "Password not set"


def _check_usable(account: Account) -> None:
    if not account.enabled:
        raise NotPermitted("Disabled")
    if not account.destinations:
        raise NotPermitted("No associated Destinations")
    if not account.permissions:
        raise NotPermitted("No associated Permissions")
