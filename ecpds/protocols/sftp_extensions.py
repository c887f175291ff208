"""The extensions of an SFTP session: OpenSSH's (its PROTOCOL, section 4), and draft-ietf-secsh-filexfer-extensions-00."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable

from ecpds.errors import InvalidRequest, NotSupported
from ecpds.interfaces import IThreads
from ecpds.limits import Limits
from ecpds.portal_interfaces import IFileSystem
from ecpds.protocols import sftp_packets as packets
from ecpds.protocols.ftp_session import resolve, resolve_file
from ecpds.protocols.sftp_digests import check_file
from ecpds.protocols.sftp_files import Handle, Reading, Writing
from ecpds.protocols.sftp_packets import LARGEST_DATA, LARGEST_PACKET, Code
from ecpds.ssh.fields import Fields

MOST_OWNERS = 1000
"""Numbers of users and groups that one request may ask for."""


class Extensions:
    """Answers the extended requests of one session. `handle` takes a handle off the fields: what it stands for."""

    def __init__(self, files: IFileSystem, limits: Limits, threads: IThreads, handle: Callable[[Fields], Handle]) -> None:
        self._files = files
        self._limits = limits
        self._threads = threads
        self._handle = handle
        self._requests: dict[bytes, Callable[[bytes, Fields], Awaitable[bytes]]] = {
            b"posix-rename@openssh.com": self._posix_rename,
            b"statvfs@openssh.com": self._room_at,
            b"fstatvfs@openssh.com": self._room_of_handle,
            b"fsync@openssh.com": self._fsync,
            b"limits@openssh.com": self._say_limits,
            b"expand-path@openssh.com": self._expand_path,
            b"home-directory": self._home,
            b"users-groups-by-id@openssh.com": self._owners,
            b"copy-data": self._copy_data,
            b"check-file": self._check_handle,
            b"check-file-handle": self._check_handle,
            b"check-file-name": self._check_name,
        }

    async def answer(self, request: bytes, fields: Fields) -> bytes:
        """The answer to a request. Raises `NotSupported` for an extension that there is not."""
        handler = self._requests.get(fields.string())
        if handler is None:
            raise NotSupported
        return await handler(request, fields)

    async def _posix_rename(self, request: bytes, fields: Fields) -> bytes:
        """Section 4.3."""
        source, target = (resolve("/", packets.path(fields)) for _ in range(2))
        await self._files.rename(source, target)
        return packets.status(request, Code.OK)

    async def _room_at(self, request: bytes, fields: Fields) -> bytes:
        return packets.room(request, await self._files.room(resolve("/", packets.path(fields))))

    async def _room_of_handle(self, request: bytes, fields: Fields) -> bytes:
        return packets.room(request, await self._files.room(self._handle(fields).path))

    async def _fsync(self, request: bytes, fields: Fields) -> bytes:
        """Section 4.6. Nothing is to be seen before the close, and the close syncs."""
        self._handle(fields)
        return packets.status(request, Code.OK)

    async def _say_limits(self, request: bytes, fields: Fields) -> bytes:
        """Section 4.8."""
        most = self._limits.sftp_handles
        return packets.extended(request, struct.pack(">4Q", LARGEST_PACKET, LARGEST_DATA, LARGEST_DATA, most))

    async def _expand_path(self, request: bytes, fields: Fields) -> bytes:
        """Section 4.9: everybody's home is the root."""
        path = packets.path(fields)
        return packets.one_name(request, resolve("/", path[1:] if path == "~" or path.startswith("~/") else path))

    async def _home(self, request: bytes, fields: Fields) -> bytes:
        """Section 4.10."""
        fields.string()
        return packets.one_name(request, "/")

    async def _owners(self, request: bytes, fields: Fields) -> bytes:
        """Section 4.11: everything that a user sees is shown as its own."""
        users, groups = fields.string(), fields.string()
        fields.end()
        name = packets.string(self._files.identity.login.encode())
        if len(users) + len(groups) > MOST_OWNERS * 4:
            raise InvalidRequest(f"more than {MOST_OWNERS} users and groups")
        return packets.extended(request, *(packets.string(name * (len(each) // 4)) for each in (users, groups)))

    async def _copy_data(self, request: bytes, fields: Fields) -> bytes:
        """draft-ietf-secsh-filexfer-extensions-00, section 7: from a stored file to one that is written; a length of 0 is
        all that is left. The answer comes when the bytes are there, and nothing else is served meanwhile."""
        named, start, length = fields.string(), packets.offset(fields), packets.offset(fields)
        target = self._handle(fields)
        try:
            place = packets.offset(fields)
            fields.end()
            source = self._handle(Fields(packets.string(named)))
            if not (isinstance(source, Reading) and isinstance(target, Writing)):
                raise NotSupported("a copy is from a file that is read to one that is written")
            left = max(source.entry.size - start, 0)
            if length > left:
                raise InvalidRequest(f"{left} bytes are left, and {length} were to be copied")
            await target.copy(place, source.source(start, length or left, self._threads), length or left)
        except Exception as failure:
            if isinstance(target, Writing):
                target.fail(failure)
            raise
        return packets.status(request, Code.OK)

    async def _check_handle(self, request: bytes, fields: Fields) -> bytes:
        handle = self._handle(fields)
        if not isinstance(handle, Reading):
            raise NotSupported("that is not open to read")
        return await self._check(request, handle.path, fields)

    async def _check_name(self, request: bytes, fields: Fields) -> bytes:
        return await self._check(request, resolve_file("/", packets.path(fields)), fields)

    async def _check(self, request: bytes, path: str, fields: Fields) -> bytes:
        name, found = await check_file(self._files, path, fields)
        return packets.extended(request, packets.string(b"check-file"), packets.string(name.encode()), found)
