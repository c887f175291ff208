"""The packets of SFTP version 3 (draft-ietf-secsh-filexfer-02), and OpenSSH's extensions (its PROTOCOL, section 4): a codec.

A packet is a length, a type, for most of them a request's number, and fields. Nothing here waits, and nothing of a
client's size is allocated before it was checked.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from enum import IntEnum

from attrs import frozen

from ecpds import errors
from ecpds.errors import Refusal
from ecpds.model import Entry, Room
from ecpds.ssh.fields import Fields, Malformed
from ecpds.wire.listings import unix_line

VERSION = 3

BLOCK = 4096
"""Bytes of a block, in which statvfs counts."""

LONGEST_NAME = 255
"""Bytes of one element of a path."""

NO_SUID = 2
"""SSH_FXE_STATVFS_ST_NOSUID."""

LARGEST_PACKET = 256 * 1024
"""Bytes of a packet, without its length: OpenSSH's."""

LARGEST_DATA = LARGEST_PACKET - 1024
"""Bytes that one READ is answered with, or one WRITE may carry."""

DATA_HEAD = 13
"""Bytes of a DATA packet before its data."""

HANDLE_SIZE = 16
"""Bytes of a handle of ours."""

WRITE_HEAD = 1 + 4 + (4 + HANDLE_SIZE) + 8 + 4
"""Bytes of a WRITE before its data, without the packet's length."""


EXTENSIONS: Mapping[str, str] = {
    "posix-rename@openssh.com": "1",
    "statvfs@openssh.com": "2",
    "fstatvfs@openssh.com": "2",
    "fsync@openssh.com": "1",
    "limits@openssh.com": "1",
    "expand-path@openssh.com": "1",
    "home-directory": "1",
    "users-groups-by-id@openssh.com": "1",
    "copy-data": "1",
    "check-file": "",
}
"""What is said in VERSION, each with its own version."""


class Type(IntEnum):
    """Packet types that clients send."""

    INIT = 1
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    SETSTAT = 9
    FSETSTAT = 10
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    RMDIR = 15
    REALPATH = 16
    STAT = 17
    RENAME = 18
    READLINK = 19
    SYMLINK = 20
    EXTENDED = 200


ANSWER_VERSION, STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED_REPLY = 2, 101, 102, 103, 104, 105, 201


class Code(IntEnum):
    """Status codes. Version 3 has no others."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    BAD_MESSAGE = 5
    OP_UNSUPPORTED = 8


CODES: dict[type[Refusal], Code] = {
    errors.LoginFailed: Code.PERMISSION_DENIED,
    errors.CodeNeeded: Code.PERMISSION_DENIED,
    errors.NotPermitted: Code.PERMISSION_DENIED,
    errors.NotFound: Code.NO_SUCH_FILE,
    errors.NotADirectory: Code.NO_SUCH_FILE,
    errors.InvalidRequest: Code.BAD_MESSAGE,
    errors.NotSupported: Code.OP_UNSUPPORTED,
}
"""The refusals that version 3 has a status of their own for; the others are a FAILURE, and their sentence says which."""


class Open:
    """How a file is opened: flags, and plain numbers, for an enumeration's cost more than the rest of the message."""

    READ = 1
    WRITE = 2
    APPEND = 4
    CREAT = 8
    TRUNC = 16
    EXCL = 32


SIZE, OWNER, PERMISSIONS, TIMES, EXTENDED = 1, 2, 4, 8, 0x80000000
"""Which attributes are there."""

DIRECTORY, REGULAR = 0o040755, 0o100644


@frozen
class Attributes:
    """What a client says of a file, as far as it matters here. `mtime` is in seconds since the epoch."""

    size: int | None = None
    mtime: int | None = None


NOTHING_SAID = Attributes()


