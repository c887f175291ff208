"""What operators see and do: plain dicts that are JSON as they stand, over the Master's operations and the movers.

The shapes of a file and of a record are a contract (docs: the command line). Times are ISO 8601 in UTC, sizes bytes,
life times seconds. Paths are those that users see: `/DESTINATION/PATH`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from typing import Any

from attrs import asdict
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ecpds.acquisitions import IAcquirer
from ecpds.datasource_interfaces import IFleetProbe, IRepository
from ecpds.errors import InvalidRequest, IsADirectory, NotFound, Unavailable
from ecpds.events import FAMILIES, moment, timestamp
from ecpds.interfaces import IMoverControl
from ecpds.master_interfaces import IMaster
from ecpds.model import Destination, DestinationChange, Entry, RecordFilter, VolumeUse
from ecpds.operator_interfaces import IOperations
from ecpds.options import lifetime_of
from ecpds.portal.journal import TransferRecord
from ecpds.portal.operator_acquisitions import AcquisitionsOperator
from ecpds.portal.operator_scrub import ScrubOperator
from ecpds.portal.operator_shares import SharesOperator
from ecpds.portal.operator_sources import SourcesOperator
from ecpds.portal.operator_transfers import TransfersOperator
from ecpds.portal.operator_users import Object, UsersOperator, plain, shown_quota
from ecpds.portal.paths import CanonicalPath, canonical
from ecpds.releases import state

PAGE = 100
"""How many entries or records are made into objects before others have their turn."""


class Operator(UsersOperator, SharesOperator, SourcesOperator, AcquisitionsOperator, TransfersOperator, ScrubOperator):
    """The operator's façade. `facts` is what the node itself adds to its status, `clock` lets others have their turn.

    `repository` is None on a node that keeps no data sources, `acquirer` on one that acquires nothing. `running` are
    the transfers under way at the node.
    """

    def __init__(
        self,
        operations: IOperations,
        master: IMaster,
        movers: Mapping[str, IMoverControl],
        clock: IReactorTime,
        facts: Callable[[], Mapping[str, Any]],
        repository: IRepository | None = None,
        acquirer: IAcquirer | None = None,
        running: Set[TransferRecord] = frozenset(),
        probe: IFleetProbe | None = None,
    ) -> None:
        UsersOperator.__init__(self, operations)
        SourcesOperator.__init__(self, repository, probe)
        AcquisitionsOperator.__init__(self, operations, acquirer)
        TransfersOperator.__init__(self, running)
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
        kept, when = _digests(others.pop("digests", "sha256")), others.pop("digest_when", "inline")
        new = Destination(0, name, copies, group, lifetime, kept, when, others, self._clock.seconds())
        return shown_destination(await self._operations.add_destination(new))

    async def list_destinations(self) -> AsyncIterator[Object]:
        for destination in await self._operations.destinations():
            yield shown_destination(destination)

    async def show_destination(self, name: str) -> Object:
        """With what it holds: `usage`, null where that is still being counted; and how far its `quotas` are used."""
        shown = shown_destination(await self._operations.destination(name))
        usage = await self._master.usage(name)
        held = usage and {"files": usage.files, "bytes": usage.size, "counted": timestamp(usage.counted)}
        quotas = [shown_quota(each) for each in await self._operations.quotas(None, name)]
        return {**shown, "usage": held, "quotas": quotas}

    async def set_destination(
        self,
        name: str,
        copies: int | None = None,
        group: str | None = None,
        lifetime: float | None = None,
        options: Mapping[str, str] | None = None,
        unset: Sequence[str] = (),
    ) -> Object:
        """Options are added to those that are set; `unset` names options that go, or `lifetime` or `group`."""
        others = dict(options or {})
        digests, when = others.pop("digests", None), others.pop("digest_when", None)
        kept = None if digests is None else _digests(digests)
        change = DestinationChange(copies, group, lifetime, kept, when, others, tuple(unset))
        return shown_destination(await self._operations.change_destination(name, change))

    async def remove_destination(self, name: str, force: bool = False) -> Object:
        """Returns what it was. One with files goes only with `force`, and they with it."""
        return shown_destination(await self._operations.remove_destination(name, force))

    async def show_file(self, path: str) -> Object:
        name = _inside(path)
        entry = await self._master.resolve(name.destination, name.inside, waiting=True)
        if entry.file is None:
            raise IsADirectory
        return shown_file(name.destination, entry, await self._life(name.destination))

    async def list_files(self, path: str) -> AsyncIterator[Object]:
        """A directory's entries, in the byte order of names."""
        name = canonical(path)
        if not name.segments:
            for destination in await self._operations.destinations():
                yield shown_file(destination.name, Entry("", destination.created))
            return
        life = await self._life(name.destination)
        after: str | None = None
        while True:
            page = await self._master.list(name.destination, name.inside, after, PAGE, waiting=True)
            for entry in page.entries:
                found = await self._with_copies(name.destination, entry, life)
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

    async def release_file(self, path: str, recursive: bool = False) -> Object:
        """Let everybody see a file that waits, at once; or all that wait in a folder and below it (`recursive`).

        Returns how it is by now, of a folder how many files were released.
        """
        if recursive:
            folder = canonical(path)
            count = await self._operations.release_folder(folder.destination, folder.inside)
            return {"path": f"{str(folder).rstrip('/')}/", "released": count}
        name = _inside(path)
        return shown_file(name.destination, await self._operations.release_file(name.destination, name.inside))

    async def hold_file(self, path: str) -> Object:
        """Show a file only to who may put there, until it is released. Returns how it is by now."""
        name = _inside(path)
        return shown_file(name.destination, await self._operations.hold_file(name.destination, name.inside))

    async def list_events(
        self,
        type: str | None = None,
        user: str | None = None,
        destination: str | None = None,
        status: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int | None = None,
        after: int | None = None,
    ) -> AsyncIterator[Object]:
        """The records that fit, newest first: all of them, or `limit`; or, oldest first, those numbered above `after`.

        `since` and `until` are times as `moment` takes them. Raises `InvalidRequest` for a type that no record has.
        """
        if type is not None and type not in FAMILIES:
            raise InvalidRequest(f"type {type[:100]!a}; allowed: {', '.join(FAMILIES)}")
        now = self._clock.seconds()
        began, ended = (None if text is None else moment(text, now) for text in (since, until))
        wanted = RecordFilter(type, user, destination, status, began, ended)
        place, left = after, limit
        while left is None or left > 0:
            asked = PAGE if left is None else min(PAGE, left)
            if after is None:
                records = await self._operations.history(wanted, asked, place)
            else:
                records = await self._operations.history_after(wanted, asked, place or after)
            for place, event in records:
                yield {**event.as_json(), "Number": place}
            if len(records) < asked:
                return
            left = None if left is None else left - asked
            await self._others_turn()

    async def list_movers(self) -> AsyncIterator[Object]:
        for name in await self._operations.movers():
            yield await self._shown_mover(name)

    async def drain_mover(self, name: str) -> Object:
        """Give it nothing new. Returns how it is by now."""
        return await self._drain(name, True)

    async def undrain_mover(self, name: str) -> Object:
        return await self._drain(name, False)

    async def _drain(self, name: str, draining: bool) -> Object:
        await self._operations.drain_mover(name, draining)
        return await self._shown_mover(name)

    async def retire_mover(self, name: str, wait: bool = False, force: bool = False) -> Object:
        """Move away what it holds, and let it go when nothing is left; begun on return, or ended (`wait`).

        `force` lets one go that is lost, and says what is lost with it. Returns how it is by now.
        """
        if force:
            count, paths = await self._operations.forget_mover(name)
            return {**await self._shown_mover(name), "lost": count, "lost_files": list(paths)}
        await self._operations.retire_mover(name, wait)
        return await self._shown_mover(name)

    async def status(self) -> Object:
        """The node's own facts, the catalogue's counts, and the movers."""
        counts = await self._operations.summary()
        return {**self._facts(), **counts, "movers": [mover async for mover in self.list_movers()]}

    async def _shown_mover(self, name: str) -> Object:
        about = await self._operations.about_mover(name)
        mover = self._movers.get(name)
        try:
            volumes = await _volumes_of(name, mover)
        except Unavailable as refusal:
            return {"name": name, "available": False, "reason": refusal.sentence, **about, "volumes": []}
        shown = [shown_volume(volume) for volume in volumes]
        return {"name": name, "available": True, "reason": None, **about, "volumes": shown}

    async def _life(self, destination: str) -> float | None:
        return lifetime_of(await self._operations.destination(destination))

    async def _with_copies(self, destination: str, entry: Entry, life: float | None) -> Object | None:
        """A listed entry with its copies, which a page does not have; None when it has gone since."""
        if entry.file is None:
            return shown_file(destination, entry)
        try:
            return shown_file(destination, await self._master.resolve(destination, entry.path, waiting=True), life)
        except NotFound:
            return None

    async def _others_turn(self) -> None:
        await deferLater(self._clock, 0, lambda: None)


