"""The commands that an SSH client may run: scp, and the digests and the free space that sync tools ask for. There is no shell.

A command line is split as a shell would split it, and nothing in it is expanded, redirected or run.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence

from ecpds.errors import Refusal
from ecpds.model import Room
from ecpds.portal_interfaces import IFileSystem
from ecpds.protocols.ftp_session import resolve, resolve_file
from ecpds.protocols.scp import copy
from ecpds.protocols.sftp import SftpMeans
from ecpds.ssh.streams import Stream

DIGESTS = {"md5sum": "md5", "sha1sum": "sha1", "sha256sum": "sha256", "sha512sum": "sha512"}

UNKNOWN = 127
"""The exit status of shells for a command that there is not."""


def words_of(line: str) -> list[str]:
    """The words of a command line; none where it can't be split."""
    try:
        return shlex.split(line)
    except ValueError:
        return []


async def run_command(files: IFileSystem, stream: Stream, line: str, means: SftpMeans) -> int:
    """Run one command; the exit status."""
    words = words_of(line)
    name = words[0] if words else ""
    if name == "scp":
        return await copy(files, stream, words[1:], means)
    if name in DIGESTS:
        return await _digests(files, stream, name, words[1:])
    if name == "df":
        return await _room(files, stream, words[1:])
    await stream.complain(f"There is no shell here: only sftp, scp, df, {', '.join(DIGESTS)}.\n".encode())
    return UNKNOWN


async def _digests(files: IFileSystem, stream: Stream, name: str, words: Sequence[str]) -> int:
    """The digests of files, each with its path, as coreutils print them; that of the input, which is empty, without one."""
    paths = [word for word in words if not word.startswith("-")] if "--" not in words else words[words.index("--") + 1 :]
    if not paths:
        return await _digest_of_nothing(stream, name)
    status = 0
    for path in paths:
        try:
            digest = await files.digest(resolve_file("/", path), DIGESTS[name])
        except Refusal as refusal:
            status = 1
            await stream.complain(f"{name}: {path}: {refusal.sentence}\n".encode("utf-8", "replace"))
        else:
            await stream.write(_line(digest, path).encode())
    return status


async def _room(files: IFileSystem, stream: Stream, words: Sequence[str]) -> int:
    """What `df -k` or `df -P -k` prints (POSIX, df), in units of 1,024 bytes, a line for each path; rclone reads it."""
    options, paths = [word for word in words if word.startswith("-")], [word for word in words if not word.startswith("-")]
    if not set("".join(options)) <= set("-Pk"):
        await stream.complain(b"df: only the options -k and -P\n")
        return 1
    status = 0
    await stream.write(b"Filesystem 1024-blocks Used Available Capacity Mounted on\n")
    for path in paths or ("/",):
        try:
            room = await files.room(resolve("/", path))
        except Refusal as refusal:
            status = 1
            await stream.complain(f"df: {path}: {refusal.sentence}\n".encode("utf-8", "replace"))
        else:
            await stream.write(_room_line(room, path).encode())
    return status


def _room_line(room: Room, path: str) -> str:
    total, free = room.total // 1024, room.free // 1024
    used = total - free
    return f"ecpds {total} {used} {free} {-(-100 * used // max(total, 1))}% {path}\n"


def _line(digest: str, path: str) -> str:
    """A backslash in the name is doubled, and told of by one before the line."""
    if "\\" not in path:
        return f"{digest}  {path}\n"
    doubled = path.replace("\\", "\\\\")
    return f"\\{digest}  {doubled}\n"


async def _digest_of_nothing(stream: Stream, name: str) -> int:
    """Clients try a command with an empty input, to see whether there is one."""
    if await stream.read():
        await stream.complain(f"{name}: only files that are stored here\n".encode())
        return 1
    await stream.write(_line(hashlib.new(DIGESTS[name], usedforsecurity=False).hexdigest(), "-").encode())
    return 0
