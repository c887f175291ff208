"""What an SFTP session has open: a file to read, a file to write, or a directory.

A file to write becomes visible when its handle is closed, whole, and not before: the answer to CLOSE is the
acknowledgement. A connection that ends first leaves what came to be gone on with, privately. Published files never
change, so a write replaces all of a file or goes on with what is kept; what can't be done so is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from ecpds.errors import AlreadyExists, ConnectionLost, Incomplete, InvalidRequest, NotSupported, Refusal, Unavailable
from ecpds.interfaces import IByteSink, IByteSource, IThreads
from ecpds.model import DataFile, Entry, Page
from ecpds.portal_interfaces import IDownload, IFileSystem, IUpload
from ecpds.protocols.copying import FromDownload
from ecpds.protocols.held_upload import HeldUpload
from ecpds.protocols.sftp_packets import Open
from ecpds.protocols.sftp_reader import PacketReader
from ecpds.terms import IF_ABSENT, NO_TERMS
from ecpds.wire.ranges import Span

REORDER = 1 << 20
"""Bytes that may be written ahead of what is missing."""

SHY = 1
"""Bytes less than are kept of a file that STAT tells its user: a part that lacks only its CLOSE would look like the whole."""

REPLACE = Open.CREAT | Open.TRUNC
"""How a file is opened that is made new, or emptied."""

NAMES = 100
"""Entries in one answer to READDIR."""


@implementer(IByteSource)
class HeldBytes:
    """Bytes that are here already."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._left = memoryview(data)

    async def read_into(self, view: memoryview) -> int:
        count = min(len(view), len(self._left))
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


class Reading:
    """A file that is read, as it was when it was opened."""

    def __init__(self, path: str, download: IDownload) -> None:
        self.path = path
        self._download = download

    @property
    def entry(self) -> Entry:
        found: Entry = self._download.entry
        return found

    async def read(self, sink: IByteSink, offset: int, length: int) -> None:
        """Hand `length` bytes from `offset` on to `sink`; the file has as many."""
        await self._download.send(sink, offset, length)

    def source(self, offset: int, length: int, threads: IThreads) -> FromDownload:
        """`length` bytes from `offset`, of which there are as many, to be written elsewhere."""
        return FromDownload(self._download, Span(offset, length), threads)

    def held(self, offset: int, length: int) -> memoryview | None:
        """As `read`, of what is in memory; None where it has to be read."""
        data: memoryview | None = self._download.held(offset, length)
        return data

    def put_away(self) -> None:
        """Nothing more is read."""
        self._download.close()

    async def close(self) -> None:
        self.put_away()

    async def drop(self) -> None:
        self._download.close(ConnectionLost())


class Listing:
    """A directory that is read, a page at a time."""

    def __init__(self, files: IFileSystem, path: str, first: Page, size: int) -> None:
        self.path = path
        self.entry = Entry(path, 0.0)
        self._files = files
        self._size = size
        self._page = first
        self._at = 0

    async def next(self) -> Sequence[Entry]:
        """Some more entries; none at the end."""
        while self._at >= len(self._page.entries):
            if self._page.after is None:
                return ()
            self._page, self._at = await self._files.list(self.path, self._page.after, self._size), 0
        some = self._page.entries[self._at : self._at + NAMES]
        self._at += len(some)
        return some

    async def close(self) -> None:
        """Nothing is held."""

    async def drop(self) -> None:
        """Nothing is held."""


