"""What the rooms know of each other. Each interface has at least two makers, and one contract suite runs over all of them.

Who calls whom: a door asks an `IPortal` for a user's `IFileSystem`; the file system asks `IMaster` what exists and who
may, and an `IStore` for bytes; the Master asks `IMoverControl` to delete; everybody tells an `IEventSink`. Bytes come from
an `IByteSource` and go to an `IByteSink`, which a socket's `IChannel` is both of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from OpenSSL import SSL
from zope.interface import Attribute, Interface

from ecpds.events import Event
from ecpds.model import (
    ANYTHING,
    EMPTY,
    Completion,
    Condition,
    Copy,
    Entry,
    Identity,
    KeyPage,
    MultipartUpload,
    NewShare,
    Origin,
    Page,
    Receipt,
    Room,
    Share,
    StoredSegment,
    UploadPart,
    VolumeUse,
)


class IByteSource(Interface):
    """Something that bytes come from: a socket, the body of an HTTP request, a memory buffer in tests."""

    async def read_into(view: memoryview) -> int:
        """Wait until there is something, put up to `len(view)` bytes into `view` and say how many; 0 is the end.

        The end means that the peer said so in its protocol's words. Raises `ConnectionLost` where it did not, and
        `Stalled` after the time that a transfer may make no progress.
        """


class IByteSink(Interface):
    """Something that bytes go to."""

    async def write(data: bytes | memoryview) -> None:
        """Hand all of `data` on; returns when `data` is no longer needed. Raises `ConnectionLost` or `Stalled`."""

    async def send_file(fd: int, offset: int, length: int) -> None:
        """Hand on `length` bytes of the open file `fd` from `offset`, by the cheapest way there is.

        Returns when all of them were handed to the kernel. Raises `Corrupt` when the file is shorter.
        """


class IChannel(IByteSource, IByteSink):
    """One connected socket, plain or TLS, with back-pressure both ways. Only one reader and one writer at a time."""

    peer: str = Attribute("the peer's address, without the port")
    secure: bool = Attribute("whether TLS protects it")
    resumed: bool = Attribute("whether its TLS goes on with a session that its context had agreed on before")
    patience: float = Attribute("seconds that a read or write may wait without progress before it is `Stalled`; may be set")

    async def handshake() -> None:
        """Agree on keys, where TLS protects it. Every other call begins with this; asked for by who must know first."""

    async def readable() -> None:
        """Wait until there may be something to read, or the end: for who expects nothing yet, and so tries in vain. Raises as
        `read_into` does."""

    async def finish() -> None:
        """Say that nothing more will be written (TLS close_notify, then FIN), wait until that is with the kernel, close."""

    def abort() -> None:
        """Close at once; the peer sees a reset. Whoever waits gets `ConnectionLost`. May be called at any time, repeatedly."""


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


class IUpload(Interface):
    """One file on its way in. Nothing is visible before `commit` returns; after `abort` nothing is left."""

    async def receive(source: IByteSource, limit: int | None = None) -> int:
        """Take bytes until the source ends, or `limit` of them, and say how many came. May be called again.

        Raises what the source raises, `NoSpace`, `TooLarge`.
        """

    async def commit(expected: Mapping[str, str] = EMPTY) -> Entry:
        """Sync, check, publish: returns when the name exists for everyone. `expected` are digests that came after the bytes.

        Raises `Incomplete` when a size was announced and not reached, `DigestMismatch`, `PreconditionFailed`, `NoSpace`.
        After any of these nothing is left.
        """

    async def abort(reason: BaseException | None = None) -> None:
        """Give the bytes back; `reason` goes into the record. Does nothing after a commit or an abort."""

    async def keep(reason: BaseException) -> None:
        """As `abort`, but what came is kept privately for `limits.partial_life`: see `IFileSystem.resume_write`."""

    async def pause() -> None:
        """Keep what came as a piece that is whole: synced, and checked against what was expected of it.

        Raises as `commit` does; then nothing of the piece is left.
        """


class IDownload(Interface):
    """One file on its way out, pinned: it stays as it was at the opening, whatever happens to the name."""

    entry: Entry = Attribute("what was opened")

    async def send(sink: IByteSink, offset: int = 0, length: int | None = None) -> None:
        """Hand `length` bytes (None: all that are left) from `offset` to the sink. Raises what the sink raises, `Corrupt`."""

    def held(offset: int, length: int) -> memoryview | None:
        """Those bytes, of which there are as many, where they are in our memory already: they count as sent. Else None."""

    def close(failure: BaseException | None = None) -> None:
        """Give the file back and record the pull: done, or failed with the reason. May be called repeatedly."""


class IFileSystem(Interface):
    """The portal as one user sees it. Paths are decoded text, absolute, not yet canonical; `/` lists the destinations.

    Every method may raise `InvalidName`, `NotPermitted`, `NotFound` and `Unavailable`; each refusal leaves one record.
    """

    identity: Identity = Attribute("who this is")
    origin: Origin = Attribute("where the user comes from")

    async def stat(path: str, permission: str | None = None) -> Entry:
        """What is at `path`, for who holds `permission` there, where one is named (such as `size` or `mtime`)."""

    async def find(path: str, permission: str | None = None) -> Entry | None:
        """As `stat`, for who only looks: nothing there is None, and no refusal, so it leaves no record."""

    async def list(path: str, after: str | None = None, limit: int = 1000) -> Page:
        """A page of the directory at `path`, in the byte order of names. Raises `NotADirectory`."""

    async def room(path: str) -> Room:
        """What is left for new files at `path`, which need not be there: in its destination; of `/`, in all of the user's."""

    async def open_read(path: str) -> IDownload:
        """Open a file. Raises `IsADirectory`."""

    async def open_write(
        path: str,
        size: int | None = None,
        condition: Condition = ANYTHING,
        expected: Mapping[str, str] = EMPTY,
        metadata: Mapping[str, str] = EMPTY,
        digests: Sequence[str] = (),
    ) -> IUpload:
        """Begin to replace or create the file at `path`; missing directories appear with it.

        `size` is what the client announced, `expected` the digests it did; `digests` are wanted besides. Raises
        `IsADirectory`, `NotADirectory`, `PreconditionFailed`, `NoSpace`, `TooLarge`.
        """

    async def kept(path: str, upload: int | None = None) -> int:
        """How many bytes this user has kept of an upload to `path` that broke off, 0 if none.

        What is older than the file that is there by now does not count. With the id of an `upload` that one alone is
        meant: raises `NotFound` where it is not kept, or another's.
        """

    async def begin_partial(path: str, size: int | None = None, condition: Condition = ANYTHING) -> int:
        """Begin an upload that comes piece by piece, and say its id: `resume_write` adds the pieces.

        It is kept, for this user alone, as one that broke off is. What was kept for the path before is given up. Raises
        as `open_write` does.
        """

    async def resume_write(
        path: str,
        offset: int,
        upload: int | None = None,
        condition: Condition = ANYTHING,
        expected: Mapping[str, str] = EMPTY,
    ) -> IUpload:
        """Go on with what is kept, `offset` bytes of it; the commit publishes the whole.

        `expected` are digests of the bytes that come now. Raises as `open_write` does, `NotFound` as `kept` does, and
        `PreconditionFailed` unless just so many bytes are kept.
        """

    async def give_up(path: str, upload: int) -> None:
        """Forget an upload of this user's that is kept. Raises `NotFound`."""

    async def digest(path: str, name: str, offset: int = 0, length: int | None = None) -> str:
        """A digest (of `model.DIGESTS`) of a file, or of `length` of its bytes from `offset` (None: all that are left).

        That of a whole file is computed at most once. Raises `IsADirectory`, `NotSupported`, `Corrupt`.
        """

    async def set_mtime(path: str, mtime: float) -> Entry:
        """Say when a file was modified. Raises `IsADirectory`."""

    async def add_share(path: str, share: NewShare) -> tuple[Share, str]:
        """Make a share link to `path`, and say its token this once. Of `share` destination and path are not looked at.

        Raises `NotPermitted` for what the user may not do there itself, and to who came by a link.
        """

    async def shares() -> Sequence[Share]:
        """The user's share links, the oldest first."""

    async def remove_share(share: int) -> None:
        """Take a share link back. Raises `NotFound`."""

    async def make_directory(path: str) -> Entry:
        """Raises `AlreadyExists`, and `NotFound` without a parent."""

    async def remove_directory(path: str) -> None:
        """Raises `DirectoryNotEmpty`, `NotADirectory`."""

    async def delete(path: str, condition: Condition = ANYTHING) -> None:
        """Raises `IsADirectory`, `PreconditionFailed`."""

    async def rename(source: str, target: str, replace: bool = True) -> None:
        """A file or a directory to a name that does not exist yet, or, for a file and with `replace`, replacing a file.

        Raises `AlreadyExists`, `CrossesDestinations`, and `InvalidName` where a directory would move below itself.
        """


