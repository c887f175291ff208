"""Who logs in, and what a user may do: the accounts, remembered until they change."""

from __future__ import annotations

import base64
from collections import OrderedDict
from collections.abc import Callable, Mapping

from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ecpds.errors import LoginFailed, NotFound, NotPermitted, Refusal
from ecpds.keys import Vault
from ecpds.master import access, traits, users
from ecpds.master.access import StoredKey
from ecpds.master.credentials import Credentials, check_sole, check_time, reason_of
from ecpds.master.reader import Reader
from ecpds.master.rights import ROOTDIR, names_of, of_visitors
from ecpds.master.signing import SigningKeys
from ecpds.master.traits import SetOf
from ecpds.master.users import Account, mark
from ecpds.master.writer import Writer
from ecpds.model import ANYBODY, EMPTY, VISITOR, Destination, Identity, Origin
from ecpds.options import MAKES_BUCKETS, path_allowed
from ecpds.people import LOGIN, AccessKey

EXCLUDED = "portal.excludeProtocols"
NOTE = "portal.updateLastLoginInformation"

REMEMBERED = 10_000
"""Accounts that are remembered at most."""

NOTED = 60.0
"""Seconds between two notes of a user's last login: a client that logs in for each request does not cost a commit each."""


class Accounts:
    """The users. Whoever changes one calls `forget`, and `forget_all` where it can't be told whom a change concerns.

    `told` is called then, before whoever made the change is answered.
    """

    log = Logger()

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        credentials: Credentials,
        vault: Vault,
        clock: IReactorTime,
        set_of: SetOf,
        destination: Callable[[str], Destination],
    ) -> None:
        self.told: Callable[[], None] = lambda: None
        self._reader = reader
        self._writer = writer
        self._credentials = credentials
        self._signing = SigningKeys(vault)
        self._clock = clock
        self._set_of = set_of
        self._destination = destination
        self._known: OrderedDict[int, Account] = OrderedDict()
        self._ids: dict[str, int] = {}
        self._identities: dict[int | str, tuple[Account, StoredKey | None, Identity]] = {}
        self._keys: OrderedDict[str, StoredKey] = OrderedDict()
        self._noted: dict[int, float] = {}
        self._changes = 0

    async def login(self, login: str, password: str, origin: Origin) -> Identity:
        """Raises `LoginFailed`, the same and as late for an unknown user; `NotPermitted` with the reason in its detail.

        Only who has the right password learns that the account is disabled or may go nowhere.
        """
        account = await self._named(login)
        credential = ""
        if account is None or account.mode != "open":
            account = await self._credentials.check(login, password, origin, self._named)
            credential = account.password_mark
        return self._logged_in(account, origin, credential)

    async def login_with_key(self, login: str, key: bytes, origin: Origin) -> Identity:
        """Raises as `login` does."""
        account = await self._named(login)
        if account is None:
            raise LoginFailed(reason=reason_of(account))
        credential = ""
        if account.mode != "open":
            check_sole(account.rights.options)
            blob = base64.b64encode(key).decode("ascii")
            if account.mode != "standard" or not account.has_key(blob):
                raise LoginFailed(reason="Public key authentication failed")
            credential = mark(blob)
        return self._logged_in(account, origin, credential)

    async def login_with_certificate(self, login: str, origin: Origin) -> Identity:
        """Raises as `login` does. Nothing that is listed here can be taken back from such a session, but the account itself."""
        account = await self._named(login)
        if account is None or account.mode not in ("open", "standard"):
            raise LoginFailed(reason="Not found" if account is None else "Certificate authentication failed")
        if account.mode != "open":
            check_sole(account.rights.options)
        return self._logged_in(account, origin, "")

    async def login_with_signature(
        self, access_key_id: str, date: str, region: str, service: str, origin: Origin
    ) -> tuple[Identity, bytes]:
        """Raises as `login` does; `Unavailable` where the secret can't be opened."""
        stored = await self._access_key(access_key_id)
        if stored is None or self._expired(stored):
            raise LoginFailed(reason="Not found" if stored is None else "Access key expired")
        identity = self._identity(await self._account(stored.user), stored)
        check_door(identity, origin)
        check_sole(identity.options)
        check_time(identity.options, origin, self._clock.seconds())
        return identity, self._signing.get(stored, date, region, service)

    async def visit(self, destination: str, login: str) -> Identity:
        """What who has no right of its own may do in a destination: a user, or, where `login` is empty, anybody.

        Raises `NotPermitted`, and `NotFound` where there is no such destination.
        """
        account = await self._named(login) if login and login != ANYBODY else None
        if account is not None and not account.enabled:
            raise NotPermitted
        id_, login = (VISITOR, ANYBODY) if account is None else (account.id, account.login)
        options = self._destination(destination).options
        held = of_visitors(options, "" if account is None else login)
        if not held:
            raise NotPermitted
        own = EMPTY if account is None else account.rights.options
        return Identity(
            id_,
            login,
            held,
            (destination,),
            traits.shown_to_visitors(own, options),
            rights={destination: held},
            visits=True,
            metered=traits.metered(self._set_of, own, (destination,)),
            rates=traits.rated(self._set_of, (destination,)),
        )

    def _open_to(self, destination: str, login: str) -> frozenset[str]:
        try:
            return of_visitors(self._destination(destination).options, login)
        except NotFound:
            return frozenset()

    async def renew(self, identity: Identity) -> Identity:
        """Raises `NotPermitted`."""
        if identity.visits:
            return await self._visit_again(identity)
        if not identity.access_key:
            account = await self._account(identity.user_id)
            if identity.credential and not account.has_credential(identity.credential):
                raise NotPermitted("the password or the key is no longer valid")
            return self._identity(account, credential=identity.credential)
        stored = await self._access_key(identity.access_key)
        if stored is None or stored.user != identity.user_id or self._expired(stored):
            raise NotPermitted("the access key is no longer valid")
        return self._identity(await self._account(stored.user), stored)

    async def _visit_again(self, identity: Identity) -> Identity:
        try:
            return await self.visit(identity.destinations[0], identity.login)
        except NotFound as refusal:
            raise NotPermitted from refusal

    async def authorise(self, user: int, permission: str, destination: str, path: str) -> None:
        """Raises `NotPermitted` unless the user, as it is now, may do that to `path` in the destination: by its own rights,
        or as a visitor."""
        if user == VISITOR:
            if permission not in self._open_to(destination, ""):
                raise NotPermitted
            return
        account = await self._account(user)
        if not account.enabled:
            raise NotPermitted
        if destination not in account.rights.by_destination and permission in self._open_to(destination, account.login):
            return
        if not _may(account, permission, destination, path):
            raise NotPermitted

    def known_to_may(self, user: int, permission: str, destination: str, path: str) -> Account | None:
        """The account of a user that by its own rights may do that now; None: it may not, or that must be asked for."""
        account = self._known.get(user)
        return account if account is not None and account.enabled and _may(account, permission, destination, path) else None

    async def limited(self, user: int, key: AccessKey) -> Identity:
        """Who may do no more than `key` says in the name of a user. Raises `NotPermitted`."""
        return self._identity(await self._account(user), StoredKey(key, user, ""))

    async def login_of(self, user: int) -> str:
        """Raises `NotPermitted` for one that is no longer there."""
        return (await self._account(user)).login

    async def options_of(self, user: int) -> tuple[str, Mapping[str, str]]:
        """The login and the options of a user, or of nobody. Raises `NotPermitted` for one that is no longer there."""
        if user == VISITOR:
            return ANYBODY, EMPTY
        account = await self._account(user)
        return account.login, account.rights.options

    async def named(self, login: str) -> int:
        """The number of a user. Raises `NotFound`."""
        account = await self._named(login)
        if account is None:
            raise NotFound(f"user {login[:100]!a}")
        return account.id

    async def whole_option(self, identity: Identity, name: str) -> str | None:
        """An option of the user or of its policies; None where it is not set, or the user may log in no more, or came
        with an access key that may do less than the user."""
        account = await self._account(identity.user_id)
        if identity.access_key:
            stored = await self._access_key(identity.access_key)
            if stored is None or stored.key.permissions is not None or stored.key.destinations is not None:
                return None
        return account.rights.options.get(name) if account.enabled else None

    def forget(self, login: str) -> None:
        """The user has changed, or one of its access keys."""
        self._changes += 1
        id_ = self._ids.pop(login, None)
        if id_ is not None:
            self._known.pop(id_, None)
            self._identities.pop(id_, None)
        for key in [key for key, stored in self._keys.items() if stored.key.login == login]:
            del self._keys[key]
            self._identities.pop(key, None)
        self.told()

    def forget_all(self) -> None:
        """Something that many users have has changed."""
        self._changes += 1
        self._known.clear()
        self._identities.clear()
        self._ids.clear()
        self._keys.clear()
        self.told()

    def _logged_in(self, account: Account, origin: Origin, credential: str) -> Identity:
        identity = self._identity(account, credential=credential)
        check_door(identity, origin)
        check_time(identity.options, origin, self._clock.seconds())
        if identity.options.get(NOTE) != "false":
            self._note(account)
        return identity

    def _identity(self, account: Account, stored: StoredKey | None = None, credential: str = "") -> Identity:
        """The same object again for the same account and credential, until something changes. Raises `NotPermitted`."""
        of = account.id if stored is None else stored.key.id
        if self._known.get(account.id) is not account or (stored is not None and self._keys.get(stored.key.id) is not stored):
            return self._make_identity(account, stored, credential)
        known = self._identities.get(of)
        if known is not None and known[0] is account and known[1] is stored and known[2].credential == credential:
            return known[2]
        identity = self._make_identity(account, stored, credential)
        self._identities[of] = account, stored, identity
        return identity

    def still(self, identity: Identity) -> bool:
        """Whether a login with the same credential would be answered with this very object."""
        found = self._identities.get(identity.access_key or identity.user_id)
        if found is None or found[2] is not identity:
            return False
        account, stored, _ = found
        if stored is not None and (self._keys.get(stored.key.id) is not stored or self._expired(stored)):
            return False
        if account.totp is not None and identity.credential == account.password_mark:
            return False  # How long a code is good, `Credentials` knows.
        return self._known.get(account.id) is account

    def _make_identity(self, account: Account, stored: StoredKey | None, credential: str) -> Identity:
        """Raises `NotPermitted` where the account can't be used."""
        rights = account.rights if stored is None else account.rights.limited(stored.key)
        held = rights.permissions
        if not rights.by_destination and _makes_own(account, stored):
            held = frozenset(account.permissions)
        _check_usable(account, bool(rights.by_destination or held), held)
        destinations = tuple(rights.by_destination)
        return Identity(
            account.id,
            account.login,
            held,
            destinations,
            rights.options,
            account.comment,
            rights.by_destination,
            names_of(self._set_of(destinations, ROOTDIR)),
            stored.key.id if stored is not None else "",
            credential,
            sites=traits.sites(self._set_of, destinations),
            metered=traits.metered(self._set_of, rights.options, destinations),
            rates=traits.rated(self._set_of, destinations),
        )

    def _expired(self, stored: StoredKey) -> bool:
        return stored.key.expires is not None and stored.key.expires <= self._clock.seconds()

    async def _access_key(self, access_key_id: str) -> StoredKey | None:
        stored = self._keys.get(access_key_id)
        if stored is None and access.ID.fullmatch(access_key_id):
            changes = self._changes
            stored = await self._reader.ask(lambda session: access.by_id(session, access_key_id))
            if stored is not None and changes == self._changes:
                self._keys[access_key_id] = stored
                if len(self._keys) > REMEMBERED:
                    oldest, _ = self._keys.popitem(last=False)
                    self._identities.pop(oldest, None)
        return stored

    async def _account(self, user: int) -> Account:
        """Raises `NotPermitted` for one that is no longer there."""
        return self._known.get(user) or await self._load(user)

    async def _named(self, login: str) -> Account | None:
        id_ = self._ids.get(login)
        if id_ is not None:
            return self._known[id_]
        if not LOGIN.fullmatch(login):
            return None
        changes = self._changes
        account = await self._reader.ask(lambda session: users.by_login(session, login))
        if account is not None:
            self._remember(account, changes)
        return account

    async def _load(self, user: int) -> Account:
        changes = self._changes
        account = await self._reader.ask(lambda session: users.by_id(session, user))
        if account is None:
            raise NotPermitted
        self._remember(account, changes)
        return account

    def _remember(self, account: Account, changes: int) -> None:
        """Unless there were changes since the catalogue was asked, when there had been `changes`."""
        if changes != self._changes:
            return
        self._known[account.id] = account
        self._ids[account.login] = account.id
        if len(self._known) > REMEMBERED:
            _, oldest = self._known.popitem(last=False)
            del self._ids[oldest.login]
            self._identities.pop(oldest.id, None)

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


def _may(account: Account, permission: str, destination: str, path: str) -> bool:
    """Whether an account has that right by itself."""
    rights = account.rights
    if permission not in rights.by_destination.get(destination, ()):
        return False
    return path_allowed(rights.options, permission, f"/{destination}/{path}" if path else f"/{destination}")


def check_door(identity: Identity, origin: Origin) -> None:
    """Whether the user may come in by that door."""
    excluded = identity.options.get(EXCLUDED)
    if excluded is not None and origin.protocol in map(str.strip, excluded.split(",")):
        raise NotPermitted(f"Not by {origin.protocol}")


def _makes_own(account: Account, stored: StoredKey | None) -> bool:
    """Whether a user without destinations may come in to make one: it has none at first, and none when its last is removed."""
    whole = stored is None or (stored.key.permissions is None and stored.key.destinations is None)
    return whole and not account.rights.by_destination and account.rights.options.get(MAKES_BUCKETS) == "true"


def _check_usable(account: Account, somewhere: bool, held: frozenset[str]) -> None:
    if not account.enabled:
        raise NotPermitted("Disabled")
    if not somewhere:
        raise NotPermitted("No associated Destinations")
    if not held:
        raise NotPermitted("No associated Permissions")
