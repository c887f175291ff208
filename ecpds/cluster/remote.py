"""The Master and its operations, as a node without that role sees them: every call is a stub that asks over the link."""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zope.interface import implementer

from ecpds.cluster.calls import Remote, call
from ecpds.errors import LoginFailed
from ecpds.master_interfaces import IMaster
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


@implementer(IMaster)
class RemoteMaster(Remote):
    """`IMaster` over the link. What only asks, or may be done twice, may be repeated to a Master that was restarted."""

    prefix = "master."

    @call(repeatable=True, unsendable=LoginFailed)
    async def login(self, login: str, password: str, origin: Origin) -> Identity: ...

    @call(repeatable=True, unsendable=LoginFailed)
    async def login_with_key(self, login: str, key: bytes, origin: Origin) -> Identity: ...

    @call(repeatable=True, unsendable=LoginFailed)
    async def login_with_certificate(self, login: str, origin: Origin) -> Identity: ...

    @call(repeatable=True, unsendable=LoginFailed)
    async def login_with_signature(
        self, access_key_id: str, date: str, region: str, service: str, origin: Origin
    ) -> tuple[Identity, bytes]: ...

    @call(repeatable=True, unsendable=LoginFailed)
    async def login_with_share(self, token: str, password: str, origin: Origin) -> Identity: ...

    @call
    async def use_share(self, share: int) -> None: ...

    @call
    async def add_share(self, user: int, share: NewShare) -> tuple[Share, str]: ...

    @call(repeatable=True)
    async def shares(self, user: int | None) -> tuple[Share, ...]: ...

    @call
    async def remove_share(self, user: int | None, share: int) -> Share: ...

    @call(repeatable=True)
    async def renew(self, identity: Identity) -> Identity: ...

    @call(repeatable=True)
    async def resolve(self, destination: str, path: str, waiting: bool = False) -> Entry: ...

    @call(repeatable=True)
    async def list(self, destination: str, path: str, after: str | None, limit: int, waiting: bool = False) -> Page: ...

    @call(repeatable=True)
    async def keys(
        self, destination: str, prefix: str, after: str, delimiter: str, limit: int, waiting: bool = False
    ) -> KeyPage: ...

    @call(repeatable=True)
    async def room(self, destinations: Sequence[str]) -> Room: ...

    @call(repeatable=True)
    async def usage(self, destination: str) -> Usage | None: ...

    @call(repeatable=True)
    async def may_download(self, user: int, destination: str) -> None: ...

    @call
    async def create_upload(self, request: AllocationRequest) -> int: ...

    @call
    async def create_bucket(self, identity: Identity, name: str, settings: Mapping[str, str]) -> None: ...

    @call
    async def remove_bucket(self, identity: Identity, name: str) -> None: ...

    @call(repeatable=True)
    async def bucket(self, identity: Identity, name: str) -> Mapping[str, str]: ...

    @call(repeatable=True)
    async def set_bucket(self, identity: Identity, name: str, settings: Mapping[str, str | None]) -> None: ...

    @call
    async def annotate(
        self,
        user: int,
        destination: str,
        path: str,
        notes: Mapping[str, str | None],
        condition: Condition,
        waiting: bool = False,
    ) -> Entry: ...

    @call
    async def unmark_directory(self, user: int, destination: str, path: str) -> None: ...

    @call(repeatable=True)
    async def visit(self, destination: str, login: str) -> Identity: ...

    @call(repeatable=True)
    async def upload(self, destination: str, path: str, upload: int) -> MultipartUpload: ...

    @call(repeatable=True)
    async def parts(self, destination: str, path: str, upload: int, after: int, limit: int) -> tuple[UploadPart, ...]: ...

    @call(repeatable=True)
    async def multipart_uploads(
        self, destination: str, prefix: str, after: str, after_id: int, limit: int
    ) -> tuple[MultipartUpload, ...]: ...

    @call
    async def complete_upload(
        self, user: int, destination: str, path: str, upload: int, completion: Completion, condition: Condition
    ) -> Entry: ...

    @call
    async def abort_upload(self, user: int, destination: str, path: str, upload: int) -> None: ...

    @call(repeatable=True)
    async def keep(self, allocation: int) -> None: ...

    @call(repeatable=True)
    async def kept(self, user: int, destination: str, path: str, upload: int | None = None) -> Partial: ...

    @call
    async def begin_partial(self, request: AllocationRequest) -> int: ...

    @call(repeatable=True)
    async def add_digests(self, destination: str, path: str, file: int, digests: Mapping[str, str]) -> None: ...

    @call(repeatable=True)
    async def settled(self, destination: str, path: str, file: int) -> Mapping[str, str]: ...

    @call(repeatable=True)
    async def set_mtime(self, user: int, destination: str, path: str, mtime: float, waiting: bool = False) -> Entry: ...

    @call(repeatable=True)
    async def set_released(self, user: int, destination: str, path: str, released: bool) -> Entry: ...

    @call(repeatable=True)
    async def release_folder(self, user: int, destination: str, path: str) -> int: ...

    @call
    async def allocate(self, request: AllocationRequest) -> Allocation: ...

    @call(repeatable=True)
    async def stored(self, receipt: Receipt) -> None: ...

    @call(repeatable=True)
    async def finish(self, allocation: int) -> Entry: ...

    @call(repeatable=True)
    async def readmit(
        self, request: AllocationRequest, allocation: Allocation, receipts: Sequence[Receipt], keep: bool = False
    ) -> Entry: ...

    @call(repeatable=True)
    async def abandon(self, allocation: int) -> None: ...

    @call
    async def make_directory(self, user: int, destination: str, path: str) -> Entry: ...

    @call
    async def remove_directory(self, user: int, destination: str, path: str) -> None: ...

    @call
    async def delete(self, user: int, destination: str, path: str, condition: Condition, waiting: bool = False) -> Entry: ...

    @call
    async def rename(
        self, user: int, destination: str, source: str, target: str, replace: bool = True, waiting: bool = False
    ) -> Entry: ...

    @call(repeatable=True)
    async def mark_dead(self, mover: str, found: Sequence[StoredSegment]) -> frozenset[int]: ...

    @call(repeatable=True)
    async def copies_of(self, mover: str, after: int, limit: int) -> CopyPage: ...

    @call(repeatable=True)
    async def judged(self, mover: str, verdicts: Sequence[Verdict]) -> frozenset[int]: ...
