"""Digests after the commit: worked off at once, on the movers that hold the bytes.

Who tells whom: the commit of a file notes what is owed for it (`owed`), and tells us; we ask a mover that holds all of
the file for the digests, and the writer keeps them. Beside those that were asked for, the mover computes the CRC that the
bytes had when they came: when it is another one, the copy is compared as by the scrub, which marks it, and another is asked.
What could not be done, for a mover was away or the process ended, is found in the catalogue at the next look.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ecpds.errors import Corrupt, Refusal, Unavailable
from ecpds.interfaces import IMoverControl
from ecpds.master import owed
from ecpds.master.cache import ResolveCache
from ecpds.master.destinations import CRC
from ecpds.master.reader import Reader
from ecpds.master.shared import Rounds
from ecpds.master.writer import Writer
from ecpds.model import IF_SMALL, DataFile, Destination, StoredSegment

LOOK = 60.0
"""Seconds between two looks for what could not be done at once."""

PAGE = 1000
"""Files that one look takes on at a time."""

QUEUE = 10_000
"""Files that wait in memory at most; the next look finds the others."""


class Afterwards:
    """Works off what is owed. `at_a_time`: files that are digested at a time on one mover.

    `check` has all copies of a file compared, and those that are damaged marked: then nobody reads them any more.
    """

    log = Logger()

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        controls: Mapping[str, IMoverControl],
        cache: ResolveCache,
        clock: IReactorTime,
        at_a_time: int,
        check: Callable[[int], Awaitable[object]],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._controls = controls
        self._cache = cache
        self._at_a_time = max(1, at_a_time)
        self._check = check
        self._queue: OrderedDict[int, None] = OrderedDict()
        self._under_way: set[int] = set()
        self._waiting: dict[int, list[Deferred[None]]] = {}
        self._working: set[Deferred[None]] = set()
        self._stopping = False
        self._look = Rounds("looking for digests that are owed", self._look_for_all, clock)

    def start(self) -> None:
        self._look.start(LOOK)

    async def stop(self) -> None:
        """What is under way is given up; it stays owed."""
        self._stopping = True
        self._look.end()
        self._queue.clear()
        for each in list(self._working):
            each.cancel()
        for file in list(self._waiting):
            self._answer(file)
        await self._look.stop()

    def note(self, file: int) -> None:
        """A file was committed for which something is owed."""
        if not self._stopping and len(self._queue) < QUEUE and file not in self._under_way:
            self._queue[file] = None
            self._begin()

    async def wait(self, file: int) -> None:
        """Until the digests of a file are there or could not be computed, if they are under way; they come before others."""
        if file in self._queue:
            self._queue.move_to_end(file, last=False)
        if file in self._queue or file in self._under_way:
            waiter: Deferred[None] = Deferred()
            self._waiting.setdefault(file, []).append(waiter)
            await waiter

    async def _look_for_all(self) -> None:
        after, found = 0, [0]
        while found and not self._stopping:
            found = await self._reader.ask_on_thread(partial(owed.page, after=after, limit=PAGE))
            for file in found:
                self.note(file)
            for file in found:
                await self.wait(file)
            after = found[-1] if found else after

    def _begin(self) -> None:
        """One more worker, where there may be more."""
        if len(self._working) < self._at_a_time * max(1, len(self._controls)):
            worker = ensureDeferred(self._work())
            if not worker.called:
                self._working.add(worker)
                worker.addBoth(lambda _: self._working.discard(worker))

    async def _work(self) -> None:
        while self._queue:
            file, _ = self._queue.popitem(last=False)
            self._under_way.add(file)
            try:
                await self._pay(file)
            except CancelledError:
                return
            except Refusal as refusal:
                self.log.warn("data file {id} is still owed digests: {reason}", id=file, reason=refusal.sentence)
            except Exception:
                self.log.failure("data file {id} is still owed digests", id=file)
            finally:
                self._under_way.discard(file)
                self._answer(file)

    def _answer(self, file: int) -> None:
        for waiter in self._waiting.pop(file, ()):
            waiter.callback(None)

    async def _pay(self, id_: int) -> None:
        file, names = await self._reader.ask(partial(owed.debt, file=id_))
        digests = await self._digests(file, names) if file is not None and names else {}
        places = await self._writer.run(partial(owed.pay, file=id_, digests=digests))
        for destination, path in places:
            self._cache.drop(destination, path)

    async def _digests(self, file: DataFile, names: Sequence[str]) -> Mapping[str, str]:
        """From a mover that has all of the file. A file that none has is left to whoever asks for its digests."""
        failure: Refusal | None = None
        for mover, segments in whole_copies(file).items():
            try:
                return await self._ask(mover, segments, file, names)
            except (Unavailable, Corrupt) as refusal:
                failure = refusal
                if isinstance(refusal, Corrupt):
                    await self._check(file.id)
        if failure is not None:
            raise failure
        return {}

    async def _ask(
        self, mover: str, segments: Sequence[StoredSegment], file: DataFile, names: Sequence[str]
    ) -> Mapping[str, str]:
        if mover not in self._controls:
            raise Unavailable(f"mover {mover} is not there")
        found = dict(await self._controls[mover].digests(segments, (*names, CRC)))
        if found[CRC] != file.digests.get(CRC, found[CRC]):
            raise Corrupt(f"the copy on {mover} is not what came in")
        return found


def while_it_comes(destination: Destination, whole: bool) -> tuple[str, ...]:
    """Which digests a destination wants of a file (`whole`) or a part of one when it comes: those that it keeps, or of a file
    of which they are computed after the commit those that cost less at once.
    """
    if destination.digest_when == "inline":
        return destination.digests
    return tuple(name + IF_SMALL for name in destination.digests) if whole else ()


def owing(destination: Destination | None, digests: Mapping[str, str]) -> tuple[str, ...]:
    """Which digests are to be computed after the commit of a file that has these. Of a destination that is gone, none."""
    if destination is None or destination.digest_when != "after":
        return ()
    return tuple(name for name in destination.digests if name not in digests)


def whole_copies(file: DataFile) -> Mapping[str, Sequence[StoredSegment]]:
    """The movers that hold every segment of a file, and where each stands there."""
    places = [{copy.mover: copy.volume for copy in segment.copies} for segment in file.segments]
    movers = set.intersection(*map(set, places)) if places else set()
    return {
        mover: [
            StoredSegment(segment.id, place[mover], segment.length)
            for segment, place in zip(file.segments, places, strict=True)
        ]
        for mover in sorted(movers)
    }
