"""The façade that the doors see, `IPortal`, and what it gives them: a namespace of one user, uploads, downloads, objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from ecpds.interfaces import IByteSink, IByteSource
from ecpds.model import (
    ANYTHING,
    EMPTY,
    Completion,
    Condition,
    Entry,
    Identity,
    KeyPage,
    MultipartUpload,
    Origin,
    Page,
    Room,
    UploadPart,
    Usage,
)
from ecpds.people import NewShare, Share
from ecpds.terms import NO_TERMS, Terms


class IUpload(Interface):
    """One file on its way in. Nothing is visible before `commit` returns; after `abort` nothing is left."""

    async def receive(source: IByteSource, limit: int | None = None) -> int:
        """Take bytes until the source ends, or `limit` of them, and say how many came. May be called again.

        Raises what the source raises, `NoSpace`, `TooLarge`.
        """

    async def settle() -> None:
        """Nothing more comes: do before `commit`, or `keep`, what can be done without anybody hearing of it.

        For who has a last look whether the file is wanted. Raises as `receive` does.
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

    async def usage(path: str) -> Usage | None:
        """What the whole destination of `path` holds, as it was counted lately; None where that is still to be done.

        It is told to who may list in the destination, and by no share link.
        """

    async def open_read(path: str) -> IDownload:
        """Open a file. Raises `IsADirectory`."""

    def read_again(path: str) -> IDownload | None:
        """As `IPortal.read_again`: `open_read` of a small file that is at hand, with all of its bytes `held`."""

    async def open_write(path: str, size: int | None = None, terms: Terms = NO_TERMS) -> IUpload:
        """Begin to replace or create the file at `path`; missing directories appear with it.

        `size` is what the client announced. Raises `IsADirectory`, `NotADirectory`, `PreconditionFailed`, `NoSpace`,
        `TooLarge`.
        """

    async def write_whole(path: str, data: bytes | memoryview, terms: Terms = NO_TERMS) -> Entry:
        """Put a file of which all bytes are in memory: `open_write`, `IUpload.receive` and `commit` in one step.

        For doors, whenever a body was short: where the storage waits for nothing (`sync = false`, in memory) and the file is
        small (16 KiB) it costs a fraction, and waits at most for the commit; everywhere else it is those three calls.
        Checks, records and refusals are the same: of what fails nothing is left. Raises what those raise.
        """

    def put_now(path: str, data: bytes | memoryview, terms: Terms = NO_TERMS) -> Entry | None:
        """As `write_whole`, where nothing has to be waited for; None: nothing was done. Raises what a commit does."""

    def takes_now(path: str) -> bool:
        """Whether `write_whole` of a small file would find nothing in its way now, and not wait, as far as is remembered.

        For doors that give leave before the bytes come, as FTP's 150 does. Where it is False, `open_write` tells what is so.
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

    async def set_released(path: str, released: bool) -> Entry:
        """Let everybody see a file that waits, or a file only who may put there, until it is released.

        Raises `NotPermitted` unless the user may put there and has the option `portal.releases`; `NotFound`, `IsADirectory`.
        """

    async def release_folder(path: str) -> int:
        """Let everybody see all that waits in a folder and below it, where the user may put it; how many files that were.

        Raises `NotPermitted` as `set_released` does, `NotFound`, `NotADirectory`.
        """

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
        """A file or a directory to a name that does not exist yet, or, for a file and with `replace`, replacing a file,
        where the user may put or delete.

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
        """Raises `LoginFailed`, the same and as late for an unknown user as for a wrong password; `TooManyFailures`."""

    async def login_with_key(login: str, key: bytes, origin: Origin) -> IFileSystem:
        """As `IMaster.login_with_key`; a refusal is recorded."""

    async def login_with_certificate(login: str, origin: Origin) -> IFileSystem:
        """As `IMaster.login_with_certificate`; a refusal is recorded."""

    async def login_with_signature(
        access_key_id: str, date: str, region: str, service: str, origin: Origin
    ) -> tuple[IFileSystem, bytes]:
        """As `IMaster.login_with_signature`; a refusal is recorded, but not that of a signature that is wrong."""

    async def visit(destination: str, origin: Origin, login: str = "") -> IFileSystem:
        """The view of a destination that is open to everybody, to every user, or to one: `login`, who has shown that.

        Raises `NotPermitted`, `NotFound` where there is no such destination; a refusal is recorded.
        """

    async def login_with_share(token: str, password: str, origin: Origin) -> IFileSystem:
        """As `IMaster.login_with_share`; what is shared is the root. A refusal is recorded."""

    async def resume(identity: Identity, origin: Origin) -> IFileSystem:
        """The view of who has logged in before, as it is by now. Raises as `IMaster.renew` does; a refusal is recorded."""

    def look_again(files: IFileSystem, path: str, suits: Callable[[Entry], bool]) -> Entry | None:
        """Log in anew whom `files` was given to, as if the same had been shown again, and say which file is at `path`.

        None where that is not all known without waiting, or would be refused in any way, and where the file does not suit:
        then nothing has happened, and the door logs the user in and asks as always.
        """

    def read_again(files: IFileSystem, path: str) -> IDownload | None:
        """As `look_again`, for a small file that is then open, with all of its bytes `held`."""

    def put_again(
        files: IFileSystem, path: str, data: memoryview, terms: Terms = NO_TERMS, alone: bool = False
    ) -> Deferred[Entry] | None:
        """As `look_again`, and `IFileSystem.write_whole`: None where it isn't done at once, and then nothing has happened.

        All that are put in a turn of the reactor get their names together. One that is `alone` need not wait for others.
        The Deferred is not to be cancelled, and fails with what that raises behind the last byte; there is a record of it.
        `data` is not looked at any more when this returns.
        """

    def refused(login: str, message: str, origin: Origin) -> None:
        """Record a refusal that a door made by itself, such as an over-long line."""
