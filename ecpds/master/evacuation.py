"""Moves what a mover holds to others, so that it can be retired. What is to be done is its duty, in the catalogue.

    Master -> target    copy this segment from there     (the target reads from the source over the data stream)
    target -> Master    the receipt: it is synced, and has these digests
    Master              one transaction: the new copy in place of the old, which is deleted when no ticket leads there

`relocation` says what each step writes, and why any of them may be the last. The source is the mover itself, or another
that has the segment where the mover is away. A segment is compared by its CRC-64/NVME: with the catalogue's where it is
all of a file, and else with what its source reads.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

from attrs import define
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ecpds.errors import Corrupt, Refusal, Unavailable
from ecpds.limits import Limits
from ecpds.master import relocation, roster
from ecpds.master.cache import ResolveCache
from ecpds.master.destinations import CRC
from ecpds.master.movers import Duty, Movers
from ecpds.master.reader import Reader
from ecpds.master.relocation import Standing
from ecpds.master.shared import Shared
from ecpds.master.sql import Session
from ecpds.master.uploads import Uploads
from ecpds.model import Copy, Destination, Receipt, StoredSegment

T = TypeVar("T")

LOOK = 5.0
"""Seconds between two walks over what a mover still holds."""


class IsMaster(Protocol):
    """What this needs of the Master."""

    clock: IReactorTime
    limits: Limits
    movers: Movers
    reader: Reader
    resolved: ResolveCache
    roster: roster.Roster
    uploads: Uploads

    def destinations(self) -> Sequence[Destination]: ...

    async def change(self, operation: Callable[[Session], T], then: Callable[[T], None]) -> T:
        """Change the catalogue, and then what is kept in memory."""


@define
class Progress:
    """How far a mover is: copies that were moved since this Master began, and that are left; what hindered the last one."""

    moved: int = 0
    left: int = 0
    problem: str | None = None


class Evacuation:
    """Moves `limits.moves` copies at a time, one mover after the other."""

    log = Logger()

    def __init__(self, master: IsMaster) -> None:
        self._master = master
        self._movers = master.movers
        self._reader = master.reader
        self._roster = master.roster
        self._progress: dict[str, Progress] = {}
        self._running: dict[Deferred[Receipt], tuple[str, str]] = {}
        """Copies that are under way, by their source and their target."""
        self._waiting: dict[str, list[Deferred[None]]] = {}
        self._stopping = False
        self._look: Shared[None] = Shared("moving what movers hold", self._round)
        self._loop = LoopingCall(self._tick)
        self._loop.clock = master.clock

    def start(self) -> None:
        """Go on with what an earlier Master was told."""
        self._loop.start(LOOK, now=False)

    async def stop(self) -> None:
        """What is under way is given up, and begun anew by the next Master."""
        self._stopping = True
        if self._loop.running:
            self._loop.stop()
        for each in list(self._running):
            each.cancel()
        if self._look.running:
            await self._look.begin()
        self._wake()

    async def retire(self, name: str) -> None:
        """Begin to move away what a mover holds; one that holds nothing is retired at once. Raises `NotFound`."""
        await self._roster.set(name, Duty.RETIRING)
        held = await self._roster.held(name)
        if not held.copies and not await self._waits(name):
            await self._forget(name)
            return
        self._progress[name] = Progress(left=held.copies)
        self._look.begin()

    async def ended(self, name: str) -> None:
        """Until a mover is retired, or is not to be any more."""
        if self._is_retiring(name) and not self._stopping:
            waiter: Deferred[None] = Deferred()
            self._waiting.setdefault(name, []).append(waiter)
            await waiter

    def progress(self, name: str) -> Mapping[str, object] | None:
        """What operators see of it."""
        if not self._is_retiring(name):
            return None
        found = self._progress.get(name, Progress())
        return {"moved": found.moved, "left": found.left, "problem": found.problem}

    def _is_retiring(self, name: str) -> bool:
        return self._movers.duties.get(name) is Duty.RETIRING

    def _tick(self) -> None:
        """A copy whose source or target is away waits for nothing; the next walk finds other movers."""
        for each, ends in list(self._running.items()):
            if not all(map(self._movers.is_present, ends)):
                each.cancel()
        self._wake()
        self._look.begin()

    def _wake(self) -> None:
        for name in [name for name in self._waiting if self._stopping or not self._is_retiring(name)]:
            for waiter in self._waiting.pop(name):
                waiter.callback(None)

    # One mover

    async def _round(self) -> None:
        for name in [name for name in self._movers.duties if self._is_retiring(name)]:
            await self._empty(name)
        self._wake()

    async def _empty(self, name: str) -> None:
        """Walk over what a mover holds, once, and move it."""
        progress = self._progress.get(name)
        if progress is None:
            progress = self._progress[name] = Progress(left=(await self._roster.held(name)).copies)
        if not progress.left and await self._waits(name):
            return
        found = 0
        async for places in self._pages(name):
            found += len(places)
            todo = iter(places)
            await gatherResults(
                [ensureDeferred(self._work(progress, todo, name)) for _ in range(max(1, self._master.limits.moves))]
            )
        if not found and self._goes_on(name) and not await self._waits(name):
            await self._forget(name)

    async def _pages(self, name: str) -> AsyncIterator[Sequence[roster.Place]]:
        after: roster.Place = (0, "", 0)
        while self._goes_on(name) and (found := await self._reader.ask_on_thread(partial(roster.page, after=after))):
            after = found[-1]
            yield [place for place in found if place[1] == name]

    async def _waits(self, name: str) -> bool:
        """Whether a mover gets something yet or, where it is there, has something to delete."""
        if self._master.uploads.placed_on(name):
            return True
        return self._movers.is_present(name) and await self._reader.ask(partial(relocation.has_to_delete, mover=name))

    async def _forget(self, name: str) -> None:
        await self._roster.forget(name)
        self._progress.pop(name, None)
        self._wake()

    def _goes_on(self, name: str) -> bool:
        return not self._stopping and self._is_retiring(name)

    async def _work(self, progress: Progress, places: Iterator[roster.Place], name: str) -> None:
        for segment, mover, volume in places:
            if not self._goes_on(name):
                return
            try:
                moved = await self._move(segment, Copy(mover, volume))
            except CancelledError:
                progress.problem = "a mover went away"
            except Refusal as refusal:
                progress.problem = str(refusal)
                self.log.warn("segment {segment} stays on {mover}: {refusal}", segment=segment, mover=name, refusal=refusal)
            except Exception as error:
                progress.problem = type(error).__name__
                self.log.failure("segment {segment} stays on {mover}", segment=segment, mover=name)
            else:
                progress.moved += moved
                progress.left, progress.problem = max(0, progress.left - 1), None

    # One copy

    async def _move(self, segment: int, old: Copy) -> bool:
        """Whether there was something to move."""
        found = await self._reader.ask(partial(relocation.standing, segment=segment))
        if found is None or old not in found.copies:
            return False
        sources = self._sources(found, old)
        placed = await self._movers.place(1, found.length, self._group(found, old), avoid=sorted(found.barred))
        try:
            await self._bring(found, sources, old, Copy(placed[0].mover, placed[0].volume))
        finally:
            self._movers.ended(placed)
        return True

    def _sources(self, found: Standing, old: Copy) -> Sequence[Copy]:
        """The copies that can be read, the old one first. Raises `Unavailable` without one."""
        there = [each for each in found.copies if self._movers.is_present(each.mover)]
        if not there:
            raise Unavailable(f"no mover that has segment {found.segment} is there")
        return sorted(there, key=lambda each: each != old)

    def _group(self, found: Standing, old: Copy) -> str | None:
        if found.destination is None:
            return self._movers.group(old.mover)
        return next((each.group for each in self._master.destinations() if each.id == found.destination), None)

    async def _bring(self, found: Standing, sources: Sequence[Copy], old: Copy, target: Copy) -> None:
        """Note what is to come, have it copied, and make it the copy in place of the old one."""
        segment = found.segment
        await self._master.change(partial(relocation.begin, segment=segment, target=target), lambda _: None)
        try:
            await self._copy(found, sources, target)
            due = self._master.clock.seconds() + self._master.limits.ticket_life
            await self._master.change(
                partial(relocation.settle, segment=segment, source=old, target=target, due=due), self._forget_names
            )
        except BaseException:
            now = self._master.clock.seconds()
            await self._master.change(partial(relocation.give_up, segment=segment, target=target, now=now), lambda _: None)
            raise

    def _forget_names(self, places: Sequence[tuple[int, str]]) -> None:
        for destination, path in places:
            self._master.resolved.drop(destination, path)

    async def _copy(self, found: Standing, sources: Sequence[Copy], target: Copy) -> None:
        """From the first source that has the bytes. Raises what the last was refused with."""
        *others, last = sources
        for source in others:
            try:
                return await self._copy_from(found, source, target)
            except (Unavailable, Corrupt) as refusal:
                self.log.warn(
                    "segment {segment} on {mover}: {refusal}", segment=found.segment, mover=source.mover, refusal=refusal
                )
        await self._copy_from(found, last, target)

    async def _copy_from(self, found: Standing, source: Copy, target: Copy) -> None:
        wanted = StoredSegment(found.segment, target.volume, found.length)
        receipt = await self._until_away(self._movers.controls[target.mover].copy(wanted, source), source, target)
        crc = found.crc
        if crc is None:
            there = StoredSegment(found.segment, source.volume, found.length)
            crc = (await self._movers.controls[source.mover].digests([there], [CRC]))[CRC]
        if (receipt.size, receipt.digests.get(CRC)) != (found.length, crc):
            await self._movers.controls[target.mover].delete([wanted])
            raise Corrupt(f"the copy of segment {found.segment} on {source.mover} is not what came in")

    async def _until_away(self, copying: Awaitable[Receipt], source: Copy, target: Copy) -> Receipt:
        running: Deferred[Receipt] = ensureDeferred(_of(copying))
        self._running[running] = (source.mover, target.mover)
        try:
            return await running
        finally:
            del self._running[running]


async def _of(work: Awaitable[Receipt]) -> Receipt:
    return await work
