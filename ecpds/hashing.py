"""Digests of stored bytes: an open file through hashes, on the thread of the caller."""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from typing import Protocol

from ecpds.errors import Corrupt

BLOCK = 256 * 1024
"""Bytes that are read and hashed at a time."""


class Follower(Protocol):
    """A digest that follows the bytes, as hashlib makes them."""

    def update(self, data: memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


def follow(data: memoryview, followers: Sequence[Follower]) -> None:
    """Give the next bytes to each of the digests."""
    for follower in followers:
        follower.update(data)


def follow_file(fd: int, offset: int, length: int, followers: Sequence[Follower]) -> None:
    """As `follow`, with `length` bytes of an open file from `offset`. Blocks. Raises `OSError`; `Corrupt` when shorter.

    Whole pages are read into whole pages, so the file may be open past the cache (O_DIRECT), where `offset` is a page's.
    """
    if not length:
        return
    with mmap.mmap(-1, min(BLOCK, -(-length // mmap.PAGESIZE) * mmap.PAGESIZE)) as pages, memoryview(pages) as block:
        end = offset + length
        while offset < end:
            count = min(os.preadv(fd, [block], offset), end - offset)
            if not count:
                raise Corrupt("a stored file is shorter than its record")
            with block[:count] as found:
                follow(found, followers)
            offset += count
