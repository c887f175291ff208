"""The file system façade in memory: the whole semantics of `IFileSystem`, with every byte in a dict."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from zope.interface import implementer

from ecpds.errors import (
    AlreadyExists,
    ConnectionLost,
    Corrupt,
    CrossesDestinations,
    DigestMismatch,
    DirectoryNotEmpty,
    Incomplete,
    InvalidName,
    IsADirectory,
    NoSpace,
    NotADirectory,
    NotFound,
    NotPermitted,
    NotSupported,
    PreconditionFailed,
    Refusal,
)
from ecpds.events import Transfer, denial_event, transfer_event
from ecpds.interfaces import IByteSink, IByteSource, IEventSink
from ecpds.model import (
    ANYTHING,
    DIGESTS,
    EMPTY,
    REPLACING,
    Condition,
    Copy,
    DataFile,
    Entry,
    Identity,
    Origin,
    Page,
    Room,
    Segment,
    Usage,
)
from ecpds.people import NewShare, Share
from ecpds.portal.paths import CanonicalPath, canonical
from ecpds.portal_interfaces import IDownload, IFileSystem, IUpload
from ecpds.releases import MAY_RELEASE, NEVER
from ecpds.terms import NO_TERMS, Terms
from tests.doubles.channels import MemorySource

PIECE = 65536
SMALL = 16384

TOTAL = 1 << 40
"""Bytes that there is room for where a test says nothing else."""


@frozen
class Kept:
    """What is kept of an upload, and since when."""

    data: bytes
    since: float
    id: int


class MemoryTree:
    """What is stored: entries and contents, shared by everybody who logs in.

    A test may change how it behaves: `space` is how many bytes fit, `broken` a refusal that everything raises, `hold` a
    Deferred that a commit waits for, `hold_kept` and `hold_settled` ones that the question what is kept and the end of an
    upload's bytes wait for, `now` the time, `takes_now` whether small files are taken in one step.
    """

    def __init__(self, destinations: tuple[str, ...] = (), digests: tuple[str, ...] = ("sha256", "md5")) -> None:
        self.now = 1_700_000_000.0
        self.space: int | None = None
        self.broken: Refusal | None = None
        self.hold: Deferred[None] | None = None
        self.hold_kept: Deferred[None] | None = None
        self.hold_settled: Deferred[None] | None = None
        self.takes_now = False
        self.digests = digests
        self.directories: dict[tuple[str, ...], bool] = {(name,): False for name in destinations}
        """Every directory, and whether it is implicit."""
        self.files: dict[tuple[str, ...], DataFile] = {}
        self.contents: dict[int, bytes] = {}
        self.uploads: list[MemoryUpload] = []
        """Those under way."""
        self.downloads: list[MemoryDownload] = []
        """Those that are open."""
        self.partials: dict[tuple[int, tuple[str, ...]], Kept] = {}
        """What is kept of uploads that broke off, by user and name."""
        self.shares: dict[str, tuple[int, Share]] = {}
        """Share links by their tokens, with their users."""
        self._last_id = 0

    def add_destination(self, name: str) -> None:
        self.directories.setdefault((name,), False)

    def next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def put(self, path: str, data: bytes, mtime: float | None = None, metadata: Mapping[str, str] = EMPTY) -> DataFile:
        """What a test finds there already: a file, without rights, conditions or records."""
        return self.publish(canonical(path).segments, self.next_id(), data, metadata, mtime)

    def read(self, path: str) -> bytes:
        return self.contents[self.files[canonical(path).segments].id]

    def publish(
        self, name: tuple[str, ...], number: int, data: bytes, metadata: Mapping[str, str], mtime: float | None = None
    ) -> DataFile:
        kept = {digest: hashlib.new(digest, data).hexdigest() for digest in self.digests}
        segment = Segment(number, len(data), (Copy("memory", 0),))
        file = DataFile(number, len(data), self.now if mtime is None else mtime, self.now, kept, dict(metadata), (segment,))
        for depth in range(1, len(name)):
            self.directories.setdefault(name[:depth], True)
        self.files[name] = file
        self.contents[number] = bytes(data)
        return file

    def entry(self, name: tuple[str, ...]) -> Entry:
        """Raises `NotFound`."""
        if name in self.files:
            return Entry("/" + "/".join(name), self.files[name].mtime, self.files[name])
        if name in self.directories:
            return Entry("/" + "/".join(name), self.now)
        raise NotFound

    def children(self, name: tuple[str, ...]) -> list[tuple[str, ...]]:
        depth = len(name) + 1
        found = [other for other in (*self.directories, *self.files) if len(other) == depth and other[:-1] == name]
        return sorted(found, key=lambda child: child[-1].encode())

    def below_a_file(self, name: tuple[str, ...]) -> bool:
        return any(name[:depth] in self.files for depth in range(1, len(name)))

    def tidy(self, name: tuple[str, ...]) -> None:
        """Implicit directories go when they have become empty."""
        while len(name) > 1 and self.directories.get(name) and not self.children(name):
            del self.directories[name]
            name = name[:-1]

    def check_target(self, name: tuple[str, ...], condition: Condition) -> None:
        """Whether a file may be put here."""
        if name in self.directories:
            raise IsADirectory
        present = self.files.get(name)
        if not condition.met_by(present.id if present else None):
            raise PreconditionFailed
        if self.below_a_file(name):
            raise NotADirectory

    def check_space(self, more: int) -> None:
        used = sum(map(len, self.contents.values())) + sum(len(upload.data) for upload in self.uploads)
        if self.space is not None and used + more > self.space:
            raise NoSpace


Method = Callable[..., Awaitable[Any]]


def recorded(method: Method) -> Method:
    """A refusal that leaves the façade leaves one record."""

    @wraps(method)
    async def call(self: MemoryFileSystem, *args: Any, **named: Any) -> Any:
        try:
            if self.tree.broken is not None:
                raise self.tree.broken
            return await method(self, *args, **named)
        except Refusal as refusal:
            self.deny(refusal)
            raise

    return call


@implementer(IFileSystem)
class MemoryFileSystem:
    """One user's view of a `MemoryTree`."""

    def __init__(self, tree: MemoryTree, identity: Identity, origin: Origin, sink: IEventSink) -> None:
        self.tree = tree
        self.identity = identity
        self.origin = origin
        self.sink = sink

    def deny(self, refusal: Refusal) -> None:
        login, origin = self.identity.login, self.origin
        context = origin.context(login)
        event = denial_event(self.tree.now, login, refusal.sentence, context, origin.address, origin.protocol)
        self.sink.record(event)

    def _find(self, path: str, permission: str | None = None) -> CanonicalPath:
        """The canonical path, once it is sure that the user may see it and may do this there."""
        found = canonical(path)
        if permission is not None and not self.identity.may(permission):
            raise NotPermitted
        if found.segments and found.destination not in self._visible():
            raise NotFound
        return found

    def _visible(self) -> set[str]:
        return {name for name in self.identity.destinations if (name,) in self.tree.directories}

    def _file(self, path: str, permission: str) -> tuple[str, ...]:
        """The segments of a path that names a file, or could."""
        found = self._find(path, permission)
        if found.directory or len(found.segments) < 2:
            raise IsADirectory
        return found.segments

    @recorded
    async def stat(self, path: str, permission: str | None = None) -> Entry:
        return self._look(path, permission)

    @recorded
    async def find(self, path: str, permission: str | None = None) -> Entry | None:
        try:
            return self._look(path, permission)
        except (NotFound, NotADirectory):
            return None

    def _look(self, path: str, permission: str | None) -> Entry:
        found = self._find(path, permission)
        if not found.segments:
            return Entry("/", 0.0)
        entry = self.tree.entry(found.segments)
        if found.directory and not entry.is_directory:
            raise NotADirectory
        return entry

    @recorded
    async def list(self, path: str, after: str | None = None, limit: int = 1000) -> Page:
        found = self._find(path, "dir")
        if found.segments:
            if not self.tree.entry(found.segments).is_directory:
                raise NotADirectory
            names = self.tree.children(found.segments)
        else:
            names = [(name,) for name in sorted(self._visible(), key=str.encode)]
        left = [name for name in names if after is None or name[-1].encode() > after.encode()]
        page = tuple(self.tree.entry(name) for name in left[:limit])
        return Page(page, page[-1].name if len(left) > limit else None)

    @recorded
    async def room(self, path: str) -> Room:
        self._find(path)
        total = TOTAL if self.tree.space is None else self.tree.space
        return Room(total, total - sum(map(len, self.tree.contents.values())))

    @recorded
    async def usage(self, path: str) -> Usage | None:
        found = self._find(path)
        if not found.segments or self.identity.within or not self.identity.may("dir", found.segments[0]):
            return None
        sizes = [file.size for name, file in self.tree.files.items() if name[0] == found.segments[0]]
        return Usage(len(sizes), sum(sizes), 0.0)

    @recorded
    async def open_read(self, path: str) -> IDownload:
        name = self._file(path, "get")
        entry = self.tree.entry(name)
        if entry.file is None:
            raise IsADirectory
        return MemoryDownload(self, entry, self.tree.contents[entry.file.id])

    @recorded
    async def open_write(self, path: str, size: int | None = None, terms: Terms = NO_TERMS) -> IUpload:
        name = self._file(path, "put")
        self._check_room(name, terms.condition)
        self.tree.check_space(size or 0)
        return MemoryUpload(self, name, size, terms.condition, dict(terms.expected), dict(terms.metadata))

    def read_again(self, path: str) -> IDownload | None:
        """Where small files are taken in one step they are at hand, too."""
        try:
            name = self._file(path, "get")
        except Refusal:
            return None
        if not self.tree.takes_now or name not in self.tree.files:
            return None
        return MemoryDownload(self, self.tree.entry(name), self.tree.contents[self.tree.files[name].id])

    def put_now(self, path: str, data: bytes | memoryview, terms: Terms = NO_TERMS) -> Entry | None:
        if not self.takes_now(path) or self.tree.hold is not None:
            return None
        try:
            self.write_whole(path, data, terms).send(None)
        except StopIteration as done:
            entry: Entry = done.value
            return entry
        raise AssertionError("it waits")

    def takes_now(self, path: str) -> bool:
        name = canonical(path)
        here = name.segments[:-1] in self.tree.directories and name.segments not in self.tree.directories
        return self.tree.takes_now and here and self.identity.may("put") and not name.directory

    async def write_whole(self, path: str, data: bytes | memoryview, terms: Terms = NO_TERMS) -> Entry:
        upload = await self.open_write(path, len(data), terms)
        try:
            await upload.receive(MemorySource(bytes(data)))
            entry: Entry = await upload.commit()
        except BaseException as failure:
            await upload.abort(failure)
            raise
        return entry

    def _check_room(self, name: tuple[str, ...], condition: Condition) -> None:
        self.tree.check_target(name, condition)
        if name[:-1] not in self.tree.directories and not self.identity.may("mkdir"):
            raise NotPermitted

    def _kept(self, name: tuple[str, ...], upload: int | None) -> Kept:
        kept = self.tree.partials.get((self.identity.user_id, name))
        present = self.tree.files.get(name)
        if kept is None or upload not in (None, kept.id) or (present is not None and present.created >= kept.since):
            raise NotFound
        return kept

    @recorded
    async def kept(self, path: str, upload: int | None = None) -> int:
        if self.tree.hold_kept is not None:
            await self.tree.hold_kept
        try:
            return len(self._kept(self._file(path, "put"), upload).data)
        except NotFound:
            if upload is not None or canonical(path).destination not in self._visible():
                raise
            return 0

    @recorded
    async def begin_partial(self, path: str, size: int | None = None, condition: Condition = ANYTHING) -> int:
        name = self._file(path, "put")
        self._check_room(name, condition)
        kept = Kept(b"", self.tree.now, self.tree.next_id())
        self.tree.partials[self.identity.user_id, name] = kept
        return kept.id

    @recorded
    async def give_up(self, path: str, upload: int) -> None:
        name = self._file(path, "put")
        self._kept(name, upload)
        del self.tree.partials[self.identity.user_id, name]

    @recorded
    async def resume_write(
        self,
        path: str,
        offset: int,
        upload: int | None = None,
        condition: Condition = ANYTHING,
        expected: Mapping[str, str] = EMPTY,
    ) -> IUpload:
        name = self._file(path, "put")
        kept = self._kept(name, upload)
        if len(kept.data) != offset:
            raise PreconditionFailed
        self._check_room(name, condition)
        return MemoryUpload(self, name, None, condition, {}, {}, kept, expected)

    @recorded
    async def digest(self, path: str, name: str, offset: int = 0, length: int | None = None) -> str:
        entry = self.tree.entry(self._file(path, "get"))
        if name not in DIGESTS:
            raise NotSupported
        if entry.file is None:
            raise IsADirectory
        data = self.tree.contents[entry.file.id]
        span = data[offset : len(data) if length is None else offset + length]
        return f"{zlib.crc32(span):08x}" if name == "crc32" else hashlib.new(name, span).hexdigest()

    @recorded
    async def set_mtime(self, path: str, mtime: float) -> Entry:
        name = self._file(path, "mtime")
        entry = self.tree.entry(name)
        if entry.file is None:
            raise IsADirectory
        self.tree.files[name] = evolve(entry.file, mtime=mtime)
        return self.tree.entry(name)

    @recorded
    async def set_released(self, path: str, released: bool) -> Entry:
        name = self._file(path, "put")
        if self.identity.options.get(MAY_RELEASE) != "true":
            raise NotPermitted
        entry = self.tree.entry(name)
        if entry.file is None:
            raise IsADirectory
        return entry if released else evolve(entry, waits=NEVER)

    @recorded
    async def release_folder(self, path: str) -> int:
        if self.identity.options.get(MAY_RELEASE) != "true":
            raise NotPermitted
        if not self.tree.entry(self._find(path, "put").segments).is_directory:
            raise NotADirectory
        return 0

    @recorded
    async def add_share(self, path: str, share: NewShare) -> tuple[Share, str]:
        found = self._find(path)
        if not found.segments or not set(share.permissions) <= self.identity.permissions:
            raise NotPermitted
        self.tree.entry(found.segments)
        number = self.tree.next_id()
        expires = None if share.life is None else self.tree.now + share.life
        inside = found.inside + ("/" if found.inside and found.segments in self.tree.directories else "")
        made = Share(number, self.identity.login, found.destination, inside, share.permissions, 0.0, expires, share.most)
        token = f"{number:024}"
        self.tree.shares[token] = (self.identity.user_id, made)
        return made, token

    async def shares(self) -> Sequence[Share]:
        return [share for user, share in self.tree.shares.values() if user == self.identity.user_id]

    async def remove_share(self, share: int) -> None:
        for token, (user, found) in list(self.tree.shares.items()):
            if (user, found.id) == (self.identity.user_id, share):
                del self.tree.shares[token]
                return
        raise NotFound

    @recorded
    async def make_directory(self, path: str) -> Entry:
        found = canonical(path)
        if len(found.segments) == 1 and found.destination not in self._visible():
            raise NotPermitted
        name = self._find(path, "mkdir").segments
        if not name or name in self.tree.directories or name in self.tree.files:
            raise AlreadyExists
        if self.tree.below_a_file(name):
            raise NotADirectory
        self.tree.entry(name[:-1])
        self.tree.directories[name] = False
        return self.tree.entry(name)

    @recorded
    async def remove_directory(self, path: str) -> None:
        name = self._find(path, "rmdir").segments
        if len(name) < 2:
            raise NotPermitted
        if not self.tree.entry(name).is_directory:
            raise NotADirectory
        if self.tree.children(name):
            raise DirectoryNotEmpty
        del self.tree.directories[name]
        self.tree.tidy(name[:-1])

    @recorded
    async def delete(self, path: str, condition: Condition = ANYTHING) -> None:
        name = self._file(path, "delete")
        if name in self.tree.directories:
            raise IsADirectory
        present = self.tree.files.get(name)
        if not condition.met_by(present.id if present else None):
            raise PreconditionFailed
        if present is None:
            raise NotFound
        del self.tree.files[name]
        self.tree.tidy(name[:-1])

    @recorded
    async def rename(self, source: str, target: str, replace: bool = True) -> None:
        old, new = self._find(source, "rename"), self._find(target, "rename")
        if len(old.segments) < 2 or len(new.segments) < 2:
            raise NotPermitted
        if old.destination != new.destination:
            raise CrossesDestinations
        entry = self.tree.entry(old.segments)
        if entry.file is not None and (old.directory or new.directory):
            raise NotADirectory
        if replace and entry.file is not None and new.segments in self.tree.files and old.segments != new.segments:
            self._check_replacing(new.destination)
        if not replace and (new.segments in self.tree.files or new.segments in self.tree.directories):
            raise AlreadyExists
        if old.segments != new.segments:
            self._check_rename(entry, old.segments, new.segments)
            self._move(old.segments, new.segments)

    def _check_replacing(self, destination: str) -> None:
        if not any(self.identity.may(permission, destination) for permission in REPLACING):
            raise NotPermitted

    def _check_rename(self, entry: Entry, source: tuple[str, ...], target: tuple[str, ...]) -> None:
        if entry.is_directory and target[: len(source)] == source:
            raise InvalidName("a directory can't move below itself")
        if self.tree.below_a_file(target):
            raise NotADirectory
        if target[:-1] not in self.tree.directories:
            raise NotFound
        if target in self.tree.directories or (entry.is_directory and target in self.tree.files):
            raise AlreadyExists

    def _move(self, source: tuple[str, ...], target: tuple[str, ...]) -> None:
        depth = len(source)
        for table in (self.tree.files, self.tree.directories):
            moved = {name: value for name, value in table.items() if name[:depth] == source}
            for name in moved:
                del table[name]  # type: ignore[attr-defined]
            table.update({target + name[depth:]: value for name, value in moved.items()})  # type: ignore[arg-type]
        self.tree.tidy(source[:-1])


