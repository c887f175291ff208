"""One file from beginning to end: led by the best source, fetched by a swarm, checked, and given its name.

1. The part is opened; what an earlier run left is gone on with if the source says that the file is the same.
2. The best source opens the file. Whoever refuses makes place for the next; whoever may do better later is asked again, after
   a pause that grows.
3. The swarm fetches. Meanwhile the side-cars are asked for.
4. Everything is here: it is checked against what is known with the best right. Where it isn't what it should be, each source
   is asked for the whole file alone; the first that has the right one shows, span by span, whose bytes were wrong.
5. The file gets its name. Until then nobody sees it under that name.
"""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ecpds.datasources import Candidate, TransferReport
from ecpds.errors import DigestMismatch, NotFound, Refusal, Unavailable
from ecpds.sources.fetch.checks import Checks
from ecpds.sources.fetch.names import part_name
from ecpds.sources.fetch.notes import Kept
from ecpds.sources.fetch.outcomes import Attempt, Outcome, Progress, Task
from ecpds.sources.fetch.pages import SMALL, is_excuse
from ecpds.sources.fetch.parts import LocalTrouble, Source, Tools, WrongFile
from ecpds.sources.fetch.sidecars import Sidecars
from ecpds.sources.fetch.spans import UNKNOWN, Spans
from ecpds.sources.fetch.stage import Stage
from ecpds.sources.fetch.swarm import Swarm
from ecpds.sources.fetch.wanted import Right
from ecpds.sources.mechanisms.base import About, IOpened, shown

PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds before everybody is asked again, at first and at most."""

KEEP = 1 << 20
"""Bytes of a file that failed which are worth keeping for another run."""

NOTE = 3.0
"""Seconds between two notes of what is here."""


class Job:
    """Fetches one file. With `explore` a source that nobody has tried goes first."""

    log = Logger()

    def __init__(self, tools: Tools, task: Task, sidecars: Sidecars, progress: Progress, explore: bool = False) -> None:
        self._tools = tools
        self._task = task
        self._progress = progress
        self._explore = explore
        self._sources = [Source(each) for each in task.candidates if each.mechanism in tools.mechanisms]
        for source in self._sources:
            source.bytes = task.came.get(source.candidate.url, 0)
            source.tried = source.bytes > 0
        self._stage = Stage(tools.threads, task.target, tools.settings.sync)
        self._swarm = Swarm(tools, task, self._stage, self._sources, progress)
        self._kept: Kept | None = None
        self._resumed = False
        self._checks = Checks(tools, task, self._stage, self._sources, sidecars)
        self._noted = tools.clock.seconds()
        self._noting: Deferred[None] | None = None
        self._swarm.looked = self._note_sometimes

    async def run(self) -> Outcome:
        """What became of the file."""
        began = self._tools.clock.seconds()
        outcome = Outcome(self._task.url, self._task.target, False)
        try:
            outcome.sha256, outcome.size = await self._whole()
            outcome.done = True
        except LocalTrouble as trouble:
            outcome.reason = trouble.refusal.sentence
        except Refusal as refusal:
            outcome.reason = refusal.sentence
        finally:
            await self._put_away(outcome.done)
        outcome.seconds = self._tools.clock.seconds() - began
        outcome.attempts = [self._attempt(each) for each in self._sources if each.tried or each.reason]
        outcome.reports = [self._report(each, outcome) for each in self._sources if each.tried]
        return outcome

    async def _whole(self) -> tuple[str, int]:
        """Fetch, check and publish; the SHA-256 and the size."""
        if not self._sources:
            raise NotFound("nothing that is installed here can fetch it")
        self._kept = await self._stage.begin()
        self._checks.begin()
        while True:
            await self._gather()
            digests = await self._digests()
            if await self._checks.right(self._size, digests):
                break
            await self._start_over()
        await self._checks.blame()
        await self._noted_all()
        about = next((each.about for each in self._sources if each.proven and each.about is not None), About())
        await self._stage.publish(self._size, about.mtime)
        return digests["sha256"], self._size

    @property
    def _size(self) -> int:
        return self._swarm.spans.size

    @property
    def _live(self) -> list[Source]:
        return [each for each in self._sources if not each.dead and not each.doubted]

    # Gathering

    async def _gather(self) -> None:
        """Every byte. Raises `Refusal` when there is nobody left to ask, `LocalTrouble`."""
        pauses = 0
        while True:
            before = self._came
            opened = await self._lead()
            if opened is not None:
                await self._swarm.run(*opened)
            if self._swarm.spans.complete:
                return
            pauses = 0 if self._came > before else pauses + 1
            if not self._live:
                raise self._nobody_left()
            await self._note()
            await self._tools.pause(min(PAUSE * 2.0**pauses, LONGEST_PAUSE) * (0.5 + self._tools.random.random()))

    @property
    def _came(self) -> int:
        return sum(each.bytes for each in self._sources)

    def _nobody_left(self) -> Refusal:
        reasons = {each.candidate.url: each.reason for each in self._sources if each.reason}
        refusals = [each.refusal for each in self._sources if each.refusal is not None]
        if len(reasons) == len(refusals) == 1:
            return refusals[0]
        return Unavailable("; ".join(f"{shown(url)}: {reason}" for url, reason in reasons.items()) or "there is no source")

    async def _lead(self) -> tuple[Source, IOpened] | None:
        """The first source, in the order of what they are likely to give, that opens the file; None when none does now."""
        order = self._tools.paces.order([each.candidate for each in self._live], self._explore)
        by_candidate = {id(each.candidate): each for each in self._live}
        self._explore = False
        for candidate in order:
            source = by_candidate[id(candidate)]
            try:
                opened = await self._try(source)
            except Refusal as refusal:
                source.struck(refusal, self._tools.settings.tries)
                self._tools.paces.failed(candidate)
                self.log.debug("{url}: {reason}", url=candidate.url, reason=refusal.sentence)
                continue
            if opened is not None:
                return source, opened
            if self._swarm.spans.complete:
                return None
        return None

    async def _try(self, source: Source) -> IOpened | None:
        """Open the file, or fetch it at once where that is simplest (then None)."""
        host = self._tools.paces.host(source.candidate)
        host.asked += 1
        host.connections += 1
        source.joined(self._tools.clock.seconds())
        opened: IOpened | None = None
        try:
            if source.candidate.mechanism in self._tools.external:
                await self._run_program(source)
                return None
            opened = await self._swarm.open(source, self._first_missing)
            await self._accept(source, opened)
            if opened.offset != self._first_missing:
                opened.close()
                opened = await self._swarm.open(source, self._first_missing)
                if opened.offset != self._first_missing:
                    raise Unavailable("the server can't begin within the file")
            if await self._at_once(source, opened):
                opened.close()
                return None
            return opened
        except BaseException:
            if opened is not None:
                opened.close()
            raise
        finally:
            host.connections -= 1
            source.left(self._tools.clock.seconds())

    @property
    def _first_missing(self) -> int:
        return self._stage.front if self._size != UNKNOWN else 0

    async def _accept(self, source: Source, opened: IOpened) -> None:
        """What a source tells of the file, if that can be it. Raises `WrongFile`."""
        about, wanted = opened.about, self._task.wanted
        size = wanted.size if about.size is None else about.size
        if wanted.size is not None and size != wanted.size:
            raise WrongFile(f"its size is {about.size}, not {wanted.size}")
        if wanted.size is None and not wanted.sure and is_excuse(about.media, self._task.target.name):
            raise WrongFile("the server sent a page of HTML instead of the file")
        if self._size == UNKNOWN:
            source.about = about
            await self._begin(source, size)
        elif size is not None and size != self._size:
            raise WrongFile(f"its size is {size}, not {self._size}")
        elif self._stage.front and not source.proven:
            await self._swarm.prove(source)
        source.about = about
        source.proven = True

    async def _begin(self, source: Source, size: int | None) -> None:
        """The size is known: go on with what is here already, if it is of this very file. Raises as `Swarm.prove` does."""
        self._progress.began(self._task, size)
        kept, self._kept = self._kept, None
        done: list[tuple[int, int]] = []
        same = kept is not None and self._same(kept, source, size)
        if kept is not None and (same or (self._task.came and kept.size == size)):
            await self._stage.resume(kept)
            done, self._resumed = self._stage.done, True
            self._progress.moved(self._task, sum(end - begin for begin, end in done))
        self._swarm.spans = Spans(UNKNOWN if size is None else size, done)
        if done and not same and self._stage.front:
            # What is here is of this run, but of another source: this one shows that it has the same bytes.
            await self._swarm.prove(source)

    def _same(self, kept: Kept, source: Source, size: int | None) -> bool:
        about = source.about
        if kept.size != size or about is None:
            return False
        version = kept.versions.get(shown(source.candidate.url))
        sure = {each.algorithm: each.digest for each in self._task.wanted.binding if each.right <= Right.REPOSITORY}
        return bool(version and version == about.version) or any(kept.digests.get(key) == text for key, text in sure.items())

    async def _begin_anew(self, size: int | None) -> None:
        await self._stage.clear()
        self._swarm.spans = Spans(UNKNOWN if size is None else size)

    async def _at_once(self, source: Source, opened: IOpened) -> bool:
        """Fetch a small file whole, into one buffer, with one write; whether it was one."""
        size = self._size
        if size > SMALL or self._stage.done or self._swarm.single:
            return False
        buffer = await self._tools.buffers.acquire(max(size, 1))
        try:
            done = 0
            while done < size:
                with buffer[done:size] as room:
                    count = await opened.read_into(room)
                if not count:
                    raise Unavailable(f"the server ended at byte {done} of {size}")
                done += count
                source.bytes += count
                self._progress.moved(self._task, count)
            if await opened.read_into(memoryview(bytearray(1))):
                raise WrongFile(f"it has more than {size} bytes")
            # Since it was asked: of a small file, the wait for the answer may be most of what it costs.
            self._tools.paces.moved(source.candidate, size, self._tools.clock.seconds() - source.since)
            with buffer[:size] as whole:
                await self._store(source, whole)
        finally:
            self._tools.buffers.release(buffer)
        return True

    async def _store(self, source: Source, whole: memoryview) -> None:
        try:
            await self._stage.write_whole(whole)
        except Refusal as refusal:
            raise LocalTrouble(refusal) from refusal
        source.spans = [(0, len(whole))]
        self._swarm.spans = Spans(len(whole), [(0, len(whole))])

    async def _run_program(self, source: Source) -> None:
        """Let a program fetch the whole file beside ours, and take it over."""
        path = self._task.target.with_name(part_name(f"{self._task.target.name}.{os.getpid()}"))
        try:
            await self._tools.external[source.candidate.mechanism].fetch(source.candidate, path)
            size = await self._stage.adopt(path)
        finally:
            await self._tools.threads.run(path.unlink, True)
        if self._task.wanted.size not in (None, size):
            raise WrongFile(f"its size is {size}, not {self._task.wanted.size}")
        self._swarm.spans = Spans(size, [(0, size)])
        source.spans, source.proven, source.bytes = [(0, size)], True, source.bytes + size
        self._progress.began(self._task, size)
        self._progress.moved(self._task, size)

    # Checking

    async def _digests(self) -> dict[str, str]:
        try:
            return await self._stage.digests(self._size)
        except Refusal as refusal:
            raise LocalTrouble(refusal) from refusal

    async def _start_over(self) -> None:
        """Ask for the whole file again, from one source alone. Raises `DigestMismatch` when all were asked."""
        self._progress.moved(self._task, -self._size)
        await self._checks.remember(self._resumed)
        if not self._live:
            raise DigestMismatch(self._checks.complaint)
        self._swarm.single, self._resumed = not self._resumed, False
        await self._begin_anew(self._size)

    # Ending

    def _note_sometimes(self) -> None:
        if (self._noting is None or self._noting.called) and self._tools.clock.seconds() - self._noted > NOTE:
            self._noted = self._tools.clock.seconds()
            self._noting = Deferred.fromCoroutine(self._note())

    async def _noted_all(self) -> None:
        """Until no note is being written: what is written after the end would stay."""
        noting, self._noting = self._noting, None
        if noting is not None:
            await noting

    async def _note(self) -> None:
        """Write down what is here, for a later run."""
        if self._size in (0, UNKNOWN) or not self._stage.done:
            return
        versions = {
            shown(each.candidate.url): each.about.version for each in self._sources if each.proven and each.about is not None
        }
        digests = {each.algorithm: each.digest for each in self._task.wanted.binding if each.right <= Right.REPOSITORY}
        await self._stage.note(self._size, versions, digests)

    async def _put_away(self, done: bool) -> None:
        """Leave nothing, or what a later run can go on with."""
        self._checks.stop()
        if done:
            return
        worth = sum(end - begin for begin, end in self._stage.done) >= KEEP and not self._checks.complaint
        try:
            await self._noted_all()
            if worth:
                await self._note()
                await self._stage.keep()
            else:
                await self._stage.discard()
        except Refusal as refusal:
            self.log.warn("{path}: {reason}", path=str(self._task.target), reason=refusal.sentence)

    def _attempt(self, source: Source) -> Attempt:
        ok = source.bytes > 0 and not source.wrong and not source.dead
        ok = ok or (self._size == 0 and source.proven)
        return Attempt(shown(source.candidate.url), source.candidate.mechanism, ok, "" if ok else source.reason)

    def _report(self, source: Source, outcome: Outcome) -> TransferReport:
        """What the repository is told of one source."""
        attempt = self._attempt(source)
        alone = sum(1 for each in self._sources if each.spans) == 1
        whole = attempt.ok and outcome.done and outcome.sha256 is not None and alone
        candidate: Candidate = source.candidate
        return TransferReport(
            url=shown(candidate.url),
            success=attempt.ok and outcome.done,
            size=source.bytes,
            seconds=source.seconds,
            mechanism=candidate.mechanism,
            digests={"sha256": outcome.sha256} if whole and outcome.sha256 else {},
            error=attempt.reason,
            wrong=source.wrong,
            source_id=candidate.source_id,
            site=self._task.site,
            token=self._task.token,
        )
