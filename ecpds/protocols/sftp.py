"""One SFTP session (draft-ietf-secsh-filexfer-02, version 3) over a stream of bytes and one user's file system.

The client says INIT and we VERSION, with the extensions that there are; then it asks, as far ahead as it likes, and each
request is answered in its turn, with what it asked for or with a status: at once where it lies in what came, where nothing
has to be waited for, else by the coroutine of the session. What is not asked for yet waits in the window of
the channel, so that a session never holds more than one answer. Only the CLOSE of a file that was written waits for its
commit beside what follows; whatever names a path waits for all of those first, so that it finds what was closed before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ecpds.errors import ConnectionLost, InvalidRequest, NotFound, NotSupported, Refusal
from ecpds.interfaces import IThreads
from ecpds.limits import Limits
from ecpds.portal_interfaces import IFileSystem
from ecpds.protocols import sftp_packets as packets
from ecpds.protocols.ftp_session import resolve, resolve_file
from ecpds.protocols.sftp_answers import Answering, Asked, OneAtATime, Scatter
from ecpds.protocols.sftp_at_once import AtOnce
from ecpds.protocols.sftp_extensions import Extensions
from ecpds.protocols.sftp_files import Listing, Reading, Writing, kept_part, open_file
from ecpds.protocols.sftp_opened import Opened
from ecpds.protocols.sftp_packets import LARGEST_DATA, Code, Type, read_attributes
from ecpds.protocols.sftp_reader import BadFrame, PacketReader
from ecpds.protocols.sftp_reads import READ, RUN, further_reads
from ecpds.ssh.fields import Fields, Malformed
from ecpds.ssh.streams import Pool, Stream

WRITE = int(Type.WRITE)
"""A plain number: looking it up in its class costs as much as a call."""

SHORTEST = 4 + 1 + 4
"""Bytes of a packet that can be answered: a length, a type, a number."""

UNSETTLED = frozenset({Type.READ, Type.CLOSE, Type.FSTAT, Type.FSETSTAT, Type.READDIR, Type.OPEN})
"""What need not wait until all that was closed is there. OPEN waits for its own path."""


@frozen
class SftpMeans:
    """What all sessions share, and themselves. `scatter` is `Pages.scatter`, `now` the time since the epoch."""

    limits: Limits
    random: Random
    now: Callable[[], float]
    scatter: Scatter
    pool: Pool
    threads: IThreads
    sessions: set[object] = field(factory=set)


def _left(failure: Failure) -> None:
    """Nobody is there to be told."""
    failure.trap(ConnectionLost)  # type: ignore[no-untyped-call]


class SftpSession:
    """One session."""

    log = Logger()

    def __init__(self, files: IFileSystem, stream: Stream, means: SftpMeans) -> None:
        self._files = files
        self._stream = stream
        self._means = means
        self._opened = Opened(stream, means.random, means.limits.sftp_handles)
        self._at_once = AtOnce(files, self._opened, stream, self._is_alone, self._publish_later)
        self._settling: Deferred[None] | None = None
        self._speaking = OneAtATime()
        self._begun = False
        self._requests: dict[int, Callable[[bytes, Fields], Awaitable[bytes]]] = {
            Type.OPEN: self._open,
            Type.CLOSE: self._close,
            Type.LSTAT: self._stat,
            Type.STAT: self._stat,
            Type.FSTAT: self._fstat,
            Type.SETSTAT: self._setstat,
            Type.FSETSTAT: self._fsetstat,
            Type.OPENDIR: self._opendir,
            Type.READDIR: self._readdir,
            Type.REMOVE: self._remove,
            Type.MKDIR: self._mkdir,
            Type.RMDIR: self._rmdir,
            Type.REALPATH: self._realpath,
            Type.RENAME: self._rename,
            Type.EXTENDED: Extensions(files, means.limits, means.threads, self._opened.named).answer,
        }

    async def run(self) -> int:
        """Serve until the client ends; the exit status."""
        reader = PacketReader(self._stream, self._use)
        self._means.sessions.add(self)
        try:
            first = await reader.next()
            if first is None or first[0] != Type.INIT:
                raise BadFrame("it does not begin with INIT")
            self._begun = True
            await self._stream.write(packets.version())
            while (packet := await reader.next()) is not None:
                answer = await self._answer(packet, reader)
                if answer:
                    await self._say(answer)
            async with self._speaking:
                pass  # Till then something may wait for room to be said.
        except BadFrame as error:
            self.log.info("{who} ended: {reason}", who=self._files.identity.login, reason=str(error))
            return 1
        finally:
            self._means.sessions.discard(self)
            await self._settled()
            await self._opened.drop()
        return 0

    def _use(self, piece: memoryview) -> int:
        """Answer the whole packets that `piece` begins with, as far as that needs no waiting; the bytes of those."""
        at, most = 0, len(piece)
        while most - at > 4 and self._begun and self._speaking.free:
            end = at + 4 + int.from_bytes(piece[at : at + 4], "big")
            if not at + SHORTEST <= end <= most:
                break
            packet = piece[at + 4 : end]
            try:
                answer = self._at_once.answer(packet)
            except Exception as error:
                answer = self._told(bytes(packet[1:5]), error)
            if answer is None:
                break
            at = end
            if answer and not self._stream.write_now(answer):
                Deferred.fromCoroutine(self._say(answer)).addErrback(_left)
        return at

    async def _say(self, answer: bytes) -> None:
        """One answer at a time, whoever gives it."""
        if self._speaking.free and self._stream.write_now(answer):
            return
        async with self._speaking:
            await self._stream.write(answer)

    async def _answer(self, packet: bytes, reader: PacketReader) -> bytes:
        """The answer to a request; empty where it was sent already."""
        fields = Fields(packet)
        type = fields.take(1)[0]
        try:
            request = fields.take(4)
        except Malformed as error:
            raise BadFrame("a packet without a number") from error
        if type == WRITE:
            return await self._guarded(request, self._write(request, fields, reader))
        if type == READ:
            return await self._guarded(request, self._read(request, fields, reader))
        if self._opened.closing and type not in UNSETTLED:
            await self._settled()
        handler = self._requests.get(type)
        if handler is None:
            return packets.status(request, Code.OP_UNSUPPORTED, NotSupported().sentence)
        return await self._guarded(request, handler(request, fields))

    async def _guarded(self, request: bytes, answer: Awaitable[bytes]) -> bytes:
        """The answer, or the status that says why there is none."""
        try:
            return await answer
        except (ConnectionLost, BadFrame):
            raise
        except Exception as error:
            return self._told(request, error)

    def _told(self, request: bytes, error: Exception) -> bytes:
        if isinstance(error, Malformed):
            return packets.status(request, Code.BAD_MESSAGE, str(error))
        if isinstance(error, Refusal):
            return packets.refused(request, error)
        self.log.failure("a request of {who} failed", who=self._files.identity.login)
        return packets.status(request, Code.FAILURE, "The portal failed.")

    # Files

    async def _open(self, request: bytes, fields: Fields) -> bytes:
        path, flags = resolve_file("/", packets.path(fields)), fields.number()
        mtime = read_attributes(fields).mtime
        self._opened.refuse_too_many()
        if self._opened.closing:
            await self._settled(path)
        handle = await open_file(self._files, path, flags)
        if isinstance(handle, Writing):
            handle.mtime = mtime
        return packets.handle(request, self._opened.keep(handle))

    async def _close(self, request: bytes, fields: Fields) -> bytes:
        """The acknowledgement: a file that was written is there for everyone when this says OK."""
        name = fields.string()
        handle = self._opened.pop(name)
        if handle is None:
            raise InvalidRequest("no such handle")
        if isinstance(handle, Writing):
            self._publish_later(request, handle)
            return b""
        await handle.close()
        self._stream.afterwards(self._opened.note_busy)
        return packets.status(request, Code.OK)

    def _is_alone(self) -> bool:
        return len(self._means.sessions) == 1

    def _publish_later(self, request: bytes, handle: Writing) -> None:
        self._opened.closing.append(handle)
        Deferred.fromCoroutine(self._publish(request, handle)).addErrback(_left)

    async def _publish(self, request: bytes, handle: Writing) -> None:
        """Whoever waits for this goes on whatever comes of it, also where the client can't be told any more."""
        try:
            try:
                answer = await self._guarded(request, self._closed(request, handle))
            finally:
                self._opened.closing.remove(handle)
            await self._say(answer)
        finally:
            self._stream.afterwards(self._opened.note_busy)
            settling, self._settling = self._settling, None
            if settling is not None:
                settling.callback(None)

    async def _closed(self, request: bytes, handle: Writing) -> bytes:
        await handle.close()
        return packets.status(request, Code.OK)

    async def _settled(self, path: str | None = None) -> None:
        """Return when nothing is being closed; or, where one is named, nothing of that path."""
        while any(path in (None, handle.path) for handle in self._opened.closing):
            self._settling = Deferred()
            await self._settling

    async def _read(self, request: bytes, fields: Fields, reader: PacketReader) -> bytes:
        name = fields.string()
        handle, offset, length = self._opened.get(name), packets.offset(fields), fields.number()
        if not isinstance(handle, Reading):
            raise NotSupported("that is not open to read") if handle else InvalidRequest("no such handle")
        size = min(length, LARGEST_DATA, max(handle.entry.size - offset, 0))
        if size == 0:
            return packets.status(request, Code.EOF) if length else packets.data_head(request, 0)
        reads = [Asked(request, size), *further_reads(reader, name, offset + size, handle.entry.size, RUN - size)]
        answering = Answering(self._stream, self._means.scatter, reads)
        try:
            async with self._speaking:
                await handle.read(answering, offset, sum(each.length for each in reads))
        except Refusal as refusal:
            if answering.begun:
                # Some of the answer is sent, and what follows would be taken for the rest of it.
                raise ConnectionLost from refusal
            return b"".join(packets.refused(each, refusal) for each in answering.unanswered)
        except Exception as error:
            self.log.failure("{path} could not be read for {who}", path=handle.path, who=self._files.identity.login)
            raise ConnectionLost from error
        return b""

    async def _write(self, request: bytes, fields: Fields, body: PacketReader) -> bytes:
        try:
            handle = self._opened.written(fields)
            try:
                offset, size = packets.offset(fields), fields.number()
                fields.end()
            except Malformed as failure:
                handle.fail(failure)
                raise
            await handle.write(offset, size, body)
        finally:
            await body.skip()
        return packets.status(request, Code.OK)

    # Attributes

    async def _stat(self, request: bytes, fields: Fields) -> bytes:
        """What this session writes is seen by it alone, where there is nothing else of that name: sshfs asks for it.

        What is kept of a broken upload its user sees, by its name and in no list.
        """
        path = resolve("/", packets.path(fields))
        found = await self._files.find(path)
        if found is None:
            for handle in self._opened.writings():
                if handle.path == path:
                    return packets.attrs(request, handle.entry)
            found = await kept_part(self._files, path)
        if found is None:
            raise NotFound
        return packets.attrs(request, found)

    async def _fstat(self, request: bytes, fields: Fields) -> bytes:
        return packets.attrs(request, self._opened.named(fields).entry)

    async def _setstat(self, request: bytes, fields: Fields) -> bytes:
        """Modes and owners there are none of; clients that keep them are told that all is well, as OpenSSH's want it."""
        path, wanted = resolve("/", packets.path(fields)), read_attributes(fields)
        entry = await self._files.stat(path)
        if wanted.size is not None and wanted.size != entry.size:
            raise NotSupported("the size of a file that is published does not change")
        if wanted.mtime is not None and not entry.is_directory:
            await self._files.set_mtime(path, float(wanted.mtime))
        return packets.status(request, Code.OK)

    async def _fsetstat(self, request: bytes, fields: Fields) -> bytes:
        handle, wanted = self._opened.named(fields), read_attributes(fields)
        if isinstance(handle, Writing):
            if wanted.size is not None:
                await handle.truncate(wanted.size)
            if wanted.mtime is not None:
                handle.mtime = wanted.mtime
        elif wanted.size is not None:
            raise NotSupported("that is not open to write")
        elif wanted.mtime is not None and isinstance(handle, Reading):
            await self._files.set_mtime(handle.path, float(wanted.mtime))
        return packets.status(request, Code.OK)

    # Directories and names

    async def _opendir(self, request: bytes, fields: Fields) -> bytes:
        path, size = resolve("/", packets.path(fields)), self._means.limits.listing_page
        self._opened.refuse_too_many()
        first = await self._files.list(path, None, size)
        return packets.handle(request, self._opened.keep(Listing(self._files, path, first, size)))

    async def _readdir(self, request: bytes, fields: Fields) -> bytes:
        handle = self._opened.named(fields)
        if not isinstance(handle, Listing):
            raise NotSupported("that is not an open directory")
        entries = await handle.next()
        if not entries:
            return packets.status(request, Code.EOF)
        return packets.names(request, entries, self._means.now(), self._files.identity.login)

    async def _remove(self, request: bytes, fields: Fields) -> bytes:
        await self._files.delete(resolve_file("/", packets.path(fields)))
        return packets.status(request, Code.OK)

    async def _mkdir(self, request: bytes, fields: Fields) -> bytes:
        await self._files.make_directory(resolve("/", packets.path(fields)))
        return packets.status(request, Code.OK)

    async def _rmdir(self, request: bytes, fields: Fields) -> bytes:
        await self._files.remove_directory(resolve("/", packets.path(fields)))
        return packets.status(request, Code.OK)

    async def _rename(self, request: bytes, fields: Fields) -> bytes:
        """Section 6.5 of the draft: an error where the new name is taken."""
        source, target = (resolve("/", packets.path(fields)) for _ in range(2))
        await self._files.rename(source, target, replace=False)
        return packets.status(request, Code.OK)

    async def _realpath(self, request: bytes, fields: Fields) -> bytes:
        return packets.one_name(request, resolve("/", packets.path(fields)))
