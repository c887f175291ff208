"""Destinations that users make and remove themselves, as S3's clients expect of buckets: with an option of the user's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime

from ecpds.errors import NotFound, NotPermitted
from ecpds.grants import WRITE_ACL
from ecpds.master import destinations, multipart
from ecpds.master.accounts import Accounts
from ecpds.master.schema import user_destination
from ecpds.master.shared import detached
from ecpds.master.sql import Session, Statement, insert_into
from ecpds.master.writer import Writer
from ecpds.model import Destination, DestinationChange, Identity
from ecpds.options import BUCKET_ACL, BUCKET_GRANTS, BUCKET_OWNER, BUCKET_SETTINGS, MAKES_BUCKETS, S3_ETAG
from ecpds.terms import AllocationRequest

T = TypeVar("T")

TOLD = BUCKET_SETTINGS | {BUCKET_OWNER}
"""The options of a destination that its users are told."""

OF_ACL = frozenset((BUCKET_ACL, BUCKET_GRANTS))

_GIVE = Statement(insert_into(user_destination))


class IsMaster(Protocol):
    """What this needs of the Master."""

    accounts: Accounts
    clock: IReactorTime
    writer: Writer

    def destination(self, name: str) -> Destination: ...

    def destination_changed(self, destination: Destination) -> None: ...

    async def removed_by(self, destination: Destination, work: Awaitable[None]) -> None: ...

    async def change(self, operation: Callable[[Session], T], then: Callable[[T], None]) -> T: ...


def needless_md5_left_out(request: AllocationRequest, destination: Destination) -> tuple[str, ...]:
    """The digests that an upload asks for, without the MD5 of an ETag where the destination wants none."""
    if request.origin.protocol == "s3" and destination.options.get(S3_ETAG) == "opaque":
        return tuple(name for name in request.terms.digests if name != "md5")
    return request.terms.digests


def _check_removable(session: Session, id_: int) -> None:
    destinations.check_empty(session, id_, False)
    multipart.check_none_kept(session, id_)


def _is_removed(session: Session, id_: int) -> bool:
    """Whether a destination is gone; else some of the uploads to it are."""
    _check_removable(session, id_)
    if multipart.give_up_in(session, id_):
        return False
    destinations.remove(session, id_, False)
    return True


class Buckets:
    """Answers for a Master what concerns them."""

    def __init__(self, master: IsMaster) -> None:
        self._master = master

    async def create(self, identity: Identity, name: str, settings: Mapping[str, str]) -> None:
        """Make a destination that the user has. Raises `NotPermitted`, `AlreadyExists`, `InvalidName`."""
        await self._check(identity)
        if not settings.keys() <= BUCKET_SETTINGS:
            raise NotPermitted("that is set by the portal's operators")
        options = {**settings, BUCKET_OWNER: identity.login}
        new = Destination(0, name, options=options, created=self._master.clock.seconds())
        destinations.check(new)

        def change(session: Session) -> Destination:
            made = destinations.add(session, new)
            session.run(_GIVE, user=identity.user_id, destination=made.id)
            return made

        await self._master.change(change, self._made)

    async def remove(self, identity: Identity, name: str) -> None:
        """Remove a destination that holds nothing. Uploads in parts are given up, some at a time: others wait for each time.

        Nobody finds the destination meanwhile. A removal that is refused gives none up, except where a file that was on its
        way before still lands in between: then the destination stays, without the uploads that were given up so far.

        Raises `NotPermitted`, `NotFound`, `DirectoryNotEmpty`, and `Unavailable` while uploads that broke off are kept.
        """
        await self._check(identity)
        await self._master.accounts.authorise(identity.user_id, "delete", name, "")
        found = self._master.destination(name)

        await detached(self._remove(found))

    async def _remove(self, found: Destination) -> None:
        await self._master.writer.run(lambda session: _check_removable(session, found.id))
        await self._master.removed_by(found, self._give_up_and_remove(found))

    async def _give_up_and_remove(self, found: Destination) -> None:
        is_gone = False
        while not is_gone:
            is_gone = await self._master.writer.run(lambda session: _is_removed(session, found.id))

    async def settings(self, identity: Identity, name: str) -> Mapping[str, str]:
        """What is set of a destination. Raises `NotFound` for one that the user can't see.

        Who may make destinations learns that a name is taken anyway, so it hears `NotPermitted` of another's.
        """
        if name not in identity.destinations:
            if await self._makes(identity):
                self._master.destination(name)
                raise NotPermitted
            raise NotFound
        options = self._master.destination(name).options
        return {key: options[key] for key in TOLD if key in options}

    async def set(self, identity: Identity, name: str, settings: Mapping[str, str | None]) -> None:
        """Change what is set of a destination; None unsets. Raises as `settings` does, `InvalidRequest`.

        A visitor may change who else may do what, where that right was granted to it.
        """
        await self.settings(identity, name)
        if identity.visits and settings.keys() <= OF_ACL:
            await self._master.accounts.authorise(identity.user_id, WRITE_ACL, name, "")
        else:
            await self._check(identity)
        if not settings.keys() <= BUCKET_SETTINGS:
            raise NotPermitted("that is set by the portal's operators")
        said = {key: text for key, text in settings.items() if text is not None}

        def change(session: Session) -> Destination:
            set_now = destinations.named(session, name).options
            gone = tuple(key for key in settings if key not in said and key in set_now)
            return destinations.change(session, name, DestinationChange(options=said, unset=gone))

        await self._master.change(change, self._master.destination_changed)

    async def _makes(self, identity: Identity) -> bool:
        return (await self._master.accounts.whole_option(identity, MAKES_BUCKETS)) == "true"

    async def _check(self, identity: Identity) -> None:
        if identity.visits or not await self._makes(identity):
            raise NotPermitted("destinations are made by the portal's operators")

    def _made(self, made: Destination) -> None:
        self._master.destination_changed(made)
        self._master.accounts.forget_all()
