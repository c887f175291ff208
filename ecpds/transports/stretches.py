"""A stretch: bytes go from one channel's link straight into another's on a thread, for as long as both keep up.

A relay that is fast pays for the reactor's turns, two for each MiB, more than for anything but the copies themselves. On a
thread it receives and sends in a row, and the interpreter is others' meanwhile, for both calls let go of it. A thread has no
patience: where a socket keeps it waiting for `PATIENCE`, or after `LONGEST`, it gives back what it holds, and whoever asked
goes on by itself, with its time-outs, its refusals and its share of the reactor's turns. So no slow peer holds a thread.

The links are lent: until a stretch is over nobody else uses them, and no descriptor is closed, for its number could be another
connection's at once.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from attrs import define

from ecpds.errors import ConnectionLost
from ecpds.interfaces import IThreads
from ecpds.transports.buffers import KIB, BufferPool
from ecpds.transports.links import Link, Need
from ecpds.waiting import detached

SIZE = 1024 * KIB
"""Bytes that are received before they are sent on. Half or a quarter of it was slower."""

WORTH = SIZE
"""Bytes that are worth a thread's turn."""

PATIENCE = 0.02
"""Seconds that a thread waits for a socket."""

LONGEST = 0.1
"""Seconds of one stretch."""

MOST = 2
"""Stretches at a time: who finds no thread goes on by the reactor."""

EVENTS = {Need.READABLE: select.POLLIN, Need.WRITABLE: select.POLLOUT}


@define
class Loan:
    """A link that is lent, and its socket. `wanted` says, on any thread, whether its channel is open; `lost` is the link's.

    `over` gives it back, and says how many bytes it moved, and whether it was lost.
    """

    link: Link
    socket: socket.socket
    wanted: Callable[[], bool]
    over: Callable[[int, bool], None]
    lost: bool = False

    def transfer(self, call: Callable[[memoryview], int | Need], view: memoryview, in_time: Callable[[], bool]) -> int:
        """Repeat a link's `call` until it has had all of `view`, keeps us waiting, ends or is lost, or it is no longer
        `in_time`; how many bytes it had."""
        done = 0
        try:
            while done < len(view) and in_time():
                count = call(view[done:])
                if isinstance(count, Need):
                    if not _ready(self.socket, count):
                        break
                elif count:
                    done += count
                else:
                    break
        except ConnectionLost:
            self.lost = True
        return done


class Stretches:
    """Begins them. `clock` counts seconds, on any thread; buffers are lent by `pool`."""

    def __init__(self, threads: IThreads, pool: BufferPool, clock: Callable[[], float]) -> None:
        self.threads = threads
        self.clock = clock
        self._pool = pool
        self._free = MOST

    async def begin(self, length: int) -> Stretch | None:
        """A stretch of at most `length` bytes; None where it is not worth it, or others use up threads or buffers."""
        if length < WORTH or self._pool.advise(SIZE) < SIZE or not self.seize():
            return None
        return Stretch(self, await self._pool.acquire(SIZE), length)

    def over(self, buffer: memoryview) -> None:
        self._pool.release(buffer)
        self.leave()

    def seize(self) -> bool:
        """Whether there is a thread to be had; it is the caller's until `leave`."""
        if not self._free:
            return False
        self._free -= 1
        return True

    def leave(self) -> None:
        self._free += 1


class Stretch:
    """One of them: `run` it, write what is left over in `rest`, and `end` it whatever happens."""

    def __init__(self, owner: Stretches, buffer: memoryview, length: int) -> None:
        self.moved = 0
        self.rest = buffer[:0]
        self._owner = owner
        self._buffer = buffer
        self._length = length
        self._running = self._ended = False

    async def run(self, source: Loan, sink: Loan) -> None:
        """Move bytes while both are wanted. The source's end is left for who reads next."""
        self._running = True
        await detached(self._run(source, sink))

    def end(self) -> None:
        """Nobody looks at `rest` any more. A thread that is still busy, for who waited has gone, ends soon."""
        self._ended = True
        if not self._running:
            self._owner.over(self._buffer)

    async def _run(self, source: Loan, sink: Loan) -> None:
        try:
            await self._owner.threads.run(self._move, source, sink)
        finally:
            self._running = False
            for loan in (source, sink):
                loan.over(self.moved, loan.lost)
            if self._ended:
                self._owner.over(self._buffer)

    def _move(self, source: Loan, sink: Loan) -> None:
        """On the thread."""
        until = self._owner.clock() + LONGEST
        while self._length and not self._ended and source.wanted() and sink.wanted() and self._owner.clock() < until:
            view = self._buffer[: self._length]
            came = source.transfer(source.link.receive, view, lambda: self._owner.clock() < until)
            sent = sink.transfer(sink.link.send, view[:came], lambda: self._owner.clock() < until)
            self.moved += sent
            self._length -= came
            if came < len(view) or sent < came:
                self.rest = view[sent:came]
                return


def _ready(sock: socket.socket, need: Need) -> bool:
    poll = select.poll()
    poll.register(sock, EVENTS[need])
    return bool(poll.poll(PATIENCE * 1000))
