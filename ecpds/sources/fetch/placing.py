"""A small file put under its name in one go: as `stage` does it, for who has the whole of it in memory, checked."""

from __future__ import annotations

import fcntl
import os

from ecpds.sources.fetch.names import part_name

FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def place(folder: str, name: str, whole: memoryview, mtime: float | None) -> None:
    """Write the hidden part and give it its name, in a folder that is made where it is missing (empty: this one).

    Raises `OSError`, and leaves nothing then: `FileExistsError` where there is a part already, of another process or an earlier
    run, which is not touched.
    """
    fd, part = begin_part(folder, name)
    try:
        _fill(fd, part, os.path.join(folder, name), whole, mtime)
    finally:
        os.close(fd)


def begin_part(folder: str, name: str) -> tuple[int, str]:
    """A new hidden part, and its path. Raises `OSError`, as `place` does."""
    part = os.path.join(folder, part_name(name))
    fd = _create(folder, part)
    try:
        # Whoever has it locked between these two calls has it: another fetch takes up any part that it finds.
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd, part


def _create(folder: str, part: str) -> int:
    try:
        return os.open(part, FLAGS, 0o666)
    except FileNotFoundError:
        os.makedirs(folder or ".", exist_ok=True)
        return os.open(part, FLAGS, 0o666)


def _fill(fd: int, part: str, target: str, whole: memoryview, mtime: float | None) -> None:
    try:
        while whole:
            whole = whole[os.write(fd, whole) :]
        if mtime is not None:
            os.utime(fd, (mtime, mtime))
        os.rename(part, target)
    except BaseException:
        os.unlink(part)
        raise
