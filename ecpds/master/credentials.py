"""Whether what somebody shows is a user's: a password and, of who has enrolled, the one-time code behind it.

Who tells whom: a door hands over one text, as the ancestor's do: the password, and the six digits right behind it. A door that
can ask twice (SSH, keyboard-interactive) hears `CodeNeeded` where the password alone came and was right, asks for the code,
and hands over both. The Master checks the password first, so who doesn't know it learns nothing about codes.

A code is taken once: the catalogue keeps the step of the last one (`codes`). HTTP sends the same credentials with each
request, so there what was taken once is taken again for `limits.code_life` seconds, from the same address; that is in
memory, and a restart of the Master forgets it. Wrong codes behind a right password are counted by user, wherever they come
from, besides being counted by address (`defender`): there are only a million.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ecpds.errors import CodeNeeded, LoginFailed, NotPermitted, TooManyFailures, Unavailable
from ecpds.keys import Sealed, Vault
from ecpds.limits import Limits
from ecpds.master import codes
from ecpds.master.defender import Debts
from ecpds.master.passwords import Passwords
from ecpds.master.shared import Shared
from ecpds.master.users import Account
from ecpds.master.writer import Writer
from ecpds.model import Origin
from ecpds.options import MOST_SESSIONS_BY_TIME, ONE_TIME_CODES
from ecpds.schedules import most_sessions

REQUIRED, ONLY = "required", "only"
"""What `portal.totp` may say."""

REPEATING = ("http", "https")
"""The protocols that send the same credentials again and again."""

SESSIONLESS = (*REPEATING, "s3")
"""The protocols that have no sessions to count."""

REMEMBERED = 10_000
"""Codes that are remembered at most."""

Named = Callable[[str], Awaitable[Account | None]]

Shown = tuple[str, str, str]
"""A user's secret as the catalogue has it, which no other user and no later secret has; a code, and where it came from."""


class Credentials:
    """Checks them. `vault` opens the secrets of codes."""

    log = Logger()

    def __init__(self, passwords: Passwords, writer: Writer, vault: Vault, clock: IReactorTime, limits: Limits) -> None:
        self._passwords = passwords
        self._writer = writer
        self._vault = vault
        self._clock = clock
        self._life = limits.code_life
        self._guesses: Debts[int] = Debts(clock, limits.code_failures, limits.login_forgiven)
        self._taken: OrderedDict[Shown, float] = OrderedDict()
        self._taking: dict[Shown, Shared[bool]] = {}

    async def check(self, login: str, text: str, origin: Origin, named: Named) -> Account:
        """The account that a password, and its code, are of. `named` asks for one.

        Raises `LoginFailed`, the same and as late for an unknown user; `CodeNeeded`, `NotPermitted`, `TooManyFailures`.
        """
        account = await named(login)
        stored = account.password if account is not None and account.mode == "standard" else None
        code = await self._code_behind(login, text, stored, account is not None and account.totp is not None)
        account = await named(login)
        if account is None or code is None or stored is None or account.password != stored:
            raise LoginFailed(reason=reason_of(account))
        await self._check_code(account, code, origin)
        return account

    async def _code_behind(self, login: str, text: str, stored: str | None, expected: bool) -> str | None:
        """What stands behind the right password, empty where that is nothing; None: the password is wrong."""
        password, code = codes.split(text) if expected else (text, "")
        if await self._passwords.check(login, password, stored):
            return code
        # Digits at the end may be the password's own.
        return "" if code and await self._passwords.check(login, text, stored) else None

    async def _check_code(self, account: Account, code: str, origin: Origin) -> None:
        if account.totp is None:
            if account.rights.options.get(ONE_TIME_CODES) is not None:
                raise NotPermitted("One-time codes are required, and none are enrolled")
            return
        if not code:
            raise CodeNeeded(reason="TOTP passcode missing")
        shown = account.totp, code, origin.address
        if origin.protocol not in REPEATING:
            taken = await self._take(account, account.totp, code)
        elif self._taken.get(shown, 0.0) > self._clock.seconds():
            return
        else:
            taken = await self._take_once(shown, partial(self._take, account, account.totp, code))
        if not taken:
            raise LoginFailed(reason="TOTP authentication failed")

    async def _take_once(self, shown: Shown, take: Callable[[], Awaitable[bool]]) -> bool:
        """Requests that come together with the same code have the same outcome."""
        if shown not in self._taking:
            self._taking[shown] = Shared("checking a one-time code", partial(self._take_and_remember, shown, take))
        return await self._taking[shown].run()

    async def _take_and_remember(self, shown: Shown, take: Callable[[], Awaitable[bool]]) -> bool:
        try:
            taken = await take()
        finally:
            del self._taking[shown]
        if taken:
            self._taken[shown] = self._clock.seconds() + self._life
            if len(self._taken) > REMEMBERED:
                self._taken.popitem(last=False)
        return taken

    async def _take(self, account: Account, sealed: str, code: str) -> bool:
        """Whether a code is right and was not taken before. Raises `TooManyFailures`, `Unavailable`."""
        if self._guesses.too_many(account.id):
            raise TooManyFailures(reason="Too many wrong TOTP passcodes")
        step = codes.step_of(self._secret(account, sealed), code, self._clock.seconds())
        if step is not None and await self._writer.run(lambda session: codes.use(session, account.id, step)):
            return True
        self._guesses.owe(account.id)
        return False

    def _secret(self, account: Account, sealed: str) -> bytes:
        try:
            return self._vault.open(sealed, codes.purpose(account.id))
        except Sealed as error:
            self.log.error("user {login} can't log in: {error}", login=account.login, error=error)
            raise Unavailable from error


def check_sole(options: Mapping[str, str]) -> None:
    """Whether a user may come in without password and code. Raises `LoginFailed`."""
    if options.get(ONE_TIME_CODES) == ONLY:
        raise LoginFailed(reason="Only a password with a TOTP passcode lets this user in")


def check_time(options: Mapping[str, str], origin: Origin, now: float) -> None:
    """Whether a user may come in at this time of day. Raises `NotPermitted`.

    Where doors have sessions they count those themselves, and none is more than none.
    """
    if MOST_SESSIONS_BY_TIME in options and origin.protocol in SESSIONLESS and most_sessions(options, now) == 0:
        raise NotPermitted("Not at this time")


def reason_of(account: Account | None) -> str:
    """Why a login failed, for the record alone, in the ancestor's words."""
    if account is None:
        return "Not found"
    return "Password authentication failed" if account.password else "Password not set"
