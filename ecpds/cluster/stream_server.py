"""A mover's side of the data stream: it stores and reads what tickets allow (see `frames` for who says what)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ecpds.cluster.codec import VERSION, refused
from ecpds.cluster.frames import (
    Abort,
    Aborted,
    Close,
    End,
    Frames,
    FrameSink,
    FrameSource,
    Message,
    Opened,
    Read,
    Sent,
    Span,
    Stored,
    Working,
    Write,
)
from ecpds.cluster.tickets import READ, WRITE, Owner, Ticket, TicketCheck
from ecpds.errors import ConnectionLost, InvalidRequest, NotSupported, Refusal, Stalled, Unavailable
from ecpds.interfaces import IChannel, IReadHandle, IStore, IWriteHandle
from ecpds.keeping import keep_part
from ecpds.master_interfaces import IMaster
from ecpds.model import Allocation, Copy, Origin, Placement
from ecpds.terms import AllocationRequest

T = TypeVar("T")

BUSY = 5.0
"""Seconds between two `Working`."""


class StreamServer:
    """Serves connections. `check` is the ticket check, None before the Master was met; `who` names a channel's peer.

    `master` is asked to keep for its user what came of an upload whose sender is lost. `rest` is how many seconds a reader may
    ask for nothing, or take nothing: its client may be allowed as much.
    """

    log = Logger()

    def __init__(
        self,
        store: IStore,
        check: Callable[[], TicketCheck | None],
        who: Callable[[IChannel], str | None],
        clock: IReactorTime,
        master: IMaster,
        rest: float,
    ) -> None:
        self.reads: dict[int, int] = {}
        """Reads under way, by volume."""
        self.writes = 0
        self._store = store
        self._check = check
        self._who = who
        self._clock = clock
        self._master = master
        self._rest = rest
        self._channels: set[IChannel] = set()
        self._stopping = False
        self._drained: Deferred[None] | None = None

    def serve(self, channel: IChannel) -> None:
        """Answer requests until the peer goes."""
        self._channels.add(channel)

        def ended(result: Any) -> None:
            self._channels.discard(channel)
            channel.abort()
            if isinstance(result, Failure) and not isinstance(result.value, Refusal):
                self.log.failure("a stream from {peer} failed", result, peer=channel.peer)

        Deferred.fromCoroutine(self._serve(channel)).addBoth(ended)

    async def drain(self) -> None:
        """Refuse whatever is asked from now on; returns when reads and uploads under way have ended."""
        self._stopping = True
        if self._busy:
            self._drained = Deferred()
            await self._drained

    @property
    def _busy(self) -> int:
        return self.writes + sum(self.reads.values())

    def _one_less(self) -> None:
        if self._drained is not None and not self._busy:
            drained, self._drained = self._drained, None
            drained.callback(None)

    def abort(self) -> None:
        """Cut every stream."""
        for channel in list(self._channels):
            channel.abort()

    async def _serve(self, channel: IChannel) -> None:
        frames, holder = Frames(channel), self._who(channel)
        while True:
            message = await frames.hear()
            try:
                await self._answer(frames, message, holder)
            except (ConnectionLost, Stalled):
                raise
            except Refusal as refusal:
                if not frames.whole:
                    raise
                await frames.say(refused(0, refusal))
                if not isinstance(message, Write | Read):
                    raise

    async def _answer(self, frames: Frames, message: Message | int, holder: str | None) -> None:
        if isinstance(message, Write):
            ticket = self._allowed(message, WRITE, holder)
            handle = await self._store.write(ticket.segment, ticket.volume, ticket.digests, ticket.size)
            self.writes += 1
            try:
                await self._write(frames, handle, ticket)
            finally:
                self.writes -= 1
                self._one_less()
        elif isinstance(message, Read):
            ticket = self._allowed(message, READ, holder)
            if ticket.size is None or message.length > ticket.size:
                raise InvalidRequest("that is more than the ticket is for")
            copy = Copy(ticket.mover, ticket.volume)
            await self._read(frames, await self._store.read(ticket.segment, copy, message.length), ticket.volume)
        else:
            raise InvalidRequest("that is no request")

    def _allowed(self, message: Write | Read, verb: str, holder: str | None) -> Ticket:
        if message.version != VERSION:
            raise NotSupported(f"version {message.version} of the stream; this is {VERSION}")
        if self._stopping:
            raise Unavailable("this mover is being stopped")
        check = self._check()
        if check is None:
            raise Unavailable("this mover has not met its Master yet")
        return check.check(message.ticket, verb, holder)

    # Writing

    async def _write(self, frames: Frames, handle: IWriteHandle, ticket: Ticket) -> None:
        """Whatever ends it before the end mark gives the bytes back, unless their user can go on with them."""
        source = FrameSource(frames)
        try:
            await frames.say(Opened())
            answer = await self._saying_so(frames, self._take(handle, source))
        except BaseException as failure:
            lost = isinstance(failure, ConnectionLost | Stalled)
            if not (lost and source.count and ticket.owner is not None and await self._kept(handle, ticket, ticket.owner)):
                await handle.abort()
            if isinstance(failure, Refusal) and not isinstance(failure, ConnectionLost | Stalled):
                await self._refuse_the_rest(frames, failure)
            raise
        await frames.say(answer)

    async def _kept(self, handle: IWriteHandle, ticket: Ticket, owner: Owner) -> bool:
        """Whether what came is kept. It is not where the sender lives and has given the upload up by itself."""
        origin = Origin("", "", ticket.holder)
        request = AllocationRequest(owner.user, owner.destination, owner.path, origin, part=owner.part)
        allocation = Allocation(ticket.segment, (Placement(ticket.mover, ticket.volume),), tuple(ticket.digests))
        try:
            await keep_part(self._master, handle, request, allocation)
        except Refusal as refusal:
            self.log.info("segment {segment} is not kept: {refusal}", segment=ticket.segment, refusal=refusal)
            return False
        return True

    async def _take(self, handle: IWriteHandle, source: FrameSource) -> Message:
        await handle.receive(source)
        if isinstance(source.message, End):
            return await self._finish(handle, source.message)
        if isinstance(source.message, Abort):
            await handle.abort()
            return Aborted()
        raise InvalidRequest("the data has no end")

    async def _finish(self, handle: IWriteHandle, end: End) -> Message:
        """Whatever it is refused for is the answer, a lost Master too: the stream itself is as it should be."""
        try:
            return Stored(await handle.finish(end.length, end.expected))
        except Refusal as refusal:
            return refused(0, refusal)

    async def _refuse_the_rest(self, frames: Frames, refusal: Refusal) -> None:
        """Say why, then take no more: the other end may be in the middle of its data."""
        await frames.say(refused(0, refusal))
        await frames.channel.finish()
        raise ConnectionLost

    async def _saying_so(self, frames: Frames, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`, and say `Working` meanwhile."""
        loop = LoopingCall(lambda: Deferred.fromCoroutine(frames.say(Working())))
        loop.clock = self._clock
        saying: Deferred[Any] = loop.start(BUSY, now=False)
        saying.addErrback(_lost)
        try:
            return await work
        finally:
            if loop.running:
                loop.stop()
            await saying

    # Reading

    async def _read(self, frames: Frames, handle: IReadHandle, volume: int) -> None:
        self.reads[volume] = self.reads.get(volume, 0) + 1
        channel = frames.channel
        patience, channel.patience = channel.patience, max(channel.patience, self._rest)
        try:
            await frames.say(Opened())
            while not isinstance(message := await frames.hear(), Close):
                if not isinstance(message, Span):
                    raise InvalidRequest("that is no span")
                await self._send(frames, handle, message)
        finally:
            channel.patience = patience
            handle.close()
            self.reads[volume] -= 1
            self._one_less()

    async def _send(self, frames: Frames, handle: IReadHandle, span: Span) -> None:
        """A refusal between two frames is said, and the next span may go well; in the middle of one it ends the stream."""
        try:
            await handle.send(FrameSink(frames), span.offset, span.length)
        except (ConnectionLost, Stalled):
            raise
        except Refusal as refusal:
            if not frames.whole:
                raise ConnectionLost from refusal
            await frames.say(refused(0, refusal))
        else:
            await frames.say(Sent())


def _lost(failure: Failure) -> None:
    """Who can't be told is gone, which the work will find out by itself."""
    failure.trap(Refusal)  # type: ignore[no-untyped-call]
