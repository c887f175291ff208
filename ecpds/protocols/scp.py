"""The dialogue of `scp -t` and `scp -f`, which OpenSSH's scp has with -O (its scp.c; there is no other description).

Whoever sends (the client for -t, we for -f) says a line and waits for an answer, a zero byte: `T` with times, `C` with a
mode, size and name, and after the answer so many bytes and a zero byte, and waits again; `D` begins a directory and `E`
ends one. An answer of 1, with a line of text, refuses one file, and 2 ends it all. The answer to a file that we take is
given when it is published.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

from zope.interface import implementer

from ecpds.errors import ConnectionLost, InvalidName, InvalidRequest, NotADirectory, NotFound, NotSupported, Refusal
from ecpds.held import SMALL_FILE
from ecpds.interfaces import IByteSink, IByteSource
from ecpds.model import Entry
from ecpds.portal_interfaces import IFileSystem, IUpload
from ecpds.protocols.ftp_session import resolve, resolve_file
from ecpds.protocols.held_upload import HeldUpload
from ecpds.protocols.scp_lines import Announced, Options, parse_announcement, parse_options, parse_times
from ecpds.protocols.sftp import SftpMeans
from ecpds.protocols.sftp_answers import Scatter
from ecpds.protocols.wildcards import WILDCARD, matching
from ecpds.ssh.streams import Stream

LONGEST_LINE = 4096
"""Bytes of one line."""

DEEPEST = 100
"""Directories in each other."""

PIECE = 256 * 1024
"""Bytes of a file that are sent at a time."""

OK, REFUSED, FATAL = b"\0", b"\1", b"\2"


class Reader:
    """What the other side says: lines, single bytes, and so many bytes of a file."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._held = bytearray()

    async def line(self) -> bytes | None:
        """A line without its end; None at the end of all. Raises `InvalidRequest` where it is too long."""
        while (end := self._held.find(b"\n")) < 0:
            if len(self._held) > LONGEST_LINE:
                raise InvalidRequest("the line is too long")
            if not await self._more():
                return None
        line = bytes(self._held[:end])
        del self._held[: end + 1]
        return line

    async def byte(self) -> bytes:
        """One byte; none at the end."""
        if not self._held and not await self._more():
            return b""
        byte = bytes(self._held[:1])
        del self._held[:1]
        return byte

    async def some(self, most: int) -> bytes:
        """Some bytes, `most` of them at most. Raises `ConnectionLost` at the end: they were promised."""
        if not self._held and not await self._more():
            raise ConnectionLost
        some = bytes(memoryview(self._held)[:most])
        del self._held[:most]
        return some

    async def _more(self) -> bool:
        data = await self._stream.read()
        self._held += data
        return bool(data)


@implementer(IByteSource)
class FileBytes:
    """`left` bytes that are yet to come of a file."""

    def __init__(self, reader: Reader, left: int) -> None:
        self._reader = reader
        self.left = left

    async def read_into(self, view: memoryview) -> int:
        if not self.left:
            return 0
        data = await self._reader.some(min(len(view), self.left))
        view[: len(data)] = data
        self.left -= len(data)
        return len(data)

    async def skip(self) -> None:
        """Read the rest, and use none of it."""
        while self.left:
            self.left -= len(await self._reader.some(self.left))


