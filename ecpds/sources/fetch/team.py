"""The connections of one large file from plain HTTP servers, each with a thread of its own, and the part that they fill.

The first one's stream goes on for as long as nobody else takes what comes next. As soon as its first bytes are written others
join, by the rules of `sharing`: each is asked for its spans, must say that it has the same version, or else show 64 KiB that
are here already. Who leads waits, hashes what is here in one piece, and looks who is slow. The first trouble ends it: what is
here is noted as any fetch notes it, and the ordinary way goes on from there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Condition, Thread

from ecpds.errors import ConnectionLost, PreconditionFailed
from ecpds.http.pulls import Pull
from ecpds.sources.fetch.common import THREADS, Common
from ecpds.sources.fetch.member import Member, Share
from ecpds.sources.fetch.names import state_name
from ecpds.sources.fetch.notes import Kept, write_note
from ecpds.sources.fetch.outcomes import Task
from ecpds.sources.fetch.part_file import front_of, hash_span, merged, write_all
from ecpds.sources.fetch.placing import begin_part
from ecpds.sources.fetch.sharing import SAMPLE, TICK, first, following, settled, worth_joining
from ecpds.sources.fetch.spans import Spans
from ecpds.sources.fetch.wanted import Right
from ecpds.sources.mechanisms.showing import shown
from ecpds.sources.mechanisms.told import About, told_same

STRETCH = 8 << 20
"""Bytes that are hashed before anybody looks again."""

KEEP = 1 << 20
"""Bytes of a file that are worth keeping for another run."""

NOTE = 3.0
"""Seconds between two notes of what is here."""


class Left(Exception):
    """This way is none for the file."""


class Team:
    """Fetches a file of the size that `told` says. Raises `OSError` where its part can't be made."""

    def __init__(self, common: Common, task: Task, members: Sequence[Member], told: About) -> None:
        assert told.size is not None
        self.worthless = False  # what is here: it had another digest than it should
        self.size = told.size
        self._common = common
        self._task = task
        self._members = members
        self._told = told
        self._spans = Spans(self.size)
        self._done: list[tuple[int, int]] = []
        self._shares: list[Share] = []
        self._turn = Condition(common.lock)
        self._trouble: BaseException | None = None
        self._hashed = 0
        wanted = {each.algorithm for each in task.wanted.binding} | set(told.digests) | {"sha256"}
        self._hashes = {name: hashlib.new(name) for name in sorted(wanted)}
        self._looked = self._noted = common.seconds()
        self._fd, self._part = begin_part(*os.path.split(task.target))
        with self._turn:
            common.progress.began(task, self.size)

    # For who leads

    def begin(self, member: Member, pull: Pull) -> None:
        """The first one's stream is open."""
        with self._turn:
            share = self._join(member, pull)
            assert share is not None
            share.opened = True
            self._start(share)

    def gather(self) -> None:
        """Wait until everything is here, and hash it. Raises `Left`, or whatever ended it."""
        while True:
            with self._turn:
                while self._shares and (self._trouble is not None or front_of(self._done) <= self._hashed):
                    self._turn.wait(TICK)
                    self._look()
                self._look()
                front, over = front_of(self._done), not self._shares
            if over and self._trouble is not None:
                raise self._trouble
            if self._hashed < front:
                stop = min(front, self._hashed + STRETCH)
                hash_span(self._fd, self._hashed, stop, list(self._hashes.values()))
                self._hashed = stop
            elif over:
                break
            self._note_sometimes()
        if not self._spans.complete:
            raise Left

    @property
    def digests(self) -> dict[str, str]:
        """Those of the whole file, after `gather`."""
        return {name: each.hexdigest() for name, each in self._hashes.items()}

    def digest(self, algorithm: str) -> str:
        """Another one, read again."""
        made = hashlib.new(algorithm)
        hash_span(self._fd, 0, self.size, [made])
        return str(made.hexdigest())

    def publish(self) -> None:
        """Give the file its name. Raises `OSError`."""
        if self._told.mtime is not None:
            os.utime(self._fd, (self._told.mtime, self._told.mtime))
        os.rename(self._part, self._task.target)
        self._done = []
        self._part = ""
        with suppress(FileNotFoundError):
            os.unlink(self._state)

    def put_away(self) -> None:
        """Leave nothing, or what the ordinary way can go on with. Nobody fetches any more then. Raises `OSError`."""
        self.stop()
        with self._turn:
            while self._shares:
                self._turn.wait()
        try:
            if self._part:
                with self._turn:
                    self._common.progress.moved(self._task, -sum(each.bytes for each in self._members))
                self._leave_part()
        finally:
            os.close(self._fd)

    def stop(self) -> None:
        """Break off. For other threads."""
        with self._turn:
            self._give_up(Left())

    # The part

    @property
    def _state(self) -> Path:
        return self._task.target.with_name(state_name(self._task.target.name))

    def _leave_part(self) -> None:
        if sum(end - begin for begin, end in self._done) >= KEEP and not self.worthless:
            self._note()
            self._task.came = {each.mirror.url: each.bytes for each in self._members if each.bytes}
            return
        os.unlink(self._part)
        with suppress(FileNotFoundError):
            os.unlink(self._state)

    def _note_sometimes(self) -> None:
        if self._common.seconds() - self._noted > NOTE:
            self._note()
            self._noted = self._common.seconds()

    def _note(self) -> None:
        """Write down what is here, for a later run."""
        with self._turn:
            done = tuple(self._done)
            proven = [(each.mirror.url, each.about) for each in self._members if each.proven and each.about is not None]
        versions = {shown(url): told.version for url, told in proven}
        digests = {each.algorithm: each.digest for each in self._task.wanted.binding if each.right <= Right.REPOSITORY}
        write_note(self._state, Kept(self.size, versions, digests, done))

    # Who joins, and who goes; `_turn` is held

    def _join(self, member: Member, pull: Pull | None = None) -> Share | None:
        span = first(self._spans, member.mirror.host, self._alone, self._shares, self._now)
        if span is None:
            return None
        if pull is None:
            member.joined()
        share = Share(member, pull or self._common.take(member.mirror.server), span, self._now)
        self._shares.append(share)
        return share

    def _start(self, share: Share) -> None:
        self._common.threads += 1
        Thread(target=self._work, args=(share,), name="share", daemon=True).start()

    @property
    def _alone(self) -> bool:
        """Whether nobody else could share the file."""
        settings = self._common.settings
        return min(settings.per_source * len(self._members), settings.streams) <= 1

    @property
    def _free(self) -> list[Member]:
        """Who may be asked for a connection more."""
        most = self._common.settings.per_source
        return [each for each in self._members if each.connections < most and self._common.paces.is_free(each.mirror.host)]

    def _recruit(self) -> None:
        streams = self._common.settings.streams
        while self._trouble is None and len(self._shares) < streams and self._common.threads < THREADS:
            if not worth_joining(self._spans, front_of(self._done), self._shares, self._now):
                return
            free = self._free
            if not free:
                return
            best = free[self._common.paces.ranked([each.mirror.host for each in free], False)[0]]
            share = self._join(best)
            if share is None:
                return
            self._start(share)

    def _look(self) -> None:
        """Now and then, who is slow."""
        if self._now - self._looked < TICK or self._trouble is not None:
            return
        self._looked = self._now
        for share in self._shares:
            pace = settled(share, self._now)
            if pace is not None and any(self._common.paces.outruns(each.mirror.host, pace) for each in self._free):
                share.member.reason = "it was much slower than another"
                self._dismiss(share)
        self._recruit()

    def _dismiss(self, share: Share) -> None:
        share.dismissed = True
        share.pull.end()

    def _give_up(self, trouble: BaseException) -> None:
        """What is not foreseen here ends everything."""
        if self._trouble is None:
            self._trouble = trouble
        for share in self._shares:
            self._dismiss(share)

    # One connection, on its thread

    def _work(self, share: Share) -> None:
        buffer = self._common.buffer()
        try:
            self._fetch_spans(share, buffer)
        except BaseException as error:
            with self._turn:
                if not share.dismissed:
                    self._give_up(error)
        finally:
            self._common.release(buffer)
            self._common.give(share.pull)
            self._leave(share)

    def _leave(self, share: Share) -> None:
        """What it had not fetched is for others."""
        with self._turn:
            self._spans.finish(share.span)
            self._shares.remove(share)
            share.member.left()
            self._common.threads -= 1
            self._recruit()
            self._turn.notify_all()

    def _fetch_spans(self, share: Share, buffer: memoryview) -> None:
        """Span after span, over one stream for as long as they follow each other."""
        while True:
            if not share.opened:
                self._open(share)
            self._stream(share, buffer)
            if share.dismissed:
                return
            with self._turn:
                span = following(self._spans, share, self._alone, self._shares, self._now)
                if span is None:
                    return
                if span is not share.span:
                    self._spans.finish(share.span)
                    share.span, share.opened = span, False

    def _stream(self, share: Share, buffer: memoryview) -> None:
        """Fetch the span, whose end may come nearer meanwhile."""
        span = share.span
        while True:
            with self._turn:
                # The first bytes are what others are compared with: they don't wait for a large buffer.
                room = min(len(buffer) if self._done else SAMPLE, span.left)
            if not room or share.dismissed:
                return
            count = share.pull.read_into(buffer[:room])
            if not count:
                raise ConnectionLost(f"the server ended at byte {span.at} of {self.size}")
            with self._turn:
                begin, count = span.at, min(count, span.left)
                span.at += count
            write_all(self._fd, begin, buffer[:count])
            with self._turn:
                self._came(share, begin, count)

    def _came(self, share: Share, begin: int, count: int) -> None:
        """Bytes are written: they count from now on."""
        if not count:
            return
        front = front_of(self._done)
        self._done = merged(self._done, begin, begin + count)
        share.fresh += count
        share.member.bytes += count
        measured = share.measure(self._now)
        if measured is not None:
            share.member.mirror.host.moved(*measured)
        self._common.progress.moved(self._task, count)
        self._recruit()
        if front_of(self._done) > front:
            self._turn.notify_all()

    # Asking for a span

    def _open(self, share: Share) -> None:
        """Ask for the span. Raises what asking raises, `PreconditionFailed` where it is another file."""
        member = share.member
        with self._turn:
            begin, end = share.span.at, share.span.end
            trusted = [each.about for each in self._members if each.proven and each.about is not None]
        share.marked = self._now
        told = share.ask(begin, end, self.size)
        if not member.proven and not told_same(told, trusted):
            self._prove(share)
            told = share.ask(begin, end, self.size)
        member.about, member.proven = told, True
        share.until, share.opened = end, True

    def _prove(self, share: Share) -> None:
        """It must have the bytes that are here. Raises `PreconditionFailed` where it has others."""
        with self._turn:
            front = front_of(self._done)
        begin = max(0, front - SAMPLE)
        share.ask(begin, front, self.size)
        if share.read(front - begin) != os.pread(self._fd, front - begin, begin):
            raise PreconditionFailed("it has other bytes than the others")

    @property
    def _now(self) -> float:
        return self._common.seconds()
