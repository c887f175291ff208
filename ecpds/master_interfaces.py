"""What a Master is asked: by file systems and movers (`IMaster`), and by operators (`IOperations`).

Each has a maker in the Master's own process and one over Perspective Broker, and one contract suite runs over both.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import Interface

from ecpds.events import Event
from ecpds.model import (
    Allocation,
    AllocationRequest,
    Completion,
    Condition,
    Destination,
    DestinationChange,
    Entry,
    Identity,
    KeyPage,
    MultipartUpload,
    Origin,
    Page,
    Partial,
    QuotaUse,
    Receipt,
    RecordFilter,
    Room,
    StoredSegment,
    UploadPart,
    Usage,
)
from ecpds.people import AccessKey, NewShare, NewUser, Policy, Share, UserChange, UserRecord
from ecpds.scrubbing import Checked, CopyPage, DamagedCopy, Verdict


class IMaster(Interface):
    """Decides, and keeps the catalogue. Paths are canonical and relative to the destination."""

    async def login(login: str, password: str, origin: Origin) -> Identity:
        """Raises `LoginFailed`, `NotPermitted` (no destination, disabled), `TooManyFailures`, `Unavailable`."""

    async def login_with_key(login: str, key: bytes, origin: Origin) -> Identity:
        """Log in with a public key (its wire form, RFC 4253 section 6.6) whose signature the door has checked.

        Raises as `login` does.
        """

    async def login_with_certificate(login: str, origin: Origin) -> Identity:
        """Log in whom a certificate names, of an authority that the door trusts. The door has checked it, and the signature.

        Raises as `login` does.
        """

    async def login_with_signature(
        access_key_id: str, date: str, region: str, service: str, origin: Origin
    ) -> tuple[Identity, bytes]:
        """Whose access key this is, and the signing key (AWS Signature Version 4) for a scope such as `20261121`,
        `us-east-1`, `s3`. Nobody has logged in until the door has checked the signature. Raises as `login` does.
        """

    async def login_with_share(token: str, password: str, origin: Origin) -> Identity:
        """Who comes by a share link: its maker, who sees and may do no more than the link says.

        Raises `LoginFailed` (no such link, wrong password), `NotPermitted` (it is over).
        """

    async def use_share(share: int) -> None:
        """Count a use of a share link. Raises `NotPermitted` when none is left."""

    async def add_share(user: int, share: NewShare) -> tuple[Share, str]:
        """A new share link, and its token, which nobody is told again. Raises `NotPermitted`, `InvalidRequest`."""

    async def shares(user: int | None) -> Sequence[Share]:
        """The share links of a user, or all, the oldest first."""

    async def remove_share(user: int | None, share: int) -> Share:
        """Returns what it was. Raises `NotFound`, also where it is not the user's who is named."""

    async def renew(identity: Identity) -> Identity:
        """What the user may do by now. Raises `NotPermitted` when it may log in no more, `Unavailable`."""

    async def resolve(destination: str, path: str, waiting: bool = False) -> Entry:
        """What is at `path`, with its data file, segments and copies. Raises `NotFound`.

        With `waiting`, here and below, who asks sees files that wait to be released: of two of a name the one that waits.
        """

    async def list(destination: str, path: str, after: str | None, limit: int, waiting: bool = False) -> Page:
        """A page of a directory, without segments. Raises `NotFound`, `NotADirectory`."""

    async def keys(destination: str, prefix: str, after: str, delimiter: str, limit: int, waiting: bool = False) -> KeyPage:
        """As `IObjects.keys`."""

    async def create_bucket(identity: Identity, name: str, settings: Mapping[str, str]) -> None:
        """As `IObjects.create_bucket`."""

    async def remove_bucket(identity: Identity, name: str) -> None: ...

    async def bucket(identity: Identity, name: str) -> Mapping[str, str]:
        """As `IObjects.bucket`; so the next three."""

    async def set_bucket(identity: Identity, name: str, settings: Mapping[str, str | None]) -> None: ...

    async def annotate(
        user: int,
        destination: str,
        path: str,
        notes: Mapping[str, str | None],
        condition: Condition,
        waiting: bool = False,
    ) -> Entry: ...

    async def unmark_directory(user: int, destination: str, path: str) -> None: ...

    async def room(destinations: Sequence[str]) -> Room:
        """What is left for new files of these destinations together. Raises `NotFound` where none of them is there."""

    async def usage(destination: str) -> Usage | None:
        """What a destination held when it was counted last; None where that is still to be done. Raises `NotFound`."""

    async def visit(destination: str, login: str) -> Identity:
        """What who has no right of its own may do there; `login` is empty for who has not said who it is.

        Raises `NotPermitted`, `NotFound` where there is no such destination.
        """

    async def may_download(user: int, destination: str) -> None:
        """Asked before a file is opened of which `Identity.metered` says that it counts. Raises `DownloadQuotaExceeded`."""

    async def create_upload(request: AllocationRequest) -> int:
        """Begin a file that comes in parts; they are allocated with `AllocationRequest.part`. Raises as `allocate` does."""

    async def upload(destination: str, path: str, upload: int) -> MultipartUpload:
        """Raises `NotFound`."""

    async def parts(destination: str, path: str, upload: int, after: int, limit: int) -> Sequence[UploadPart]:
        """Raises `NotFound`."""

    async def multipart_uploads(
        destination: str, prefix: str, after: str, after_id: int, limit: int
    ) -> Sequence[MultipartUpload]:
        """As `IObjects.uploads`."""

    async def complete_upload(
        user: int, destination: str, path: str, upload: int, completion: Completion, condition: Condition
    ) -> Entry:
        """As `IObjects.complete`."""

    async def abort_upload(user: int, destination: str, path: str, upload: int) -> None:
        """Raises `NotFound`."""

    async def allocate(request: AllocationRequest) -> Allocation:
        """Leave to store a file.

        Raises `NotPermitted`, `PreconditionFailed`, `IsADirectory`, `NotADirectory`, `NoSpace`, `UploadQuotaExceeded`.
        """

    async def stored(receipt: Receipt) -> None:
        """A target mover holds a copy. The commit begins when every copy's receipt is there."""

    async def finish(allocation: int) -> Entry:
        """Wait for the commit of an allocation; repeatable. Raises what the commit was refused for."""

    async def readmit(
        request: AllocationRequest, allocation: Allocation, receipts: Sequence[Receipt], keep: bool = False
    ) -> Entry:
        """As `finish`, of an upload that an earlier Master allocated and this one does not know; repeatable.

        With `keep` it had broken off, as for `keep`. The movers of the receipts must hold what these say. Raises what the
        commit was refused for, `Unavailable`, `Corrupt`.
        """

    async def abandon(allocation: int) -> None:
        """The upload ended before its last receipt; copies that are stored already are deleted.

        Does nothing where the commit has begun.
        """

    async def keep(allocation: int) -> None:
        """The upload broke off: with its receipt it becomes a part of what is kept for its user; repeatable.

        Of an upload that an earlier Master allocated nothing can be noted: `finish` will not know it, and `readmit` keeps it.
        Raises `Unavailable` where it was given up.
        """

    async def begin_partial(request: AllocationRequest) -> int:
        """Begin an upload that is kept for its user from the start. Raises as `allocate` does."""

    async def kept(user: int, destination: str, path: str, upload: int | None = None) -> Partial:
        """What is kept of the user's upload to `path`; parts are allocated and completed as others are.

        Raises `NotFound`, also where it is not the `upload` that is named.
        """

    async def add_digests(destination: str, path: str, file: int, digests: Mapping[str, str]) -> None:
        """Keep digests that were computed later. Does nothing where `path` no longer points at that data file."""

    async def settled(destination: str, path: str, file: int) -> Mapping[str, str]:
        """The digests of a data file, after those that are computed just now, if any are.

        None where `path` no longer points at it. Raises `NotFound`.
        """

    async def set_mtime(user: int, destination: str, path: str, mtime: float, waiting: bool = False) -> Entry:
        """Raises `NotFound`, `IsADirectory`."""

    async def set_released(user: int, destination: str, path: str, released: bool) -> Entry:
        """As `IFileSystem.set_released`; repeatable."""

    async def release_folder(user: int, destination: str, path: str) -> int:
        """As `IFileSystem.release_folder`; repeatable."""

    async def make_directory(user: int, destination: str, path: str) -> Entry: ...

    async def remove_directory(user: int, destination: str, path: str) -> None: ...

    async def delete(user: int, destination: str, path: str, condition: Condition, waiting: bool = False) -> Entry:
        """Returns what was deleted."""

    async def rename(
        user: int, destination: str, source: str, target: str, replace: bool = True, waiting: bool = False
    ) -> Entry:
        """Returns what the new name points at. Without `replace` it must be free when the change is made."""

    async def mark_dead(mover: str, found: Sequence[StoredSegment]) -> Collection[int]:
        """Which of the segments that a sweep found on a mover's volumes are nobody's; they are dead from now on.

        A late commit of a dead one is refused, so the mover may unlink it.
        """

    async def copies_of(mover: str, after: int, limit: int) -> CopyPage:
        """The copies that a mover should have of up to `limit` segments behind `after`, in their order."""

    async def judged(mover: str, verdicts: Sequence[Verdict]) -> Collection[int]:
        """What a mover found of copies that it compared; repeatable. From now on nobody is given one that is damaged.

        Returns the segments of those that it still should have.
        """


