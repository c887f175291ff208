"""One connected socket, plain or TLS, as a source and a sink of bytes.

A call first tries; it waits for the reactor only when the kernel has nothing, or no room. Nothing is queued here: a write
returns when the kernel has the caller's bytes, so the caller is held back as the peer is slow. One call moves at most
its share (`turns`) before it lets the reactor turn to the others.

Ending: `finish` says the end (close_notify under TLS), then sends FIN, and goes on reading and discarding for a short while:
a socket closed with unread bytes sends RST, and the peer's kernel may then throw away what it had received from us. Where a
plain peer was read to its end, or is known to send nothing, nothing is unread, so that is closed at once.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from attrs import Factory, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet, IReactorTime, IReadWriteDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ecpds.errors import ConnectionLost, Refusal, Stalled
from ecpds.interfaces import IBasin, IChannel, IFloodSource, IRelaySink, ITimeouts
from ecpds.limits import Limits
from ecpds.transports.activity import Activity, Use
from ecpds.transports.buffers import KIB, BufferPool
from ecpds.transports.farewell import Farewell, State, end_by_reset, unread
from ecpds.transports.floods import Flood
from ecpds.transports.links import Link, Need
from ecpds.transports.pages import Pages
from ecpds.transports.stretches import Loan, Stretches
from ecpds.transports.turns import Turns

SPAN = 128 * KIB
"""Bytes of a file that are read and encrypted at a time: eight TLS records."""


class IReactor(IReactorFDSet, IReactorTime):
    """What channels need of the reactor."""


@frozen
class Surroundings:
    """What every channel of a node is given."""

    reactor: IReactor
    timeouts: ITimeouts
    limits: Limits
    pool: BufferPool
    pages: Pages
    stretches: Stretches | None = None
    turns: Turns = field(default=Factory(lambda self: Turns(self.reactor), takes_self=True))


@implementer(IChannel, IFloodSource, IRelaySink, IReadWriteDescriptor)
class Channel:
    """`closed` is called once, when the descriptor is given back. `patience`: seconds without progress before `Stalled`.

    After `finish` an `abort` does nothing: what was written still reaches the peer.
    """

    log = Logger()

    def __init__(
        self,
        around: Surroundings,
        sock: socket.socket,
        link: Link,
        peer: str,
        closed: Callable[[Channel], None] | None = None,
    ) -> None:
        self.peer = peer
        self.secure = link.secure
        self.patience = around.limits.stall
        self._around = around
        self._socket = sock
        self._link = link
        self._closed = closed
        self._state = State.OPEN
        self._read_out = self._watched = False
        self._reading = Activity(around.turns.share)
        self._writing = Activity(around.turns.share)
        self._farewell: Farewell | None = None
        self._lent: list[Deferred[None]] | None = None

    # What callers use

    @property
    def resumed(self) -> bool:
        return self._link.resumed

    async def handshake(self) -> None:
        """Agree on keys, within `limits.handshake` in all. Every other call begins with this, and it is done once."""
        if self._lent is not None:
            self._lent.append(Deferred())
            await self._lent[-1]
        if self._link.established:
            return
        late = Stalled("TLS was not agreed on in time")
        watch = self._around.timeouts.watch(self._around.limits.handshake, lambda: self._fail(late, self._reading))
        with Use(self.abort, self._reading, writing=False) as activity:
            try:
                while (need := self._live.handshake()) is not None:
                    await self._wait(activity, need)
            finally:
                watch.cancel()

    async def readable(self) -> None:
        if self._needs_more:
            await self.handshake()
        with Use(self.abort, self._reading, writing=False) as activity:
            if not self._live.pending():
                await self._wait(activity, Need.READABLE)

    async def read_into(self, view: memoryview) -> int:
        if self._needs_more:
            await self.handshake()
        with Use(self.abort, self._reading, writing=False) as activity:
            while True:
                if activity.room <= 0 or self._around.turns.over:
                    await self._take_turns(activity, Need.READABLE)
                count = self._live.receive(view[: activity.room])
                if not isinstance(count, Need):
                    activity.room -= count
                    self._read_out = count == 0 and len(view) > 0
                    return count
                await self._wait(activity, count)

    async def write(self, data: bytes | memoryview) -> None:
        with memoryview(data).cast("B") as whole:
            await self._write(whole)

    async def send_file(self, fd: int, offset: int, length: int) -> None:
        if self._needs_more:
            await self.handshake()
        send = self._send_span if self._link.direct else self._send_copy
        with Use(self.abort, self._writing, writing=True) as activity:
            done = 0
            while done < length:
                if activity.room <= 0 or self._around.turns.over:
                    await self._take_turns(activity, Need.WRITABLE)
                tried = min(length - done, max(activity.room, activity.owed))
                done += await self._note(activity, await send(fd, offset + done, tried), tried)

    async def carry(self, source: IChannel, length: int) -> int:
        stretches = self._around.stretches
        if stretches is None or not isinstance(source, Channel) or self._around.turns.crowded:
            return 0
        if (stretch := await stretches.begin(length)) is None:
            return 0
        try:
            if not (source._may_be_lent(source._writing) and self._may_be_lent(self._reading)):
                return 0
            with Use(source.abort, source._reading, writing=False), Use(self.abort, self._writing, writing=True):
                await stretch.run(source._lend(), self._lend())
            await self._write(stretch.rest, len(stretch.rest))
            return stretch.moved + len(stretch.rest)
        finally:
            stretch.end()

    async def flood(self, basin: IBasin, length: int) -> int:
        stretches = self._around.stretches
        if stretches is None or self._around.turns.crowded:
            return 0
        with Use(self.abort, self._reading, writing=False):
            return await Flood(stretches, basin, length).run(lambda: self._lend() if self._may_be_lent(self._writing) else None)

    async def finish(self, linger: bool = True) -> None:
        if self._state is State.LINGERING:
            return
        if self._needs_more:
            await self.handshake()
        with Use(self.abort, self._writing, writing=True) as activity:
            while (need := self._live.say_end()) is not None:
                await self._wait(activity, need)
            if not self.secure and (self._read_out or not (linger or self._reading.busy or unread(self._socket))):
                self._close()
            else:
                self._linger()

    def abort(self) -> None:
        if self._state is State.OPEN:
            self._fail(ConnectionLost())

    @property
    def _needs_more(self) -> bool:
        """Whether a call has to wait before its first byte: for keys, or until a lent link is back."""
        return self._lent is not None or not self._link.established

    @property
    def link(self) -> Link:
        """What it stands on, to ask who is at the other end."""
        return self._link

    def detach(self) -> socket.socket:
        """Give the connected socket away, to be begun with anew (as TLS, after an AUTH); this channel is closed."""
        kept = self._socket.dup()
        self._close()
        return kept

    # Moving bytes

    @property
    def _live(self) -> Link:
        """The link, as long as its descriptor is ours: OpenSSL would go on with the number when it is another's."""
        if self._state is not State.OPEN:
            raise ConnectionLost()
        return self._link

    async def _write(self, whole: memoryview, owed: int = 0) -> None:
        """`owed`: how many of the bytes a link was given before, and had to wait with."""
        if self._needs_more:
            await self.handshake()
        with Use(self.abort, self._writing, writing=True) as activity:
            done, activity.owed = 0, owed
            while done < len(whole):
                if activity.room <= 0 or self._around.turns.over:
                    await self._take_turns(activity, Need.WRITABLE)
                with whole[done : done + max(activity.room, activity.owed)] as piece:
                    tried, count = len(piece), self._live.send(piece)
                done += await self._note(activity, count, tried)

    async def _send_span(self, fd: int, offset: int, length: int) -> int | Need:
        await self._around.pages.warm(fd, offset, length)
        return self._live.send_span(fd, offset, length)

    async def _send_copy(self, fd: int, offset: int, length: int) -> int | Need:
        """By way of memory. While the peer is slow nothing is kept: the same bytes are read again for the next try."""
        pool = self._around.pool
        buffer = await pool.acquire(SPAN)
        try:
            view = buffer[: min(length, SPAN)]
            await self._around.pages.read(fd, offset, view)
            return self._live.send(view)
        finally:
            pool.release(buffer)

    def _may_be_lent(self, other: Activity) -> bool:
        """TLS is one state for both directions: while the `other` one is in use, the link can't be on a thread."""
        return self._state is State.OPEN and not self._needs_more and not (self.secure and other.busy)

    def _lend(self) -> Loan:
        self._lent = []
        return Loan(self._link, self._socket, lambda: self._state is State.OPEN, self._returned)

    def _returned(self, moved: int, lost: bool) -> None:
        waiting, self._lent = self._lent or [], None
        if self._state is State.CLOSED:
            self._give_back()
        elif lost:
            self.abort()
        else:
            self._around.turns.moved(self, moved)
        for each in waiting:
            each.callback(None)

    # Waiting

    async def _take_turns(self, activity: Activity, need: Need) -> None:
        """Its share of this turn is used up, or the time of all: go on in another."""
        if need is Need.READABLE and self._live.pending():
            await self._pause()
            self._begin_turn(activity)
        else:
            await self._wait(activity, need)

    async def _note(self, activity: Activity, count: int | Need, tried: int) -> int:
        """Account for what a link took of what was tried, or wait for what it needs."""
        if isinstance(count, Need):
            activity.owed = tried
            await self._wait(activity, count)
            return 0
        activity.owed = 0
        activity.room -= count
        return count

    async def _pause(self) -> None:
        turn: Deferred[None] = Deferred()
        self._around.reactor.callLater(0, turn.callback, None)
        await turn

    async def _wait(self, activity: Activity, need: Need) -> None:
        """Until the reactor says that the socket is ready, in a turn of its own."""
        if self._state is not State.OPEN:
            raise ConnectionLost()
        activity.expect(self._around.timeouts, self.patience, lambda: self._expired(activity))
        activity.need = need
        waiter = activity.waiter = Deferred()
        self._watched = True
        if need is Need.READABLE:
            self._around.reactor.addReader(self)
        else:
            self._around.reactor.addWriter(self)
        try:
            await waiter
        finally:
            activity.need = activity.waiter = None
        self._begin_turn(activity)

    def _begin_turn(self, activity: Activity) -> None:
        turns = self._around.turns
        moved = activity.renew(turns.share)
        if self._state is State.OPEN and (moved or not activity.owed):
            turns.moved(self, moved)

    def _expired(self, activity: Activity) -> None:
        activity.watch = None
        if activity.waiter is not None:
            self._fail(Stalled(), activity)

    def _ready(self, need: Need) -> bool:
        """Let go on who waits for this, when it is its turn; whether anybody does."""
        found = False
        for activity in (self._reading, self._writing):
            if activity.need is need:
                found = True
                if not activity.ready:
                    activity.ready = True
                    self._around.turns.go_on(activity.go_on)
        return found

    def _awaits(self, need: Need) -> bool:
        return self._reading.need is need or self._writing.need is need

    # Ending

    def _fail(self, refusal: Refusal, whose: Activity | None = None) -> None:
        """Reset the connection; `whose` activity gets `refusal`, any other `ConnectionLost`."""
        self._close(reset=True)
        for activity in (self._reading, self._writing):
            if activity.waiter is not None:
                waiter, activity.waiter = activity.waiter, None
                waiter.errback(refusal if activity is whose else ConnectionLost())

    def _linger(self) -> None:
        """Send FIN, then read the peer to its end, so that what it has not read yet is not thrown away."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise ConnectionLost(error.strerror or "") from error
        self._state = State.LINGERING
        self._watched = True
        self._around.turns.left(self)
        self._around.reactor.removeWriter(self)
        self._around.reactor.addReader(self)
        self._farewell = Farewell(self._around.timeouts, self._socket, self._close)
        if self._reading.waiter is not None:
            waiter, self._reading.waiter = self._reading.waiter, None
            waiter.errback(ConnectionLost())
        self._farewell.discard()

    def _close(self, reset: bool = False) -> None:
        if self._state is State.CLOSED:
            return
        self._state = State.CLOSED
        self._around.turns.left(self)
        if self._watched:
            self._stop_watching()
        if reset:
            end_by_reset(self._socket)
        if self._lent is None:
            self._give_back()

    def _stop_watching(self) -> None:
        self._around.reactor.removeReader(self)
        self._around.reactor.removeWriter(self)
        for watch in (self._reading.watch, self._writing.watch, self._farewell):
            if watch is not None:
                watch.cancel()

    def _give_back(self) -> None:
        self._socket.close()
        if self._closed is not None:
            self._closed(self)

    # What the reactor calls

    def doRead(self) -> None:
        if self._farewell is not None:
            self._farewell.discard()
        elif not self._ready(Need.READABLE) and self._state is State.OPEN:
            # Not before something comes that nobody waits for: who has read a request reads the next one soon.
            self._around.reactor.removeReader(self)

    def doWrite(self) -> None:
        self._ready(Need.WRITABLE)
        if not self._awaits(Need.WRITABLE) and self._state is State.OPEN:
            self._around.reactor.removeWriter(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "Channel"

    def connectionLost(self, reason: Failure) -> None:
        self.abort()
        self._close()