class Receiver:
    """`scp -t`: takes files and trees."""

    def __init__(self, files: IFileSystem, stream: Stream, options: Options) -> None:
        self._files = files
        self._stream = stream
        self._reader = Reader(stream)
        self._options = options
        self._mtime: int | None = None
        self._folders: list[str] = []
        self._failed = False

    async def run(self) -> int:
        target = resolve("/", self._options.paths[0])
        self._inside = await self._is_directory(target)
        self._target = resolve_file("/", self._options.paths[0]) if not self._inside else target
        if self._options.directory and not self._inside:
            raise NotADirectory
        await self._stream.write(OK)
        while (line := await self._reader.line()) is not None:
            if line[:1] == FATAL:
                return 1
            if line[:1] != REFUSED:
                await self._take(line)
        return 1 if self._failed else 0

    async def _is_directory(self, path: str) -> bool:
        entry = await self._files.find(path)
        return entry is not None and entry.is_directory

    async def _take(self, line: bytes) -> None:
        try:
            if line[:1] == b"T":
                self._mtime = parse_times(line)
                await self._stream.write(OK)
                return
            if line == b"E":
                self._folders.pop() if self._folders else self._lost()
                await self._stream.write(OK)
                return
            announced = parse_announcement(line)
        except (InvalidName, InvalidRequest) as refusal:
            await say(self._stream, FATAL, refusal)
            raise
        mtime, self._mtime = self._mtime, None
        self._stream.busy(True)
        try:
            await (self._enter(announced) if announced.directory else self._file(announced, mtime))
        except ConnectionLost:
            raise
        except Refusal as refusal:
            self._failed = True
            await say(self._stream, REFUSED, refusal)
        finally:
            # The client is told before a node that ends waits no longer.
            self._stream.afterwards(partial(self._stream.busy, False))

    def _lost(self) -> None:
        raise InvalidRequest("the end of a directory that did not begin")

    def _path(self, name: str) -> str:
        if self._folders:
            return f"{self._folders[-1]}/{name}"
        return f"{self._target.rstrip('/')}/{name}" if self._inside else self._target

    async def _enter(self, announced: Announced) -> None:
        if not self._options.recursive or len(self._folders) >= DEEPEST:
            raise NotSupported("a directory here")
        path = self._path(announced.name).rstrip("/")
        if not await self._is_directory(path):
            await self._files.make_directory(path)
        self._folders.append(path)
        await self._stream.write(OK)

    async def _file(self, announced: Announced, mtime: int | None) -> None:
        """Take a file: refused before its bytes come if it can be, else when all of them are out of the way."""
        path = self._path(announced.name)
        upload = await self._begin(path, announced.size)
        source = FileBytes(self._reader, announced.size)
        await self._receive(upload, source)
        if mtime is not None and self._options.times and self._files.identity.may("mtime"):
            await self._files.set_mtime(path, float(mtime))
        await self._stream.write(OK)

    async def _begin(self, path: str, size: int) -> IUpload:
        if size < SMALL_FILE and self._files.takes_now(path):
            return HeldUpload(self._files, path, size)
        upload: IUpload = await self._files.open_write(path, size)
        return upload

    async def _receive(self, upload: IUpload, source: FileBytes) -> None:
        answered = False
        try:
            await self._stream.write(OK)
            await upload.receive(source)
            # libssh2 ends the channel here, and says nothing; the size was announced, and so much came.
            answer, answered = await self._reader.byte(), True
            if answer not in (OK, b""):
                raise ConnectionLost("the client could not read all of the file")
            await upload.commit()
        except ConnectionLost as failure:
            await upload.keep(failure)
            raise
        except Refusal as failure:
            await upload.abort(failure)
            await source.skip()
            if not answered:
                await self._reader.byte()
            raise
        except BaseException as failure:
            await upload.abort(failure)
            raise


@implementer(IByteSink)
class StreamSink:
    """Sends what it is given."""

    def __init__(self, stream: Stream, scatter: Scatter) -> None:
        self._stream = stream
        self._scatter = scatter

    async def write(self, data: bytes | memoryview) -> None:
        await self._stream.write(data)

    async def send_file(self, fd: int, offset: int, length: int) -> None:
        for start in range(offset, offset + length, PIECE):
            await self._stream.send(b"", min(PIECE, offset + length - start), partial(self._fill, fd, start))

    async def _fill(self, fd: int, start: int, at: int, views: Sequence[memoryview]) -> None:
        await self._scatter(fd, start + at, views)


class Refused(Exception):
    """The client does not want a file, and says why."""


