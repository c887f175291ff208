"""What a Master is asked by file systems and movers: `IMaster`, and `IAtHand` in the Master's own process.

`IMaster` has a maker in the Master's own process and one over Perspective Broker, and one contract suite runs over both.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from twisted.internet.defer import Deferred
from zope.interface import Interface

from ecpds.model import (
    Allocation,
    Completion,
    Condition,
    Entry,
    Identity,
    KeyPage,
    MultipartUpload,
    Origin,
    Page,
    Partial,
    Receipt,
    Room,
    StoredSegment,
    UploadPart,
    Usage,
)
from ecpds.people import NewShare, Share
from ecpds.scrubbing import CopyPage, Verdict
from ecpds.terms import AllocationRequest


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
        """Returns what the new name points at. Without `replace` it must be free when the change is made.

        A file that is replaced is one that the user may replace or delete there. Raises `NotPermitted`.
        """

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
