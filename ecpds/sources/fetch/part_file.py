"""What is done to the hidden part of a file with system calls alone, whoever makes them: a thread of a pool, or of its own."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Any

from ecpds.errors import Corrupt

BLOCK = 1 << 20
"""Bytes that are read at a time to be hashed."""

Hash = Any
"""What `hashlib.new` gives."""


def write_all(fd: int, offset: int, view: memoryview) -> None:
    """Write all of `view` at `offset`. Raises `OSError`."""
    while view:
        count = os.pwrite(fd, view, offset)
        offset += count
        view = view[count:]


def hash_span(fd: int, begin: int, end: int, hashes: Sequence[Hash]) -> None:
    """Feed what stands between `begin` and `end`. Raises `OSError`, `Corrupt` where that is not there."""
    buffer = bytearray(min(BLOCK, end - begin))
    view = memoryview(buffer)
    while begin < end:
        count = os.preadv(fd, [view[: end - begin]], begin)
        if count == 0:
            raise Corrupt("the part is shorter than what was written")
        for each in hashes:
            each.update(view[:count])
        begin += count


def merged(done: Collection[tuple[int, int]], begin: int, end: int) -> list[tuple[int, int]]:
    """Spans with another one added: in order, none touching the next."""
    before = [each for each in done if each[1] < begin]
    after = [each for each in done if each[0] > end]
    touching = [each for each in done if each[1] >= begin and each[0] <= end]
    begin = min([begin, *(each[0] for each in touching)])
    end = max([end, *(each[1] for each in touching)])
    return [*before, (begin, end), *after]


def front_of(done: Sequence[tuple[int, int]]) -> int:
    """Up to where the file is here in one piece."""
    return done[0][1] if done and done[0][0] == 0 else 0