class Sender:
    """`scp -f`: sends files and trees."""

    def __init__(self, files: IFileSystem, stream: Stream, options: Options, means: SftpMeans) -> None:
        self._files = files
        self._stream = stream
        self._reader = Reader(stream)
        self._options = options
        self._means = means
        self._failed = False

    async def run(self) -> int:
        await self._heard()
        for path in self._options.paths:
            await self._trying(partial(self._send_matching, path))
        return 1 if self._failed else 0

    async def _trying(self, send: Callable[[], Awaitable[None]]) -> None:
        """A refusal is told to the client, and the next file is tried."""
        try:
            await send()
        except ConnectionLost:
            raise
        except Refused:
            self._failed = True
        except Refusal as refusal:
            self._failed = True
            await say(self._stream, REFUSED, refusal)

    async def _heard(self) -> None:
        """Wait for the client's answer."""
        answer = await self._reader.byte()
        if answer == OK:
            return
        if answer == REFUSED:
            line = await self._reader.line()
            raise Refused(line)
        raise ConnectionLost

    async def _send_matching(self, said: str) -> None:
        path, sent = resolve_file("/", said), 0
        if not WILDCARD.search(path.rsplit("/", 1)[-1]):
            await self._send(await self._files.stat(path), path, 0)
            return
        async for entry, where in self._matching(path):
            sent += 1
            await self._trying(partial(self._send, entry, where, 0))
        if not sent:
            raise NotFound

    async def _matching(self, path: str) -> AsyncIterator[tuple[Entry, str]]:
        """What a path matches whose last segment has a wildcard."""
        folder, _, pattern = path.rpartition("/")
        matches = matching(pattern)
        async for entry in self._inside(folder or "/"):
            if matches(entry.name):
                yield entry, f"{folder}/{entry.name}"

    async def _inside(self, folder: str) -> AsyncIterator[Entry]:
        page = await self._files.list(folder, None, self._means.limits.listing_page)
        while True:
            for entry in page.entries:
                yield entry
            if page.after is None:
                return
            page = await self._files.list(folder, page.after, self._means.limits.listing_page)

    async def _send(self, entry: Entry, path: str, depth: int) -> None:
        if not entry.is_directory:
            await self._send_file(path)
        elif not self._options.recursive or depth >= DEEPEST:
            raise NotSupported("a directory here")
        else:
            await self._send_tree(entry, path, depth)

    async def _send_file(self, path: str) -> None:
        download = await self._files.open_read(path)
        self._stream.busy(True)
        try:
            entry = download.entry
            await self._times(entry)
            await self._say(f"C0644 {entry.size} {path.rsplit('/', 1)[-1]}\n")
            await download.send(StreamSink(self._stream, self._means.scatter))
            await self._stream.write(OK)
            await self._heard()
        except Refused:
            download.close()
            raise
        except BaseException as failure:
            download.close(failure)
            # What follows the bytes that came would be taken for the rest of them.
            raise ConnectionLost from failure
        finally:
            self._stream.busy(False)
        download.close()

    async def _send_tree(self, entry: Entry, path: str, depth: int) -> None:
        await self._times(entry)
        await self._say(f"D0755 0 {path.strip('/').rsplit('/', 1)[-1] or 'root'}\n")
        async for inner in self._inside(path):
            where = f"{path.rstrip('/')}/{inner.name}"
            await self._trying(partial(self._send, inner, where, depth + 1))
        await self._say("E\n")

    async def _times(self, entry: Entry) -> None:
        if self._options.times:
            mtime = max(int(entry.mtime), 0)
            await self._say(f"T{mtime} 0 {mtime} 0\n")

    async def _say(self, line: str) -> None:
        await self._stream.write(line.encode())
        await self._heard()


async def say(stream: Stream, kind: bytes, refusal: Refusal) -> None:
    """Refuse, in a line."""
    await stream.write(kind + b"scp: " + refusal.sentence.replace("\n", " ").encode("utf-8", "replace") + b"\n")


async def copy(files: IFileSystem, stream: Stream, words: Sequence[str], means: SftpMeans) -> int:
    """Serve one `scp`; the exit status."""
    try:
        options = parse_options(words)
        if options.receives:
            return await Receiver(files, stream, options).run()
        return await Sender(files, stream, options, means).run()
    except (ConnectionLost, Refused):
        return 1
    except Refusal as refusal:
        await say(stream, FATAL, refusal)
        return 1
