"""What operators ask of a Master: destinations, users, the history, how much there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve
from sqlalchemy import func, select
from zope.interface import implementer

from ecpds.errors import InvalidRequest
from ecpds.events import Event
from ecpds.interfaces import IOperations
from ecpds.master import destinations, history, users
from ecpds.master.schema import data_file, reclaim, user
from ecpds.master.service import Master
from ecpds.master.sql import Session, Statement
from ecpds.model import Destination, Entry, NewUser, UserRecord

_FILES = Statement(select(func.count(), func.coalesce(func.sum(data_file.c.size), 0)).select_from(data_file))
_USERS = Statement(select(func.count()).select_from(user))
_TO_RECLAIM = Statement(select(func.count()).select_from(reclaim))


@implementer(IOperations)
class Operations:
    """`IOperations` of the Master in this process."""

    def __init__(self, master: Master) -> None:
        self._master = master

    async def add_destination(self, destination: Destination) -> Destination:
        destinations.check(destination)
        new = evolve(destination, created=self._master.clock.seconds())
        return await self._master.change(lambda session: destinations.add(session, new), self._master.destination_added)

    async def destinations(self) -> Sequence[Destination]:
        return self._master.destinations()

    async def destination(self, name: str) -> Destination:
        return self._master.destination(name)

    async def add_user(self, user: NewUser) -> UserRecord:
        users.check(user)
        password = None if user.password is None else await self._master.passwords.hashed(user.password)
        now = self._master.clock.seconds()
        return await self._master.writer.run(lambda session: users.add(session, user, password, now))

    async def users(self) -> Sequence[UserRecord]:
        return await self._master.reader.ask_on_thread(users.every)

    async def user(self, login: str) -> UserRecord:
        return self._master.reader.ask(lambda session: users.record(session, login))

    async def add_key(self, login: str, key: str) -> UserRecord:
        parsed, now = users.parse_key(key), self._master.clock.seconds()
        return await self._master.change(
            lambda session: users.add_key(session, login, parsed, now), lambda _: self._master.accounts.forget(login)
        )

    async def remove_file(self, destination: str, path: str) -> Entry:
        return await self._master.delete_file(destination, path)

    async def history(self, type: str | None, limit: int, before: int | None) -> Sequence[tuple[int, Event]]:
        if not 0 < limit <= self._master.limits.history_page:
            raise InvalidRequest(f"{limit} records; allowed: 1 to {self._master.limits.history_page}")
        await self._master.history.flush()
        return await self._master.reader.ask_on_thread(lambda session: history.newest(session, type, limit, before))

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
        "bytes": size,
        "reclaim": session.rows(_TO_RECLAIM)[0][0],
    }
