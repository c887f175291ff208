"""What operators see and do: plain dicts that are JSON as they stand, over the Master's operations and the movers.

The shapes of a file and of a record are a contract (docs: the command line). Times are ISO 8601 in UTC, sizes bytes,
life times seconds. Paths are those that users see: `/DESTINATION/PATH`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from attrs import asdict
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ecpds.errors import InvalidRequest, IsADirectory, NotFound, Unavailable
from ecpds.events import timestamp
from ecpds.interfaces import IMaster, IMoverControl, IOperations
from ecpds.model import MODES, PERMISSIONS, Destination, Entry, NewUser, UserRecord, VolumeUse
from ecpds.portal.paths import CanonicalPath, canonical

PAGE = 100
"""How many entries or records are made into objects before others have their turn."""

Object = dict[str, Any]


class Operator:
    """The operator's façade. `facts` is what the node itself adds to its status, `clock` lets others have their turn."""

    def __init__(
        self,
        operations: IOperations,
        master: IMaster,
        movers: Mapping[str, IMoverControl],
        clock: IReactorTime,
        facts: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._operations = operations
        self._master = master
        self._movers = movers
        self._clock = clock
        self._facts = facts

    async def add_destination(
        self,
        name: str,
        copies: int = 1,
        group: str | None = None,
        lifetime: float | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Object:
        """The options `digests` (comma-separated) and `digest_when` are the destination's own; others are kept as given."""
        others = dict(options or {})
        digests = others.pop("digests", "sha256")
        when = others.pop("digest_when", "inline")
        kept = tuple(dict.fromkeys(digest.strip() for digest in digests.split(",") if digest.strip()))
        new = Destination(0, name, copies, group, lifetime, kept, when, others, self._clock.seconds())
        return shown_destination(await self._operations.add_destination(new))

    async def list_destinations(self) -> AsyncIterator[Object]:
        for destination in await self._operations.destinations():
            yield shown_destination(destination)

    async def show_destination(self, name: str) -> Object:
        return shown_destination(await self._operations.destination(name))

    async def add_user(
        self,
        login: str,
        password: str | None = None,
        mode: str = "standard",
        destinations: Sequence[str] = (),
        permissions: Sequence[str] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Object:
        """No permissions said (None) means all. Raises `InvalidRequest` for a mode or a permission that there is not."""
        _check_known("mode", [mode], MODES)
        _check_known("permission", permissions or (), PERMISSIONS)
        if password == "":
            raise InvalidRequest("the password is empty")
        wanted = PERMISSIONS if permissions is None else tuple(name for name in PERMISSIONS if name in permissions)
        new = NewUser(login, password, mode, tuple(dict.fromkeys(destinations)), wanted, dict(options or {}))
        return shown_user(await self._operations.add_user(new))

    async def list_users(self) -> AsyncIterator[Object]:
        for user in await self._operations.users():
            yield shown_user(user)

    async def show_user(self, login: str) -> Object:
        return shown_user(await self._operations.user(login))

    async def change_key(self, login: str, action: str, key: str) -> Object:
        """`add` is the only action there is."""
        _check_known("action", [action], ("add",))
        return shown_user(await self._operations.add_key(login, key.strip()))

    async def show_file(self, path: str) -> Object:
        name = _inside(path)
        entry = await self._master.resolve(name.destination, name.inside)
        if entry.file is None:
            raise IsADirectory
        return shown_file(name.destination, entry)

    async def list_files(self, path: str) -> AsyncIterator[Object]:
        """A directory's entries, in the byte order of names."""
        name = canonical(path)
        if not name.segments:
            for destination in await self._operations.destinations():
                yield shown_file(destination.name, Entry("", destination.created))
            return
        after: str | None = None
        while True:
            page = await self._master.list(name.destination, name.inside, after, PAGE)
            for entry in page.entries:
                found = await self._with_copies(name.destination, entry)
                if found is not None:
                    yield found
            after = page.after
            if after is None:
                return
            await self._others_turn()

    async def remove_file(self, path: str) -> Object:
        """Returns what was removed."""
        name = _inside(path)
        return shown_file(name.destination, await self._operations.remove_file(name.destination, name.inside))

    async def list_events(self, type: str | None = None, limit: int | None = None) -> AsyncIterator[Object]:
        """The records, newest first: all of them, or `limit`."""
        before: int | None = None
        left = limit
        while left is None or left > 0:
            asked = PAGE if left is None else min(PAGE, left)
            records = await self._operations.history(type, asked, before)
            for number, event in records:
                before = number
                yield event.as_json()
            if len(records) < asked:
                return
            left = None if left is None else left - asked
            await self._others_turn()

    async def list_movers(self) -> AsyncIterator[Object]:
        for name in sorted(self._movers):
            yield await self._shown_mover(name, self._movers[name])

    async def status(self) -> Object:
        """The node's own facts, the catalogue's counts, and the movers."""
        counts = await self._operations.summary()
        return {**self._facts(), **counts, "movers": [mover async for mover in self.list_movers()]}

    async def _shown_mover(self, name: str, mover: IMoverControl) -> Object:
        try:
            volumes = await mover.volumes()
        except Unavailable as refusal:
            return {"name": name, "available": False, "reason": refusal.sentence, "volumes": []}
        return {"name": name, "available": True, "reason": None, "volumes": [shown_volume(volume) for volume in volumes]}

    async def _with_copies(self, destination: str, entry: Entry) -> Object | None:
        """A listed entry with its copies, which a page does not have; None when it has gone since."""
        if entry.file is None:
            return shown_file(destination, entry)
        try:
            return shown_file(destination, await self._master.resolve(destination, entry.path))
        except NotFound:
            return None

    async def _others_turn(self) -> None:
        await deferLater(self._clock, 0, lambda: None)


def shown_file(destination: str, entry: Entry) -> Object:
    """A file as the contract has it; a directory has no id, no digests and no copies, and ends in a slash."""
    path = f"/{destination}/{entry.path}".rstrip("/")
    file = entry.file
    copies = dict.fromkeys(copy for segment in file.segments for copy in segment.copies) if file else {}
    return {
        "id": file.id if file else None,
        "path": path if file else f"{path}/",
        "size": entry.size,
        "mtime": timestamp(entry.mtime),
        "digests": dict(file.digests) if file else {},
        "copies": [{"mover": copy.mover, "volume": copy.volume} for copy in copies],
    }


def shown_destination(destination: Destination) -> Object:
    shown = asdict(destination, value_serializer=_plain)
    return {**shown, "created": timestamp(destination.created)}


def shown_user(user: UserRecord) -> Object:
    seen = None if user.last_login is None else timestamp(user.last_login)
    return {**asdict(user, value_serializer=_plain), "created": timestamp(user.created), "last_login": seen}


def shown_volume(volume: VolumeUse) -> Object:
    return asdict(volume)


def _plain(_: Any, __: Any, value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _inside(path: str) -> CanonicalPath:
    """The canonical path of something in a destination."""
    name = canonical(path)
    if len(name.segments) < 2:
        raise IsADirectory
    return name


def _check_known(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    for word in given:
        if word not in known:
            raise InvalidRequest(f"{what} {word!r}; allowed: {', '.join(known)}")