class Recorder:
    """What uploads and downloads have in common: one INH record when they end."""

    def __init__(self, files: MemoryFileSystem, action: str) -> None:
        self._files = files
        self._action = action
        self._started = files.tree.now

    def _record(self, path: str, sent: int, number: int, size: int | None, failure: str = "") -> None:
        origin, identity = self._files.origin, self._files.identity
        destination, _, inside = path[1:].partition("/")
        transfer = Transfer(
            action=self._action,
            destination=destination,
            path=inside,
            login=identity.login,
            protocol=origin.protocol,
            address=origin.address,
            node=origin.node,
            started=self._started,
            ended=self._files.tree.now,
            sent=sent,
            file_id=number,
            size=size,
            volume=0,
            failure=failure,
        )
        self._files.sink.record(transfer_event(transfer))


@implementer(IUpload)
class MemoryUpload(Recorder):
    """A file on its way in."""

    def __init__(
        self,
        files: MemoryFileSystem,
        name: tuple[str, ...],
        size: int | None,
        condition: Condition,
        expected: Mapping[str, str],
        metadata: Mapping[str, str],
        kept: Kept | None = None,
        piece: Mapping[str, str] = EMPTY,
    ) -> None:
        super().__init__(files, "upload")
        self._kept = kept
        self._piece = piece
        self._tree = files.tree
        self._name = name
        self._size = size
        self._condition = condition
        self._expected = expected
        self._metadata = metadata
        self._ended = False
        self.number = self._tree.next_id() if kept is None else kept.id
        self.data = bytearray(kept.data if kept is not None else b"")
        self._tree.uploads.append(self)

    async def receive(self, source: IByteSource, limit: int | None = None) -> int:
        came = 0
        while limit is None or came < limit:
            view = memoryview(bytearray(PIECE if limit is None else min(PIECE, limit - came)))
            count = await source.read_into(view)
            if self._ended:
                raise ConnectionLost
            if not count:
                break
            self._tree.check_space(count)
            self.data += view[:count]
            came += count
        return came

    async def settle(self) -> None:
        if self._ended:
            raise Incomplete
        if self._tree.hold_settled is not None:
            await self._tree.hold_settled

    async def commit(self, expected: Mapping[str, str] = EMPTY) -> Entry:
        self._expected.update(expected)
        try:
            if self._tree.hold is not None:
                await self._tree.hold
            self._check()
        except Refusal as refusal:
            await self.abort(refusal)
            raise
        replaced = self._name in self._tree.files
        self._tree.publish(self._name, self.number, bytes(self.data), self._metadata)
        if self._kept is not None:
            self._tree.partials.pop((self._files.identity.user_id, self._name), None)
        self._size = len(self.data)
        self._end()
        return evolve(self._tree.entry(self._name), replaced=replaced)

    def _check(self) -> None:
        if self._ended:
            raise Incomplete
        if self._tree.broken is not None:
            raise self._tree.broken
        if self._size is not None and len(self.data) != self._size:
            raise Incomplete
        came = self.data if self._kept is None else self.data[len(self._kept.data) :]
        for data, expected in ((self.data, self._expected), (came, self._piece)):
            for digest, value in expected.items():
                if hashlib.new(digest, data).hexdigest() != value.lower():
                    raise DigestMismatch
        self._tree.check_target(self._name, self._condition)
        kept = self._tree.partials.get((self._files.identity.user_id, self._name))
        if self._kept is not None and kept is not self._kept:
            raise PreconditionFailed

    async def abort(self, reason: BaseException | None = None) -> None:
        if not self._ended:
            self._end(str(reason or Incomplete()))

    async def pause(self) -> None:
        try:
            self._check()
        except Refusal as refusal:
            await self.abort(refusal)
            raise
        self._keep()
        self._end()

    async def keep(self, reason: BaseException) -> None:
        if not self._ended:
            if self.data:
                self._keep()
            self._end(str(reason))

    def _keep(self) -> None:
        since = self._tree.now if self._kept is None else self._kept.since
        kept = Kept(bytes(self.data), since, self.number)
        self._tree.partials[self._files.identity.user_id, self._name] = kept

    def _end(self, failure: str = "") -> None:
        self._ended = True
        self._tree.uploads.remove(self)
        self._record("/" + "/".join(self._name), len(self.data), self.number, self._size, failure)


