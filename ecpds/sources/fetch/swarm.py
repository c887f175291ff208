"""The bytes of one file, over several connections at once: to one source, or to several of them.

The first source opens the file and tells its size; its stream goes on for as long as nobody else takes what comes next. As
soon as its first bytes are written, others may join: each must have the same size and, unless it gives the same version or
digest, show that it has the same bytes where some are here already. Who dies gives back what it had not fetched, and others
go on from just there; who is slow is helped by those that are done, and replaced by one that is known to be much faster.

Reading and writing overlap: a buffer is written on a thread while the next is filled, and no more than two of each
connection are under way, so a slow disk holds the servers back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from ecpds.datasources import Candidate
from ecpds.errors import ConnectionLost, PreconditionFailed, Refusal, Unavailable
from ecpds.sources.fetch.outcomes import Progress, Task
from ecpds.sources.fetch.parts import LocalTrouble, Source, Tools, WrongFile
from ecpds.sources.fetch.sharing import BUFFER, SAMPLE, TICK, first, following, settled, worth_joining
from ecpds.sources.fetch.spans import UNKNOWN, Span, Spans
from ecpds.sources.fetch.stage import Stage
from ecpds.sources.fetch.worker import Worker
from ecpds.sources.mechanisms.base import IOpened
from ecpds.sources.mechanisms.told import told_same


class Swarm:
    """Fetches what is missing of `spans` into `stage`. `sources` are all that may be asked."""

    log = Logger()

    def __init__(self, tools: Tools, task: Task, stage: Stage, sources: Sequence[Source], progress: Progress) -> None:
        self.sources = sources
        self.spans = Spans(UNKNOWN)
        self.single = False
        self.looked: Callable[[], None] = lambda: None  # called now and then
        self._tools = tools
        self._task = task
        self._stage = stage
        self._progress = progress
        self._workers: list[Worker] = []
        self._idle: Deferred[None] | None = None
        self._trouble: Exception | None = None
        self._call: Any = None

    # What the job asks for

    async def run(self, source: Source, opened: IOpened) -> None:
        """Fetch until everything is here, or nobody is left who fetches. Raises `LocalTrouble`."""
        self._idle = Deferred()
        self._start(source, opened)
        self._tick()
        try:
            await self._idle
        except CancelledError as cancelled:
            await self._break_off(cancelled)
            raise
        finally:
            if self._call is not None:
                self._call.cancel()
                self._call = None
        if self._trouble is not None:
            raise self._trouble

    async def _break_off(self, reason: CancelledError) -> None:
        """Dismiss everybody, and wait until nobody writes any more."""
        self._idle = Deferred()
        self._broke(Failure(reason))  # type: ignore[no-untyped-call]
        await self._idle

    def open(self, source: Source, offset: int, end: int | None = None) -> Deferred[IOpened]:
        """Open a source at an offset."""
        mechanism = self._tools.native[source.candidate.mechanism]
        version = source.about.version if source.about is not None else ""
        return Deferred.fromCoroutine(mechanism.open(source.candidate, offset, end, version))

    async def prove(self, source: Source) -> None:
        """Whether a source has the file that is coming: the same size, and the same bytes at a place. Raises `WrongFile`."""
        front = self._stage.front
        begin = max(0, front - SAMPLE)
        opened = await self.open(source, begin, front)
        try:
            if opened.offset != begin:
                raise PreconditionFailed("the server can't begin within the file")
            self._same_file(source, opened)
            if not told_same(source.about, [each.about for each in self.sources if each.proven and each.about is not None]):
                await self._compare(source, opened, begin, front)
        finally:
            opened.close()
        source.proven = True

    @property
    def usable(self) -> list[Source]:
        """The sources that may be asked for a connection more, in the order in which they were given."""
        most = 1 if self.single else self._tools.settings.per_source
        if self.single and self._workers:
            return []
        return [
            each
            for each in self.sources
            if not each.dead and not each.doubted and each.connections < most and each.candidate.mechanism in self._tools.native
        ]

    # Workers

    def _start(self, source: Source, opened: IOpened | None = None) -> bool:
        """Let a source fetch the next span; whether there is one."""
        host = self._tools.paces.host(source.candidate)
        span = first(self.spans, host, self._alone(source), self._workers, self._now)
        if span is None:
            return False
        worker = Worker(source, span, self._now)
        worker.opened = opened
        self._workers.append(worker)
        host.connections += 1
        source.joined(self._now)
        Deferred.fromCoroutine(self._work(worker)).addErrback(self._broke)
        return True

    def _alone(self, source: Source) -> bool:
        """Whether nobody else could share the file with it."""
        settings = self._tools.settings
        possible = sum(settings.per_source for each in self.sources if not each.dead and not each.doubted)
        return self.single or self.spans.size == UNKNOWN or min(possible, settings.streams) <= 1

    async def _work(self, worker: Worker) -> None:
        source = worker.source
        try:
            if not source.proven:
                await self.prove(source)
            await self._fetch_spans(worker)
        except LocalTrouble:
            raise
        except Refusal as refusal:
            if not worker.dismissed:
                self._struck(source, refusal)
        finally:
            self._leave(worker)

    def _struck(self, source: Source, refusal: Refusal) -> None:
        source.struck(refusal, self._tools.settings.tries)
        self._tools.paces.failed(source.candidate)
        self.log.debug("{url}: {reason}", url=source.candidate.url, reason=refusal.sentence)

    def _leave(self, worker: Worker) -> None:
        """A worker has ended: what it had not fetched is for others."""
        if worker.opened is not None:
            worker.opened.close()
        self.spans.finish(worker.span)
        self._workers.remove(worker)
        worker.source.left(self._now)
        self._tools.paces.host(worker.source.candidate).connections -= 1
        if self._trouble is None:
            self._recruit()
        self._rest()

    def _rest(self) -> None:
        if not self._workers and self._idle is not None and not self._idle.called:
            self._idle.callback(None)

    def _broke(self, failure: object) -> None:
        """What is ours, or not foreseen, ends everything."""
        self._trouble = getattr(failure, "value", None) or RuntimeError(str(failure))
        for worker in list(self._workers):
            self._dismiss(worker)
        self._rest()

    def _dismiss(self, worker: Worker) -> None:
        worker.dismissed = True
        if worker.opened is not None:
            worker.opened.close()

    async def _fetch_spans(self, worker: Worker) -> None:
        """Span after span, over one stream for as long as they follow each other."""
        source = worker.source
        while True:
            if worker.opened is None:
                await self._open_at(worker)
            await self._stream(worker)
            source.strikes = 0
            self._tools.paces.went_well(source.candidate)
            span = following(self.spans, worker, self._alone(source), self._workers, self._now)
            if span is worker.span:
                continue
            if span is None:
                return
            assert worker.opened is not None
            worker.opened.close()
            worker.opened = None
            self.spans.finish(worker.span)
            worker.span = span

    async def _open_at(self, worker: Worker) -> None:
        mechanism = self._tools.native[worker.source.candidate.mechanism]
        span = worker.span
        worker.until = span.end if mechanism.many and span.end < self.spans.size else None
        worker.marked = self._now
        opened = await self.open(worker.source, span.at, worker.until)
        worker.opened = opened
        if worker.dismissed:
            raise ConnectionLost()
        if opened.offset != span.at:
            raise PreconditionFailed("the server can't begin within the file")
        self._same_file(worker.source, opened)

    def _same_file(self, source: Source, opened: IOpened) -> None:
        """What the server tells now must be what it told before, and what is wanted. Raises `WrongFile`."""
        about = opened.about
        if self.spans.size != UNKNOWN and about.size is not None and about.size != self.spans.size:
            raise WrongFile(f"its size is {about.size}, not {self.spans.size}")
        source.about = about

    # Bytes

    async def _stream(self, worker: Worker) -> None:
        """Fetch the worker's span, whose end may come nearer meanwhile."""
        pending: list[Deferred[None]] = []
        span = worker.span
        try:
            while span.at < span.end:
                # The first bytes of a file are what others are compared with: they don't wait for a large buffer.
                size = BUFFER if self._stage.front else SAMPLE
                buffer = await self._tools.buffers.acquire(min(size, span.left))
                begin, failure = span.at, None
                try:
                    await self._fill(worker, buffer)
                except Refusal as refusal:
                    failure = refusal
                pending.append(self._flush(worker, begin, buffer, span.at - begin))
                if failure is not None:
                    raise failure
                while len(pending) > 1:
                    await pending.pop(0)
        finally:
            await self._written(pending)
        if span.end == self.spans.size and worker.opened is not None and worker.until is None:
            await self._expect_end(worker)

    async def _written(self, pending: Sequence[Deferred[None]]) -> None:
        """Until all is written. Raises `LocalTrouble` when some could not be."""
        results: Any = await DeferredList(list(pending), consumeErrors=True)
        for succeeded, result in results:
            if not succeeded:
                raise result.value

    async def _fill(self, worker: Worker, buffer: memoryview) -> None:
        """Fill a buffer, as far as the span goes."""
        span, opened = worker.span, worker.opened
        assert opened is not None
        begin = span.at
        while span.at < span.end and span.at - begin < len(buffer):
            with buffer[span.at - begin : min(len(buffer), span.end - begin)] as room:
                count = await opened.read_into(room)
            if not count:
                self._stream_ended(span)
                return
            # Its end may have come nearer while the bytes came.
            count = min(count, span.end - span.at)
            span.at += count
            worker.fresh += count
            worker.source.bytes += count
            self._progress.moved(self._task, count)

    def _stream_ended(self, span: Span) -> None:
        """The stream ended before the span did: that is the end of a file whose size nobody knew, and else a loss."""
        if self.spans.size != UNKNOWN:
            raise ConnectionLost(f"the server ended at byte {span.at} of {self.spans.size}")
        self.spans.cut(span.at)

    async def _expect_end(self, worker: Worker) -> None:
        """After the file's last byte nothing may come, and the server may have something to say."""
        assert worker.opened is not None
        if await worker.opened.read_into(memoryview(bytearray(1))):
            raise WrongFile(f"it has more than {self.spans.size} bytes")

    def _flush(self, worker: Worker, begin: int, buffer: memoryview, length: int) -> Deferred[None]:
        """Write what came; the buffer is given back when that is done."""
        self._measure(worker)

        async def write() -> None:
            try:
                with buffer[:length] as view:
                    if length:
                        await self._stage.write(begin, view)
                        worker.source.spans.append((begin, begin + length))
            except Refusal as refusal:
                raise LocalTrouble(refusal) from refusal
            finally:
                self._tools.buffers.release(buffer)
            if length:
                self._recruit()

        return Deferred.fromCoroutine(write())

    def _measure(self, worker: Worker) -> None:
        measured = worker.measure(self._now)
        if measured is not None:
            self._tools.paces.moved(worker.source.candidate, *measured)

    # Who joins, and who goes

    async def _compare(self, source: Source, opened: IOpened, begin: int, end: int) -> None:
        theirs = bytearray(end - begin)
        with memoryview(theirs) as view:
            done = 0
            while done < len(view):
                count = await opened.read_into(view[done:])
                if not count:
                    raise ConnectionLost("the server ended early")
                done += count
        if bytes(theirs) != await self._stage.read(begin, end - begin):
            source.doubted = True
            source.reason = "it has other bytes than the others"
            raise Unavailable(source.reason)

    def _recruit(self) -> None:
        """Ask others to join, where there is enough left for them."""
        while len(self._workers) < self._tools.settings.streams and self._worth_joining():
            source = self._best(self.usable)
            if source is None or not self._start(source):
                return

    def _worth_joining(self) -> bool:
        return self._trouble is None and worth_joining(self.spans, self._stage.front, self._workers, self._now)

    def _best(self, sources: Sequence[Source]) -> Source | None:
        """The one to ask next: none that rests, or has all the connections that it may."""
        by_candidate = {id(each.candidate): each for each in sources}
        order = self._tools.paces.order([each.candidate for each in sources], False)
        return next((by_candidate[id(each)] for each in order if self._free(each)), None)

    def _free(self, candidate: Candidate) -> bool:
        return self._tools.paces.is_free(self._tools.paces.host(candidate))

    def _tick(self) -> None:
        """Look who is slow, until everything is here."""
        if self._idle is not None and not self._idle.called and self._call is None:
            self._call = self._tools.clock.callLater(TICK, self._look)

    def _look(self) -> None:
        self._call = None
        for worker in list(self._workers):
            pace = settled(worker, self._now)
            better = [each for each in self.usable if self._free(each.candidate)]
            if pace is not None and any(self._tools.paces.much_faster(each.candidate, pace) for each in better):
                worker.source.reason = worker.source.reason or "it was much slower than another"
                self._dismiss(worker)
        if self._trouble is None:
            self._recruit()
        self.looked()
        self._tick()

    @property
    def _now(self) -> float:
        return self._tools.clock.seconds()