async def _volumes_of(name: str, mover: IMoverControl | None) -> Sequence[VolumeUse]:
    if mover is None:
        raise Unavailable(f"mover {name} was not heard of since the Master's start")
    return await mover.volumes()


def shown_file(destination: str, entry: Entry, life: float | None = None) -> Object:
    """A file as the contract has it; a directory has no id, no digests and no copies, and ends in a slash.

    Where files are kept for `life` seconds only, it says too when this one leaves.
    """
    path = f"/{destination}/{entry.path}".rstrip("/")
    file = entry.file
    copies = dict.fromkeys(copy for segment in file.segments for copy in segment.copies) if file else {}
    leaves = {"expires": timestamp(file.created + life)} if file and life is not None and entry.waits is None else {}
    return {
        "id": file.id if file else None,
        "path": path if file else f"{path}/",
        "size": entry.size,
        "mtime": timestamp(entry.mtime),
        "digests": dict(file.digests) if file else {},
        "copies": [{"mover": copy.mover, "volume": copy.volume} for copy in copies],
        **leaves,
        **state(entry),
    }


def shown_destination(destination: Destination) -> Object:
    shown = asdict(destination, value_serializer=plain)
    return {**shown, "created": timestamp(destination.created)}


def shown_volume(volume: VolumeUse) -> Object:
    return asdict(volume)


def _digests(text: str) -> tuple[str, ...]:
    """`sha256, md5`, each once."""
    return tuple(dict.fromkeys(digest.strip() for digest in text.split(",") if digest.strip()))


def _inside(path: str) -> CanonicalPath:
    """The canonical path of something in a destination."""
    name = canonical(path)
    if len(name.segments) < 2:
        raise IsADirectory
    return name