class IObjects(Interface):
    """The same view by keys, as an object store has it: a destination is a bucket, a path in it a key.

    Refusals and records are those of `IFileSystem`. An upload that is not known raises `NotFound`.
    """

    async def keys(destination: str, prefix: str, after: str, delimiter: str, limit: int) -> KeyPage:
        """A page of the keys behind `after` in their byte order; `delimiter` folds those that have it behind the prefix."""

    async def create_bucket(name: str, settings: Mapping[str, str] = EMPTY) -> None:
        """Make a destination with settings as `set_bucket` takes. Raises `NotPermitted`, `AlreadyExists`, `InvalidName`."""

    async def remove_bucket(name: str) -> None:
        """Remove a destination that holds nothing; uploads in parts are given up. Raises `DirectoryNotEmpty`."""

    async def bucket(name: str) -> Mapping[str, str]:
        """What is set of a destination, of `options.BUCKET_SETTINGS`.

        Raises `NotPermitted` where it is another's and this user may learn that; `NotFound`.
        """

    async def set_bucket(name: str, settings: Mapping[str, str | None]) -> None:
        """Change that, for users who make destinations; None unsets. Raises `NotPermitted`, `InvalidRequest`."""

    async def annotate(path: str, notes: Mapping[str, str | None], condition: Condition = ANYTHING) -> Entry:
        """Change what is noted of a file (`DataFile.metadata`); None takes a note away. Raises `IsADirectory`."""

    async def unmark(path: str) -> None:
        """Take the mark of a folder away: it goes at once where it is empty, and else with the last that is in it."""

    async def create_upload(path: str, metadata: Mapping[str, str]) -> int:
        """Begin a file that comes in parts."""

    async def open_part(
        path: str, upload: int, number: int, size: int | None, expected: Mapping[str, str], digests: Sequence[str]
    ) -> IUpload:
        """Begin a part; the commit records it, and its entry's data file is the part's own."""

    async def upload(path: str, upload: int) -> MultipartUpload: ...

    async def parts(path: str, upload: int, after: int, limit: int) -> Sequence[UploadPart]: ...

    async def uploads(destination: str, prefix: str, after: str, after_id: int, limit: int) -> Sequence[MultipartUpload]:
        """Those to paths with the prefix, behind a path and, of that path, an id."""

    async def complete(path: str, upload: int, completion: Completion, condition: Condition) -> Entry:
        """Publish a file that is made of parts; repeatable. Raises `InvalidRequest` when a part was replaced meanwhile."""

    async def abort(path: str, upload: int) -> None: ...