class Writing:
    """A file that is written.

    `replaces` is the size of the file that is there, where it was opened without TRUNC: to write less than that and not
    say so would leave the rest of the old file, which can't be. `upload` is None until it is known where it begins. Who
    goes on from the size that STAT told sends a byte again that is kept; also with APPEND, for OpenSSH's `reput` does both.
    """

    def __init__(
        self, files: IFileSystem, path: str, upload: IUpload | None, position: int = 0, replaces: int | None = None
    ) -> None:
        self.path = path
        self.mtime: int | None = None
        self._files = files
        self._upload = upload
        self._kept = position
        self._told = position - SHY if position > SHY else None
        self._position = position if upload is not None else 0
        self._replaces = replaces
        self._announced: int | None = None
        self._appends = upload is not None and position > 0
        self._ahead: dict[int, bytes] = {}
        self._failure: Refusal | None = None

    @property
    def entry(self) -> Entry:
        """What is there so far, for this handle alone."""
        mtime = float(self.mtime or 0)
        return Entry(self.path, mtime, DataFile(0, self._position, mtime, mtime))

    def write_now(self, offset: int, data: memoryview) -> bool:
        """As `write`, of what is only held; else False, and nothing was done."""
        upload = self._upload
        if not isinstance(upload, HeldUpload) or offset != self._position or self._ahead or self._failure is not None:
            return False
        if not upload.hold(data):
            return False
        self._position += len(data)
        return True

    async def write(self, offset: int, size: int, body: PacketReader) -> None:
        """Take `size` bytes, what `body` has. After a failure, whatever it was, everything is refused, the close too."""
        if self._failure is not None:
            raise self._failure
        try:
            if size > body.left:
                raise InvalidRequest("the data are not as long as the packet says")
            body.only(size)
            await self._write(offset, body)
        except ConnectionLost:
            raise
        except Exception as failure:
            self.fail(failure)
            raise

    def fail(self, failure: Exception) -> None:
        """Bytes that should have been written were not: everything is refused from now on, the close too."""
        self._failure = failure if isinstance(failure, Refusal) else Unavailable("an earlier write failed")

    async def copy(self, offset: int, source: IByteSource, size: int) -> None:
        """Write `size` bytes of a stored file, in their order. Whoever asks says `fail` where this does."""
        if self._failure is not None:
            raise self._failure
        upload = self._upload or await self._begin(offset)
        if offset != self._position or self._ahead:
            raise NotSupported(f"a copy begins behind what was written, at byte {self._position}")
        await self._take(upload, source, size)

    async def _write(self, offset: int, body: PacketReader) -> None:
        upload = self._upload
        if upload is None:
            upload = await self._begin(offset)
        if offset == self._told and body.left:
            offset += await body.read_into(memoryview(bytearray(SHY)))
        self._told = None
        if self._appends:
            offset = self._position
        if offset > self._position:
            self._check_ahead(offset, body.left)
            self._ahead[offset] = await body.rest()
            return
        if offset < self._position:
            raise NotSupported("bytes that were written once can't be written again")
        await self._take(upload, body, body.left)
        while self._position in self._ahead:
            data = self._ahead.pop(self._position)
            await self._take(upload, HeldBytes(data), len(data))

    async def _begin(self, offset: int) -> IUpload:
        """The first write says whether the file is replaced, or gone on with."""
        if offset == 0:
            self._upload = await self._files.open_write(self.path)
        elif offset in (self._told, self._kept):
            self._upload, self._position = await self._files.resume_write(self.path, self._kept), self._kept
            self._replaces = None
        else:
            raise NotSupported(f"a file is written from its beginning, or from byte {self._kept} on, of which are kept")
        return self._upload

    async def _take(self, upload: IUpload, source: IByteSource, size: int) -> None:
        if size:
            await upload.receive(source, size)
        self._position += size

    def _check_ahead(self, offset: int, size: int) -> None:
        """Bytes that come before those that stand in front of them wait, as many as may."""
        held = sum(map(len, self._ahead.values()))
        if held + size > REORDER or offset in self._ahead or not size:
            raise NotSupported(f"bytes from {offset} on were written before those from {self._position} on")

    async def truncate(self, size: int) -> None:
        """The client says how large the file shall be: before it writes, or when it has written that."""
        if size < self._position:
            raise NotSupported("what was written can't be cut off")
        if self._upload is None:
            await self._begin(0)
        self._announced, self._replaces = size, None

    async def close(self) -> None:
        """Publish. Raises what the commit is refused for; then nothing of it is there."""
        upload, failure = self._upload, self._refused()
        if upload is None:
            if self._failure is not None:
                raise self._failure
            return
        if failure is not None:
            await upload.abort(failure)
            raise failure
        await upload.commit()
        if self.mtime is not None and self._files.identity.may("mtime"):
            await self._files.set_mtime(self.path, float(self.mtime))

    def close_now(self) -> bool:
        """As `close`, where nothing has to be waited for; else False, and nothing was done."""
        upload = self._upload
        if not isinstance(upload, HeldUpload) or self.mtime is not None or self._refused() is not None:
            return False
        return upload.commit_now() is not None

    def _refused(self) -> Refusal | None:
        """Why this can't be published, if it can't."""
        if self._failure is not None:
            return self._failure
        if self._ahead:
            return Incomplete(f"the bytes from {self._position} to {min(self._ahead)} never came")
        if self._announced is not None and self._announced != self._position:
            return Incomplete(f"{self._position} of {self._announced} bytes came")
        if self._replaces is not None and self._position < self._replaces:
            return NotSupported(f"a file of {self._replaces} bytes is replaced whole, not its first {self._position}")
        return None

    async def drop(self) -> None:
        """The connection ended: what came in order is kept, to be gone on with."""
        if self._upload is None:
            return
        if self._failure is not None:
            await self._upload.abort(self._failure)
        else:
            await self._upload.keep(ConnectionLost())