class IAtHand(Interface):
    """What a Master in the same process can say at once."""

    def still(identity: Identity) -> bool:
        """Whether this very object is what a login of the same user, with the same password, key or access key, is answered
        with now. It is not once anything of it has changed, has expired, or was forgotten."""

    def admits(address: str, login: str) -> bool:
        """Whether a password of this user is looked at when it comes from there now: not after too many wrong ones."""

    def known(destination: str, path: str, waiting: bool = False) -> Entry | None:
        """The file that `resolve` would answer with, where it is remembered."""

    def takes_now(request: AllocationRequest) -> bool:
        """Whether `put_now` would do such a file, as far as is remembered: the right is there and so is the folder, no folder
        has that name, no quota counts, there is but one mover to choose, and commits wait for nothing."""

    def put_now(request: AllocationRequest, store: Callable[[Allocation], Receipt | None]) -> Entry | None:
        """As `put_by_turn`, but committed by itself before this returns; None, too, where somebody is before it.

        Raises what that fails with.
        """

    def put_by_turn(request: AllocationRequest, store: Callable[[Allocation], Receipt | None]) -> Deferred[Entry] | None:
        """Allocate, have `store` store the only copy, and publish with all others of the same turn of the reactor; None: that
        has to be waited for, or will be refused, and nothing was done.

        `request` is of a whole file of a known size. `store` returns at once, and is called only where nothing is in the way
        but the storage; where it returns None it has left nothing. The Deferred fires when it is committed; it is not to be
        cancelled. It fails with `Unavailable`, `NoSpace` where the catalogue's storage fails, and with what `IMaster.finish`
        raises where something has come in the way meanwhile; then it is the Master who has the bytes deleted, unless the
        file is there after all.
        """


