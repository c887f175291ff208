"""What has changed, told to the nodes of one host through memory: so they may remember what the Master said and are never late.

Who tells whom: the Master has a page of numbers that only go up, one for each of many sets of paths, one for all paths at once,
and one for all who may log in. It raises those that a change concerns when it changes its own memory, which is before whoever
asked for the change is answered. A node that has been welcomed asks where the page is (`BoardCalls`), and maps it, where it
can: it is a file without a name (memfd), reached by `/proc`, so only a node on the same host and of the same user can, and it
goes with the last process that has it. What such a node notes with an answer is the number before it asked; while the number
is the same, so is the answer. The Master marks the time in there, and where the last mark is old nothing is believed: it may be
frozen, or dead, and another may be the Master now. A node elsewhere asks the Master each time, as if there was no such page.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
from collections.abc import Callable, Sequence
from typing import Protocol
from zlib import crc32

from ecpds.cluster.calls import Remote, call
from ecpds.errors import NotPermitted, Unavailable
from ecpds.model import Copy

TOKEN, PROOF, MARK, PATHS, PEOPLE = range(5)
"""Where what stands, in numbers of eight bytes; then come the slots."""

SLOTS = 1 << 16
"""Sets of paths; to remember 10,000 files, a change of one other file makes one in seven forgotten that need not be."""

SIZE = 8 * (PEOPLE + 1 + SLOTS)

MARKS = 0.25
"""Seconds between two marks of the Master."""

BELIEVED = 0.75
"""Seconds after its last mark that a Master is thought to be well, and the only one."""


Folder = tuple[str, int, int]
"""A volume: its path, its device, its inode."""


class BoardCalls(Remote):
    """What a node asks the Master about the page, and tells it when it has that."""

    prefix = "board."

    @call(repeatable=True)
    async def where(self) -> tuple[int, int, int]:  # type: ignore[empty-body]
        """Process, descriptor, and the number at its head. Raises `Unavailable` where there is none."""

    @call(repeatable=True)
    async def beside(self, proof: int, volumes: Sequence[Folder]) -> tuple[str, Sequence[Folder]]:  # type: ignore[empty-body]
        """A node on the same host, which the proof shows, has these volumes; what its Master is called as a mover, and has."""


class Board:
    """The Master's end, which writes. `now` are seconds of a clock that is the same for all processes of the host."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._fd = os.memfd_create("ecpds-board", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self._fd, SIZE)
        # Nobody can make it shorter under those who read it.
        fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        self._numbers = memoryview(mmap.mmap(self._fd, SIZE)).cast("Q")
        self._numbers[TOKEN], self._numbers[PROOF] = secrets.randbits(64), secrets.randbits(64)

    def is_proof(self, proof: int) -> bool:
        """Whether who says this number has read it here."""
        return proof == self._numbers[PROOF]

    async def where(self) -> tuple[int, int, int]:
        """Process, descriptor, and the number at its head."""
        return os.getpid(), self._fd, self._numbers[TOKEN]

    def mark(self) -> None:
        """This Master is well."""
        self._numbers[MARK] = int(self._now() * 1e9)

    def changed(self, path: str | None) -> None:
        """The file of this path in some destination is not what it was; None: any may be."""
        self._numbers[PATHS if path is None else slot(path)] += 1

    def people_changed(self) -> None:
        """Somebody may do more, or less, or is gone."""
        self._numbers[PEOPLE] += 1

    def close(self) -> None:
        """The Master goes: what it said is believed no more."""
        self._numbers[MARK] = 0
        os.close(self._fd)


class Beside(Protocol):
    """Reads small segments where other movers on this host have them."""

    async def folders(self) -> Sequence[Folder]:
        """This node's own volumes."""

    async def take(self, mover: str, folders: Sequence[Folder]) -> None:
        """Another mover says that it has these."""

    def read_now(self, segment: int, copy: Copy, length: int) -> memoryview | None:
        """As `IPromptReads.read_now`."""


class BoardDesk:
    """Answers the `BoardCalls` of one member. `name` is what the Master's node is called."""

    def __init__(self, board: Board, member: str, name: str, beside: Beside) -> None:
        self._board = board
        self._member = member
        self._name = name
        self._beside = beside

    async def where(self) -> tuple[int, int, int]:
        return await self._board.where()

    async def beside(self, proof: int, volumes: Sequence[Folder]) -> tuple[str, Sequence[Folder]]:
        if not self._board.is_proof(proof):
            raise NotPermitted("that is another host")
        await self._beside.take(self._member, volumes)
        return self._name, await self._beside.folders()


class Page:
    """A node's end, which reads. Raises `Unavailable` where the page that a Master speaks of is not to be had here."""

    def __init__(self, pid: int, fd: int, token: int, now: Callable[[], float]) -> None:
        self._now = now
        try:
            own = os.open(f"/proc/{pid:d}/fd/{fd:d}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            raise Unavailable("the Master is on another host, or of another user") from error
        try:
            # A process of that number may be another one, on this host.
            if os.fstat(own).st_size != SIZE:
                raise Unavailable("the Master is on another host")
            self._numbers = memoryview(mmap.mmap(own, SIZE, prot=mmap.PROT_READ)).cast("Q")
        except OSError as error:
            raise Unavailable("the Master is on another host") from error
        finally:
            os.close(own)
        if self._numbers[TOKEN] != token:
            raise Unavailable("the Master is on another host")

    @property
    def proof(self) -> int:
        """What shows the Master that this is the same host."""
        return self._numbers[PROOF]

    def is_true(self) -> bool:
        """Whether the Master is there to tell."""
        return self._now() * 1e9 - self._numbers[MARK] < BELIEVED * 1e9

    def names(self, path: str) -> int:
        """Another number once the file of this path, in any destination, may be another."""
        return self._numbers[PATHS] + self._numbers[slot(path)]

    def people(self) -> int:
        """Another number once what somebody may do, or who may log in, is not what it was."""
        return self._numbers[PEOPLE]


def slot(path: str) -> int:
    """Where the number for a path stands."""
    return PEOPLE + 1 + crc32(path.encode("utf-8", "surrogatepass")) % SLOTS