Handle = Reading | Writing | Listing


async def open_file(files: IFileSystem, path: str, flags: int) -> Reading | Writing:
    """Open a file as SSH_FXP_OPEN asks (section 6.3 of the draft).

    A file can be read or written, not both: where both are asked for it is written, and reads are refused.
    """
    if flags & Open.WRITE:
        return await _open_writing(files, path, flags)
    if flags & (Open.APPEND | Open.CREAT | Open.TRUNC | Open.EXCL) or not flags & Open.READ:
        raise InvalidRequest("a file is opened to read, or to write")
    return Reading(path, await files.open_read(path))


def open_now(files: IFileSystem, path: str, flags: int) -> Reading | Writing | None:
    """As `open_file`, of a small file that is in memory, or would be put in one step whatever is there; None: of no other."""
    if flags == Open.READ:
        download = files.read_again(path)
        return None if download is None else Reading(path, download)
    if flags & (REPLACE | Open.WRITE | Open.EXCL) != REPLACE | Open.WRITE or not files.takes_now(path):
        return None
    return Writing(files, path, HeldUpload(files, path))


async def kept_part(files: IFileSystem, path: str) -> Entry | None:
    """What is kept of a file that is not there, for who may go on with it; clients that resume ask so. None: nothing is."""
    size = await files.kept(path) if files.identity.may("put") else 0
    return Entry(path, 0.0, DataFile(0, size - SHY, 0.0, 0.0)) if size > SHY else None


async def _open_writing(files: IFileSystem, path: str, flags: int) -> Writing:
    if flags & REPLACE == REPLACE and not flags & Open.EXCL:  # Whatever is there.
        return Writing(files, path, await files.open_write(path))
    there = await (files.find if flags & Open.CREAT else files.stat)(path)
    if there is not None and flags & Open.CREAT and flags & Open.EXCL:
        raise AlreadyExists
    if flags & Open.TRUNC:
        terms = IF_ABSENT if flags & Open.EXCL else NO_TERMS
        return Writing(files, path, await files.open_write(path, terms=terms))
    kept = await files.kept(path)
    if flags & Open.APPEND:
        return await _open_to_append(files, path, kept, there)
    if there is None and not kept:
        terms = IF_ABSENT if flags & Open.EXCL else NO_TERMS
        return Writing(files, path, await files.open_write(path, terms=terms))
    return Writing(files, path, None, kept, there.size if there is not None else None)


async def _open_to_append(files: IFileSystem, path: str, kept: int, there: Entry | None) -> Writing:
    if kept:
        return Writing(files, path, await files.resume_write(path, kept), kept)
    if there is not None:
        raise NotSupported("nothing is appended to a file that is published")
    return Writing(files, path, await files.open_write(path, terms=IF_ABSENT))
