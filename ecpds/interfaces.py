"""What the rooms know of each other. Each interface has at least two makers, and one contract suite runs over all of them.

Who calls whom: a door asks an `IPortal` for a user's `IFileSystem` (`portal_interfaces`); the file system asks `IMaster`
(`master_interfaces`) what exists and who may, and an `IStore` for bytes; the Master asks `IMoverControl` to delete;
everybody tells an `IEventSink`. Bytes come from an `IByteSource` and go to an `IByteSink`, which a socket's `IChannel` is
both of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from OpenSSL import SSL
from zope.interface import Attribute, Interface

from ecpds.events import Event
from ecpds.model import (
    EMPTY,
    Copy,
    Receipt,
    StoredSegment,
    VolumeUse,
)
from ecpds.scrubbing import HeldCopy, ScrubState, Verdict


class IByteSource(Interface):
    """Something that bytes come from: a socket, the body of an HTTP request, a memory buffer in tests."""

    async def read_into(view: memoryview) -> int:
        """Wait until there is something, put up to `len(view)` bytes into `view` and say how many; 0 is the end.

        The end means that the peer said so in its protocol's words. Raises `ConnectionLost` where it did not, and
        `Stalled` after the time that a transfer may make no progress.
        """


class IStoredSource(IByteSource):
    """A source whose bytes are stored here already, as those of a file that is copied are: none of them cross a socket."""


class IWholeSource(IByteSource):
    """A source of which all may have come already."""

    def whole(most: int) -> memoryview | None:
        """All that it has left, which is then read, if that is here and no more than `most` bytes; else None, and as before.

        It is valid until the source's owner is given back what it lent.
        """


class IByteSink(Interface):
    """Something that bytes go to."""

    async def write(data: bytes | memoryview) -> None:
        """Hand all of `data` on; returns when `data` is no longer needed. Raises `ConnectionLost` or `Stalled`."""

    async def send_file(fd: int, offset: int, length: int) -> None:
        """Hand on `length` bytes of the open file `fd` from `offset`, by the cheapest way there is.

        Returns when all of them were handed to the kernel. Raises `Corrupt` when the file is shorter.
        """


class IBasin(Interface):
    """Buffers that one thread fills, one after the other, while other threads empty them."""

    async def begin() -> bool:
        """Get them ready; False where there are none now. Called once, on the reactor; the others by the thread that fills."""

    def room() -> memoryview | None:
        """The next one to be filled; None where none becomes free soon, or nothing more is wanted."""

    def filled(count: int) -> None:
        """The first `count` bytes of it are there."""

    def end() -> None:
        """No more is filled. Called once after `begin`, on any thread."""


class IFloodSource(IByteSource):
    """A source that may fill buffers by itself, away from the reactor."""

    async def flood(basin: IBasin, length: int) -> int:
        """Put up to `length` bytes into `basin`, for as long as they keep coming fast, and say how many.

        Where that is fewer, or 0, whoever asks goes on with `read_into`, and so finds out why: an end, a failure, or nothing.
        """


class IChannel(IByteSource, IByteSink):
    """One connected socket, plain or TLS, with back-pressure both ways. Only one reader and one writer at a time."""

    peer: str = Attribute("the peer's address, without the port")
    secure: bool = Attribute("whether TLS protects it")
    resumed: bool = Attribute("whether its TLS goes on with a session that its context had agreed on before")
    patience: float = Attribute(
        "seconds that a read or write may wait without progress before it is `Stalled`; may be set, and be infinite"
    )

    async def handshake() -> None:
        """Agree on keys, where TLS protects it. Every other call begins with this; asked for by who must know first."""

    async def readable() -> None:
        """Wait until there may be something to read, or the end: for who expects nothing yet, and so tries in vain. Raises as
        `read_into` does."""

    async def finish(linger: bool = True) -> None:
        """Say that nothing more will be written (TLS close_notify, then FIN), wait until that is with the kernel, close.

        `linger`: the peer may still be sending, and is read to its end for a while, so that no reset overtakes our bytes.
        Who knows that it sends nothing says False; that is heeded where there is no TLS, and nothing has come.
        """

    def abort() -> None:
        """Close at once; the peer sees a reset. Whoever waits gets `ConnectionLost`. May be called at any time, repeatedly."""


class IPromptChannel(IChannel):
    """A channel that answers what is short where it has come, without waking who waits for it."""

    async def attend(attempt: Callable[[], bool]) -> None:
        """As `readable`; but first `attempt` is called whenever there may be something, and while it says that it has dealt
        with that, waiting goes on. It may call `receive` and `send`; what it raises is raised here."""

    def wake() -> None:
        """Who attends goes on, whether or not anything has come."""

    def receive(view: memoryview) -> int:
        """What is there, up to `len(view)` bytes; 0 where that is nothing, and at the end. Raises `ConnectionLost`."""

    def send(data: bytes) -> int:
        """Hand over what there is room for, and say how much that was. Raises `ConnectionLost`."""

    async def go_on(rest: memoryview) -> None:
        """Hand over what a `send` left, which must come before anything else is written. Raises as `write` does."""


class IRelaySink(IByteSink):
    """A sink that may take bytes straight from a channel."""

    async def carry(source: IChannel, length: int) -> int:
        """Hand on up to `length` bytes of what comes from `source`, for as long as both keep up, and say how many.

        Where that is fewer, or 0, whoever asks reads and writes the next ones by itself, and so finds out what `source`
        has: an end, or a failure. Raises what `write` does.
        """


class IListener(Interface):
    """A listening socket for one or a few connections, such as a passive FTP data port."""

    port: int = Attribute("the port it listens on")

    async def accept(timeout: float) -> IChannel:
        """The next connection from the expected peer; any other is closed at once. Raises `Stalled` after `timeout` s."""

    def accept_now() -> IChannel | None:
        """As `accept`, of a connection that has come already; None where none has, or nobody listens any more."""

    def close() -> None:
        """Stop listening. A connection that was accepted stays. Whoever waits gets `ConnectionLost`."""


class IListeners(Interface):
    """Makes listeners and connections: the doors' way to sockets of their own.

    With a context a connection speaks TLS, and we are its server whoever has connected.
    """

    def listen(address: str, ports: range | None, peer: str, context: SSL.Context | None = None) -> IListener:
        """Listen on `address`, on a free port of `ports` picked at random (None: any), for connections from `peer` only.

        Raises `Unavailable` when no port is free.
        """

    async def connect(address: str, peer: str, port: int, timeout: float, context: SSL.Context | None = None) -> IChannel:
        """Connect from `address` to a port of `peer`. Raises `ConnectionLost`, and `Stalled` after `timeout` s."""


class IWriteHandle(Interface):
    """One copy of one segment, being written by a store."""

    async def receive(source: IByteSource, limit: int | None = None) -> int:
        """As `IUpload.receive`."""

    async def settle() -> None:
        """Nothing more comes: have what came written, digested and synced, as far as that can be done before `finish`.

        For who has a last look whether it is wanted: nobody is told of it yet. Raises as `receive` does.
        """

    async def finish(length: int | None = None, expected: Mapping[str, str] = EMPTY) -> Receipt:
        """Everything written and synced, and the Master told (`IMaster.stored`): the bytes are the Master's from then on.

        Raises `Incomplete` unless exactly `length` bytes came, where it is given, and `DigestMismatch` unless they have the
        digests that are expected, of those that are computed.
        """

    async def abort() -> None:
        """Stop and unlink. May be called repeatedly; does nothing after `finish`."""


class IReadHandle(Interface):
    """One open copy of one segment."""

    async def send(sink: IByteSink, offset: int, length: int) -> None:
        """Hand a span to the sink. Raises what the sink raises, and `Corrupt`."""

    def held(offset: int, length: int) -> memoryview | None:
        """That span, where it is in our memory already; None where it must be sent."""

    def close() -> None: ...


class IStore(Interface):
    """Reads and writes the bytes of segments, on this node or on another."""

    async def write(
        segment: int, volume: int, digests: Sequence[str], size: int | None = None, ticket: bytes = b""
    ) -> IWriteHandle:
        """Begin a copy. The file is created exclusively. Raises `NoSpace`, `Unavailable`, `AlreadyExists`.

        `digests` are to be computed, those with `model.IF_SMALL` behind their names of what is small.

        `ticket` is the Master's leave (`Placement.ticket`), which only another node's store asks for.
        """

    async def read(segment: int, copy: Copy, length: int) -> IReadHandle:
        """Open a copy that should have `length` bytes. Raises `Unavailable` when it is not there, `Corrupt` when shorter."""


class IPromptReads(IStore):
    """A store that may have what is small without waiting."""

    def read_now(segment: int, copy: Copy, length: int) -> memoryview | None:
        """All bytes of a small copy, as `IReadHandle.held` of one that was opened; None where that has to be waited for, or
        will be refused."""


class IPromptStore(IPromptReads):
    """One that takes it without waiting, too."""

    prompt: bool = Attribute("whether small segments are stored without waiting, on each volume")

    def write_now(
        segment: int, volume: int, digests: Sequence[str], data: memoryview, expected: Mapping[str, str] = EMPTY
    ) -> Receipt | None:
        """Store a small segment as a whole, as `write`, `IWriteHandle.receive` and `finish` do; the Master is not told.

        None where that has to be waited for, or will be refused; then nothing of it is left."""

    async def write_and_tell(
        segment: int, volume: int, digests: Sequence[str], data: memoryview, expected: Mapping[str, str] = EMPTY
    ) -> Receipt | None:
        """As `write_now`, and then the Master is told, as by `IWriteHandle.finish`, and with what that raises."""


class IMoverControl(Interface):
    """What the Master asks of a mover."""

    name: str = Attribute("the mover's name")

    async def delete(segments: Sequence[StoredSegment]) -> None:
        """Unlink; one that is not there is no error."""

    async def volumes() -> Sequence[VolumeUse]:
        """How full each volume is."""

    async def digests(segments: Sequence[StoredSegment], names: Sequence[str]) -> Mapping[str, str]:
        """Digests of what the segments hold, one after the other, read where it lies. Raises `Unavailable`, `Corrupt`."""

    async def copy(segment: StoredSegment, source: Copy) -> Receipt:
        """Fetch what another mover has of a segment, and keep it where `segment` says; returns when it is synced.

        Nobody is told of it but who asked. Raises `Unavailable`, `Corrupt`, `NoSpace`, and `AlreadyExists` where something
        of that id stands there; after any of these nothing of this copy is left.
        """

    async def check(copy: HeldCopy) -> Verdict:
        """Compare a copy with its record now, read from its disk. Raises `Unavailable` where that can't be done just now."""

    async def scrub(order: str) -> ScrubState:
        """What has become of comparing all copies; `order` is of `scrubbing.ORDERS`. Raises `InvalidRequest`."""


class IEventSink(Interface):
    """Takes a copy of every record."""

    def record(event: Event) -> None:
        """Never raises and never waits."""


class IThreads(Interface):
    """Work that must not hold the reactor: file operations, slow hashes, password hashes."""

    async def run(function: Callable[..., Any], *args: Any) -> Any:
        """Call `function(*args)` on a thread and return or raise what it does."""


class IWatch(Interface):
    """A time-out that is pushed back by progress."""

    def touch() -> None: ...

    def cancel() -> None: ...


class ITimeouts(Interface):
    """Makes time-outs, cheaply, for very many connections."""

    def watch(seconds: float, expired: Callable[[], None]) -> IWatch:
        """Call `expired` once, when `seconds` pass without a touch (late by up to a second)."""