def read_attributes(fields: Fields) -> Attributes:
    """Take the attributes off `fields`. Raises `Malformed`."""
    flags = fields.number()
    size = int.from_bytes(fields.take(8), "big") if flags & SIZE else None
    if flags & OWNER:
        fields.take(8)
    if flags & PERMISSIONS:
        fields.take(4)
    mtime = None
    if flags & TIMES:
        fields.take(4)
        mtime = fields.number()
    if flags & EXTENDED:
        for _ in range(_count(fields)):
            fields.string(), fields.string()
    return NOTHING_SAID if size is None and mtime is None else Attributes(size, mtime)


def _count(fields: Fields) -> int:
    count = fields.number()
    if count > LARGEST_PACKET // 8:
        raise Malformed("more attributes than the packet can hold")
    return count


def offset(fields: Fields) -> int:
    """A uint64."""
    return int.from_bytes(fields.take(8), "big")


def path(fields: Fields) -> str:
    """A file name. Raises `InvalidName` where it is not UTF-8."""
    try:
        return fields.string().decode("utf-8")
    except UnicodeDecodeError as error:
        raise errors.InvalidName("not UTF-8") from error


# Answers

_STATUS = struct.Struct(">LB4sLL")
"""What stands before the sentence of a STATUS."""

_ENGLISH = b"\0\0\0\x02en"
"""The language of all sentences."""


def packet(type: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">LB", len(body) + 1, type) + body


def string(data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + data


def number(value: int) -> bytes:
    return struct.pack(">L", value)


def version() -> bytes:
    pairs = (string(name.encode()) + string(value.encode()) for name, value in EXTENSIONS.items())
    return packet(ANSWER_VERSION, number(VERSION), *pairs)


def status(request: bytes, code: Code, sentence: str = "") -> bytes:
    """`request` is the request's number as it came."""
    text = sentence.encode("utf-8", "replace")
    return _STATUS.pack(_STATUS.size - 4 + len(text) + len(_ENGLISH), STATUS, request, code, len(text)) + text + _ENGLISH


def refused(request: bytes, refusal: Refusal) -> bytes:
    return status(request, code_of(refusal), refusal.sentence)


def code_of(refusal: Refusal) -> Code:
    return next((CODES[kind] for kind in type(refusal).__mro__ if kind in CODES), Code.FAILURE)


def handle(request: bytes, name: bytes) -> bytes:
    return struct.pack(">LB4sL", 9 + len(name), HANDLE, request, len(name)) + name


def data_head(request: bytes, length: int) -> bytes:
    """What stands before `length` bytes of data: `DATA_HEAD` bytes."""
    return struct.pack(">LB4sL", length + 9, DATA, request, length)


def attributes(entry: Entry) -> bytes:
    """Size, owner (nobody in particular), permissions and times. Version 3 has 32 bits for a time."""
    mode = DIRECTORY if entry.is_directory else REGULAR
    mtime = min(max(int(entry.mtime), 0), 0xFFFFFFFF)
    return struct.pack(">LQLLLLL", SIZE | OWNER | PERMISSIONS | TIMES, entry.size, 0, 0, mode, mtime, mtime)


def attrs(request: bytes, entry: Entry) -> bytes:
    return packet(ATTRS, request, attributes(entry))


def names(request: bytes, entries: Sequence[Entry], now: float, owner: str) -> bytes:
    """Entries of a directory, each with its line of `ls -l`."""
    parts = (
        string(entry.name.encode()) + string(unix_line(entry, now, owner).encode()) + attributes(entry) for entry in entries
    )
    return packet(NAME, request, number(len(entries)), *parts)


def one_name(request: bytes, name: str) -> bytes:
    """A name without attributes: the answer to REALPATH."""
    encoded = string(name.encode())
    return packet(NAME, request, number(1), encoded, encoded, number(0))


def extended(request: bytes, *parts: bytes) -> bytes:
    return packet(EXTENDED_REPLY, request, *parts)


def room(request: bytes, found: Room) -> bytes:
    """The answer to statvfs (OpenSSH's PROTOCOL, section 4.4). The number of files has no limit, which is said by noughts."""
    total, free = found.total // BLOCK, found.free // BLOCK
    return extended(request, struct.pack(">11Q", BLOCK, BLOCK, total, free, free, 0, 0, 0, 0, NO_SUID, LONGEST_NAME))
