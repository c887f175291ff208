"""Opening and reading small files without waiting for a disk.

`openat2` with RESOLVE_CACHED (Linux 5.12) opens a file only if the whole way to it is in the kernel's memory, and a read
with RWF_NOWAIT gives only what is there. Where either has to wait, or isn't known, the answer is None, and a thread must do it.
Memory file systems refuse that flag, and never wait (`pages`).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from functools import lru_cache

from ecpds.file_systems import MEMORY_FILE_SYSTEMS, file_system_type

AT_FDCWD = -100
RESOLVE_CACHED = 0x20

OPENAT2 = 437 if platform.machine() in ("x86_64", "aarch64", "riscv64", "ppc64le", "s390x") else None
"""The number of the system call, the same on all of these; glibc has no function for it."""


class _How(ctypes.Structure):
    """`struct open_how` of linux/openat2.h."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


# With the interpreter's lock held, for it never waits: letting go of the lock would cost more than the call.
_SYSCALL = ctypes.PyDLL(None).syscall
_SYSCALL.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
_SYSCALL.restype = ctypes.c_long
_HOW = _How(os.O_RDONLY | os.O_CLOEXEC, 0, RESOLVE_CACHED)
_HOW_ADDRESS, _HOW_SIZE = ctypes.addressof(_HOW), ctypes.sizeof(_HOW)


def open_at_once(path: bytes) -> int | None:
    """A descriptor to read the file; None where that would wait, or fails, or the kernel can't say."""
    if OPENAT2 is None:
        return None
    fd: int = _SYSCALL(OPENAT2, AT_FDCWD, path, _HOW_ADDRESS, _HOW_SIZE)
    return fd if fd >= 0 else None


def read_at_once(path: bytes, length: int) -> memoryview | None:
    """The first `length` bytes of a file, if they and the way to them are in memory; else None, also when it is shorter."""
    fd = open_at_once(path)
    if fd is None:
        return None
    data = bytearray(length)
    try:
        count = _read_now(fd, data)
    except OSError:
        # It is not in memory, or this file system can't tell: whoever may wait finds out what else there is to say.
        return None
    finally:
        os.close(fd)
    return memoryview(data) if count == length else None


def _read_now(fd: int, data: bytearray) -> int:
    """Raises `OSError` where it would have to wait, or might."""
    try:
        return os.preadv(fd, [data], 0, os.RWF_NOWAIT)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP or not _is_memory(os.fstat(fd).st_dev):
            raise
    return os.preadv(fd, [data], 0)


@lru_cache(64)
def _is_memory(device: int) -> bool:
    return file_system_type(device) in MEMORY_FILE_SYSTEMS
