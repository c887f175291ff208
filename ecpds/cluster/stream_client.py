"""Bytes at another mover: an `IStore` over the data stream (see `frames` for who says what).

Connections are kept for a while after a request that ended well, and used again. Wherever the mover is lost, what is
raised is `Unavailable`, which lets a reader go on with another copy; what the near end fails with goes through as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ecpds.cluster.codec import VERSION, Refused, refusal_of
from ecpds.cluster.frames import LOST, Abort, End, Frames, Message, Opened, Read, Stored, Working, Write
from ecpds.cluster.small_reads import in_memory
from ecpds.cluster.stream_reads import RemoteReadHandle
from ecpds.cluster.tickets import open_pass
from ecpds.errors import Incomplete, InvalidRequest, Refusal, TooLarge, Unavailable
from ecpds.held import SMALL_FILE
from ecpds.interfaces import IByteSource, IChannel, IReadHandle, IStore, IWriteHandle
from ecpds.limits import Limits
from ecpds.model import EMPTY, Copy, Receipt
from ecpds.transports.buffers import KIB, BufferPool, larger, smaller

IDLE = 20.0
"""Seconds that a connection is kept for the next request: less than a mover waits for one."""

KEPT = 64
"""Connections that are kept at most."""

MOST = 1024 * KIB
"""Bytes that are read and passed on at a time; one turn of the reactor brings no more."""


class Connections:
    """Connections to movers, made by `connect` and kept between requests. `name_of` says who answered, where TLS does."""

    def __init__(
        self,
        connect: Callable[[str, int], Awaitable[IChannel]],
        name_of: Callable[[IChannel], str | None],
        clock: IReactorTime,
    ) -> None:
        self._connect = connect
        self._name_of = name_of
        self._clock = clock
        self._idle: list[tuple[float, tuple[str, int], Frames]] = []

    async def open(self, mover: str, ticket: bytes, request: Callable[[bytes], Write | Read]) -> Frames:
        """A connection on which `request` was granted. Raises what the mover refused it with, and `Unavailable`."""
        if not ticket:
            raise Unavailable(f"mover {mover} is not there")
        leave = open_pass(ticket)
        address = (leave.host, leave.port)
        kept = self._take(address)
        if kept is not None:
            try:
                return await self._ask(kept, request(leave.ticket))
            except LOST:
                pass  # It was closed while nobody looked: a new one will tell.
        try:
            channel = await self._connect(*address)
            name = self._name_of(channel)
            if name is not None and name != mover:
                channel.abort()
                raise Unavailable(f"where mover {mover} should be is {name}")
            return await self._ask(Frames(channel), request(leave.ticket))
        except LOST as lost:
            raise Unavailable(f"mover {mover} can't be reached: {lost.detail or lost.sentence}") from lost

    def keep(self, frames: Frames, ticket: bytes) -> None:
        """A request ended well: the connection may be used again."""
        self._clean()
        if len(self._idle) >= KEPT:
            frames.channel.abort()
            return
        leave = open_pass(ticket)
        self._idle.append((self._clock.seconds() + IDLE, (leave.host, leave.port), frames))

    def close(self) -> None:
        """End all that are kept."""
        while self._idle:
            self._idle.pop()[2].channel.abort()

    async def _ask(self, frames: Frames, request: Write | Read) -> Frames:
        try:
            await frames.say(request)
            answer = await frames.hear()
            if isinstance(answer, Refused):
                raise refusal_of(answer)
            if not isinstance(answer, Opened):
                raise Unavailable("the mover does not keep to the protocol")
        except BaseException:
            frames.channel.abort()
            raise
        return frames

    def _take(self, address: tuple[str, int]) -> Frames | None:
        self._clean()
        for index in reversed(range(len(self._idle))):
            if self._idle[index][1] == address:
                return self._idle.pop(index)[2]
        return None

    def _clean(self) -> None:
        now = self._clock.seconds()
        while self._idle and self._idle[0][0] <= now:
            self._idle.pop(0)[2].channel.abort()


@implementer(IWriteHandle)
class RemoteWriteHandle:
    """One upload. A reader of answers runs beside it from the start, so that a refusal is heard in the middle."""

    log = Logger()

    def __init__(self, store: RemoteStore, frames: Frames, ticket: bytes) -> None:
        self._store = store
        self._frames = frames
        self._ticket = ticket
        self._total = 0
        self._size = 64 * KIB
        self._over = False
        self._outcome: Message | Refusal | None = None
        self._waiting: Deferred[None] | None = None
        Deferred.fromCoroutine(self._listen()).addErrback(self._broken)

    async def receive(self, source: IByteSource, limit: int | None = None) -> int:
        came = 0
        while limit is None or came < limit:
            count = await self._relay(source, limit if limit is None else limit - came)
            if not count:
                break
            came += count
        return came

    async def settle(self) -> None:
        """Everything was handed on; the mover syncs when it has heard that this was all."""
        self._refuse_over()

    async def finish(self, length: int | None = None, expected: Mapping[str, str] = EMPTY) -> Receipt:
        self._refuse_over()
        if length is not None and length != self._total:
            await self.abort()
            raise Incomplete(f"{self._total} of {length} bytes came")
        self._over = True
        outcome = await self._say(End(self._total, dict(expected)))
        if not isinstance(outcome, Stored):
            self._frames.channel.abort()
            raise self._refusal(outcome)
        self._store.connections.keep(self._frames, self._ticket)
        return outcome.receipt

    async def abort(self) -> None:
        """Between two frames the mover is asked, and it is done on return; otherwise it finds the connection cut."""
        if self._over:
            return
        self._over = True
        if self._outcome is None and self._frames.whole:
            await self._say(Abort())
        self._frames.channel.abort()

    async def _relay(self, source: IByteSource, limit: int | None) -> int:
        """One read from the source, and on with it; 0 is its end."""
        self._refuse_over()
        pool = self._store.pool
        buffer = await pool.acquire(pool.advise(self._size))
        try:
            count = await source.read_into(buffer if limit is None else buffer[:limit])
            self._refuse_over()
            if count:
                self._total += count
                self._check_size()
                await self._put(buffer[:count])
                self._learn(count, len(buffer))
        finally:
            pool.release(buffer)
        return count

    async def _put(self, data: memoryview) -> None:
        try:
            await self._frames.put(data)
        except LOST:
            raise self._refusal(await self._decided()) from None

    async def _say(self, message: End | Abort) -> Message | Refusal:
        try:
            await self._frames.say(message)
        except LOST as lost:
            if self._outcome is None:
                self._outcome = lost
        return await self._decided()

    async def _listen(self) -> None:
        """Until the mover has answered, or is lost."""
        outcome: Message | Refusal = Working()
        while isinstance(outcome, Working):
            try:
                heard = await self._frames.hear()
                outcome = InvalidRequest("data in place of an answer") if isinstance(heard, int) else heard
            except Refusal as refusal:
                outcome = refusal
        self._outcome = outcome
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.callback(None)

    async def _decided(self) -> Message | Refusal:
        while self._outcome is None:
            self._waiting = Deferred()
            await self._waiting
        return self._outcome

    def _refusal(self, outcome: Message | Refusal) -> Refusal:
        """What an outcome other than the wished one is for the caller."""
        if isinstance(outcome, Refused):
            return refusal_of(outcome)
        return Unavailable(f"mover {self._store.name} was lost during the upload")

    def _refuse_over(self) -> None:
        if self._over:
            raise Incomplete("the upload has ended")
        if self._outcome is not None:
            raise self._refusal(self._outcome)

    def _check_size(self) -> None:
        if 0 < self._store.limits.file_size < self._total:
            raise TooLarge(f"more than {self._store.limits.file_size} bytes")

    def _learn(self, count: int, size: int) -> None:
        if count == size:
            self._size = min(larger(size), MOST)
        elif count < size // 8:
            self._size = smaller(size)

    def _broken(self, failure: Failure) -> None:
        self.log.failure("answers of mover {name} can't be heard", failure, name=self._store.name)
        self._frames.channel.abort()


@implementer(IStore)
class RemoteStore:
    """The volumes of the mover `name`, as far as tickets allow."""

    def __init__(self, name: str, connections: Connections, pool: BufferPool, limits: Limits) -> None:
        self.name = name
        self.connections = connections
        self.pool = pool
        self.limits = limits

    async def write(
        self, segment: int, volume: int, digests: Sequence[str], size: int | None = None, ticket: bytes = b""
    ) -> IWriteHandle:
        """What is asked is what the ticket is for: the mover believes nothing else."""
        frames = await self.connections.open(self.name, ticket, lambda leave: Write(VERSION, leave))
        return RemoteWriteHandle(self, frames, ticket)

    async def read(self, segment: int, copy: Copy, length: int) -> IReadHandle:
        if copy.mover != self.name:
            raise Unavailable(f"mover {self.name} has no copies of {copy.mover}")
        frames = await self.connections.open(self.name, copy.ticket, lambda leave: Read(VERSION, leave, length))
        ahead, keep = self.limits.read_ahead, partial(self.connections.keep, frames, copy.ticket)
        handle = RemoteReadHandle(self.name, frames, self.pool, length, ahead, keep)
        return await in_memory(handle, length) if 0 < length <= SMALL_FILE else handle