class IOperations(Interface):
    """What operators ask of a Master. Names of destinations and users are checked here."""

    async def add_destination(destination: Destination) -> Destination:
        """`destination.id` is ignored. Raises `AlreadyExists`, `InvalidName`, `InvalidRequest`."""

    async def destinations() -> Sequence[Destination]: ...

    async def destination(name: str) -> Destination: ...

    async def change_destination(name: str, change: DestinationChange) -> Destination:
        """Raises `NotFound`, `InvalidRequest`."""

    async def remove_destination(name: str, force: bool) -> Destination:
        """Returns what it was. Raises `DirectoryNotEmpty` unless forced, `Unavailable` while uploads to it are kept."""

    async def add_user(user: NewUser) -> UserRecord:
        """Raises `AlreadyExists`, `InvalidName`, `NotFound` for an unknown destination or policy, `InvalidRequest`."""

    async def change_user(login: str, change: UserChange) -> UserRecord:
        """Raises `NotFound`, `InvalidRequest`."""

    async def set_password(login: str, password: str) -> UserRecord: ...

    async def remove_user(login: str) -> UserRecord:
        """Returns what it was. Raises `NotFound`, `Unavailable` while uploads of the user are kept."""

    async def users() -> Sequence[UserRecord]: ...

    async def user(login: str) -> UserRecord: ...

    async def quotas(login: str | None, destination: str | None) -> Sequence[QuotaUse]:
        """How far those of a user are used, or of a destination. Raises `NotFound`."""

    async def add_key(login: str, key: str) -> UserRecord:
        """Add an SSH public key, as one line of OpenSSH's form. Raises `AlreadyExists`, `InvalidRequest`."""

    async def remove_key(login: str, key: str) -> UserRecord:
        """The key is given as to `add_key`. Raises `NotFound`, `InvalidRequest`."""

    async def add_access_key(
        login: str,
        life: float | None,
        permissions: Collection[str] | None,
        destinations: Collection[str] | None,
    ) -> tuple[AccessKey, str]:
        """A new S3 access key, and its secret, which nobody is told again.

        It expires after `life` seconds, and may do less than its user. Raises `NotFound`, `InvalidRequest`.
        """

    async def enrol_totp(login: str) -> str:
        """From now on a one-time code stands behind the user's password: the `otpauth://` URI, which is told this once.

        Raises `NotFound`, `AlreadyExists`, and `InvalidRequest` for a user who has no password of its own.
        """

    async def remove_totp(login: str) -> UserRecord:
        """Raises `NotFound`, also where there are none."""

    async def access_keys(login: str) -> Sequence[AccessKey]:
        """The oldest first."""

    async def remove_access_key(login: str, access_key_id: str) -> AccessKey: ...

    async def add_policy(policy: Policy) -> Policy:
        """`policy.id` is ignored. Raises `AlreadyExists`, `InvalidName`, `NotFound`, `InvalidRequest`."""

    async def change_policy(name: str, change: UserChange) -> Policy:
        """Raises `NotFound`, `InvalidRequest`."""

    async def remove_policy(name: str, force: bool) -> Policy:
        """Returns what it was. Raises `NotPermitted` when users have it, unless forced."""

    async def policies() -> Sequence[Policy]: ...

    async def policy(name: str) -> Policy: ...

    async def remove_file(destination: str, path: str) -> Entry: ...

    async def release_file(destination: str, path: str) -> Entry:
        """Let a file that waits be seen by everybody. Raises `NotFound`, `IsADirectory`."""

    async def verify_file(destination: str, path: str) -> Sequence[Checked]:
        """Compare every copy of a file with its record now. Raises `NotFound`, `IsADirectory`."""

    async def damaged(after: tuple[int, str, int], limit: int) -> Sequence[DamagedCopy]:
        """Up to `limit` copies that are known to be damaged, behind one (its segment, mover and volume), in their order."""

    async def release_folder(destination: str, path: str) -> int:
        """Let everybody see what waits in a folder and below it; how many those were. Raises `NotFound`, `NotADirectory`."""

    async def hold_file(destination: str, path: str) -> Entry:
        """Let a file be seen only by who may put there, until it is released. Raises `NotFound`, `IsADirectory`."""

    async def history(wanted: RecordFilter, limit: int, before: int | None) -> Sequence[tuple[int, Event]]:
        """The newest records, with their numbers, newest first; those with numbers below `before`, where it is given."""

    async def history_after(wanted: RecordFilter, limit: int, after: int) -> Sequence[tuple[int, Event]]:
        """Records with numbers above `after`, oldest first."""

    async def drain_mover(name: str, draining: bool) -> None:
        """Give a mover nothing new, or something again. Raises `NotFound`."""

    async def retire_mover(name: str, wait: bool) -> None:
        """Move away what a mover holds, and forget it when nothing is left; begun on return, or with `wait` ended.

        It goes on over restarts until then, or until the mover is drained or undrained. Raises `NotFound`.
        """

    async def forget_mover(name: str) -> tuple[int, Sequence[str]]:
        """Retire a mover that is lost. Returns how many segments were on it alone, and some of the paths that need them.

        What the catalogue knows of them stays: should the mover come back, they can be read again. Raises `NotFound`, and
        `InvalidRequest` of one that is there.
        """

    async def movers() -> Sequence[str]:
        """Every mover that was heard of and not retired, in the order of names."""

    async def about_mover(name: str) -> Mapping[str, Any]:
        """Its group, standing (alive, suspect, gone), whether it drains or is retired, its reads, and how far it is moved away.

        Raises `NotFound`.
        """

    async def summary() -> Mapping[str, Any]:
        """Counts for `status`: users, destinations, files, bytes, uploads under way, segments to reclaim."""
