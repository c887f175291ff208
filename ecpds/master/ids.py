"""DataFileIDs, from blocks that are reserved ahead and durably: after a crash the rest of a block is skipped, never reused."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from sqlalchemy import insert, select, update

from ecpds.master.schema import sequence
from ecpds.master.shared import Shared
from ecpds.master.sql import Session, Statement, value
from ecpds.master.writer import Writer

BLOCK = 1000
NAME = "data_file"

_NEXT = Statement(select(sequence.c.next).where(sequence.c.name == value("sequence")))
_BEGIN = Statement(insert(sequence).values(name=value("sequence"), next=value("first")))
_RESERVE = Statement(update(sequence).where(sequence.c.name == value("sequence")).values(next=value("first")))


def reserve(session: Session) -> int:
    """Reserve a block of ids, and return the first."""
    row = session.row(_NEXT, sequence=NAME)
    first = int(row[0]) if row else 1
    session.run(_RESERVE if row else _BEGIN, sequence=NAME, first=first + BLOCK)
    return first


def next_id(session: Session) -> int:
    """The first id that is in no block yet."""
    row = session.row(_NEXT, sequence=NAME)
    return int(row[0]) if row else 1


class Ids:
    """Hands out ids. The next block is reserved when half of one is left, so that nobody waits for it."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._blocks: deque[range] = deque()
        self._skipped: set[int] = set()
        self._more = Shared("reserving DataFileIDs", self._reserve)

    async def take(self) -> int:
        """An id that nobody had. Raises `Unavailable` when none can be reserved."""
        while (id_ := self.take_now()) is None:
            await self._more.run()
        return id_

    def take_now(self) -> int | None:
        """The same, where nothing has to be waited for."""
        id_ = self.peek()
        return None if id_ is None else self._next()

    def peek(self) -> int | None:
        """The id that is taken next, where nothing has to be waited for."""
        while self._blocks and self._blocks[0].start in self._skipped:
            self._skipped.remove(self._next())
        return self._blocks[0].start if self._blocks else None

    def skip(self, ids: Iterable[int]) -> None:
        """Never hand these out: a sweep has found files of that name and may unlink them at any time."""
        first = self._blocks[0].start if self._blocks else 0
        self._skipped.update(id_ for id_ in ids if id_ >= first)

    def _next(self) -> int:
        block = self._blocks[0]
        if len(block) > 1:
            self._blocks[0] = block[1:]
        else:
            self._blocks.popleft()
        if len(block) <= BLOCK // 2 and len(self._blocks) < 2 and not self._more.running:
            self._more.begin()
        return block[0]

    async def _reserve(self) -> None:
        first = await self._writer.run(reserve)
        self._blocks.append(range(first, first + BLOCK))
