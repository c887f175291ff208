"""What operators ask of a Master: destinations, users, policies, the history, how much there is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from attrs import evolve
from sqlalchemy import func, select
from zope.interface import implementer

from ecpds.errors import InvalidRequest
from ecpds.events import Event, is_time
from ecpds.master import access, codes, days, destinations, multipart, owed, policies, scrubbing, user_changes, users
from ecpds.master.movers import Duty
from ecpds.master.schema import data_file, reclaim, user
from ecpds.master.service import Master
from ecpds.master.shared import detached
from ecpds.master.sql import Session, Statement
from ecpds.model import Destination, DestinationChange, Entry, QuotaUse, RecordFilter
from ecpds.operator_interfaces import IOperations
from ecpds.people import AccessKey, NewUser, Policy, UserChange, UserRecord
from ecpds.scrubbing import Checked, DamagedCopy

_FILES = Statement(select(func.count(), func.coalesce(func.sum(data_file.c.size), 0)).select_from(data_file))
_USERS = Statement(select(func.count()).select_from(user))
_TO_RECLAIM = Statement(select(func.count()).select_from(reclaim))

T = TypeVar("T")

TOGETHER = 200
"""Files of a destination that are removed in one go."""

LOST = 1000
"""Paths that are named at most of those that a mover is lost with."""


@implementer(IOperations)
class Operations:
    """`IOperations` of the Master in this process."""

    def __init__(self, master: Master) -> None:
        self._master = master

    # Destinations

    async def add_destination(self, destination: Destination) -> Destination:
        destinations.check(destination)
        new = evolve(destination, created=self._master.clock.seconds())
        return await self._master.change(lambda session: destinations.add(session, new), self._master.destination_changed)

    async def destinations(self) -> Sequence[Destination]:
        return self._master.destinations()

    async def destination(self, name: str) -> Destination:
        return self._master.destination(name)

    async def change_destination(self, name: str, change: DestinationChange) -> Destination:
        self._master.destination(name)
        operation = partial(destinations.change, name=name, change=change)
        return await self._master.change(operation, self._master.destination_changed)

    async def remove_destination(self, name: str, force: bool) -> Destination:
        found = self._master.destination(name)
        if force:
            await detached(self._master.removed_by(found, self._remove_with_files(found)))
        else:
            await self._master.change(
                lambda session: destinations.remove(session, found.id, False),
                lambda _: self._master.destination_removed(found),
            )
        return found

    async def _remove_with_files(self, found: Destination) -> None:
        """What was on its way in meanwhile goes with the rest."""
        first: str | None = ""
        while first is not None:
            first = await self._master.writer.run(partial(self._remove_some, found, first))

    def _remove_some(self, found: Destination, first: str, session: Session) -> str | None:
        """From which folder on there is more to remove; None: the destination is gone.

        The writer runs this, a few files at a time, so that others have their turn. What is emptied is not walked over again,
        but once: for what came there meanwhile.
        """
        due = self._master.clock.seconds() + self._master.limits.ticket_life
        more = destinations.empty_some(session, found.id, TOGETHER, due, first)
        if more is not None or first:
            return more or ""
        if multipart.give_up_in(session, found.id):
            return ""
        destinations.remove(session, found.id, True)
        return None

    # Users

    async def add_user(self, user: NewUser) -> UserRecord:
        user_changes.check(user)
        password = None if user.password is None else await self._master.passwords.hashed(user.password)
        now = self._master.clock.seconds()
        return await self._master.writer.run(lambda session: user_changes.add(session, user, password, now))

    async def change_user(self, login: str, change: UserChange) -> UserRecord:
        user_changes.check_change(change)
        return await self._change_user(login, lambda session: user_changes.change(session, login, change))

    async def set_password(self, login: str, password: str) -> UserRecord:
        if not password:
            raise InvalidRequest("the password is empty")
        await self.user(login)
        encoded = await self._master.passwords.hashed(password)
        return await self._change_user(login, lambda session: user_changes.set_password(session, login, encoded))

    async def remove_user(self, login: str) -> UserRecord:
        return await self._change_user(login, lambda session: user_changes.remove(session, login))

    async def users(self) -> Sequence[UserRecord]:
        return await self._master.reader.ask_on_thread(users.every)

    async def user(self, login: str) -> UserRecord:
        return await self._master.reader.ask(lambda session: users.record(session, login))

    async def _change_user(self, login: str, operation: Callable[[Session], T]) -> T:
        return await self._master.change(operation, lambda _: self._master.accounts.forget(login))

    async def quotas(self, login: str | None, destination: str | None) -> Sequence[QuotaUse]:
        return await self._master.used_quotas(login, destination)

    # Keys

    async def add_key(self, login: str, key: str) -> UserRecord:
        parsed, now = user_changes.parse_key(key), self._master.clock.seconds()
        return await self._change_user(login, lambda session: user_changes.add_key(session, login, parsed, now))

    async def remove_key(self, login: str, key: str) -> UserRecord:
        parsed = user_changes.parse_key(key)
        return await self._change_user(login, lambda session: user_changes.remove_key(session, login, parsed))

    async def add_access_key(
        self,
        login: str,
        life: float | None,
        permissions: Collection[str] | None,
        destinations: Collection[str] | None,
    ) -> tuple[AccessKey, str]:
        policies.check_permissions(permissions or ())
        for name in destinations or ():
            self._master.destination(name)
        now = self._master.clock.seconds()
        expires = None if life is None else now + life
        if expires is not None and not is_time(expires):
            raise InvalidRequest("a key expires in the year 9999 at the latest")
        held, places = _words(permissions), _words(destinations)
        key = AccessKey(access.new_id(self._master.random), login, now, expires, held, places)
        secret = access.new_secret(self._master.random)

        def operation(session: Session) -> AccessKey:
            owner = users.named(session, login).id
            sealed = self._master.vault.seal(secret.encode("ascii"), access.purpose(owner, key.id))
            return access.add(session, key, owner, sealed)

        return await self._change_user(login, operation), secret

    async def enrol_totp(self, login: str) -> str:
        secret, now = codes.new_secret(self._master.random), self._master.clock.seconds()
        await self._change_user(login, lambda session: codes.enrol(session, login, self._master.vault, secret, now))
        return codes.uri(secret, login)

    async def remove_totp(self, login: str) -> UserRecord:
        return await self._change_user(login, lambda session: codes.remove(session, login))

    async def access_keys(self, login: str) -> Sequence[AccessKey]:
        return await self._master.reader.ask(lambda session: access.of_user(session, users.named(session, login).id))

    async def remove_access_key(self, login: str, access_key_id: str) -> AccessKey:
        return await self._change_user(
            login, lambda session: access.remove(session, users.named(session, login).id, access_key_id)
        )

    # Policies

    async def add_policy(self, policy: Policy) -> Policy:
        policies.check(policy)
        new = evolve(policy, created=self._master.clock.seconds())
        return await self._master.writer.run(lambda session: policies.add(session, new))

    async def change_policy(self, name: str, change: UserChange) -> Policy:
        policies.check_change(change)
        return await self._change_policy(lambda session: policies.change(session, name, change))

    async def remove_policy(self, name: str, force: bool) -> Policy:
        return await self._change_policy(lambda session: policies.remove(session, name, force))

    async def policies(self) -> Sequence[Policy]:
        return await self._master.reader.ask_on_thread(policies.every)

    async def policy(self, name: str) -> Policy:
        return await self._master.reader.ask(lambda session: policies.named(session, name))

    async def _change_policy(self, operation: Callable[[Session], T]) -> T:
        return await self._master.change(operation, lambda _: self._master.accounts.forget_all())

    # Files, records, counts

    async def remove_file(self, destination: str, path: str) -> Entry:
        return await self._master.delete_file(destination, path)

    async def release_file(self, destination: str, path: str) -> Entry:
        return await self._master.releases.release(destination, path)

    async def verify_file(self, destination: str, path: str) -> Sequence[Checked]:
        return await self._master.scrubbing.verify(destination, path)

    async def damaged(self, after: tuple[int, str, int], limit: int) -> Sequence[DamagedCopy]:
        return await self._master.scrubbing.damaged(after, limit)

    async def release_folder(self, destination: str, path: str) -> int:
        async def anybody(_: str) -> bool:
            return True

        return await detached(self._master.releases.release_below(destination, path, anybody))

    async def hold_file(self, destination: str, path: str) -> Entry:
        return await self._master.releases.hold(destination, path)

    async def history(self, wanted: RecordFilter, limit: int, before: int | None) -> Sequence[tuple[int, Event]]:
        return await self._records(limit, lambda session: days.newest(session, wanted, limit, before))

    async def history_after(self, wanted: RecordFilter, limit: int, after: int) -> Sequence[tuple[int, Event]]:
        return await self._records(limit, lambda session: days.following(session, wanted, limit, after))

    async def _records(self, limit: int, question: Callable[[Session], list[tuple[int, Event]]]) -> list[tuple[int, Event]]:
        if not 0 < limit <= self._master.limits.history_page:
            raise InvalidRequest(f"{limit} records; allowed: 1 to {self._master.limits.history_page}")
        await self._master.history.flush()
        return await self._master.reader.ask_on_thread(question)

    async def drain_mover(self, name: str, draining: bool) -> None:
        await self._master.roster.set(name, Duty.DRAINING if draining else Duty.OPEN)

    async def retire_mover(self, name: str, wait: bool) -> None:
        await self._master.evacuation.retire(name)
        if wait:
            await self._master.evacuation.ended(name)

    async def forget_mover(self, name: str) -> tuple[int, Sequence[str]]:
        self._master.movers.about(name)
        if self._master.movers.is_present(name):
            raise InvalidRequest(f"mover {name} is there: what it holds can be moved")
        count, places = await self._master.roster.lost(name, LOST)
        await self._master.roster.forget(name)
        names = {each.id: each.name for each in self._master.destinations()}
        return count, [f"/{names[destination]}/{path}" for destination, path in places if destination in names]

    async def movers(self) -> Sequence[str]:
        return self._master.movers.names

    async def about_mover(self, name: str) -> Mapping[str, Any]:
        about = self._master.movers.about(name)
        return {**about, "moving": self._master.evacuation.progress(name)}

    async def summary(self) -> Mapping[str, Any]:
        counts = await self._master.reader.ask_on_thread(_counts)
        return {
            **counts,
            "destinations": len(self._master.destinations()),
            "uploads": len(self._master.uploads),
        }


def _counts(session: Session) -> dict[str, int]:
    files, size = session.rows(_FILES)[0]
    return {
        "users": session.rows(_USERS)[0][0],
        "files": files,
        "bytes": int(size),
        "reclaim": session.rows(_TO_RECLAIM)[0][0],
        "digests_owed": owed.count(session),
        "damaged": sum(scrubbing.counts(session).values()),
    }


def _words(given: Collection[str] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(dict.fromkeys(given))