class IPortal(Interface):
    """Where doors log users in."""

    async def login(login: str, password: str, origin: Origin) -> IFileSystem:
        """Raises `LoginFailed`, the same and as late for an unknown user as for a wrong password; `TooManyConnections`."""

    async def login_with_key(login: str, key: bytes, origin: Origin) -> IFileSystem:
        """As `IMaster.login_with_key`; a refusal is recorded."""

    async def login_with_certificate(login: str, origin: Origin) -> IFileSystem:
        """As `IMaster.login_with_certificate`; a refusal is recorded."""

    async def login_with_signature(
        access_key_id: str, date: str, region: str, service: str, origin: Origin
    ) -> tuple[IFileSystem, bytes]:
        """As `IMaster.login_with_signature`; a refusal is recorded, but not that of a signature that is wrong."""

    async def visit(destination: str, origin: Origin, login: str = "") -> IFileSystem:
        """The view of a destination that is open to everybody, or to every user: `login`, that of who has shown that.

        Raises `NotPermitted`; a refusal is recorded.
        """

    async def login_with_share(token: str, password: str, origin: Origin) -> IFileSystem:
        """As `IMaster.login_with_share`; what is shared is the root. A refusal is recorded."""

    async def resume(identity: Identity, origin: Origin) -> IFileSystem:
        """The view of who has logged in before, as it is by now. Raises as `IMaster.renew` does; a refusal is recorded."""

    def refused(login: str, message: str, origin: Origin) -> None:
        """Record a refusal that a door made by itself, such as an over-long line."""


class IWriteHandle(Interface):
    """One copy of one segment, being written by a store."""

    async def receive(source: IByteSource, limit: int | None = None) -> int:
        """As `IUpload.receive`."""

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

        `ticket` is the Master's leave (`Placement.ticket`), which only another node's store asks for.
        """

    async def read(segment: int, copy: Copy, length: int) -> IReadHandle:
        """Open a copy that should have `length` bytes. Raises `Unavailable` when it is not there, `Corrupt` when shorter."""


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