@implementer(IDownload)
class MemoryDownload(Recorder):
    """A file on its way out. Set `damaged` to have it end in `Corrupt` after half of what is asked for."""

    def __init__(self, files: MemoryFileSystem, entry: Entry, data: bytes) -> None:
        super().__init__(files, "download")
        self.entry = entry
        self.damaged = False
        self.sent = 0
        self._data = data
        self._closed = False
        self._tree = files.tree
        self._tree.downloads.append(self)

    async def send(self, sink: IByteSink, offset: int = 0, length: int | None = None) -> None:
        end = len(self._data) if length is None else min(offset + length, len(self._data))
        middle = offset + (end - offset) // 2
        for start in range(offset, end, PIECE):
            if self._closed:
                raise ConnectionLost
            piece = self._data[start : min(start + PIECE, end)]
            if self.damaged and start + len(piece) > middle:
                await sink.write(piece[: middle - start])
                raise Corrupt
            await sink.write(piece)
            self.sent += len(piece)

    def held(self, offset: int, length: int) -> memoryview | None:
        """What is small, as a mover has it in memory."""
        if self._closed or self.damaged or len(self._data) > SMALL:
            return None
        self.sent += length
        return memoryview(self._data)[offset : offset + length]

    def close(self, failure: BaseException | None = None) -> None:
        if self._closed:
            return
        self._closed = True
        self._tree.downloads.remove(self)
        assert self.entry.file is not None
        self._record(self.entry.path, self.sent, self.entry.file.id, self.entry.size, str(failure) if failure else "")
